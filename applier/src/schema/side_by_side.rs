//! Makes what hangs on tables side by side: each step as soon as what it needs is made and its table's rows are in, the
//! largest first, never two that would wait for each other's locks. Small steps share a transaction.

use std::collections::{HashMap, HashSet};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;

use super::locks::{self, Lock};
use super::make::{Maker, Report, ended};
use super::plan::Plan;
use super::session::Hand;
use super::step::{Pass, Rows, Step, StepId};
use crate::error::Result;

/// Whose rows are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// Those of one table, by its oid at the source.
    Table(u32),
    /// All.
    All,
}

/// A channel that says so of all at once.
pub fn everything_copied() -> mpsc::UnboundedReceiver<Copied> {
    let (sender, receiver) = mpsc::unbounded_channel();
    // The receiver is here: it cannot be gone.
    let _ = sender.send(Copied::All);
    receiver
}

/// How many steps share a transaction, and how many 8 kB pages they may have to read together.
const GROUP: usize = 64;
const GROUP_PAGES: i64 = 512;

impl Maker {
    /// Makes passes in parallel, as many at a time as there are permits.
    ///
    /// A channel that closes before [`Copied::All`] leaves what still waits for rows undone, for a later run.
    ///
    /// # Errors
    /// A connection was lost; what was made stays made.
    pub async fn side_by_side(
        &self,
        plan: &Plan,
        passes: &[Pass],
        mut copied: mpsc::UnboundedReceiver<Copied>,
    ) -> Result<Report> {
        let wanted = |step: &&Step| passes.contains(&step.pass) && !self.is_made(step);
        let steps: Vec<&Step> = plan.steps.iter().filter(wanted).collect();
        let mut board = Board::new(&steps);
        let mut report = Report::default();
        let mut idle: Vec<Hand> = Vec::new();
        let mut running: JoinSet<Result<Finished>> = JoinSet::new();
        loop {
            let next = board.next();
            if running.is_empty() && next.is_none() && (board.is_done() || board.closed) {
                break;
            }
            tokio::select! {
                permit = self.permits.clone().acquire_owned(), if next.is_some() => {
                    let group = board.take(next.unwrap_or_default());
                    let hand = match idle.pop() {
                        Some(hand) => hand,
                        None => self.hand().await?,
                    };
                    running.spawn(work(self.clone(), hand, group, permit.ok()));
                }
                told = copied.recv(), if !board.closed => board.copied(told),
                Some(finished) = running.join_next() => {
                    let finished = finished.map_err(ended)??;
                    report.add(finished.report);
                    board.finish(&finished.group);
                    idle.push(finished.hand);
                }
            }
        }
        if let Some(hand) = idle.pop() {
            self.flush(&hand, &steps).await?;
        }
        Ok(report)
    }
}

struct Finished {
    hand: Hand,
    group: Vec<Step>,
    report: Report,
}

async fn work(
    maker: Maker,
    hand: Hand,
    group: Vec<Step>,
    _permit: Option<OwnedSemaphorePermit>,
) -> Result<Finished> {
    let mut report = Report::default();
    maker.group(&hand, &group.iter().collect::<Vec<_>>(), &mut report).await?;
    Ok(Finished { hand, group, report })
}

/// What waits, what runs, what is done. Pure.
struct Board<'a> {
    waiting: Vec<&'a Step>,
    /// Not finished yet: waiting or running.
    open: HashSet<StepId>,
    locked: HashMap<u32, Vec<Lock>>,
    tables: HashSet<u32>,
    all_rows: bool,
    closed: bool,
}

impl<'a> Board<'a> {
    fn new(steps: &[&'a Step]) -> Self {
        let mut waiting = steps.to_vec();
        // The largest first; the order of the plan among equals.
        waiting.sort_by_key(|step| std::cmp::Reverse(step.pages));
        Self {
            open: waiting.iter().map(|step| step.id).collect(),
            waiting,
            locked: HashMap::new(),
            tables: HashSet::new(),
            all_rows: false,
            closed: false,
        }
    }

    fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }

    fn copied(&mut self, told: Option<Copied>) {
        match told {
            Some(Copied::Table(table)) => drop(self.tables.insert(table)),
            Some(Copied::All) => self.all_rows = true,
            None => self.closed = true,
        }
    }

