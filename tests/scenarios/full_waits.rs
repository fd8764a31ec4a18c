//! What a copy waits for, or others because of it, is named.

use std::time::Duration;

use walferry_tests::{Cluster, Task, wait_until};

const SCHEMA: &str = "CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 1000) i;";

#[test]
fn a_long_transaction_that_blocks_the_slot_is_named() {
    // A cluster of our own: the slots of other tests would wait, too.
    let source = Cluster::start("");
    let task = Task::build("waits-long").source(&source).schema(SCHEMA).full().create();
    let session = task.source.another();
    session.execute("BEGIN; INSERT INTO t VALUES (5000, 'not committed')");
    let pid = session.value("SELECT pg_backend_pid()");
    let mut daemon = task.start();
    task.wait_copy("blocked_by names the session", &mut daemon, |status| {
        status["blocked_by"].as_str().is_some_and(|who| who.contains(&pid))
    });
    assert!(daemon.log().contains(&pid), "the log names it, too:\n{}", daemon.log());
    assert!(!daemon.log().contains("not committed"), "values stay out of the log");
    session.execute("COMMIT");
    task.wait_following(&mut daemon);
    assert_eq!(task.status()["blocked_by"], serde_json::Value::Null);
    task.wait_level();
    task.assert_whole();
    daemon.terminate().expect_status(0);
}

#[test]
fn sigterm_ends_the_wait_for_a_slot() {
    let source = Cluster::start("");
    let task = Task::build("waits-term").source(&source).schema(SCHEMA).full().create();
    let session = task.source.another();
    session.execute("BEGIN; INSERT INTO t VALUES (5000, 'x')");
    let mut daemon = task.start();
    task.wait_copy("blocked", &mut daemon, |status| status["blocked_by"].is_string());
    daemon.terminate().expect_status(0);
    session.execute("COMMIT");
    task.run_until_now();
    task.assert_whole();
}

#[test]
fn rule_24_a_session_that_waits_behind_our_lock_is_named() {
    let task = Task::build("waits-behind").schema(SCHEMA).full().set("copy.rate", "2kB/s").create();
    task.source.execute("INSERT INTO t SELECT i, repeat('v', 1000) FROM generate_series(10001, 12000) i");
    let mut daemon = task.start();
    task.wait_copy("copying", &mut daemon, |status| {
        walferry_tests::full::state(status, "public.t") == "copying"
    });
    let other = task.source.another();
    let pid = other.value("SELECT pg_backend_pid()");
    let waits = std::thread::spawn(move || other.execute("ALTER TABLE t ADD COLUMN extra integer"));
    task.wait_copy("blocked_by names who waits", &mut daemon, |status| {
        status["blocked_by"].as_str().is_some_and(|who| who.contains(&pid))
    });
    // The copy ends, and with it the lock.
    daemon.terminate().expect_status(0);
    waits.join().expect("the ALTER TABLE goes on");
}

#[test]
fn rule_24_a_table_that_is_locked_is_waited_for() {
    let source = Cluster::start("");
    let task = Task::build("waits-locked").source(&source).schema(SCHEMA).full().create();
    let other = task.source.another();
    other.execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    let mut daemon = task.start();
    std::thread::sleep(Duration::from_secs(3));
    assert!(daemon.runs());
    other.execute("INSERT INTO t VALUES (5000, 'late'); COMMIT");
    task.wait_following(&mut daemon);
    task.wait_level();
    task.assert_whole();
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_24_a_table_that_is_rewritten_while_the_copy_begins_loses_nothing() {
    for snapshot in [true, false] {
        let task = Task::build("waits-rewrite").schema(SCHEMA).full().set("copy.snapshot", snapshot).create();
        let source = task.source.another();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = std::sync::Arc::clone(&stop);
        let writer = std::thread::spawn(move || {
            let mut id = 100_000;
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                id += 1;
                source.execute(&format!("BEGIN; TRUNCATE t; INSERT INTO t SELECT i, 'v{id}' FROM generate_series({id}, {id} + 50) i; COMMIT"));
                std::thread::sleep(Duration::from_millis(900));
            }
        });
        let mut daemon = task.start();
        wait_until("the copy has an end", Duration::from_secs(120), || {
            assert!(daemon.runs());
            task.status()["phase"] == "incremental"
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().expect("the writer");
        task.wait_level();
        task.assert_whole();
        daemon.terminate().expect_status(0);
    }
}
