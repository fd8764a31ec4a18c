//! From copy to stream (rule 23): which changes a copied table has seen already. A part of a table that is not copied yet
//! needs none of them, one that is copied needs those that its snapshot does not see, and where a part is being copied the
//! writer waits. Tables leave the gate once every change that comes is one that they need.

mod verdict;

use rustc_hash::FxHashMap;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_postgres::Client;

use crate::apply::model::{Change, CommitPoint, KeyRange, Relation, Row};
use crate::error::{Error, Result};
use crate::pg::{Lsn, Snapshot, client_error};
use verdict::{Pause, Verdict, before, number, one, pause, update};

/// How long a commit that is in the stream may take to become visible before the source is asked again.
const SETTLE: Duration = Duration::from_millis(5);

/// A table that is, or will be, copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The column whose ranges are the parts, an integer of the replica identity; without one all parts share a snapshot.
    pub key: Option<String>,
    /// Its parts; none until it is planned.
    pub parts: Vec<Part>,
}

/// A part of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number.
    pub number: i32,
    /// The lowest key in it.
    pub lower: Option<i64>,
    /// The lowest key behind it.
    pub upper: Option<i64>,
    /// How far its copy is.
    pub state: State,
}

/// How far the copy of a part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its snapshot will be taken later.
    Pending,
    /// Its snapshot is being taken.
    Claimed,
    /// It is being copied as this snapshot sees it.
    Copying(Snapshot),
    /// It was copied; all that the snapshot sees was committed before this position.
    Copied(Snapshot, Lsn),
}

/// The gate of one task.
#[derive(Debug)]
pub struct Gate {
    tables: Mutex<FxHashMap<u32, Table>>,
    /// A snapshot of the source: what it sees, later ones see, too.
    seen: Mutex<Option<Snapshot>>,
    moved: watch::Sender<u64>,
    /// No table leaves before this position.
    due: AtomicU64,
    /// Tables with a change that their parts cannot take.
    broken: Mutex<Vec<u32>>,
    /// Tables that are to be made yet, with all that changed in their definitions before.
    undefined: Mutex<HashSet<u32>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            tables: Mutex::default(),
            seen: Mutex::default(),
            moved: watch::Sender::new(0),
            due: AtomicU64::new(0),
            broken: Mutex::default(),
            undefined: Mutex::default(),
        }
    }
}

impl Gate {
    /// Sets a table, by its oid at the source, and what is known of its parts.
    pub fn set(&self, oid: u32, table: Table) {
        self.with(|tables| tables.insert(oid, table));
    }

    /// The destination does not have this table yet.
    pub fn undefine(&self, oid: u32) {
        self.undefined.lock().unwrap_or_else(PoisonError::into_inner).insert(oid);
    }

