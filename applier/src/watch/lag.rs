//! Lag (rule 30): samples of the source's end of WAL, one a second; the age of the oldest that is not applied yet is the lag
//! in seconds. Pure: the clock comes from outside.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::pg::Lsn;

/// More samples than this are thinned out; the oldest always stays.
const MOST: usize = 8192;
/// Of a page of WAL, and of the longest header of one (`XLOG_BLCKSZ`, `SizeOfXLogLongPHD`).
const PAGE: u64 = 8192;
const PAGE_HEADER: u64 = 40;

/// The samples that are not applied yet.
#[derive(Debug, Default)]
pub struct Lag {
    samples: VecDeque<(Instant, Lsn)>,
}

impl Lag {
    /// Adds what the source's end of WAL is now.
    pub fn sample(&mut self, now: Instant, source: Lsn) {
        if self.samples.len() >= MOST {
            let mut at = 0;
            self.samples.retain(|_| {
                at += 1;
                at % 2 == 1
            });
        }
        self.samples.push_back((now, source));
    }

    /// Forgets the samples that are applied; what is left is the lag.
    pub fn applied(&mut self, now: Instant, applied: Lsn) -> Duration {
        while self.samples.front().is_some_and(|(_, lsn)| *lsn <= applied) {
            self.samples.pop_front();
        }
        self.samples.front().map_or(Duration::ZERO, |(at, _)| now.duration_since(*at))
    }
}

/// The end of the last record: a source that is idle at the start of a page reports the end of the page's header, which
/// nothing that is decoded ever reaches.
pub fn before_page_header(lsn: Lsn) -> Lsn {
    let within = lsn.0 % PAGE;
    if within <= PAGE_HEADER { Lsn(lsn.0 - within) } else { lsn }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_30_lag_is_the_age_of_the_oldest_sample_not_applied() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut lag = Lag::default();
        lag.sample(at(0), Lsn(100));
        lag.sample(at(1), Lsn(200));
        lag.sample(at(2), Lsn(200));
        assert_eq!(lag.applied(at(3), Lsn(99)), Duration::from_secs(3));
        assert_eq!(lag.applied(at(3), Lsn(100)), Duration::from_secs(2));
        assert_eq!(lag.applied(at(3), Lsn(200)), Duration::ZERO);
    }

    #[test]
    fn a_long_lag_keeps_its_age_in_bounded_memory() {
        let start = Instant::now();
        let mut lag = Lag::default();
        for second in 0..100_000 {
            lag.sample(start + Duration::from_secs(second), Lsn(second + 1));
        }
        assert!(lag.samples.len() <= MOST);
        let now = start + Duration::from_secs(100_000);
        assert_eq!(lag.applied(now, Lsn(0)), Duration::from_secs(100_000));
    }

    #[test]
    fn rule_30_a_page_header_is_not_lag() {
        assert_eq!(before_page_header(Lsn(3 * PAGE + 24)), Lsn(3 * PAGE));
        assert_eq!(before_page_header(Lsn(3 * PAGE + 40)), Lsn(3 * PAGE));
        assert_eq!(before_page_header(Lsn(3 * PAGE + 48)), Lsn(3 * PAGE + 48));
    }
}
