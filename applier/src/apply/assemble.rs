//! From events to what is written: whole transactions, parts of large ones, and the marks between them. Pure.

use super::adapter::Event;
use super::model::{Change, CommitPoint, Transaction};
use crate::ddl::Captured;
use crate::error::{Error, Result};
use crate::pg::Lsn;

/// A transaction of more bytes than this is written in parts of about this size (rule 7).
pub const PART: usize = 4 << 20;

/// What the writer gets, in order.
#[derive(Debug)]
pub enum Unit {
    /// A committed transaction that fits into memory.
    Transaction(Transaction),
    /// Changes of a large transaction: one that has committed (`point`, its end still unknown), or one in progress.
    Part { xid: u64, point: Option<CommitPoint>, changes: Vec<Change> },
    /// Between the parts of such a transaction: a statement that changes definitions (rule 8).
    Ddl { xid: u64, point: Option<CommitPoint>, captured: Box<Captured> },
    /// A subtransaction of one in progress begins: it may roll back alone.
    Savepoint { xid: u64, subxid: u64 },
    /// The large transaction has committed.
    Commit(CommitPoint),
    /// The one in progress, or its subtransaction, rolled back.
    Abort { xid: u64, subxid: u64 },
}

/// A committed transaction whose end has not come yet.
#[derive(Debug)]
struct Open {
    point: CommitPoint,
    changes: Vec<Change>,
    weight: usize,
    large: bool,
    /// Definitions changed in it.
    ddl: bool,
    /// Applied already, by an earlier connection.
    known: bool,
}

/// A block of a transaction in progress.
#[derive(Debug)]
struct Block {
    xid: u64,
    changes: Vec<Change>,
    weight: usize,
}

/// Puts events together.
#[derive(Debug)]
pub struct Assemble {
    progress: Lsn,
    open: Option<Open>,
    block: Option<Block>,
}

impl Assemble {
    /// For a stream that goes on at `progress`: what committed before is known (rule 3).
    pub fn new(progress: Lsn) -> Self {
        Self { progress, open: None, block: None }
    }

    /// Takes the next event; what is complete with it goes to `out`.
    pub fn take(&mut self, event: Event, out: &mut Vec<Unit>) -> Result<()> {
        match event {
            Event::Begin { xid, commit_lsn, commit_time } => self.begin(xid, commit_lsn, commit_time),
            Event::Change(change) => self.change(change, out),
            Event::Ddl(captured) => self.ddl(captured, out),
            Event::Commit { end_lsn } => self.commit(end_lsn, out),
            Event::StreamStart { xid } => {
                self.block = Some(Block { xid, changes: Vec::new(), weight: 0 });
                Ok(())
            }
            Event::StreamSubtransaction { xid: subxid } => self.subtransaction(subxid, out),
            Event::StreamStop => {
                self.cut_block(out);
                self.block = None;
                Ok(())
            }
            Event::StreamCommit(point) => {
                out.push(Unit::Commit(point));
                Ok(())
            }
            Event::StreamAbort { xid, subxid } => {
                out.push(Unit::Abort { xid, subxid });
                Ok(())
            }
        }
    }

    fn begin(&mut self, xid: u64, commit_lsn: Lsn, commit_time: i64) -> Result<()> {
        if self.open.is_some() {
            return Err(Error::protocol("a transaction began before the last one ended"));
        }
        // Its end is known when it comes; until then the start of the commit record stands for it.
        let point = CommitPoint { xid, commit_lsn, end_lsn: commit_lsn, commit_time };
        let known = commit_lsn < self.progress;
        self.open = Some(Open { point, changes: Vec::new(), weight: 0, large: false, ddl: false, known });
        Ok(())
    }

    fn change(&mut self, change: Change, out: &mut Vec<Unit>) -> Result<()> {
        let rewrites = change.relation().is_some_and(|relation| relation.rewrite);
        if let Some(block) = &mut self.block {
            if rewrites {
                return Ok(());
            }
            block.weight += change.weight();
            block.changes.push(change);
            if block.weight > PART {
                self.cut_block(out);
            }
            return Ok(());
        }
        let open = self.open.as_mut().ok_or_else(|| Error::protocol("a change outside of a transaction"))?;
        // Without its statement, a rewrite is nobody's business: it changes no row.
        if open.known || (rewrites && !open.ddl) {
            return Ok(());
        }
        open.weight += change.weight();
        open.changes.push(change);
        if open.weight > PART {
            open.large = true;
            open.cut(out);
        }
        Ok(())
    }

    /// A transaction that changes definitions is written in parts, whatever its size: statements stand between them.
    fn ddl(&mut self, captured: Box<Captured>, out: &mut Vec<Unit>) -> Result<()> {
        if let Some(xid) = self.block.as_ref().map(|block| block.xid) {
            self.cut_block(out);
            out.push(Unit::Ddl { xid, point: None, captured });
            return Ok(());
        }
        let open = self.open.as_mut().ok_or_else(|| Error::protocol("DDL outside of a transaction"))?;
        if !open.known {
            open.cut(out);
            (open.large, open.ddl) = (true, true);
            out.push(Unit::Ddl { xid: open.point.xid, point: Some(open.point.clone()), captured });
        }
        Ok(())
    }

