//! A worker: takes one part after the other, as long as there are any, and carries it from a session at the source to one
//! at the destination. What is wrong with a table ends that table; anything else ends the round.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, mpsc};

use super::gate::{Claim, Gate};
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
}

/// The parts that nobody has taken.
#[derive(Debug, Default)]
pub(super) struct Queue {
    jobs: VecDeque<Job>,
    /// Tables that are not copied any further.
    left: HashSet<u32>,
}

impl Queue {
    pub fn new(jobs: impl Iterator<Item = Job>) -> Self {
        Self { jobs: jobs.collect(), left: HashSet::new() }
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
    fn next(&self) -> Option<Job> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).jobs.pop_front()
    }

    /// Says once how the copy of a table ended. Nobody need listen.
    pub fn end(&self, oid: u32, outcome: Outcome) {
        self.ended.send(Ended { oid, outcome }).ok();
    }

    /// Ends the copy of a table that cannot be copied.
    pub fn leave(&self, table: &CopyTable, outcome: Outcome) {
        let oid = table.source.oid;
        if !self.queue.lock().unwrap_or_else(PoisonError::into_inner).leave(oid) {
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
        loop {
            let permit = shared.permits.acquire().await;
            let Some(job) = shared.next() else { return Ok(()) };
            match self.part(&job).await {
                Ok(()) => {}
                Err(Trouble::Changed) => shared.leave(&job.table, Outcome::Changed),
                Err(Trouble::Table(error)) => shared.leave(&job.table, Outcome::Failed(error)),
                Err(Trouble::Round(error)) => return Err(error),
            }
            drop(permit);
        }
    }

    async fn part(&mut self, job: &Job) -> Result<(), Trouble> {
        let shared = self.shared.clone();
        let oid = job.table.source.oid;
        let claim = Claim::new(&*shared.gate, oid, job.part.part);
        let tally = shared.progress.begin(oid);
        let landed = self.copy(job, &claim, &tally).await;
        let complete = shared.progress.end(oid, &tally, landed.as_ref().ok());
        let landed = landed?;
        claim.copied(&landed.snapshot, landed.lsn);
        if complete {
            shared.end(oid, Outcome::Copied);
        }
        Ok(())
    }

    async fn copy(&mut self, job: &Job, claim: &Claim<'_>, tally: &Tally) -> Result<Landed, Trouble> {
        let mut source = self.source().await?;
        match self.shared.source.begin(&mut source, &job.table, Lock::Try).await {
            Err(Refusal::Locked) => {
                self.shared.source.unlock(&mut source).await.map_err(at_source)?;
                self.source = Some(source);
                self.copy_locked(job, claim, tally).await
            }
            begun => {
                let landed = self.carry(&mut source, job, begun, claim, tally).await?;
                self.source = Some(source);
                Ok(landed)
            }
        }
    }

    /// Somebody waits for the table behind our own lock: only the session that has the lock gets at it. Without such a
    /// session they go first.
    async fn copy_locked(&mut self, job: &Job, claim: &Claim<'_>, tally: &Tally) -> Result<Landed, Trouble> {
        let shared = self.shared.clone();
        let mut holder = shared.source.holder.lock().await;
        let (mut source, lock) = match holder.take() {
            Some(raw) => (raw, Lock::Held),
            None => (self.source().await?, Lock::Wait),
        };
        let begun = shared.source.begin(&mut source, &job.table, lock).await;
        let landed = self.carry(&mut source, job, begun, claim, tally).await?;
        match lock {
            Lock::Held => *holder = Some(source),
            Lock::Try | Lock::Wait => self.source = Some(source),
        }
        Ok(landed)
    }

    /// Carries a part whose snapshot is taken. After an error both sessions are of no more use.
    async fn carry(
        &mut self,
        source: &mut Raw,
        job: &Job,
        begun: Result<Seen, Refusal>,
        claim: &Claim<'_>,
        tally: &Tally,
    ) -> Result<Landed, Trouble> {
        let seen = begun.map_err(|refusal| refused(&job.table, refusal))?;
        claim.copying(&seen.snapshot);
        let shared = self.shared.clone();
        let mut destination = match self.destination.take() {
            Some(raw) => raw,
            None => shared.destination.open(self.number).await.map_err(at_destination)?,
        };
        let carried = relay(&shared, source, &mut destination, job, tally).await?;
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
        shared.source.end(source).await.map_err(at_source)?;
        Ok(landed)
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
) -> Result<Carried, Trouble> {
    let table = &job.table;
    let (statement, reading) = (writer::statement(table), reader::statement(table));
    let begin = Destination::begin(table, &job.part);
    copy::begin_in(destination, &begin).await.map_err(|error| at_table(table, &statement, error))?;
    let begin = reader::copy_out(table, &job.part);
    copy::begin_out(source, &begin).await.map_err(|error| at_table(table, &reading, error))?;
    let carried = copy::relay(source, destination, tally, &*shared.limiter).await;
    let carried = carried.map_err(|broken| match broken {
        Broken::Source(error) => at_table(table, &reading, error),
        Broken::Destination(error) => at_table(table, &statement, error),
    })?;
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
