//! The data path: receive -> assemble -> fold -> write (docs/architecture.md has the way of a change).
//!
//! `receive` fills the `queue`; the [`Applier`] here takes pieces from it, lets `adapter` and `assemble` make transactions of
//! them, gathers these into batches while the last one is on its way, and gives them to `write`. Large transactions go
//! to `large`. `fold`, `encode`, `statement` and `group` make statements of changes; `ordered` is the slow way that
//! knows about conflicts.

mod adapter;
mod assemble;
mod conflict;
mod ddl;
mod encode;
mod fold;
pub mod gate;
mod group;
mod journal;
mod large;
mod locate;
mod model;
mod ordered;
mod params;
mod pipe;
mod queue;
mod receive;
mod record;
mod shared;
mod side;
mod statement;
mod target;
mod targets;
mod write;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_postgres::Client;

use crate::error::{Error, Result};
use crate::pg::Lsn;
use crate::state::progress;
use adapter::Adapter;
use assemble::{Assemble, Unit};
pub use conflict::Policy;
pub use ddl::{Definitions, Terms};
pub use gate::Gate;
use journal::Landed;
use large::Large;
use model::{Change, CommitPoint, Transaction};
pub use pipe::{Connect, Pipe};
pub use queue::{Draining, Piece, queue};
pub use receive::Receive;
pub use shared::Shared;
pub use targets::Targets;
pub use write::{Batch, Policies, Writer};

/// A batch is not made larger than this, in bytes of changes.
const BATCH: usize = 4 << 20;
/// With nothing on its way, this much is worth sending at once.
const WORTH_SENDING: usize = 64 << 10;
/// Progress over an idle stretch is written no more often than this (rule 4).
const IDLE_PROGRESS: Duration = Duration::from_secs(5);
/// How often durability is asked for while something waits for it.
const DURABILITY: Duration = Duration::from_millis(100);
/// The journal is pruned this often.
const PRUNE: Duration = Duration::from_secs(10);

/// What an applier is made of.
pub struct Parts {
    /// Writes.
    pub writer: Writer,
    /// Another writer of the same task needs another session like it.
    pub connect: Connect,
    /// What the receiver brings.
    pub queue: Draining,
    /// What may be acknowledged.
    pub durable: watch::Sender<Lsn>,
    /// Everything committed before this is to be durable, then the applier ends; read at every step.
    pub until: watch::Receiver<Option<Lsn>>,
    /// Turns true when the applier is to end in good order.
    pub stop: watch::Receiver<bool>,
    /// What copied tables have seen already.
    pub gate: Arc<Gate>,
    /// A connection to the source, for the gate's questions.
    pub source: Client,
}

/// Takes what the receiver brings to the destination.
pub struct Applier<'a> {
    parts: Parts,
    shared: &'a Shared,
    adapter: Adapter,
    assemble: Assemble,
    pending: Vec<Transaction>,
    weight: usize,
    larges: HashMap<u64, Large>,
    /// Writers of large transactions that have ended; with those of `larges` they are numbered from 1 without gaps.
    spare: Vec<Pipe>,
    position: Lsn,
    /// What comes is behind the end of this run.
    at_end: bool,
    waiting: Vec<Landed>,
    /// Transactions and changes on their way, by the progress that they bring.
    uncounted: VecDeque<(Lsn, u64, u64)>,
    progressed: Instant,
    pruned: Instant,
}

/// How the applier ended in good order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All up to `until` is durable.
    Reached,
    /// It was asked to stop.
    Stopped,
}

impl<'a> Applier<'a> {
    /// An applier that goes on where the writer is.
    pub fn new(parts: Parts, shared: &'a Shared) -> Self {
        let progress = parts.writer.committed();
        let now = Instant::now();
        Self {
            parts,
            shared,
            adapter: Adapter::default(),
            assemble: Assemble::new(progress),
            pending: Vec::new(),
            weight: 0,
            larges: HashMap::new(),
            spare: Vec::new(),
            position: progress,
            at_end: false,
            waiting: Vec::new(),
            uncounted: VecDeque::new(),
            progressed: now,
            pruned: now,
        }
    }

