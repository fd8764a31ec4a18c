//! `walferry status` as it goes: one line of tables and bytes while rows are copied, then of LSNs, lag and speed.

use std::time::{Duration, Instant};

use serde_json::Value;
use walferry_tests::Task;

use crate::screen::{Screen, bytes, thousands};

/// What was seen so far.
pub struct Watch {
    started: Instant,
    copied: u64,
    copy_ended: Option<Duration>,
    last: u64,
    at: Instant,
    rate: u64,
    best_rate: u64,
    most_lag: u64,
}

impl Watch {
    /// Begins to count now.
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            copied: 0,
            copy_ended: None,
            last: 0,
            at: now,
            rate: 0,
            best_rate: 0,
            most_lag: 0,
        }
    }

    /// Asks for the status and shows it.
    pub fn look(&mut self, task: &Task, screen: &mut Screen) {
        let status = healthy(task);
        self.count(&status);
        if self.copy_ended.is_none() && status["phase"] == "incremental" {
            self.copy_ended = Some(self.started.elapsed());
            screen.settle(&Copied::of(&status).line("copied", screen));
        }
        screen.live(&self.line(&status, screen));
    }

    /// Watches the lag fall to 0.
    pub fn until_level(&mut self, task: &Task, screen: &mut Screen) {
        let start = Instant::now();
        loop {
            let status = healthy(task);
            self.count(&status);
            if status["lag_bytes"] == 0 {
                screen.settle(&self.line(&status, screen));
                return;
            }
            screen.live(&self.line(&status, screen));
            let in_time = start.elapsed() < Duration::from_secs(120);
            assert!(in_time, "the destination is not level after 120 s; status: {status}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Bytes of rows that were copied.
    pub fn copied(&self) -> u64 {
        self.copied
    }

    /// From the daemon's start until it followed the source.
    pub fn seconds_of_copy(&self) -> f64 {
        self.copy_ended.unwrap_or_else(|| self.started.elapsed()).as_secs_f64()
    }

    /// Changes applied while we watched.
    pub fn changes(&self) -> u64 {
        self.last
    }

    /// The most changes applied in a second.
    pub fn best_rate(&self) -> u64 {
        self.best_rate
    }

    /// The largest lag seen, in bytes.
    pub fn most_lag(&self) -> u64 {
        self.most_lag
    }

    fn count(&mut self, status: &Value) {
        self.copied = self.copied.max(Copied::of(status).bytes.0);
        self.most_lag = self.most_lag.max(status["lag_bytes"].as_u64().unwrap_or_default());
        let Some(changes) = status["changes"].as_u64() else { return };
        let elapsed = self.at.elapsed().as_millis() as u64;
        // The daemon writes its counts once a second.
        if changes != self.last || elapsed >= 2500 {
            self.rate = changes.saturating_sub(self.last) * 1000 / elapsed.max(1);
            self.best_rate = self.best_rate.max(self.rate);
            (self.last, self.at) = (changes, Instant::now());
        }
    }

    fn line(&self, status: &Value, screen: &Screen) -> String {
        if status["phase"] != "incremental" {
            return Copied::of(status).line(status["phase"].as_str().unwrap_or("?"), screen);
        }
        let text = |key: &str| status[key].as_str().unwrap_or("?").to_owned();
        let lag = status["lag_bytes"].as_u64();
        let lag_text = match (lag, status["lag_seconds"].as_f64()) {
            (Some(size), Some(seconds)) => format!("lag {}, {seconds:.1} s", bytes(size)),
            (Some(size), None) => format!("lag {}", bytes(size)),
            (None, _) => "lag unknown".to_owned(),
        };
        format!(
            "{}  source {}  applied {}  {}  {} changes/s",
            text("phase"),
            text("source_lsn"),
            text("applied_lsn"),
            screen.lag(&lag_text, lag == Some(0)),
            screen.strong(&thousands(self.rate)),
        )
    }
}

/// How far the copy is, over all tables.
struct Copied {
    tables: (usize, usize),
    rows: u64,
    bytes: (u64, u64),
}

impl Copied {
    fn of(status: &Value) -> Self {
        let tables = status["tables"].as_array().map(Vec::as_slice).unwrap_or_default();
        let sum = |key: &str| tables.iter().filter_map(|table| table[key].as_u64()).sum::<u64>();
        let done =
            tables.iter().filter(|table| table["state"] == "copied" || table["state"] == "level").count();
        Self { tables: (done, tables.len()), rows: sum("rows"), bytes: (sum("bytes"), sum("bytes_total")) }
    }

    fn line(&self, phase: &str, screen: &Screen) -> String {
        format!(
            "{phase}  {} of {} tables  {} rows  {} of {}",
            self.tables.0,
            self.tables.1,
            screen.strong(&thousands(self.rows)),
            bytes(self.bytes.0),
            bytes(self.bytes.1.max(self.bytes.0)),
        )
    }
}

/// The status of a task that has not failed.
fn healthy(task: &Task) -> Value {
    let status = task.status();
    assert!(status["phase"] != "failed", "the task failed: {}", status["error"]);
    status
}
