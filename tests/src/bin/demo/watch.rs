//! `walferry status` as it goes: one line of LSNs, lag and speed.

use std::time::{Duration, Instant};

use serde_json::Value;
use walferry_tests::Task;

use crate::screen::{Screen, bytes, thousands};

/// What was seen so far.
pub struct Watch {
    first: Option<u64>,
    last: u64,
    at: Instant,
    rate: u64,
    best_rate: u64,
    most_lag: u64,
}

impl Watch {
    /// Begins to count now.
    pub fn new(task: &Task) -> Self {
        let changes = task.status()["changes"].as_u64();
        let last = changes.unwrap_or_default();
        Self { first: changes, last, at: Instant::now(), rate: 0, best_rate: 0, most_lag: 0 }
    }

    /// Asks for the status and shows it.
    pub fn look(&mut self, task: &Task, screen: &mut Screen) {
        let status = healthy(task);
        self.count(&status);
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

    /// Changes applied while we watched.
    pub fn changes(&self) -> u64 {
        self.last - self.first.unwrap_or_default()
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

/// The status of a task that has not failed.
fn healthy(task: &Task) -> Value {
    let status = task.status();
    assert!(status["phase"] != "failed", "the task failed: {}", status["error"]);
    status
}
