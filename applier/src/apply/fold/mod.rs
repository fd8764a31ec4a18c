//! From the changes of a batch to few steps: the net effect per table and key (rule 9). Pure.
//!
//! Tables do not see one another at the destination (foreign keys do not fire), so each table has a *run* of its own that
//! lasts until something cannot be folded into it. Whatever a fold hides from the fast way shows as a wrong row count
//! or a violation, and the changes are then written one by one.

use rustc_hash::FxHashMap;
use std::sync::Arc;
use walferry_wire::tuple::Cell;

use crate::apply::model::{Change, OldRow, Row};
use crate::apply::statement::Statement;
use crate::apply::target::{Access, Key, KeyPart, Target};
use crate::error::Result;

/// One step of a batch; steps are written in their order.
#[derive(Debug)]
pub enum Step {
    /// Changes of many rows of one table.
    Run(Run),
    /// An update or delete of a row that no unique index finds.
    Image { target: Arc<Target>, change: Change },
    /// One TRUNCATE, its text.
    Truncate { statement: Statement },
}

/// The net effect on one table, written as deletes, then updates, then inserts.
#[derive(Debug)]
pub struct Run {
    /// The table.
    pub target: Arc<Target>,
    /// Keys of rows that must be there, and go.
    pub deletes: Vec<Key>,
    /// Keys of rows that came and went within the batch: none may be there.
    pub absent: Vec<Key>,
    /// Rows that must be there, by the key that they had.
    pub updates: Vec<(Key, Row)>,
    /// The updates set the key, too (then there is exactly one).
    pub sets_key: bool,
    /// Rows that come.
    pub inserts: Vec<Row>,
}

/// The net effect on one key.
#[derive(Debug, Clone)]
enum Net {
    Insert(Row),
    Update(Row),
    Delete,
    /// Deleted, and inserted again.
    Replace(Row),
    /// Inserted, and deleted again.
    Absent,
}

/// What one change does to its key.
#[derive(Debug)]
enum Effect {
    Insert(Row),
    Update(Row),
    Delete,
}

/// Gathers changes into steps.
#[derive(Debug, Default)]
pub struct Fold {
    steps: Vec<Step>,
    open: FxHashMap<u32, Open>,
    order: Vec<u32>,
}

/// A run that still takes changes.
#[derive(Debug)]
struct Open {
    target: Arc<Target>,
    places: FxHashMap<Key, usize>,
    entries: Vec<(Key, Net)>,
    plain: Vec<Row>,
}

impl Fold {
    /// Takes the next change of a table.
    pub fn row(&mut self, target: &Arc<Target>, change: &Change) -> Result<()> {
        match (&target.access, change) {
            (_, Change::Insert { new, .. }) => {
                self.put(target, target.key_of(new), Effect::Insert(new.clone()))
            }
            (Access::Key(_), Change::Update { old, new, .. }) => self.update(target, old, new)?,
            (Access::Key(_), Change::Delete { old, .. }) => {
                self.put(target, target.old_key(old, None)?, Effect::Delete);
            }
            (Access::Image(_), Change::Update { .. } | Change::Delete { .. }) => {
                self.close(target.table.oid);
                self.steps.push(Step::Image { target: target.clone(), change: change.clone() });
            }
            (_, Change::Truncate { .. } | Change::Erase { .. }) => {}
        }
        if target.in_order {
            self.close_all();
        }
        Ok(())
    }

    /// Takes a TRUNCATE: the order among all tables is kept around it.
    pub fn truncate(&mut self, statement: Statement) {
        self.close_all();
        self.steps.push(Step::Truncate { statement });
    }

    /// The steps of all that was taken.
    pub fn finish(mut self) -> Vec<Step> {
        self.close_all();
        self.steps
    }

    fn update(&mut self, target: &Arc<Target>, old: &OldRow, new: &Row) -> Result<()> {
        let before = target.old_key(old, Some(new))?;
        let moves = match old {
            OldRow::None => false,
            OldRow::Key(_) | OldRow::Full(_) | OldRow::Unidentifiable => is_moved(target, &before, new),
        };
        if moves {
            self.move_key(target, before, new);
        } else {
            self.put(target, before, Effect::Update(new.clone()));
        }
        Ok(())
    }

    /// An update of the key stands alone, at its place.
    fn move_key(&mut self, target: &Arc<Target>, before: Key, new: &Row) {
        self.close(target.table.oid);
        let mut run = Run::new(target.clone());
        run.updates.push((before, new.clone()));
        run.sets_key = true;
        self.steps.push(Step::Run(run));
    }

    fn put(&mut self, target: &Arc<Target>, key: Key, effect: Effect) {
        let oid = target.table.oid;
        let fits =
            self.open.get(&oid).is_none_or(|open| open.target.id == target.id && open.takes(&key, &effect));
        if !fits {
            self.close(oid);
        }
        let open = self.open.entry(oid).or_insert_with(|| {
            self.order.push(oid);
            Open::new(target.clone())
        });
        open.put(key, effect);
    }

