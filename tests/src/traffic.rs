//! pgbench in the background on a source: several tables, updates of keys, inserts and deletes, large values that are
//! stored out of line, a table without a key, partitions, several statements in a transaction.

use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::cluster::send;
use crate::{Session, program};

/// Tables of the traffic, with rows, in a schema of their own.
pub const SCHEMA: &str = "
CREATE SCHEMA traffic;
CREATE SEQUENCE traffic.keys START 1000000;
CREATE TABLE traffic.item (id bigint PRIMARY KEY, n integer NOT NULL, body text);
CREATE INDEX item_n ON traffic.item (n);
CREATE TABLE traffic.moved (id bigint PRIMARY KEY, slot integer, v text, UNIQUE (id, slot));
CREATE TABLE traffic.document (id integer PRIMARY KEY, title text, body text);
ALTER TABLE traffic.document ALTER body SET STORAGE EXTERNAL;
CREATE TABLE traffic.note (at timestamptz DEFAULT clock_timestamp(), who integer, what text);
ALTER TABLE traffic.note REPLICA IDENTITY FULL;
CREATE TABLE traffic.child (id bigserial PRIMARY KEY, item bigint REFERENCES traffic.item ON DELETE CASCADE, v numeric);
CREATE INDEX child_item ON traffic.child (item);
CREATE TABLE traffic.part (id bigint, day integer, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE traffic.part_1 PARTITION OF traffic.part FOR VALUES FROM (0) TO (10);
CREATE TABLE traffic.part_2 PARTITION OF traffic.part FOR VALUES FROM (10) TO (20);
INSERT INTO traffic.item SELECT i, i % 100, repeat('b', 100) || i FROM generate_series(1, 40000) i;
INSERT INTO traffic.moved SELECT i, i % 20, 'v' || i FROM generate_series(1, 10000) i;
INSERT INTO traffic.document SELECT i, 'title ' || i, repeat(md5(i::text), 150) FROM generate_series(1, 1000) i;
INSERT INTO traffic.note (who, what) SELECT i % 7, 'note ' || i % 50 FROM generate_series(1, 5000) i;
INSERT INTO traffic.child (item, v) SELECT i, i / 3.0 FROM generate_series(1, 20000) i;
INSERT INTO traffic.part SELECT i, i % 20, 'p' || i FROM generate_series(1, 10000) i;
";

/// One transaction of a session. Sessions take rows that are theirs by number, so that they do not wait for one another.
const SCRIPT: &str = r"
\set mine random(0, 9999) * 4 + :client_id % 4 + 1
\set doc random(0, 249) * 4 + :client_id % 4 + 1
\set day random(0, 19)
\set kind random(1, 10)
\if :kind <= 2
UPDATE traffic.item SET n = n + 1, body = body || 'x' WHERE id = :mine;
\elif :kind = 3
INSERT INTO traffic.item SELECT nextval('traffic.keys'), :day, 'new' FROM generate_series(1, 3);
\elif :kind = 4
BEGIN;
DELETE FROM traffic.item WHERE id = :mine;
INSERT INTO traffic.item VALUES (:mine, :day, 'again');
INSERT INTO traffic.child (item, v) VALUES (:mine, :day);
COMMIT;
\elif :kind <= 6
UPDATE traffic.moved SET id = nextval('traffic.keys'), v = v || '.' WHERE ctid = (SELECT ctid FROM traffic.moved
    WHERE slot = :client_id ORDER BY id LIMIT 1 OFFSET :day);
\elif :kind = 7
UPDATE traffic.document SET title = title || '!' WHERE id = :doc;
\elif :kind = 8
UPDATE traffic.document SET body = repeat(md5(:mine::text), 150) WHERE id = :doc;
\elif :kind = 9
BEGIN;
INSERT INTO traffic.note (who, what) VALUES (:client_id, 'note'), (:client_id, 'note');
DELETE FROM traffic.note WHERE ctid = (SELECT ctid FROM traffic.note LIMIT 1 FOR UPDATE SKIP LOCKED);
SAVEPOINT s;
UPDATE traffic.item SET n = 0 WHERE id = :mine;
ROLLBACK TO s;
COMMIT;
\else
INSERT INTO traffic.part VALUES (nextval('traffic.keys'), :day, 'new');
UPDATE traffic.part SET day = :day, v = v || '>' WHERE id = :mine;
\endif
";

/// pgbench at work; it ends with this value.
pub struct Traffic {
    child: Child,
    source: Session,
}

impl Traffic {
    /// Starts four sessions on the database of `source`, which has [`SCHEMA`], at `rate` transactions a second.
    #[track_caller]
    pub fn start(source: &Session, rate: u32) -> Self {
        let script = std::env::temp_dir().join(format!("walferry-traffic.{}.sql", std::process::id()));
        std::fs::write(&script, SCRIPT).unwrap_or_else(|e| panic!("cannot write {}: {e}", script.display()));
        let child = Command::new(program("pgbench"))
            .args(["-n", "-c", "4", "-j", "1", "-T", "3600", "--max-tries=100"])
            .args(["-R", &rate.to_string(), "-f"])
            .arg(&script)
            .arg(source.url())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self {
            child: child.unwrap_or_else(|e| panic!("pgbench does not start: {e}")),
            source: source.another(),
        }
    }

    /// Transactions that the traffic's database has committed.
    pub fn committed(&self) -> u64 {
        let sql = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
        self.source.value(sql).parse().unwrap_or_default()
    }

    /// Ends it; panics if it had ended by itself.
    #[track_caller]
    pub fn stop(mut self) {
        assert!(matches!(self.child.try_wait(), Ok(None)), "pgbench ended by itself");
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        send(self.child.id(), Signal::KILL);
        drop(self.child.wait());
        // Its backends end when they notice; until then they may still commit.
        let sql = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity \
                   WHERE application_name = 'pgbench' AND datname = current_database()";
        drop(self.source.try_execute(sql));
    }
}