    /// The steps that can be begun now, as one group; none if there is nothing to begin.
    fn next(&self) -> Option<Vec<StepId>> {
        let mut ready = self.waiting.iter().filter(|step| self.is_ready(step));
        let first = ready.next()?;
        let mut group = vec![first.id];
        let mut pages = first.pages;
        for step in ready.filter(|step| step.pages < GROUP_PAGES) {
            if group.len() == GROUP || pages + step.pages >= GROUP_PAGES {
                break;
            }
            pages += step.pages;
            group.push(step.id);
        }
        Some(group)
    }

    fn is_ready(&self, step: &Step) -> bool {
        self.has_rows(step.rows)
            && !step.needs.iter().chain(&step.after).any(|need| self.open.contains(need))
            && step.locks.iter().all(|(table, lock)| self.is_free(*table, *lock))
    }

    fn has_rows(&self, rows: Rows) -> bool {
        match rows {
            Rows::No => true,
            Rows::Of(table) => self.all_rows || self.tables.contains(&table),
            Rows::All => self.all_rows,
        }
    }

    fn is_free(&self, table: u32, lock: Lock) -> bool {
        self.locked.get(&table).is_none_or(|held| !held.iter().any(|other| locks::conflict(lock, *other)))
    }

    fn take(&mut self, group: Vec<StepId>) -> Vec<Step> {
        let (taken, waiting): (Vec<&Step>, Vec<&Step>) =
            self.waiting.iter().copied().partition(|step| group.contains(&step.id));
        self.waiting = waiting;
        for (table, lock) in taken.iter().flat_map(|step| &step.locks) {
            self.locked.entry(*table).or_default().push(*lock);
        }
        taken.into_iter().cloned().collect()
    }

    fn finish(&mut self, group: &[Step]) {
        for step in group {
            self.open.remove(&step.id);
            for (table, lock) in &step.locks {
                let held = self.locked.entry(*table).or_default();
                if let Some(at) = held.iter().position(|other| other == lock) {
                    held.swap_remove(at);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::step::Part;

    fn step(id: i32, pages: i64, rows: Rows, lock: Lock) -> Step {
        let step = Step::new((id, Part::Definition), format!("INDEX {id}"), Pass::After, Vec::new());
        Step { pages, rows, locks: vec![(1, lock)], ..step }
    }

    fn ids(group: Option<Vec<StepId>>) -> Vec<i32> {
        group.unwrap_or_default().into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn rows_come_first_and_the_largest_begins() {
        let small = step(1, 600, Rows::Of(1), Lock::Shared);
        let large = step(2, 9000, Rows::Of(1), Lock::Shared);
        let last = step(3, 9000, Rows::All, Lock::Shared);
        let mut board = Board::new(&[&small, &large, &last]);
        assert_eq!(board.next(), None);
        board.copied(Some(Copied::Table(1)));
        assert_eq!(ids(board.next()), [2]);
        let taken = board.take(vec![large.id]);
        // Index builds of one table run side by side.
        assert_eq!(ids(board.next()), [1]);
        board.take(vec![small.id]);
        assert_eq!(board.next(), None);
        board.copied(Some(Copied::All));
        assert_eq!(ids(board.next()), [3]);
        board.finish(&taken);
        assert!(!board.is_done());
    }

    #[test]
    fn strong_locks_wait_for_each_other() {
        let index = step(1, 9000, Rows::No, Lock::Shared);
        let constraint = step(2, 600, Rows::No, Lock::Alone);
        let mut board = Board::new(&[&index, &constraint]);
        let first = board.take(board.next().unwrap());
        assert_eq!(board.next(), None);
        board.finish(&first);
        assert_eq!(ids(board.next()), [2]);
    }

    #[test]
    fn small_steps_share_a_transaction_and_needs_come_first() {
        let one = step(1, 3, Rows::No, Lock::Alone);
        let two = step(2, 3, Rows::No, Lock::Alone);
        let three = Step { needs: vec![one.id], ..step(3, 3, Rows::No, Lock::Alone) };
        let four = Step { after: vec![three.id], ..step(4, 3, Rows::No, Lock::Alone) };
        let mut board = Board::new(&[&one, &two, &three, &four]);
        assert_eq!(ids(board.next()), [1, 2]);
        let taken = board.take(board.next().unwrap());
        assert_eq!(board.next(), None);
        board.finish(&taken);
        assert_eq!(ids(board.next()), [3]);
    }
}
