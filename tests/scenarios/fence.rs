//! One writer at a time, and none twice (rule 2), in commit order (rule 3), from where it was (rule 5).

use std::time::Duration;

use walferry_tests::{Cluster, Task, wait_until};

use crate::load::{self, Load};

const KEYLESS: &str = "CREATE TABLE log (a integer, b text); CREATE TABLE t (id integer PRIMARY KEY, v text)";

#[test]
fn rule_02_two_daemons_of_one_task_write_once() {
    let task = Task::new("fence-two", KEYLESS);
    let first = task.start();
    task.wait_level();
    let mut second = task.start();
    for i in 0..200 {
        task.source.execute(&format!("INSERT INTO log VALUES ({i}, 'x')"));
    }
    task.wait_level();
    task.assert_equal();
    assert!(second.runs(), "the second waits for its turn: {}", second.log());
    first.kill9();
    task.source.execute("INSERT INTO log SELECT i, 'second' FROM generate_series(1, 100) i");
    task.wait_level();
    task.assert_equal();
    second.terminate().expect_status(0);
}

#[test]
fn rule_02_the_backend_of_a_killed_daemon_cannot_commit_late() {
    let task = Task::new("fence-late", KEYLESS);
    let daemon = task.start();
    task.wait_level();
    // The writer's backend hangs on a lock inside its transaction when its daemon is killed.
    let blocker = task.destination.another();
    blocker.execute("BEGIN; LOCK TABLE log IN ACCESS EXCLUSIVE MODE");
    task.source.execute("INSERT INTO log SELECT i, 'once' FROM generate_series(1, 50) i");
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'log'::regclass";
    wait_until("the writer reaches the lock", Duration::from_secs(20), || {
        task.destination.value(waits) != "0"
    });
    daemon.kill9();
    let daemon = task.start();
    std::thread::sleep(Duration::from_secs(1));
    blocker.execute("COMMIT");
    task.wait_level();
    task.assert_equal();
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_03_commit_that_starts_where_the_last_ended() {
    // A run after each single commit; the next commit begins where the last one ended.
    let task = Task::new("fence-steps", KEYLESS);
    for i in 0..12 {
        task.source.execute(&format!("INSERT INTO log VALUES ({i}, 'a')"));
        task.source.execute(&format!("INSERT INTO log VALUES ({i}, 'b')"));
        task.run_until_now();
    }
    // And a run that ends between two commits that follow one another at once.
    task.source.execute("INSERT INTO log VALUES (100, 'a')");
    let between = task.source.value("SELECT pg_current_wal_insert_lsn()");
    task.source.execute("INSERT INTO log VALUES (101, 'b')");
    task.walferry(&["run", "--until", &between]).expect_status(0);
    assert_eq!(task.destination.value("SELECT count(*) FROM log WHERE a = 100"), "1");
    task.sync();
}

#[test]
fn rule_03_order_is_commit_order() {
    let task = Task::new("fence-order", KEYLESS);
    let early = task.source.another();
    early.execute("BEGIN; INSERT INTO log VALUES (1, 'begun first')");
    task.source.execute("INSERT INTO log VALUES (2, 'committed first'); INSERT INTO t VALUES (1, 'second')");
    task.sync();
    early.execute("UPDATE t SET v = 'last' WHERE id = 1; COMMIT");
    task.sync();
    assert_eq!(task.destination.value("SELECT v FROM t"), "last");
}

#[test]
fn rule_05_a_slot_ahead_of_progress_is_refused() {
    let task = Task::new("fence-ahead", KEYLESS);
    task.source.execute("INSERT INTO log VALUES (1, 'x')");
    task.sync();
    task.source.execute("INSERT INTO log VALUES (2, 'lost?')");
    let slot = &task.slot;
    task.source.execute(&format!("SELECT pg_replication_slot_advance('{slot}', pg_current_wal_lsn())"));
    task.run_fails(&["slot", "moved on", "copy the rows again"]);
    assert_eq!(task.destination.list("SELECT a FROM log"), "1");
}

#[test]
fn rule_05_another_database_of_the_same_name_is_refused() {
    let task = Task::new("fence-database", KEYLESS);
    task.source.execute("INSERT INTO log VALUES (1, 'x')");
    task.sync();
    let other = Cluster::start("");
    let admin = other.session("postgres");
    admin.execute(&format!("CREATE DATABASE \"{}\"", task.database));
    let session = other.session(&task.database);
    session.execute("CREATE EXTENSION walferry");
    session.execute(&format!("SELECT pg_create_logical_replication_slot('{}', 'walferry')", task.slot));
    session.execute("CREATE TABLE log (a integer, b text); INSERT INTO log VALUES (5, 'other')");
    let mut task = task;
    task.set("source.url", other.url(&task.database));
    task.run_fails(&["source server", "copy the rows again"]);
    assert_eq!(task.destination.list("SELECT a FROM log"), "1");
}

#[test]
fn rule_02_two_tasks_with_one_slot_are_refused() {
    let task = Task::new("fence-slot-one", KEYLESS);
    task.run_until_now();
    let mut other = Task::build("fence-slot-two").schema(KEYLESS).without_slot().create();
    other.set("source.url", task.source.url().to_owned());
    other.set("destination.url", task.destination.url().to_owned());
    other.set("source.slot", task.slot.clone());
    other.run_fails(&["slot"]);
}

#[test]
fn rule_02_daemons_under_load_that_take_turns() {
    let task = Task::new("fence-load", load::SCHEMA);
    task.source.execute(load::ROWS);
    let load = Load::start(&task.source, 2);
    let mut daemon = task.start();
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(700));
        let next = task.start();
        std::thread::sleep(Duration::from_millis(300));
        daemon.kill9();
        daemon = next;
    }
    load.stop();
    task.wait_level();
    task.assert_equal();
    daemon.terminate().expect_status(0);
}
