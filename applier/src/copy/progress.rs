//! How far the copy of each table is, for whoever asks while it runs.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::CopyTable;
use crate::pg::copy::Tally;
use crate::state::parts::{Landed, Part};
use crate::state::tables::{TableProgress, TableState};

/// The numbers of all tables of a copy.
#[derive(Debug, Default)]
pub struct Progress {
    tables: Mutex<HashMap<u32, Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    /// What has landed; its state goes from pending to copied or failed.
    known: TableProgress,
    /// Parts that have not landed.
    open: usize,
    on_the_way: Vec<Arc<Tally>>,
}

impl Progress {
    /// Adds tables and the parts that they are copied in, landed ones too.
    pub fn add(&self, tables: &[Arc<CopyTable>], parts: &[Part]) {
        let mut all = self.lock();
        for table in tables {
            let known = TableProgress {
                source_oid: table.source.oid,
                rows_total: table.source.rows,
                bytes_total: Some(table.source.bytes),
                ..TableProgress::default()
            };
            all.insert(table.source.oid, Counts { known, ..Counts::default() });
        }
        for part in parts {
            if let Some(counts) = all.get_mut(&part.source_oid) {
                counts.open += 1;
            }
        }
        for part in parts {
            if let (Some(counts), Some(landed)) = (all.get_mut(&part.source_oid), &part.landed) {
                counts.land(landed);
            }
        }
    }

    /// How far each table is now.
    pub fn report(&self) -> Vec<TableProgress> {
        self.lock().values().map(Counts::now).collect()
    }

    /// Counts what is on its way for a part, until it lands or not.
    pub(super) fn begin(&self, oid: u32) -> Arc<Tally> {
        let tally = Arc::new(Tally::default());
        if let Some(counts) = self.lock().get_mut(&oid) {
            counts.known.state = TableState::Copying;
            counts.on_the_way.push(tally.clone());
        }
        tally
    }

    /// Ends what [`Progress::begin`] began. Whether the table has all its rows now.
    pub(super) fn end(&self, oid: u32, tally: &Arc<Tally>, landed: Option<&Landed>) -> bool {
        let mut all = self.lock();
        let Some(counts) = all.get_mut(&oid) else { return false };
        counts.on_the_way.retain(|other| !Arc::ptr_eq(other, tally));
        match landed {
            Some(landed) => counts.land(landed),
            None => false,
        }
    }

    /// The table cannot be copied.
    pub(super) fn fail(&self, oid: u32, error: &str) {
        if let Some(counts) = self.lock().get_mut(&oid) {
            counts.known.state = TableState::Failed;
            counts.known.error = Some(error.to_owned());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Counts>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Whether it was the last part.
    fn land(&mut self, landed: &Landed) -> bool {
        let known = &mut self.known;
        known.rows += landed.rows;
        known.bytes += landed.bytes;
        known.kept += landed.kept;
        self.open = self.open.saturating_sub(1);
        let all = self.open == 0 && known.state != TableState::Failed;
        if all {
            known.state = TableState::Copied;
            (known.rows_total, known.bytes_total) = (Some(known.rows), Some(known.bytes));
        }
        all
    }

    fn now(&self) -> TableProgress {
        let mut now = self.known.clone();
        for tally in &self.on_the_way {
            now.rows += tally.rows.load(Ordering::Relaxed);
            now.bytes += tally.bytes.load(Ordering::Relaxed);
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::copy_table;
    use super::*;
    use crate::pg::Lsn;
    use crate::state::parts::Unit;

    #[test]
    fn a_part_on_its_way_counts_until_it_fails() {
        let landed = Landed { snapshot: "1:1:".parse().unwrap(), lsn: Lsn(1), rows: 5, bytes: 50, kept: 1 };
        let part =
            |part, landed| Part { source_oid: 7, part, unit: Unit::Blocks, lower: None, upper: None, landed };
        let progress = Progress::default();
        progress.add(&[Arc::new(copy_table(7))], &[part(0, Some(landed.clone())), part(1, None)]);
        assert_eq!((progress.report()[0].rows, progress.report()[0].state), (5, TableState::Pending));
        let tally = progress.begin(7);
        tally.add(3, 30);
        assert_eq!((progress.report()[0].rows, progress.report()[0].state), (8, TableState::Copying));
        assert!(!progress.end(7, &tally, None));
        assert_eq!(progress.report()[0].rows, 5);
        let again = progress.begin(7);
        assert!(progress.end(7, &again, Some(&landed)));
        let copied = &progress.report()[0];
        assert_eq!((copied.rows, copied.rows_total, copied.kept), (10, Some(10), 2));
        assert_eq!(copied.state, TableState::Copied);
    }
}
