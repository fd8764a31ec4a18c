//! A worker: takes one part after the other, as long as there are any, and carries it from a session at the source to one
//! at the destination. What is wrong with a table ends that table; anything else ends the round.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, watch};

use super::gate::Gate;
use super::reader::{self, Lock, Refusal, Seen, Source};
use super::writer::{self, Destination};
use super::{CopyTable, Ended, Limiter, Outcome, Progress};
use crate::error::{Error, Result};
use crate::pg::Raw;
use crate::pg::copy::{self, Broken, Carried, Tally};
use crate::state::parts::{Landed, Part};

/// A part and its table.
#[derive(Debug)]
pub(super) struct Job {
    pub table: Arc<CopyTable>,
    pub part: Part,
}

/// What all workers of a round share.
pub(super) struct Shared {
    pub source: Source,
    pub destination: Destination,
    pub permits: Arc<Semaphore>,
    pub limiter: Arc<Limiter>,
    pub gate: Arc<dyn Gate>,
    pub progress: Arc<Progress>,
    pub ended: mpsc::UnboundedSender<Ended>,
    pub queue: Mutex<Queue>,
    /// Nothing is left in the queue.
    pub drained: watch::Sender<bool>,
}

/// The parts that nobody has taken.
#[derive(Debug)]
pub(super) struct Queue {
    jobs: VecDeque<Job>,
    /// Tables that are not copied any further.
    left: HashSet<u32>,
}

