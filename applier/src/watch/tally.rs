//! How far a copy is, summed up: rows and bytes of all tables, their pace, the time left. Pure: the clock comes from
//! outside. What is estimated is never less than what has been seen.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, FormattedDuration, HumanCount};

use crate::state::tables::{TableProgress, TableState};

/// The pace is that of the last so many seconds.
const WINDOW: Duration = Duration::from_secs(15);

/// The sums over tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tables.
    pub tables: usize,
    /// Of them all rows are there.
    pub done: usize,
    /// Could not be copied.
    pub failed: usize,
    /// Rows written, and about how many there are.
    pub rows: (u64, u64),
    /// Bytes written, and about how many there are.
    pub bytes: (u64, u64),
}

impl Tally {
    /// The sums over `tables`.
    pub fn of(tables: &[TableProgress]) -> Self {
        tables.iter().fold(Self::default(), |mut sum, table| {
            let (rows, bytes) = (rows(table), bytes(table));
            sum.tables += 1;
            sum.done += usize::from(matches!(table.state, TableState::Copied | TableState::Level));
            sum.failed += usize::from(table.state == TableState::Failed);
            sum.rows = (sum.rows.0 + rows.0, sum.rows.1 + rows.1);
            sum.bytes = (sum.bytes.0 + bytes.0, sum.bytes.1 + bytes.1);
            sum
        })
    }

    /// One line: tables, rows, bytes, and what the pace allows to say.
    pub fn line(&self, pace: &Pace, now: Instant) -> String {
        let failed = if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        format!(
            "{} of {} tables copied{failed}; {} of about {} rows; {}{}",
            self.done,
            self.tables,
            HumanCount(self.rows.0),
            HumanCount(self.rows.1),
            of_bytes(self.bytes),
            pace.text(now, self.bytes),
        )
    }
}

/// Rows written, and about how many there are.
pub fn rows(table: &TableProgress) -> (u64, u64) {
    reached(table.rows, table.rows_total)
}

/// Bytes written, and about how many there are.
pub fn bytes(table: &TableProgress) -> (u64, u64) {
    reached(table.bytes, table.bytes_total)
}

fn reached(done: i64, total: Option<i64>) -> (u64, u64) {
    let positive = |number: i64| u64::try_from(number).unwrap_or(0);
    let done = positive(done);
    (done, done.max(positive(total.unwrap_or(0))))
}

/// `1.20 GiB of 4.00 GiB (30%)`; units of 1024, as those of `[copy] rate`.
pub fn of_bytes((done, total): (u64, u64)) -> String {
    format!("{} of {} ({}%)", BinaryBytes(done), BinaryBytes(total), percent((done, total)))
}

/// Whole percents; nothing to do counts as done.
pub fn percent((done, total): (u64, u64)) -> u64 {
    if total == 0 { 100 } else { (u128::from(done) * 100 / u128::from(total)) as u64 }
}

/// How fast bytes come: samples of the last seconds.
#[derive(Debug, Default)]
pub struct Pace {
    samples: VecDeque<(Instant, u64)>,
}

impl Pace {
    /// Notes how many bytes there are now. A table that is begun again starts over.
    pub fn sample(&mut self, now: Instant, bytes: u64) {
        if self.samples.back().is_some_and(|(_, last)| *last > bytes) {
            self.samples.clear();
        }
        // One sample from before the window stays: the window is then never shorter than it says.
        while self.samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            self.samples.pop_front();
        }
        self.samples.push_back((now, bytes));
    }

    /// Bytes a second, `None` before there is anything to say.
    pub fn rate(&self, now: Instant) -> Option<u64> {
        let ((from, first), (_, last)) = (self.samples.front()?, self.samples.back()?);
        let seconds = now.duration_since(*from).as_secs_f64();
        (seconds >= 0.5).then(|| ((last - first) as f64 / seconds) as u64)
    }

    /// How long the rest takes at this pace, if there is a rest.
    pub fn left(&self, now: Instant, (done, total): (u64, u64)) -> Option<Duration> {
        let rate = self.rate(now).filter(|rate| *rate > 0 && done < total)?;
        Some(Duration::from_secs((total - done).div_ceil(rate)))
    }

    /// `; 20.00 MiB/s; 00:01:10 left`, or nothing.
    pub fn text(&self, now: Instant, bytes: (u64, u64)) -> String {
        let rate = self.rate(now).map(|rate| format!("; {}/s", BinaryBytes(rate)));
        let left = self.left(now, bytes).map(|left| format!("; {} left", FormattedDuration(left)));
        format!("{}{}", rate.unwrap_or_default(), left.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(state: TableState, bytes: i64, bytes_total: Option<i64>) -> TableProgress {
        let (rows, rows_total) = (bytes / 10, bytes_total.map(|total| total / 10));
        TableProgress { state, rows, rows_total, bytes, bytes_total, ..TableProgress::default() }
    }

    #[test]
    fn sums_never_have_less_in_all_than_is_done() {
        let tables = [
            table(TableState::Copied, 1000, Some(1000)),
            table(TableState::Copying, 500, Some(400)),
            table(TableState::Failed, 0, Some(500)),
            table(TableState::Pending, 0, None),
        ];
        let sum = Tally::of(&tables);
        assert_eq!((sum.tables, sum.done, sum.failed), (4, 1, 1));
        assert_eq!((sum.bytes, sum.rows), ((1500, 2000), (150, 200)));
        let line = sum.line(&Pace::default(), Instant::now());
        assert_eq!(line, "1 of 4 tables copied, 1 failed; 150 of about 200 rows; 1.46 KiB of 1.95 KiB (75%)");
    }

    #[test]
    fn the_pace_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::default();
        assert_eq!(pace.text(start, (0, 10)), "");
        for second in 0..60 {
            // A slow start, then a megabyte a second.
            pace.sample(at(second), second.saturating_sub(30) * 1_048_576);
        }
        assert_eq!(pace.rate(at(59)), Some(1_048_576));
        assert_eq!(pace.left(at(59), (29 << 20, 89 << 20)), Some(Duration::from_secs(60)));
        assert_eq!(pace.text(at(59), (29 << 20, 89 << 20)), "; 1.00 MiB/s; 00:01:00 left");
        assert!(pace.samples.len() < 20);
    }

    #[test]
    fn a_copy_that_starts_over_has_no_negative_pace() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.sample(start, 500);
        pace.sample(start + Duration::from_secs(1), 100);
        assert_eq!(pace.rate(start + Duration::from_secs(2)), Some(0));
        assert_eq!(pace.left(start + Duration::from_secs(2), (100, 500)), None);
    }

    #[test]
    fn nothing_to_copy_is_all_of_it() {
        assert_eq!(percent((0, 0)), 100);
        assert_eq!(percent((u64::MAX / 2, u64::MAX)), 49);
    }
}
