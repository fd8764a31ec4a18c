//! Makes what hangs on tables side by side: each step as soon as what it needs is made and its table's rows are in, the
//! largest first, never two that would wait for each other's locks. Small steps share a transaction.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;

use super::locks::{self, Lock};
use super::make::{Maker, Report, ended};
use super::plan::{Pass, Plan, Rows, Step, StepId};
use super::session::{Done, Hand};
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
            self.pass_over(&mut board, &mut idle, &mut report).await?;
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
                    running.spawn(work(hand, group, self.note.clone(), permit.ok()));
                }
                told = copied.recv(), if !board.closed => board.copied(told),
                Some(finished) = running.join_next() => {
                    let finished = finished.map_err(ended)??;
                    self.settle(&finished.group.iter().collect::<Vec<_>>(), finished.done, &mut report);
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

    /// What needs something that failed is not tried.
    async fn pass_over(
        &self,
        board: &mut Board<'_>,
        idle: &mut Vec<Hand>,
        report: &mut Report,
    ) -> Result<()> {
        while let Some(step) = board.waiting.iter().copied().find(|step| self.failed_need(step).is_some()) {
            if idle.is_empty() {
                idle.push(self.hand().await?);
            }
            self.not_tried(&idle[0], step, report).await?;
            board.give_up(step);
        }
        Ok(())
    }
}

struct Finished {
    hand: Hand,
    group: Vec<Step>,
    done: Vec<Done>,
}

async fn work(
    hand: Hand,
    group: Vec<Step>,
    note: Arc<super::make::Note>,
    _permit: Option<OwnedSemaphorePermit>,
) -> Result<Finished> {
    let done = hand.make(&group.iter().collect::<Vec<_>>(), &*note).await?;
    Ok(Finished { hand, group, done })
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
            && !step.needs.iter().any(|need| self.open.contains(need))
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

    fn give_up(&mut self, step: &Step) {
        self.waiting.retain(|other| other.id != step.id);
        self.open.remove(&step.id);
    }
}
