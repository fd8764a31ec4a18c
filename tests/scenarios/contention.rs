//! Transactions in progress at the source that meet one another, or local sessions, at the destination.

use std::time::Duration;
use walferry_tests::{Cluster, Task, wait_until};

fn source() -> Cluster {
    Cluster::start("logical_decoding_work_mem = 64kB")
}

fn rows(from: u32, to: u32) -> String {
    format!("INSERT INTO t SELECT i, repeat('v', 50) || i FROM generate_series({from}, {to}) i")
}

const SCHEMA: &str =
    "CREATE TABLE t (id integer PRIMARY KEY, v text); CREATE TABLE u (id integer PRIMARY KEY, v text)";

#[test]
fn rule_07_more_transactions_in_progress_than_writers() {
    let source = source();
    let task = Task::build("contention-many").source(&source).schema(SCHEMA).create();
    let sessions: Vec<_> = (0..9).map(|_| task.source.another()).collect();
    for round in 0..2 {
        for (n, session) in (0..).zip(&sessions) {
            let start = n * 10_000 + round * 3000;
            let begin = if round == 0 { "BEGIN; " } else { "" };
            session.execute(&format!("{begin}{}", rows(start + 1, start + 3000)));
        }
    }
    for session in &sessions {
        session.execute("COMMIT");
    }
    task.sync();
}

#[test]
fn rule_07_a_wait_through_a_local_session_is_seen() {
    let source = source();
    let task = Task::build("contention-cycle").source(&source).schema(SCHEMA).create();
    task.source.execute("INSERT INTO t VALUES (0, 'a'); INSERT INTO u VALUES (0, 'a')");
    let daemon = task.start();
    task.wait_level();
    let writer = task.source.another();
    writer.execute(&format!("BEGIN; UPDATE t SET v = 'b' WHERE id = 0; {}", rows(1, 5000)));
    let free = "SELECT id FROM t WHERE id = 0 FOR UPDATE SKIP LOCKED";
    wait_until("its row is locked", Duration::from_secs(30), || task.destination.list(free).is_empty());
    // Local session: holds u(0), waits for t(0), which our second writer holds; our first waits for u(0).
    let local = std::thread::spawn({
        let local = task.destination.url().to_owned();
        move || {
            let session = walferry_tests::Session::connect(&local);
            session.execute("BEGIN; UPDATE u SET v = v WHERE id = 0");
            session.execute("UPDATE t SET v = v WHERE id = 0");
            session.execute("COMMIT");
        }
    });
    let held = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                AND query LIKE 'UPDATE t%'";
    wait_until("the local session waits", Duration::from_secs(30), || task.destination.value(held) == "1");
    task.source.execute("UPDATE u SET v = 'c' WHERE id = 0");
    task.wait_level();
    writer.execute("COMMIT");
    local.join().expect("the local session");
    task.wait_level();
    task.assert_equal();
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_07_very_many_subtransactions() {
    let source = source();
    let task = Task::build("contention-subxacts").source(&source).schema(SCHEMA).create();
    let daemon = task.start();
    task.wait_level();
    task.source.execute(
        "DO $$ BEGIN FOR i IN 1..3000 LOOP BEGIN INSERT INTO t VALUES (i, repeat('x', 100)); \
         IF i % 10 = 0 THEN RAISE EXCEPTION 'no'; END IF; EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END $$",
    );
    task.wait_level();
    task.assert_equal();
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_15_looking_at_partitions_waits_for_no_lock_of_ours() {
    let task = Task::build("contention-catalog")
        .schema(
            "CREATE TABLE p (k integer PRIMARY KEY, v text) PARTITION BY RANGE (k);
             CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100000);
             CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100000) TO (200000)",
        )
        .destination_schema(
            "CREATE TABLE p (k integer PRIMARY KEY, v text) PARTITION BY RANGE (k);
             CREATE TABLE q1 PARTITION OF p FOR VALUES FROM (0) TO (200000);
             CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
             CREATE TABLE other (a integer); CREATE TRIGGER g BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION f();
             ALTER TABLE other ENABLE ALWAYS TRIGGER g",
        )
        .create();
    task.source.execute("INSERT INTO p VALUES (1, 'x')");
    task.source.execute(
        "BEGIN; TRUNCATE p; INSERT INTO p SELECT i, repeat('v', 1000) FROM generate_series(1, 9000) i; \
         INSERT INTO p VALUES (150000, 'y'); COMMIT",
    );
    task.run_until_now();
    assert_eq!(task.destination.value("SELECT count(*) FROM p"), "9001");
}
