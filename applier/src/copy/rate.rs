//! The limit on how fast rows are copied, over all workers: bytes a second, all day or by the hour. What changes is felt
//! within a second, also by a worker that waits.

use chrono::{Local, Timelike};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

use crate::config::{Copy, Rate, TimeOfDay, Window};
use crate::pg::copy::Throttle;

/// A worker that waits looks so often whether the limit has changed.
const LOOK: Duration = Duration::from_millis(250);
/// So much of a second's bytes may go at once.
const BURST: f64 = 0.1;

/// What limits hold when.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    rate: Option<Rate>,
    windows: Vec<Window>,
}

impl Limits {
    /// As `[copy]` says.
    pub fn new(copy: &Copy) -> Self {
        Self { rate: copy.rate, windows: copy.windows.clone() }
    }

    /// The limit at a time of day: that of the window, else the general one.
    pub fn at(&self, time: TimeOfDay) -> Option<Rate> {
        self.windows.iter().find(|window| window.covers(time)).map(|window| window.rate).or(self.rate)
    }
}

/// Holds all workers to the limits together.
#[derive(Debug)]
pub struct Limiter {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limits: Limits,
    /// Bytes that have passed and that the limit has not yet made good.
    debt: f64,
    since: Instant,
}

impl Limiter {
    /// Begins with these limits.
    pub fn new(limits: Limits) -> Self {
        Self { state: Mutex::new(State { limits, debt: 0.0, since: Instant::now() }) }
    }

    /// Other limits from now on.
    pub fn replace(&self, limits: Limits) {
        self.lock().limits = limits;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Lets the bytes pass, or says how long to wait before asking again.
    fn ask(&mut self, bytes: usize, now: Instant, time: TimeOfDay) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = now;
        let Some(Rate(rate)) = self.limits.at(time) else {
            self.debt = 0.0;
            return None;
        };
        let rate = rate as f64;
        self.debt = (self.debt - passed * rate).max(0.0);
        let over = self.debt - rate * BURST;
        if over <= 0.0 {
            self.debt += bytes as f64;
            return None;
        }
        Some(Duration::try_from_secs_f64(over / rate).map_or(LOOK, |wait| wait.min(LOOK)))
    }
}

impl Throttle for Limiter {
    async fn take(&self, bytes: usize) {
        loop {
            let wait = self.lock().ask(bytes, Instant::now(), now());
            match wait {
                None => return,
                Some(wait) => tokio::time::sleep(wait).await,
            }
        }
    }
}

/// The time of day where we run.
fn now() -> TimeOfDay {
    let now = Local::now();
    TimeOfDay((now.hour() * 60 + now.minute()) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: u16, to: u16, rate: u64) -> Window {
        Window { from: TimeOfDay(from * 60), to: TimeOfDay(to * 60), rate: Rate(rate) }
    }

    #[test]
    fn a_window_goes_before_the_rate_and_may_cross_midnight() {
        let limits = Limits { rate: Some(Rate(1)), windows: vec![window(22, 6, 2), window(8, 9, 3)] };
        let at = |hour: u16| limits.at(TimeOfDay(hour * 60)).map(|rate| rate.0);
        assert_eq!([22, 23, 0, 5].map(at), [Some(2); 4]);
        assert_eq!([6, 8, 9, 21].map(at), [Some(1), Some(3), Some(1), Some(1)]);
        assert_eq!(Limits::default().at(TimeOfDay(0)), None);
    }

    #[test]
    fn all_together_keep_to_the_rate() {
        let mut now = Instant::now();
        let begun = now;
        let limits = Limits { rate: Some(Rate(1 << 20)), windows: Vec::new() };
        let mut state = State { limits, debt: 0.0, since: now };
        for _ in 0..80 {
            while let Some(wait) = state.ask(128 << 10, now, TimeOfDay(0)) {
                assert!(wait <= LOOK);
                now += wait;
            }
        }
        let seconds = (now - begun).as_secs_f64();
        assert!((9.5..10.5).contains(&seconds), "{seconds}");
    }

    #[test]
    fn a_worker_that_waits_feels_a_change() {
        let now = Instant::now();
        let limits = Limits { rate: Some(Rate(1)), windows: Vec::new() };
        let mut state = State { limits, debt: 0.0, since: now };
        assert_eq!(state.ask(1 << 20, now, TimeOfDay(0)), None);
        assert_eq!(state.ask(1, now, TimeOfDay(0)), Some(LOOK));
        state.limits = Limits::default();
        assert_eq!(state.ask(1, now + LOOK, TimeOfDay(0)), None);
    }
}
