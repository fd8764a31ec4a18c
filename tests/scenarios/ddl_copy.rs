//! Definitions that change while rows are copied: in a full copy, in one that was interrupted, and in tables that join.

use std::thread;

use walferry_tests::{Task, TaskBuilder, full, wait_until};

const SCHEMA: &str = "CREATE TABLE u (id integer PRIMARY KEY, v text);
    CREATE TABLE t (id integer PRIMARY KEY, r integer, v text);
    CREATE TABLE days (d date, n integer) PARTITION BY RANGE (d);
    CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    INSERT INTO u SELECT i, 'u' FROM generate_series(1, 100) i;
    INSERT INTO t SELECT i, i % 100 + 1, repeat('t', 200) FROM generate_series(1, 3000) i;
    INSERT INTO days VALUES ('2026-01-05', 1);";

/// A copy that takes some seconds.
fn slow(name: &str, snapshot: bool) -> TaskBuilder {
    Task::build(name).schema(SCHEMA).full().set("copy.snapshot", snapshot).set("copy.rate", "150kB/s")
}

fn capture(task: &Task) {
    task.source.execute("SELECT walferry.enable_ddl_capture()");
}

fn is_copying(status: &serde_json::Value) -> bool {
    full::state(status, "public.t") == "copying"
}

#[test]
fn rule_24_definitions_change_while_rows_are_copied() {
    for snapshot in [true, false] {
        let task = slow(&format!("ddl-copy-{snapshot}"), snapshot).create();
        capture(&task);
        let mut daemon = task.start();
        task.wait_copy("rows are copied", &mut daemon, is_copying);
        // Who alters a table that is copied waits for its rows; all else goes on.
        let waiting = task.source.another();
        let altered = thread::spawn(move || {
            waiting.execute("ALTER TABLE t ADD COLUMN w timestamptz DEFAULT clock_timestamp()");
            waiting.execute("INSERT INTO t VALUES (90001, 2, 'altered')");
        });
        for statement in [
            "CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
            "INSERT INTO days VALUES ('2026-02-05', 2)",
            "CREATE TABLE n (id integer PRIMARY KEY REFERENCES u)",
            "INSERT INTO n VALUES (1), (2)",
            "ALTER TABLE n ADD COLUMN r float8 DEFAULT random()",
            "ALTER TABLE u ADD CONSTRAINT u_v CHECK (v <> '') NOT VALID",
            "CREATE TRIGGER touched BEFORE INSERT ON u FOR EACH ROW EXECUTE FUNCTION touch()",
            "CREATE INDEX ON u (v)",
            "CREATE VIEW both_of AS SELECT id FROM u UNION ALL SELECT id FROM n",
            "CREATE TABLE made AS SELECT i, random() AS r FROM generate_series(1, 10) i",
            "INSERT INTO u VALUES (1000, 'late'); UPDATE u SET v = 'changed' WHERE id = 7",
        ] {
            task.source.another().execute(statement);
        }
        task.wait_following(&mut daemon);
        altered.join().expect("the ALTER TABLE goes on");
        task.level();
        daemon.terminate().expect_status(0);
    }
}

#[test]
fn an_interrupted_copy_is_not_taken_up_across_ddl() {
    let task = slow("ddl-copy-cut", true).create();
    capture(&task);
    let mut daemon = task.start();
    task.wait_copy("rows are copied", &mut daemon, is_copying);
    daemon.kill9();
    task.source.execute("CREATE FUNCTION extra() RETURNS integer LANGUAGE sql AS 'SELECT 1'");
    task.run_fails(&["interrupted", "definitions have changed at the source", "walferry drop"]);
    // With the destination emptied it begins anew.
    task.walferry(&["drop", "--yes"]).expect_status(0);
    task.destination.execute("DROP TABLE IF EXISTS t, u, days CASCADE; DROP FUNCTION IF EXISTS touch()");
    let daemon = task.copy_and_follow();
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_23_definitions_change_while_a_table_joins() {
    let mut task = slow("ddl-copy-joins", false)
        .set("objects.scope", "tables")
        .set("objects.include", vec!["public.u"])
        .create();
    capture(&task);
    let mut daemon = task.start();
    task.wait_following(&mut daemon);
    task.source.execute("ALTER TABLE t ADD COLUMN before_it_joins integer DEFAULT 1");
    task.set("objects.include", vec!["public.u", "public.t"]);
    task.reload(&daemon);
    for n in 0..6 {
        task.source.execute(&format!("ALTER TABLE t ADD COLUMN c{n} float8 DEFAULT random()"));
        task.source.execute(&format!("INSERT INTO t (id, r, v) VALUES ({n} + 80000, 1, 'between')"));
        thread::sleep(std::time::Duration::from_millis(400));
    }
    wait_until("t is level", std::time::Duration::from_secs(120), || {
        full::state(&task.status(), "public.t") == "level"
    });
    task.source.execute("ALTER TABLE t ADD COLUMN last timestamptz DEFAULT now()");
    task.wait_applied();
    for table in ["t", "u"] {
        let rows = format!("SELECT count(*) || ':' || sum(hashtextextended(x::text, 0)) FROM {table} x");
        assert_eq!(task.destination.value(&rows), task.source.value(&rows), "{table}");
    }
    daemon.terminate().expect_status(0);
}