    /// All tables have been made as of a moment that the stream has passed.
    pub fn define_all(&self) {
        self.undefined.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether the destination is to get this table yet.
    pub fn is_undefined(&self, oid: u32) -> bool {
        self.undefined.lock().unwrap_or_else(PoisonError::into_inner).contains(&oid)
    }

    /// Changes the state of a part.
    pub fn part(&self, oid: u32, number: i32, state: State) {
        self.with(|tables| {
            let parts = tables.get_mut(&oid).into_iter().flat_map(|table| &mut table.parts);
            parts.filter(|part| part.number == number).for_each(|part| part.state = state.clone());
        });
    }

    /// Lets tables out that turned out to have no parts: they have no rows of their own.
    pub fn forget_empty(&self) {
        self.with(|tables| tables.retain(|_, table| !table.parts.is_empty()));
    }

    /// Whether every change of the stream goes through as it is.
    pub fn is_open(&self) -> bool {
        self.lock().is_empty()
    }

    /// Tables, by their oid at the source, that have to be copied again from their beginning: the stream has a change of
    /// theirs that cannot be divided among their parts.
    pub fn broken(&self) -> Vec<u32> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The changes of a transaction that its tables have not seen. Waits while a part that they reach is being copied.
    pub async fn admit(
        &self,
        source: &Client,
        point: &CommitPoint,
        changes: Vec<Change>,
    ) -> Result<Vec<Change>> {
        self.let_out(point.commit_lsn);
        if self.is_open() {
            return Ok(changes);
        }
        let mut admitted = Vec::with_capacity(changes.len());
        for change in changes {
            if !self.concerns(&change) {
                admitted.push(change);
                continue;
            }
            admitted.extend(self.admit_one(source, point.xid, change).await?);
        }
        Ok(admitted)
    }

    /// Lets tables out that need every change from here on. Looked for only where the next one is due: there may be thousands.
    fn let_out(&self, lsn: Lsn) {
        let mut tables = self.lock();
        if lsn < Lsn(self.due.load(Ordering::Relaxed)) {
            return;
        }
        tables.retain(|_, table| table.horizon().is_none_or(|horizon| lsn < horizon));
        let due = tables.values().filter_map(Table::horizon).min();
        self.due.store(due.map_or(u64::MAX, |due| due.0), Ordering::Relaxed);
    }

    /// Whether a change is one of a table that is here.
    fn concerns(&self, change: &Change) -> bool {
        let tables = self.lock();
        match change {
            Change::Insert { relation, .. }
            | Change::Update { relation, .. }
            | Change::Delete { relation, .. } => tables.contains_key(&relation.oid),
            Change::Truncate { relations, .. } => {
                relations.iter().any(|relation| tables.contains_key(&relation.oid))
            }
            // Made here.
            Change::Erase { .. } => false,
        }
    }

    async fn admit_one(&self, source: &Client, xid: u64, change: Change) -> Result<Vec<Change>> {
        let mut moved = self.moved.subscribe();
        loop {
            match self.judge(xid, &change).inspect_err(|_| self.break_off(&change))? {
                Ok(admitted) => return Ok(admitted),
                Err(Pause::Look) => self.look(source, xid).await?,
                Err(Pause::Wait) => {
                    moved.changed().await.map_err(|_| Error::protocol("the gate went away"))?;
                }
            }
        }
    }

    fn break_off(&self, change: &Change) {
        let relation = match change {
            Change::Insert { relation, .. }
            | Change::Update { relation, .. }
            | Change::Delete { relation, .. }
            | Change::Erase { relation, .. } => relation,
            Change::Truncate { .. } => return,
        };
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).push(relation.oid);
    }