    /// Runs until it is told to stop, or until all up to `until` is durable.
    pub async fn run(mut self) -> Result<Ended> {
        let mut tick = interval(DURABILITY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.send_what_is_due().await?;
            if let Some(ended) = self.ended().await? {
                return Ok(ended);
            }
            let wants_more = self.wants_more();
            tokio::select! {
                biased;
                outcome = self.parts.writer.outcome(), if self.parts.writer.in_flight() > 0 => {
                    let landed = self.parts.writer.settle(outcome?).await?;
                    self.landed(landed);
                }
                _ = tick.tick() => self.tick().await?,
                Ok(()) = self.parts.stop.changed() => {}
                Ok(()) = self.parts.until.changed() => {}
                piece = self.parts.queue.pop(), if wants_more => match piece {
                    Some(piece) => self.take(piece).await?,
                    None => return Err(Error::unreachable("the connection to the source was lost")),
                },
            }
        }
    }

    fn wants_more(&self) -> bool {
        self.weight < BATCH && !self.at_end
    }

    /// Two batches may be on their way; a small one goes only if nothing else would keep the destination busy.
    async fn send_what_is_due(&mut self) -> Result<()> {
        let due = match self.parts.writer.in_flight() {
            _ if self.pending.is_empty() => false,
            0 => self.weight >= WORTH_SENDING || self.parts.queue.is_empty(),
            1 => self.weight >= BATCH,
            _ => false,
        };
        if due { self.send().await } else { Ok(()) }
    }

    async fn send(&mut self) -> Result<()> {
        self.weight = 0;
        let transactions = std::mem::take(&mut self.pending);
        let Some(last) = transactions.last() else { return Ok(()) };
        let lsn = last.point.end_lsn;
        let changes: usize = transactions.iter().map(|one| one.changes.len()).sum();
        let count = transactions.len() as u64;
        self.uncounted.push_back((lsn, count, changes as u64));
        if let Some(landed) = self.parts.writer.submit(Batch { transactions, lsn }).await? {
            self.landed(landed);
        }
        Ok(())
    }

    async fn take(&mut self, piece: Piece) -> Result<()> {
        match piece {
            Piece::Position(lsn) => {
                self.position = self.position.max(lsn);
                self.note_applied();
                Ok(())
            }
            Piece::Data(payload) => {
                let mut units = Vec::new();
                let assemble = &mut self.assemble;
                self.adapter.read(&payload, |event| assemble.take(event, &mut units))?;
                for unit in units {
                    if self.is_behind_end(&unit) {
                        return Ok(());
                    }
                    self.unit(unit).await?;
                }
                Ok(())
            }
        }
    }

    /// Whether a statement stands behind the end of this run: then so does all that follows, and nothing before it is missing.
    fn is_behind_end(&mut self, unit: &Unit) -> bool {
        let until = *self.parts.until.borrow();
        let Unit::Ddl { point: Some(point), .. } = unit else { return false };
        let Some(until) = until.filter(|until| point.commit_lsn >= *until) else { return false };
        self.position = self.position.max(until);
        self.at_end = true;
        true
    }

    async fn unit(&mut self, unit: Unit) -> Result<()> {
        match unit {
            Unit::Transaction(mut transaction) => {
                transaction.changes = self.admit(&transaction.point, transaction.changes).await?;
                self.weight += transaction.weight + std::mem::size_of::<Transaction>();
                self.pending.push(transaction);
                Ok(())
            }
            Unit::Part { xid, point, changes } => {
                if point.as_ref().is_some_and(|point| self.parts.writer.skips(point)) {
                    return Ok(());
                }
                let changes = match &point {
                    Some(point) => self.admit(point, changes).await?,
                    None => changes,
                };
                self.settle_all().await?;
                let (large, mut around) = self.large(xid, point).await?;
                large.part(changes, &mut around).await
            }
            Unit::Ddl { xid, point, captured } => {
                self.settle_all().await?;
                let (large, mut around) = self.large(xid, point).await?;
                large.ddl(captured, &mut around).await
            }
            Unit::Savepoint { xid, subxid } => {
                self.settle_all().await?;
                let (large, mut around) = self.large(xid, None).await?;
                large.savepoint(subxid, &mut around).await
            }
            Unit::Commit(point) => self.commit_large(point).await,
            Unit::Abort { xid, subxid } => self.abort_large(xid, subxid).await,
        }
    }

