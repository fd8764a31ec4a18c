//! Tasks that copy: an empty destination, walferry makes the slot. What they end with is compared whole: definitions,
//! rows, sequences and large objects.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::{Daemon, Ended, Task, TaskBuilder, wait_until, whole};

/// A copy, or one step of it, takes less.
const LIMIT: Duration = Duration::from_secs(240);

impl TaskBuilder {
    /// Mode `full+incremental`: the destination begins empty, and there is no slot yet.
    pub fn full(self) -> Self {
        self.copying("full+incremental")
    }

    /// Mode `full`: ends with the copy.
    pub fn full_only(self) -> Self {
        self.copying("full")
    }

    fn copying(self, mode: &str) -> Self {
        self.without_slot().destination_schema("").set("task.mode", mode).set("objects.definitions", "create")
    }
}

impl Task {
    /// `run` of a task with mode `full`, which must succeed.
    #[track_caller]
    pub fn run_full(&self) -> Ended {
        self.spawn(&["run"]).wait(LIMIT).expect_status(0)
    }

    /// `run` of a task with mode `full`, which must end with status 1 and say all of `words`.
    #[track_caller]
    pub fn full_fails(&self, words: &[&str]) -> Ended {
        self.spawn(&["run"]).wait(LIMIT).expect_status(1).expect_words(words)
    }

    /// Waits until the rows are copied and the daemon follows the source.
    #[track_caller]
    pub fn wait_following(&self, daemon: &mut Daemon) {
        self.wait_copy("the copy has not ended", daemon, |status| status["phase"] == "incremental");
    }

    /// Waits until the status of the running daemon is as asked.
    #[track_caller]
    pub fn wait_copy(&self, what: &str, daemon: &mut Daemon, condition: impl Fn(&Value) -> bool) {
        wait_until(what, LIMIT, || {
            assert!(daemon.runs(), "walferry ended: {what}");
            let status = self.status();
            assert_ne!(status["phase"], "failed", "{what}: {}", status["error"]);
            condition(&status)
        });
    }

    /// The daemon from an empty destination to level, then both sides are compared whole.
    #[track_caller]
    pub fn copy_and_follow(&self) -> Daemon {
        let mut daemon = self.start();
        self.wait_following(&mut daemon);
        self.wait_level();
        self.assert_whole();
        daemon
    }

    /// Panics with what differs, if anything does: definitions, rows, sequences, large objects.
    #[track_caller]
    pub fn assert_whole(&self) {
        let found = whole::differences(&self.source, &self.destination);
        assert!(found.is_empty(), "source and destination differ:\n{}", found.join("\n"));
    }

    /// Of `status`, the table with this name at the source.
    #[track_caller]
    pub fn table(&self, name: &str) -> Value {
        table(&self.status(), name)
    }

    /// The daemon reads its configuration again.
    #[track_caller]
    pub fn reload(&self, daemon: &Daemon) {
        daemon.signal(Signal::HUP);
    }

    /// What proves that rows were not written again: who wrote them first and last.
    #[track_caller]
    pub fn written_by(&self, table: &str) -> String {
        let sql = format!(
            "SELECT concat_ws(',', count(*), min(xmin::text::bigint), max(xmin::text::bigint), \
             pg_relation_filenode('{table}')) FROM {table}"
        );
        self.destination.value(&sql)
    }
}

/// Of a status, the table with this name at the source.
#[track_caller]
pub fn table(status: &Value, name: &str) -> Value {
    let tables = status["tables"].as_array().cloned().unwrap_or_default();
    let found = tables.into_iter().find(|table| table["source"] == name);
    found.unwrap_or_else(|| panic!("{name} is not among the tables of the status: {status}"))
}

/// The state of a table in a status; empty before it is listed.
pub fn state(status: &Value, name: &str) -> String {
    let tables = status["tables"].as_array().cloned().unwrap_or_default();
    let found = tables.into_iter().find(|table| table["source"] == name);
    found.and_then(|table| table["state"].as_str().map(str::to_owned)).unwrap_or_default()
}
