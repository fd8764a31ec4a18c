//! Flow control: a rate, windows, and both changed while the copy runs.

use std::time::{Duration, Instant};

use walferry_tests::{Daemon, Task};

/// Ten megabytes in five tables.
const SCHEMA: &str = "DO $$ BEGIN FOR n IN 1..5 LOOP
        EXECUTE format('CREATE TABLE t%s (id integer PRIMARY KEY, v text)', n);
        EXECUTE format('INSERT INTO t%s SELECT i, repeat(''v'', 1000) FROM generate_series(1, 2000) i', n);
    END LOOP; END $$;";

fn task(name: &str, rate: &str) -> Task {
    Task::build(name).full().set("copy.rate", rate).set("copy.jobs", 2).create().filled()
}

trait Filled {
    fn filled(self) -> Self;
}

impl Filled for Task {
    fn filled(self) -> Self {
        self.source.execute(SCHEMA);
        self
    }
}

fn bytes(task: &Task) -> u64 {
    let status = task.status();
    let tables = status["tables"].as_array().cloned().unwrap_or_default();
    tables.iter().filter_map(|table| table["bytes"].as_u64()).sum()
}

fn start_copying(task: &Task) -> Daemon {
    let mut daemon = task.start();
    task.wait_copy("the first bytes", &mut daemon, |_| bytes(task) > 0);
    daemon
}

/// Bytes copied in so many seconds.
fn copied_in(task: &Task, seconds: u64) -> u64 {
    let before = bytes(task);
    std::thread::sleep(Duration::from_secs(seconds));
    bytes(task) - before
}

#[test]
fn a_rate_holds_for_all_workers_together() {
    let task = task("flow-rate", "500kB/s");
    let daemon = start_copying(&task);
    let copied = copied_in(&task, 6);
    assert!((1_000_000..=4_500_000).contains(&copied), "{copied} bytes in 6 s at 500 kB/s");
    daemon.terminate().expect_status(0);
}

#[test]
fn a_rate_is_changed_by_sighup_within_two_seconds() {
    let mut task = task("flow-hup", "2kB/s");
    let mut daemon = start_copying(&task);
    assert!(copied_in(&task, 3) < 200_000, "the limit holds");
    task.set("copy.rate", "100MB/s");
    let start = Instant::now();
    task.reload(&daemon);
    task.wait_following(&mut daemon);
    assert!(start.elapsed() < Duration::from_secs(20), "took {:?}", start.elapsed());
    task.wait_level();
    task.assert_whole();
    daemon.terminate().expect_status(0);
}

#[test]
fn a_copy_can_be_slowed_down_by_sighup() {
    let mut task = task("flow-slower", "1MB/s");
    let daemon = start_copying(&task);
    task.set("copy.rate", "1kB/s");
    task.reload(&daemon);
    std::thread::sleep(Duration::from_secs(2));
    let copied = copied_in(&task, 4);
    assert!(copied < 500_000, "{copied} bytes in 4 s at 1 kB/s");
    daemon.terminate().expect_status(0);
}

#[test]
fn a_window_has_a_rate_of_its_own() {
    let mut task = task("flow-window", "1kB/s");
    let all_day = [("00:00", "12:00"), ("12:00", "00:00")].map(|(from, to)| {
        let window = [("from", from), ("to", to), ("rate", "100MB/s")];
        toml::Value::from(toml::Table::from_iter(window.map(|(key, value)| (key.to_owned(), value.into()))))
    });
    task.set("copy.windows", all_day.to_vec());
    let mut daemon = task.start();
    task.wait_following(&mut daemon);
    task.assert_whole();
    daemon.terminate().expect_status(0);
}

#[test]
fn a_configuration_that_is_wrong_changes_nothing() {
    let mut task = task("flow-wrong", "2kB/s");
    let mut daemon = start_copying(&task);
    task.set("copy.rate", "fast");
    task.reload(&daemon);
    std::thread::sleep(Duration::from_secs(1));
    assert!(daemon.runs(), "it goes on");
    assert!(daemon.log().contains("fast"), "the log says what is wrong:\n{}", daemon.log());
    daemon.terminate().expect_status(0);
}