    fn close(&mut self, oid: u32) {
        if let Some(open) = self.open.remove(&oid) {
            self.order.retain(|other| *other != oid);
            self.steps.push(Step::Run(open.run()));
        }
    }

    fn close_all(&mut self) {
        for oid in std::mem::take(&mut self.order) {
            if let Some(open) = self.open.remove(&oid) {
                self.steps.push(Step::Run(open.run()));
            }
        }
    }
}

/// Whether the new row has another key. A key cell that did not change may be missing (TOAST).
fn is_moved(target: &Target, before: &Key, new: &Row) -> bool {
    let Access::Key(parts) = &target.access else { return false };
    let is_unchanged = |part: &KeyPart| new.cells().nth(part.column) == Some(Cell::Unchanged);
    parts.iter().any(is_unchanged) || target.key_of(new) != *before
}

impl Open {
    fn new(target: Arc<Target>) -> Self {
        Self { target, places: FxHashMap::default(), entries: Vec::new(), plain: Vec::new() }
    }

    /// Whether the run can take this effect without losing anything.
    fn takes(&self, key: &Key, effect: &Effect) -> bool {
        if matches!(self.target.access, Access::Image(_)) {
            return true;
        }
        let Some(at) = self.places.get(key) else {
            return self.target.foldable
                || self.entries.first().is_none_or(|(_, first)| is_alike(first, effect));
        };
        self.target.foldable
            && match (&self.entries[*at].1, effect) {
                (Net::Insert(_) | Net::Update(_) | Net::Replace(_), Effect::Update(_) | Effect::Delete) => {
                    true
                }
                (Net::Delete | Net::Absent, Effect::Insert(_)) => true,
                (Net::Insert(_) | Net::Update(_) | Net::Replace(_), Effect::Insert(_)) => false,
                (Net::Delete | Net::Absent, Effect::Update(_) | Effect::Delete) => false,
            }
    }

    fn put(&mut self, key: Key, effect: Effect) {
        match (&self.target.access, effect) {
            (Access::Image(_), Effect::Insert(row)) => self.plain.push(row),
            (_, effect) => match self.places.get(&key) {
                Some(at) => fold(&mut self.entries[*at].1, effect),
                None => {
                    self.places.insert(key.clone(), self.entries.len());
                    self.entries.push((key, first(effect)));
                }
            },
        }
    }

    fn run(self) -> Run {
        let mut run = Run::new(self.target);
        run.inserts = self.plain;
        for (key, net) in self.entries {
            match net {
                Net::Insert(row) => run.inserts.push(row),
                Net::Update(row) => run.updates.push((key, row)),
                Net::Delete => run.deletes.push(key),
                Net::Absent => run.absent.push(key),
                Net::Replace(row) => {
                    run.deletes.push(key);
                    run.inserts.push(row);
                }
            }
        }
        run
    }
}

impl Run {
    fn new(target: Arc<Target>) -> Self {
        Self {
            target,
            deletes: Vec::new(),
            absent: Vec::new(),
            updates: Vec::new(),
            sets_key: false,
            inserts: Vec::new(),
        }
    }
}

fn is_alike(net: &Net, effect: &Effect) -> bool {
    match (net, effect) {
        (Net::Insert(_), Effect::Insert(_))
        | (Net::Update(_), Effect::Update(_))
        | (Net::Delete, Effect::Delete) => true,
        (Net::Insert(_) | Net::Update(_) | Net::Delete | Net::Replace(_) | Net::Absent, _) => false,
    }
}

fn first(effect: Effect) -> Net {
    match effect {
        Effect::Insert(row) => Net::Insert(row),
        Effect::Update(row) => Net::Update(row),
        Effect::Delete => Net::Delete,
    }
}

/// The net effect after one more; [`Open::takes`] has let only these in.
fn fold(net: &mut Net, effect: Effect) {
    let before = std::mem::replace(net, Net::Absent);
    *net = match (before, effect) {
        (Net::Insert(old), Effect::Update(new)) => Net::Insert(new.filled_from(&old)),
        (Net::Update(old), Effect::Update(new)) => Net::Update(new.filled_from(&old)),
        (Net::Replace(old), Effect::Update(new)) => Net::Replace(new.filled_from(&old)),
        (Net::Insert(_), Effect::Delete) => Net::Absent,
        (Net::Update(_) | Net::Replace(_) | Net::Delete | Net::Absent, Effect::Delete) => Net::Delete,
        (Net::Delete, Effect::Insert(new)) => Net::Replace(new),
        (Net::Absent | Net::Insert(_) | Net::Update(_) | Net::Replace(_), Effect::Insert(new)) => {
            Net::Insert(new)
        }
        (Net::Delete | Net::Absent, Effect::Update(new)) => Net::Update(new),
    };
}

#[cfg(test)]
mod tests;