    fn commit(&mut self, end_lsn: Lsn, out: &mut Vec<Unit>) -> Result<()> {
        let mut open = self.open.take().ok_or_else(|| Error::protocol("a commit without a begin"))?;
        open.point.end_lsn = end_lsn;
        if open.known {
            return Ok(());
        }
        if open.large {
            open.cut(out);
            out.push(Unit::Commit(open.point));
        } else {
            let Open { point, changes, weight, .. } = open;
            out.push(Unit::Transaction(Transaction { point, changes, weight }));
        }
        Ok(())
    }

    fn subtransaction(&mut self, subxid: u64, out: &mut Vec<Unit>) -> Result<()> {
        self.cut_block(out);
        let block =
            self.block.as_ref().ok_or_else(|| Error::protocol("a subtransaction outside of a block"))?;
        if subxid != block.xid {
            out.push(Unit::Savepoint { xid: block.xid, subxid });
        }
        Ok(())
    }

    fn cut_block(&mut self, out: &mut Vec<Unit>) {
        if let Some(block) = self.block.as_mut().filter(|block| !block.changes.is_empty()) {
            block.weight = 0;
            let changes = std::mem::take(&mut block.changes);
            out.push(Unit::Part { xid: block.xid, point: None, changes });
        }
    }
}

impl Open {
    fn cut(&mut self, out: &mut Vec<Unit>) {
        self.weight = 0;
        if !self.changes.is_empty() {
            let changes = std::mem::take(&mut self.changes);
            out.push(Unit::Part { xid: self.point.xid, point: Some(self.point.clone()), changes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(assemble: &mut Assemble, commit_lsn: u64, end_lsn: u64) -> Vec<Unit> {
        let mut out = Vec::new();
        let begin = Event::Begin { xid: 1, commit_lsn: Lsn(commit_lsn), commit_time: 0 };
        assemble.take(begin, &mut out).unwrap();
        assemble.take(Event::Commit { end_lsn: Lsn(end_lsn) }, &mut out).unwrap();
        out
    }

    #[test]
    fn rule_03_a_commit_that_starts_where_the_last_one_ended_is_new() {
        let mut assemble = Assemble::new(Lsn(200));
        assert!(transaction(&mut assemble, 199, 200).is_empty());
        let units = transaction(&mut assemble, 200, 300);
        assert!(matches!(units.as_slice(), [Unit::Transaction(one)] if one.point.end_lsn == Lsn(300)));
    }

    #[test]
    fn rule_07_large_transactions_come_in_parts() {
        let mut assemble = Assemble::new(Lsn(0));
        let mut out = Vec::new();
        let change = || Change::Truncate { relations: Vec::new(), restart_identity: false };
        assemble.take(Event::Begin { xid: 7, commit_lsn: Lsn(9), commit_time: 0 }, &mut out).unwrap();
        for _ in 0..=PART / change().weight() + 1 {
            assemble.take(Event::Change(change()), &mut out).unwrap();
        }
        assemble.take(Event::Commit { end_lsn: Lsn(10) }, &mut out).unwrap();
        let [Unit::Part { xid: 7, point: Some(_), .. }, Unit::Part { .. }, Unit::Commit(point)] =
            out.as_slice()
        else {
            panic!("{} units", out.len());
        };
        assert_eq!(point.end_lsn, Lsn(10));
    }

    #[test]
    fn rule_07_a_subtransaction_in_a_block_gets_a_savepoint_before_its_changes() {
        let mut assemble = Assemble::new(Lsn(0));
        let mut out = Vec::new();
        let change = || Event::Change(Change::Truncate { relations: Vec::new(), restart_identity: false });
        for event in [
            Event::StreamStart { xid: 5 },
            change(),
            Event::StreamSubtransaction { xid: 6 },
            change(),
            Event::StreamStop,
            Event::StreamAbort { xid: 5, subxid: 6 },
        ] {
            assemble.take(event, &mut out).unwrap();
        }
        assert!(matches!(
            out.as_slice(),
            [
                Unit::Part { xid: 5, point: None, .. },
                Unit::Savepoint { xid: 5, subxid: 6 },
                Unit::Part { xid: 5, point: None, .. },
                Unit::Abort { xid: 5, subxid: 6 },
            ]
        ));
    }

    #[test]
    fn changes_outside_of_transactions_are_refused() {
        let change = Change::Truncate { relations: Vec::new(), restart_identity: false };
        let mut assemble = Assemble::new(Lsn(0));
        assert!(assemble.take(Event::Change(change), &mut Vec::new()).is_err());
        assert!(assemble.take(Event::Commit { end_lsn: Lsn(1) }, &mut Vec::new()).is_err());
    }
}
