//! Whatever crashes, nothing is lost and nothing comes twice.

use std::time::Duration;

use walferry_tests::{Cluster, Random, Stop, Task};

use crate::load::{self, Load};

#[test]
fn rule_04_kill_9_at_any_moment_twenty_times() {
    let task = Task::new("restart-kill", load::SCHEMA);
    task.source.execute(load::ROWS);
    let load = Load::start(&task.source, 3);
    let mut random = Random::new(20);
    for _ in 0..20 {
        let daemon = task.start();
        std::thread::sleep(Duration::from_millis(100 + random.below(1200)));
        daemon.kill9();
    }
    assert!(load.stop() > 100, "the load did something");
    task.sync();
    assert_eq!(task.destination.value("SELECT sum(balance) FROM account"), "500000");
}

#[test]
fn rule_04_a_destination_that_crashes_loses_nothing() {
    // Commits are asynchronous at the destination: what a crash forgets must not have been acknowledged.
    let mut destination = Cluster::start("wal_writer_delay = 10s\nwal_writer_flush_after = 0");
    let task = Task::build("restart-destination").destination(&destination).schema(load::SCHEMA).create();
    task.source.execute(load::ROWS);
    let load = Load::start(&task.source, 2);
    let daemon = task.start();
    for how in [Stop::Crash, Stop::Fast, Stop::Crash] {
        std::thread::sleep(Duration::from_millis(1500));
        destination.restart(how);
    }
    std::thread::sleep(Duration::from_millis(500));
    load.stop();
    task.wait_level();
    task.assert_equal();
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_04_a_source_that_restarts_is_waited_for() {
    let mut source = Cluster::start("");
    let task = Task::build("restart-source").source(&source).schema(load::SCHEMA).create();
    task.source.execute(load::ROWS);
    let load = Load::start(&task.source, 2);
    let daemon = task.start();
    for how in [Stop::Fast, Stop::Crash] {
        std::thread::sleep(Duration::from_millis(1500));
        source.restart(how);
    }
    std::thread::sleep(Duration::from_millis(500));
    load.stop();
    // While the daemon works, its twin waits for its turn.
    let twin = task.spawn(&["run", "--until", "now"]);
    std::thread::sleep(Duration::from_millis(500));
    daemon.terminate().expect_status(0);
    twin.wait(Duration::from_secs(60)).expect_status(0);
    task.assert_equal();
}

#[test]
fn sigterm_stops_cleanly_and_the_next_run_goes_on() {
    let task = Task::new("restart-term", load::SCHEMA);
    task.source.execute(load::ROWS);
    let load = Load::start(&task.source, 2);
    for _ in 0..4 {
        let daemon = task.start();
        std::thread::sleep(Duration::from_millis(800));
        daemon.terminate().expect_status(0);
    }
    load.stop();
    task.sync();
}

#[test]
fn rule_04_sigterm_acknowledges_what_it_made_durable() {
    let task = Task::new("restart-acknowledge", "CREATE TABLE t (a integer PRIMARY KEY)");
    let daemon = task.start();
    task.wait_level();
    task.source.execute("INSERT INTO t VALUES (1)");
    let end = task.source_lsn();
    task.wait_level();
    daemon.terminate().expect_status(0);
    assert!(task.slot_lsn() >= end, "the slot was left far behind what was applied");
    task.assert_equal();
}

#[test]
fn until_now_with_nothing_to_do_ends_at_once() {
    let task = Task::new("restart-nothing", "CREATE TABLE t (a integer PRIMARY KEY)");
    task.source.execute("INSERT INTO t VALUES (1)");
    for _ in 0..3 {
        let start = std::time::Instant::now();
        task.run_until_now();
        assert!(start.elapsed() < Duration::from_secs(8), "took {:?}", start.elapsed());
    }
    task.assert_equal();
}

#[test]
fn until_stopped_early_says_143() {
    let mut source = Cluster::start("");
    let task =
        Task::build("restart-143").source(&source).schema("CREATE TABLE t (a integer PRIMARY KEY)").create();
    task.source.execute("INSERT INTO t VALUES (1)");
    let daemon = task.spawn(&["run", "--until", "FFFFFF/0"]);
    std::thread::sleep(Duration::from_secs(2));
    daemon.terminate().expect_status(143);
    source.stop(Stop::Fast);
}

#[test]
fn a_cut_connection_is_made_again() {
    let task = Task::new("restart-cut", load::SCHEMA);
    task.source.execute(load::ROWS);
    let load = Load::start(&task.source, 2);
    let daemon = task.start();
    let name = &task.database;
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(600));
        task.source.execute(&format!("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{}' AND active", task.slot));
        std::thread::sleep(Duration::from_millis(600));
        task.destination.execute(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"));
    }
    load.stop();
    task.wait_level();
    task.assert_equal();
    daemon.terminate().expect_status(0);
}