    /// What the tables that were copied have not seen (rule 23). While it waits, only a stop is heard.
    async fn admit(&mut self, point: &CommitPoint, changes: Vec<Change>) -> Result<Vec<Change>> {
        if self.parts.gate.is_open() {
            return Ok(changes);
        }
        let mut stop = self.parts.stop.clone();
        tokio::select! {
            admitted = self.parts.gate.admit(&self.parts.source, point, changes) => admitted,
            Ok(_) = stop.wait_for(|stop| *stop) => {
                Err(Error::unreachable("stopped while a change waited for its table to be copied"))
            }
        }
    }

    /// What came before is written before what comes now is begun.
    async fn settle_all(&mut self) -> Result<()> {
        self.send().await?;
        if let Some(landed) = self.parts.writer.drain().await? {
            self.landed(landed);
        }
        Ok(())
    }

    fn landed(&mut self, landed: Landed) {
        self.progressed = Instant::now();
        self.waiting.push(landed);
        while let Some((_, transactions, changes)) =
            self.uncounted.pop_front_if(|(lsn, ..)| *lsn <= landed.lsn)
        {
            self.shared.count(transactions, changes);
        }
        self.note_durable(landed.flushed);
        self.note_applied();
    }

    /// Acknowledges what the destination has flushed (rule 4).
    fn note_durable(&mut self, flushed: Lsn) {
        let durable = self.waiting.iter().rposition(|landed| landed.written <= flushed);
        if let Some(at) = durable {
            let lsn = self.waiting[at].lsn;
            self.waiting.drain(..=at);
            self.parts.durable.send_if_modified(|known| {
                let news = lsn > *known;
                *known = lsn.max(*known);
                news
            });
        }
    }

    /// What has been applied: with nothing on its way, all that the source has sent.
    fn note_applied(&mut self) {
        let committed = self.parts.writer.committed();
        self.shared.applied(if self.is_idle() { committed.max(self.position) } else { committed });
    }

    async fn tick(&mut self) -> Result<()> {
        if !self.waiting.is_empty() {
            let flushed = progress::flushed(self.parts.writer.targets.client()).await?;
            self.note_durable(flushed);
        }
        let ahead = self.position > self.parts.writer.committed();
        if self.is_idle() && ahead && self.progressed.elapsed() >= IDLE_PROGRESS {
            let batch = Batch { transactions: Vec::new(), lsn: self.position };
            if let Some(landed) = self.parts.writer.submit(batch).await? {
                self.landed(landed);
            }
        }
        if self.pruned.elapsed() >= PRUNE {
            self.pruned = Instant::now();
            self.parts.writer.prune().await?;
        }
        Ok(())
    }

    /// Whether the end has come; then all that was written is made durable.
    async fn ended(&mut self) -> Result<Option<Ended>> {
        let until = *self.parts.until.borrow();
        let idle = self.is_idle();
        let reached = |lsn: Lsn| until.is_some_and(|until| lsn >= until);
        let ended = if reached(self.parts.writer.committed()) || (idle && reached(self.position)) {
            Ended::Reached
        } else if *self.parts.stop.borrow() {
            Ended::Stopped
        } else {
            return Ok(None);
        };
        if let Some(landed) = self.parts.writer.drain().await? {
            self.landed(landed);
        }
        let landed = self.parts.writer.seal(if idle { self.position } else { Lsn::ZERO }).await?;
        self.landed(landed);
        Ok(Some(ended))
    }

    fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.parts.writer.in_flight() == 0
    }
}
