//! Large transactions in bounded memory, and a destination that hangs.

use std::time::Duration;

use rustix::process::Signal;
use walferry_tests::cluster::send;
use walferry_tests::{Cluster, Task, wait_until};

const MIB: u64 = 1024 * 1024;
const SCHEMA: &str = "CREATE TABLE big (id bigint PRIMARY KEY, a integer, b text, c timestamptz, d numeric)";
const ROW: &str = "i, i % 1000, 'row ' || i || repeat('x', i % 60), now() + i * interval '1 s', i * 1.5";

/// Level again, with the daemon's peak of resident memory below the bound.
fn settles_within(task: &Task, memory: u64) {
    let daemon = task.spawn(&["run"]);
    task.wait_level();
    let peak = daemon.peak_memory();
    daemon.terminate().expect_status(0);
    assert!(peak < memory, "the applier had {} MiB resident", peak / MIB);
}

#[test]
fn rule_07_two_million_rows_in_one_transaction_stay_below_150_mib() {
    let (source, destination) = (Cluster::start(""), Cluster::start(""));
    let task = Task::build("busy-insert").source(&source).destination(&destination).schema(SCHEMA).create();
    task.source.execute(&format!("INSERT INTO big SELECT {ROW} FROM generate_series(1, 2000000) i"));
    settles_within(&task, 150 * MIB);
    task.assert_equal();
    task.source.execute("UPDATE big SET a = a + 1, b = 'updated' WHERE id <= 400000");
    settles_within(&task, 150 * MIB);
    task.source.execute("DELETE FROM big WHERE id % 4 = 0");
    settles_within(&task, 150 * MIB);
    task.assert_equal();
}

#[test]
fn rule_07_large_rows_in_a_backlog_stay_below_150_mib() {
    let task = Task::new("busy-wide", "CREATE TABLE w (id integer PRIMARY KEY, b text)");
    for part in 0..30 {
        task.source.execute(&format!(
            "INSERT INTO w SELECT {part} * 10 + i, repeat(md5(i::text), 32768) FROM generate_series(1, 10) i"
        ));
    }
    settles_within(&task, 150 * MIB);
    task.assert_equal();
}

#[test]
fn rule_04_a_destination_that_hangs_times_nothing_out() {
    let source = Cluster::start("wal_sender_timeout = 5s");
    let task = Task::build("busy-hang")
        .source(&source)
        .schema("CREATE TABLE t (id integer PRIMARY KEY, v text)")
        .create();
    let daemon = task.start();
    task.wait_level();
    // Every backend of the task at the destination stands still for four timeouts.
    let name = &task.database;
    let backends = task.destination.list(&format!(
        "SELECT pid FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid() AND application_name <> 'walferry-tests'"
    ));
    let backends: Vec<u32> = backends.split(',').filter_map(|pid| pid.parse().ok()).collect();
    assert!(!backends.is_empty(), "the daemon has sessions at the destination");
    backends.iter().for_each(|pid| send(*pid, Signal::STOP));
    for i in 0..20 {
        // Enough to fill every queue between the source and the destination.
        task.source.execute(&format!(
            "INSERT INTO t SELECT {i} * 20000 + g, repeat('x', 200) FROM generate_series(1, 20000) g"
        ));
        std::thread::sleep(Duration::from_secs(1));
    }
    backends.iter().for_each(|pid| send(*pid, Signal::CONT));
    task.wait_level();
    task.assert_equal();
    assert!(!source.log().contains("replication timeout"), "the walsender timed out:\n{}", source.log());
    assert!(daemon.peak_memory() < 150 * MIB);
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_04_a_lock_at_the_destination_is_waited_for() {
    let source = Cluster::start("wal_sender_timeout = 3s");
    let task =
        Task::build("busy-lock").source(&source).schema("CREATE TABLE t (id integer PRIMARY KEY)").create();
    let daemon = task.start();
    task.wait_level();
    let blocker = task.destination.another();
    blocker.execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    task.source.execute("INSERT INTO t SELECT generate_series(1, 1000)");
    std::thread::sleep(Duration::from_secs(9));
    blocker.execute("COMMIT");
    task.wait_level();
    task.assert_equal();
    assert!(!source.log().contains("replication timeout"), "the walsender timed out");
    daemon.terminate().expect_status(0);
}

#[test]
fn ten_thousand_small_transactions_in_a_backlog() {
    let task = Task::new(
        "busy-small",
        "CREATE TABLE t (id integer PRIMARY KEY, n integer); INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) i",
    );
    task.source.execute(
        "DO $$ BEGIN FOR i IN 1..10000 LOOP UPDATE t SET n = n + 1 WHERE id = 1 + i % 100; COMMIT; END LOOP; END $$",
    );
    task.sync();
    assert_eq!(task.destination.value("SELECT sum(n) FROM t"), "10000");
}

#[test]
fn a_steady_stream_arrives_quickly() {
    let task = Task::new("busy-latency", "CREATE TABLE t (id integer PRIMARY KEY)");
    let daemon = task.start();
    task.wait_level();
    for i in 0..20 {
        task.source.execute(&format!("INSERT INTO t VALUES ({i})"));
        wait_until("one row arrives", Duration::from_secs(2), || {
            task.destination.value(&format!("SELECT count(*) FROM t WHERE id = {i}")) == "1"
        });
    }
    daemon.terminate().expect_status(0);
}
