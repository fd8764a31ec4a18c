//! A source with nothing to send still moves the slot on (rules 4, 20 and 30).

use std::time::{Duration, Instant};

use walferry_tests::{Cluster, Task, lsn, wait_until};

/// Waits until the slot has passed what the source has written by now.
fn slot_moves_on(task: &Task, limit: u64) {
    let target = lsn(&task.source.value("SELECT pg_current_wal_lsn()"));
    wait_until("the slot moves on", Duration::from_secs(limit), || task.slot_lsn() >= target);
}

#[test]
fn rule_04_an_idle_source() {
    let task = Task::new("idle", "CREATE TABLE t (a integer PRIMARY KEY)");
    let daemon = task.start();
    task.wait_level();
    slot_moves_on(&task, 10);
    let status = task.status();
    assert_eq!(status["phase"], "incremental", "{status}");
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_04_only_other_databases_are_written() {
    let task = Task::new("idle-other-database", "CREATE TABLE t (a integer PRIMARY KEY)");
    let other = Task::build("idle-other-writer").schema("CREATE TABLE t (a integer)").without_slot().create();
    let daemon = task.start();
    task.wait_level();
    for _ in 0..3 {
        other.source.execute("INSERT INTO t SELECT generate_series(1, 20000)");
        slot_moves_on(&task, 10);
    }
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_04_only_unselected_tables_are_written() {
    let task = Task::build("idle-unselected")
        .schema("CREATE TABLE t (a integer PRIMARY KEY); CREATE TABLE audit_log (a integer)")
        .set("objects.exclude", vec!["public.audit_*"])
        .create();
    let daemon = task.start();
    task.wait_level();
    for _ in 0..3 {
        task.source.execute("INSERT INTO audit_log SELECT generate_series(1, 20000)");
        slot_moves_on(&task, 10);
    }
    assert_eq!(task.destination.value("SELECT count(*) FROM audit_log"), "0");
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_20_a_huge_transaction_on_unselected_tables_times_nothing_out() {
    let source = Cluster::start("wal_sender_timeout = 2s");
    let task = Task::build("idle-huge-unselected")
        .source(&source)
        .schema("CREATE TABLE t (a integer PRIMARY KEY); CREATE TABLE audit_log (a integer, b text)")
        .set("objects.exclude", vec!["public.audit_*"])
        .create();
    let daemon = task.start();
    task.wait_level();
    task.source
        .execute("INSERT INTO audit_log SELECT i, repeat('x', 100) FROM generate_series(1, 1500000) i");
    task.source.execute("INSERT INTO t VALUES (1)");
    task.wait_level();
    assert_eq!(task.destination.list("SELECT a FROM t"), "1");
    assert!(!source.log().contains("replication timeout"), "the walsender timed out");
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_30_level_means_no_lag() {
    let task = Task::new("idle-level", "CREATE TABLE t (a integer PRIMARY KEY)");
    let daemon = task.start();
    task.source.execute("INSERT INTO t SELECT generate_series(1, 1000)");
    task.wait_level();
    wait_until("lag is 0 when level", Duration::from_secs(15), || {
        let status = task.status();
        status["lag_bytes"] == 0 && status["lag_seconds"].as_f64() == Some(0.0)
    });
    task.assert_equal();
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_30_until_now_reaches_level_while_other_databases_write() {
    let task = Task::new("idle-until", "CREATE TABLE t (a integer PRIMARY KEY)");
    let other = Task::build("idle-until-writer").schema(crate::load::SCHEMA).without_slot().create();
    other.source.execute(crate::load::ROWS);
    let load = crate::load::Load::start(&other.source, 2);
    task.source.execute("INSERT INTO t SELECT generate_series(1, 10)");
    let start = Instant::now();
    task.run_until_now();
    assert!(start.elapsed() < Duration::from_secs(15), "took {:?}", start.elapsed());
    task.assert_equal();
    load.stop();
}

#[test]
fn status_without_a_daemon_and_with_a_server_away() {
    let mut source = Cluster::start("");
    let task =
        Task::build("idle-status").source(&source).schema("CREATE TABLE t (a integer PRIMARY KEY)").create();
    task.source.execute("INSERT INTO t VALUES (1)");
    task.run_until_now();
    let status = task.status();
    assert_eq!(status["task"], "idle-status");
    assert!(status["applied_lsn"].is_string(), "{status}");
    source.stop(walferry_tests::Stop::Fast);
    let status = task.status();
    assert!(
        status["source_lsn"].is_null() && status["lag_bytes"].is_null(),
        "what cannot be known is null: {status}"
    );
    assert!(status["applied_lsn"].is_string(), "{status}");
}