    /// The commit record is in the stream before other sessions see the transaction (longer with a synchronous standby).
    async fn look(&self, source: &Client, xid: u64) -> Result<()> {
        let sql = "SELECT pg_catalog.pg_current_snapshot()::text";
        let text: String = source.query_one(sql, &[]).await.map_err(client_error)?.get(0);
        let snapshot: Snapshot = text.parse().map_err(|error| Error::protocol(format!("source: {error}")))?;
        if !snapshot.sees(xid) {
            tokio::time::sleep(SETTLE).await;
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
        Ok(())
    }

    fn judge(&self, xid: u64, change: &Change) -> Result<Result<Vec<Change>, Pause>> {
        let tables = self.lock();
        match change {
            Change::Insert { relation, new } => one(self.row(&tables, xid, relation, Some(new))?, change),
            Change::Delete { relation, old } => {
                one(self.row(&tables, xid, relation, before(old, None, relation).as_ref())?, change)
            }
            Change::Update { relation, old, new } => {
                let was = before(old, Some(new), relation);
                let (was, is) = (
                    self.row(&tables, xid, relation, was.as_ref())?,
                    self.row(&tables, xid, relation, Some(new))?,
                );
                update(was, is, change, relation, old, new)
            }
            Change::Truncate { relations, restart_identity } => {
                Ok(self.truncate(&tables, xid, relations, *restart_identity))
            }
            Change::Erase { .. } => Ok(Ok(vec![change.clone()])),
        }
    }

    /// What becomes of a row; `None` stands for one that cannot be told.
    fn row(&self, tables: &Tables, xid: u64, relation: &Relation, row: Option<&Row>) -> Result<Verdict> {
        let Some(table) = tables.get(&relation.oid) else { return Ok(Verdict::Apply) };
        let part = match (&table.key, row) {
            (Some(key), Some(row)) if table.parts.len() > 1 => table.part_of(number(relation, key, row)?),
            _ => table.parts.first(),
        };
        Ok(self.verdict(part, xid))
    }

    fn verdict(&self, part: Option<&Part>, xid: u64) -> Verdict {
        match part.map(|part| &part.state) {
            None | Some(State::Pending) => {
                let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                let is_seen = seen.as_ref().is_some_and(|snapshot| snapshot.sees(xid));
                if is_seen { Verdict::Drop } else { Verdict::DropOnceSeen }
            }
            Some(State::Claimed) => Verdict::Wait,
            Some(State::Copying(snapshot)) => {
                if snapshot.sees(xid) {
                    Verdict::Drop
                } else {
                    Verdict::Wait
                }
            }
            Some(State::Copied(snapshot, _)) => {
                if snapshot.sees(xid) {
                    Verdict::Drop
                } else {
                    Verdict::Apply
                }
            }
        }
    }

    /// Tables of which all parts need it are truncated; of others the ranges that need it are emptied.
    fn truncate(
        &self,
        tables: &Tables,
        xid: u64,
        relations: &[Arc<Relation>],
        restart_identity: bool,
    ) -> Result<Vec<Change>, Pause> {
        let (mut whole, mut admitted) = (Vec::new(), Vec::new());
        // A partitioned table goes with all its partitions, or not at all.
        let mut split: Vec<u32> = Vec::new();
        for relation in relations {
            let Some(table) = tables.get(&relation.oid) else {
                whole.push(relation.clone());
                continue;
            };
            let verdicts: Vec<Verdict> = match table.parts.as_slice() {
                [] => vec![self.verdict(None, xid)],
                parts => parts.iter().map(|part| self.verdict(Some(part), xid)).collect(),
            };
            if let Some(pause) = verdicts.iter().find_map(|verdict| pause(*verdict)) {
                return Err(pause);
            }
            if verdicts.iter().all(|verdict| *verdict == Verdict::Apply) {
                whole.push(relation.clone());
                continue;
            }
            split.extend(relation.ancestors.iter().map(|above| above.oid));
            if let Some(key) = table.key.clone() {
                let wanted = table.parts.iter().zip(&verdicts).filter(|(_, v)| **v == Verdict::Apply);
                let ranges: Vec<KeyRange> = wanted.map(|(part, _)| (part.lower, part.upper)).collect();
                if !ranges.is_empty() {
                    admitted.push(Change::Erase { relation: relation.clone(), key, ranges });
                }
            }
        }
        whole.retain(|relation| !split.contains(&relation.oid));
        if !whole.is_empty() {
            admitted.push(Change::Truncate { relations: whole, restart_identity });
        }
        Ok(admitted)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Tables) -> T) {
        change(&mut self.lock());
        self.due.store(0, Ordering::Relaxed);
        self.moved.send_modify(|moved| *moved += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Tables = FxHashMap<u32, Table>;

impl Table {
    /// The position behind which it needs every change; `None` while a part is not copied.
    pub fn horizon(&self) -> Option<Lsn> {
        let copied = |part: &Part| match &part.state {
            State::Copied(_, lsn) => Some(*lsn),
            State::Pending | State::Claimed | State::Copying(_) => None,
        };
        if self.parts.is_empty() {
            return None;
        }
        self.parts.iter().map(copied).try_fold(Lsn::ZERO, |most, one| Some(most.max(one?)))
    }

    fn part_of(&self, key: i64) -> Option<&Part> {
        let inside = |part: &&Part| {
            part.lower.is_none_or(|lower| lower <= key) && part.upper.is_none_or(|upper| key < upper)
        };
        self.parts.iter().find(inside)
    }
}

#[cfg(test)]
mod tests;
