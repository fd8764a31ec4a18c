//! kill -9 of the daemon in the middle of DDL and rows: both sides end the same, and no statement was run twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use walferry_tests::{Cluster, Random, Session, Stop, Task};

use crate::load::{self, Load};

const SCHEMA: &str = "CREATE TYPE mood AS ENUM ('m0'); CREATE SEQUENCE tick; CREATE TABLE tree (id bigint, k integer, v text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
    CREATE TABLE steady (id bigint PRIMARY KEY, v text, m mood); CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS c FROM steady;";

/// One session that makes, alters, fills and drops, until stopped.
struct Storm {
    stop: Arc<AtomicBool>,
    writer: JoinHandle<u64>,
}

impl Storm {
    fn start(session: &Session) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (url, told) = (session.url().to_owned(), Arc::clone(&stop));
        let writer = std::thread::spawn(move || {
            let (session, mut random, mut n) = (Session::connect(&url), Random::new(8), 0);
            while !told.load(Ordering::Relaxed) {
                n += 1;
                for statement in step(&mut random, n) {
                    session.execute(&statement);
                }
                std::thread::sleep(Duration::from_millis(random.below(120)));
            }
            n
        });
        Self { stop, writer }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.writer.join().expect("the storm")
    }
}

/// Statements of one step, a transaction each; every name has its number, so that a statement run twice would fail.
fn step(random: &mut Random, n: u64) -> Vec<String> {
    let rows = 1 + random.below(2000);
    let one = match random.below(11) {
        0 | 1 => format!(
            "BEGIN; CREATE TABLE made_{n} (id serial PRIMARY KEY, r float8 DEFAULT random()); INSERT INTO made_{n} SELECT FROM generate_series(1, {rows}) i;
             ALTER TABLE made_{n} ADD COLUMN u uuid DEFAULT gen_random_uuid(); DELETE FROM made_{n} WHERE id % 3 = 0; COMMIT"
        ),
        2 => format!(
            "BEGIN; CREATE TABLE copied_{n} AS SELECT i, random() AS r FROM generate_series(1, {rows}) i; INSERT INTO steady VALUES (nextval('tick'), 'c'); COMMIT"
        ),
        3 => format!("ALTER TABLE steady ADD COLUMN c{n} timestamptz DEFAULT now(); UPDATE steady SET v = 'c{n}' WHERE id % 5 = 0"),
        4 => format!(
            "BEGIN; INSERT INTO steady VALUES (nextval('tick'), 'x'); ALTER TABLE steady ADD COLUMN d{n} float8 DEFAULT random(); ALTER TABLE steady DROP COLUMN d{n}; COMMIT"
        ),
        5 => return vec![
            format!("ALTER TYPE mood ADD VALUE 'm{n}'"),
            format!("INSERT INTO steady VALUES (nextval('tick'), 'mood', 'm{n}')"),
        ],
        6 => return vec![
            format!("CREATE INDEX CONCURRENTLY steady_{n} ON steady (v, id)"),
            "INSERT INTO steady VALUES (nextval('tick'), 'indexed')".to_owned(),
            format!("DROP INDEX CONCURRENTLY steady_{n}"),
        ],
        7 => format!(
            "BEGIN; CREATE TABLE tree_{n} PARTITION OF tree FOR VALUES IN ({n}); INSERT INTO tree SELECT i, {n}, 't' FROM generate_series(1, {rows}) i;
             SAVEPOINT s; DROP TABLE steady CASCADE; ROLLBACK TO s; COMMIT"
        ),
        8 => format!("CREATE FUNCTION f_{n}() RETURNS integer LANGUAGE sql RETURN {n}; CREATE VIEW v_{n} AS SELECT id, f_{n}() FROM steady"),
        9 => "BEGIN; INSERT INTO steady VALUES (nextval('tick'), 'refreshed'); REFRESH MATERIALIZED VIEW counted; COMMIT".to_owned(),
        _ => format!("COMMENT ON TABLE steady IS 'step {n}'; TRUNCATE tree; INSERT INTO steady SELECT nextval('tick'), 'many' FROM generate_series(1, {rows})"),
    };
    vec![one]
}

fn stormy(name: &str) -> Task {
    let task = Task::build(name).schema(SCHEMA).schema(load::SCHEMA).ddl().create();
    // What is there when the slot is taken over is not what this is about.
    task.run_until_now();
    task.source.execute(load::ROWS);
    task
}

#[test]
fn kill_9_at_any_moment_twenty_times() {
    let task = stormy("ddl-crash-kill");
    let (storm, load) = (Storm::start(&task.source), Load::start(&task.source, 1));
    let mut random = Random::new(4);
    for _ in 0..20 {
        let daemon = task.start();
        std::thread::sleep(Duration::from_millis(150 + random.below(1300)));
        daemon.kill9();
    }
    assert!(storm.stop() > 50, "the storm did something");
    assert!(load.stop() > 100, "the load did something");
    task.sync_same();
    assert_eq!(task.outcomes(), "applied", "{}", task.passed_over());
}

#[test]
fn a_destination_that_crashes_loses_no_statement() {
    // Commits are asynchronous at the destination: what a crash forgets must not have been acknowledged.
    let mut destination = Cluster::start("wal_writer_delay = 10s\nwal_writer_flush_after = 0");
    let mut task =
        Task::build("ddl-crash-destination").destination(&destination).schema(SCHEMA).ddl().create();
    let daemon = task.start();
    task.wait_applied();
    let storm = Storm::start(&task.source);
    for how in [Stop::Crash, Stop::Fast, Stop::Crash] {
        std::thread::sleep(Duration::from_millis(2500));
        destination.restart(how);
    }
    assert!(storm.stop() > 10, "the storm did something");
    task.reconnect();
    task.level();
    daemon.terminate().expect_status(0);
}