impl Queue {
    pub fn new(jobs: impl Iterator<Item = Job>) -> Self {
        Self { jobs: jobs.collect(), left: HashSet::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Takes the table's parts out. Whether it was still in.
    fn leave(&mut self, oid: u32) -> bool {
        self.jobs.retain(|job| job.table.source.oid != oid);
        self.left.insert(oid)
    }
}

/// Why a part was not copied.
#[derive(Debug)]
enum Trouble {
    /// The source's table is not the one that was planned.
    Changed,
    /// The table cannot be copied.
    Table(Error),
    /// Nothing can be copied.
    Round(Error),
}

impl Shared {
    /// Takes the next part, once one may be worked on; none if nothing is left. Whoever waits for a permit that others
    /// build indexes with waits no longer than there are parts.
    async fn next(&self) -> Option<(SemaphorePermit<'_>, Job)> {
        let mut drained = self.drained.subscribe();
        let permit = tokio::select! {
            biased;
            _ = drained.wait_for(|drained| *drained) => return None,
            permit = self.permits.acquire() => permit.ok()?,
        };
        let mut queue = self.queue();
        let job = queue.jobs.pop_front();
        self.drained.send_replace(queue.jobs.is_empty());
        Some((permit, job?))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says once how the copy of a table ended. Nobody need listen.
    pub fn end(&self, oid: u32, outcome: Outcome) {
        self.ended.send(Ended { oid, outcome }).ok();
    }

    /// Ends the copy of a table that cannot be copied.
    pub fn leave(&self, table: &CopyTable, outcome: Outcome) {
        let oid = table.source.oid;
        let mut queue = self.queue();
        let is_news = queue.leave(oid);
        self.drained.send_replace(queue.jobs.is_empty());
        drop(queue);
        if !is_news {
            return;
        }
        let why = match &outcome {
            Outcome::Copied => return,
            Outcome::Failed(error) => error.to_string(),
            Outcome::Changed => format!(
                "{} was changed at the source after its copy was planned; it is planned anew",
                table.source.readable()
            ),
        };
        tracing::warn!("{why}");
        self.progress.fail(oid, &why);
        self.end(oid, outcome);
    }
}

/// A worker and its sessions, which are opened when they are needed and given up after an error.
pub(super) struct Worker {
    shared: Arc<Shared>,
    number: usize,
    source: Option<Raw>,
    destination: Option<Raw>,
}

impl Worker {
    /// Writes as writer `number` of the task.
    pub fn new(shared: Arc<Shared>, number: usize) -> Self {
        Self { shared, number, source: None, destination: None }
    }

    /// Works until nothing is left.
    pub async fn run(mut self) -> Result<()> {
        let shared = self.shared.clone();
        while let Some((permit, job)) = shared.next().await {
            match self.part(&job).await {
                Ok(()) => {}
                Err(Trouble::Changed) => shared.leave(&job.table, Outcome::Changed),
                Err(Trouble::Table(error)) => shared.leave(&job.table, Outcome::Failed(error)),
                Err(Trouble::Round(error)) => return Err(error),
            }
            drop(permit);
        }
        Ok(())
    }

    async fn part(&mut self, job: &Job) -> Result<(), Trouble> {
        let shared = self.shared.clone();
        let (oid, part) = (job.table.source.oid, job.part.part);
        let tally = shared.progress.begin(oid);
        let landed = self.copy(job, &tally).await;
        let complete = shared.progress.end(oid, &tally, landed.as_ref().ok());
        // Otherwise nobody knows whether it has landed.
        if let Err(Trouble::Changed | Trouble::Table(_)) = &landed {
            shared.gate.given_up(oid, part);
        }
        let landed = landed?;
        shared.gate.copied(oid, part, &landed.snapshot, landed.lsn);
        if complete {
            shared.end(oid, Outcome::Copied);
        }
        Ok(())
    }

    /// The part is claimed once both servers are reached: what is refused before has not touched it.
    async fn copy(&mut self, job: &Job, tally: &Tally) -> Result<Landed, Trouble> {
        let mut source = self.source().await?;
        self.destination = Some(self.destination().await?);
        self.shared.gate.claimed(job.table.source.oid, job.part.part);
        match self.shared.source.begin(&mut source, &job.table, Lock::Try).await {
            Err(Refusal::Locked) => {
                self.shared.source.restore(&mut source, Lock::Try).await.map_err(at_source)?;
                self.source = Some(source);
                self.copy_locked(job, tally).await
            }
            begun => {
                let landed = self.carry(&mut source, job, begun, tally, Lock::Try).await?;
                self.source = Some(source);
                Ok(landed)
            }
        }
    }

    /// Somebody waits for the table behind our own lock: only the session that has the lock gets at it. Without such a
    /// session they go first.
    async fn copy_locked(&mut self, job: &Job, tally: &Tally) -> Result<Landed, Trouble> {
        let shared = self.shared.clone();
        let mut holder = shared.source.holder.lock().await;
        let (mut source, lock) = match holder.take() {
            Some(raw) => (raw, Lock::Held),
            None => (self.source().await?, Lock::Wait),
        };
        let begun = shared.source.begin(&mut source, &job.table, lock).await;
        let landed = self.carry(&mut source, job, begun, tally, lock).await;
        match (lock, &landed) {
            // One table's trouble must not cost all others their locks and their snapshot.
            (Lock::Held, Ok(_) | Err(Trouble::Changed | Trouble::Table(_))) => {
                shared.source.restore(&mut source, lock).await.map_err(at_source)?;
                *holder = Some(source);
            }
            (Lock::Try | Lock::Wait, Ok(_)) => self.source = Some(source),
            (_, Err(_)) => {}
        }
        landed
    }

    /// Carries a part whose snapshot is taken. After an error both sessions are of no more use, but for one that has the
    /// locks: it needs [`Source::restore`].
    async fn carry(
        &mut self,
        source: &mut Raw,
        job: &Job,
        begun: Result<Seen, Refusal>,
        tally: &Tally,
        lock: Lock,
    ) -> Result<Landed, Trouble> {
        let seen = begun.map_err(|refusal| refused(&job.table, refusal))?;
        let shared = self.shared.clone();
        shared.gate.copying(job.table.source.oid, job.part.part, &seen.snapshot);
        let mut destination = self.destination().await?;
        let carried = relay(&shared, source, &mut destination, job, tally, lock).await?;
        let mut landed = Landed {
            snapshot: seen.snapshot,
            lsn: seen.lsn,
            rows: carried.read,
            bytes: tally.bytes.load(std::sync::atomic::Ordering::Relaxed),
            kept: 0,
        };
        let finished = shared.destination.finish(&mut destination, &job.table, &job.part, &mut landed).await;
        finished.map_err(|error| at_table(&job.table, &writer::statement(&job.table), error))?;
        self.destination = Some(destination);
        shared.source.end(source, lock).await.map_err(at_source)?;
        Ok(landed)
    }

    async fn destination(&mut self) -> Result<Raw, Trouble> {
        match self.destination.take() {
            Some(raw) => Ok(raw),
            None => self.shared.destination.open(self.number).await.map_err(at_destination),
        }
    }

    async fn source(&mut self) -> Result<Raw, Trouble> {
        match self.source.take() {
            Some(raw) => Ok(raw),
            None => self.shared.source.open().await.map_err(at_source),
        }
    }
}

async fn relay(
    shared: &Shared,
    source: &mut Raw,
    destination: &mut Raw,
    job: &Job,
    tally: &Tally,
    lock: Lock,
) -> Result<Carried, Trouble> {
    let table = &job.table;
    let (statement, reading) = (writer::statement(table), reader::statement(table));
    let begin = Destination::begin(table, &job.part);
    copy::begin_in(destination, &begin).await.map_err(|error| at_table(table, &statement, error))?;
    let begin = reader::copy_out(table, &job.part);
    copy::begin_out(source, &begin).await.map_err(|error| at_table(table, &reading, error))?;
    let carried = copy::relay(source, destination, tally, &*shared.limiter).await;
    let carried = match carried {
        Ok(carried) => carried,
        Err(Broken::Source(error)) => return Err(at_table(table, &reading, error)),
        Err(Broken::Destination(error, rest)) => {
            if lock == Lock::Held {
                copy::drain(source, rest).await.map_err(at_source)?;
            }
            return Err(at_table(table, &statement, error));
        }
    };
    if carried.read != carried.written && !table.target.has_firing_triggers {
        let Carried { read, written } = carried;
        let wrong = format!("{read} rows were read and {written} written");
        return Err(Trouble::Table(Error::refused(wrong).context(table.source.readable())));
    }
    Ok(carried)
}

fn refused(table: &CopyTable, refusal: Refusal) -> Trouble {
    match refusal {
        Refusal::Changed => Trouble::Changed,
        Refusal::Table(error) => at_table(table, &reader::statement(table), error),
        Refusal::Round(error) => at_source(error),
        // The session that holds the lock, or that waited for it, does not get this.
        Refusal::Locked => Trouble::Round(Error::protocol("a lock that we hold is not to be had")),
    }
}

fn at_source(error: Error) -> Trouble {
    Trouble::Round(error.context("source"))
}

fn at_destination(error: Error) -> Trouble {
    Trouble::Round(error.context("destination"))
}

/// What a server says of a statement is about its table, unless it may go away by itself.
fn at_table(table: &CopyTable, statement: &str, error: Error) -> Trouble {
    if error.sqlstate().is_none() || error.class().is_transient() {
        return Trouble::Round(error.context(statement));
    }
    Trouble::Table(writer::explain(table, statement, error))
}
