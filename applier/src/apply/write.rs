//! The writer of the main stream: batches in flight, and what is done when one fails (rules 1, 2 and 6).
//!
//! Two batches may be on their way. When one fails, so does the next, because the transaction block is aborted and the
//! journal lacks its predecessor; both are then written again, halved until the transactions that fail stand alone, and
//! these in ordered mode.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::conflict::Policy;
use super::ddl::Definitions;
use super::encode;
use super::journal::{self, Advance, Landed, failed, fenced};
use super::large::Around;
use super::model::{CommitPoint, Transaction};
use super::ordered::Ordered;
use super::pipe::{Outcome, Pipe};
use super::shared::Shared;
use super::targets::Targets;
use crate::error::{Error, Result};
use crate::pg::{Lsn, ServerError};
use crate::state::progress;

/// How often a batch that met a deadlock or the like is sent again before the task fails.
const TRIES: usize = 10;

/// Which policy a table has: a function of its schema and name at the source.
pub type Policies = Arc<dyn Fn(&str, &str) -> Policy + Send + Sync>;

/// Source transactions that are written as one, up to `lsn`; none to move progress over an idle stretch.
#[derive(Debug)]
pub struct Batch {
    /// In commit order.
    pub transactions: Vec<Transaction>,
    /// The end of the last one's commit record.
    pub lsn: Lsn,
}

/// Writes batches in order.
pub struct Writer {
    pipe: Pipe,
    /// Where rows go.
    pub targets: Targets,
    task: String,
    policies: Policies,
    definitions: Definitions,
    committed: Lsn,
    in_flight: VecDeque<Batch>,
}

impl Writer {
    /// A writer that goes on at `committed`.
    pub fn new(
        pipe: Pipe,
        targets: Targets,
        task: String,
        policies: Policies,
        definitions: Definitions,
        committed: Lsn,
    ) -> Self {
        Self { pipe, targets, task, policies, definitions, committed, in_flight: VecDeque::new() }
    }

    /// Progress as of the last commit.
    pub fn committed(&self) -> Lsn {
        self.committed
    }

    /// Progress as it will be once all that was sent has committed.
    pub fn sent(&self) -> Lsn {
        self.in_flight.back().map_or(self.committed, |batch| batch.lsn)
    }

    /// How many batches are on their way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Sends a batch on its way. One that cannot even be put into statements is written the slow way at once.
    pub async fn submit(&mut self, batch: Batch) -> Result<Option<Landed>> {
        let advance = Advance { prev: self.sent(), lsn: batch.lsn };
        let group = match self.is_to_skip(&batch) {
            true => None,
            false => self.encode(&batch.transactions, advance).await?,
        };
        match group {
            Some(group) => {
                self.in_flight.push_back(batch);
                self.pipe.send(group).await;
                Ok(None)
            }
            None => {
                self.drain().await?;
                self.write_again(batch).await.map(Some)
            }
        }
    }

    /// Takes the outcome of the oldest batch; if it failed, writes it and those behind it again. Must not be dropped.
    pub async fn settle(&mut self, outcome: Outcome) -> Result<Landed> {
        if outcome.committed { self.land(&outcome) } else { self.recover().await }
    }

    /// The outcome of the oldest batch, for [`Writer::settle`]. Can be dropped while it waits.
    pub async fn outcome(&mut self) -> Result<Outcome> {
        self.pipe.outcome().await
    }

    /// Waits until nothing is on its way.
    pub async fn drain(&mut self) -> Result<Option<Landed>> {
        let mut last = None;
        while !self.in_flight.is_empty() {
            let outcome = self.outcome().await?;
            last = Some(self.settle(outcome).await?);
        }
        Ok(last)
    }

    /// Notes that another connection of ours has committed progress up to here; nothing may be on its way.
    pub fn follow(&mut self, landed: Landed) {
        self.committed = landed.lsn;
    }

    /// What large transactions need of the writer.
    pub fn around<'w>(&'w mut self, shared: &'w Shared) -> Around<'w> {
        Around {
            targets: &mut self.targets,
            task: &self.task,
            policies: &self.policies,
            definitions: &mut self.definitions,
            shared,
        }
    }

    /// Removes the rows of the journal that no batch can follow any more.
    pub async fn prune(&self) -> Result<()> {
        progress::prune(self.targets.client(), &self.task, self.committed).await
    }

    /// Whether the user asked to pass over this transaction.
    pub fn skips(&self, point: &CommitPoint) -> bool {
        self.definitions.skips().contains(&point.commit_lsn)
    }

    /// Moves progress to `lsn` (or keeps it, if it is there) in a transaction that is durable when this returns, and with
    /// it all before it (rule 4).
    pub async fn seal(&mut self, lsn: Lsn) -> Result<Landed> {
        self.drain().await?;
        let mut group = self.pipe.group()?;
        group.command("BEGIN")?;
        group.command("SET LOCAL synchronous_commit = 'on'")?;
        if lsn > self.committed {
            journal::advance(&mut group, &self.task, Advance { prev: self.committed, lsn })?;
        } else {
            journal::touch(&mut group, &self.task)?;
        }
        journal::commit(&mut group)?;
        let bytes = group.finish();
        let outcome = self.pipe.call(bytes).await?;
        if let Some(error) = outcome.error {
            return Err(failed(error));
        }
        self.committed = self.committed.max(lsn);
        let landed = journal::landed(&outcome, self.committed)?;
        Ok(Landed { flushed: landed.written, ..landed })
    }

    fn land(&mut self, outcome: &Outcome) -> Result<Landed> {
        let batch =
            self.in_flight.pop_front().ok_or_else(|| Error::protocol("an answer without a question"))?;
        self.committed = batch.lsn;
        journal::landed(outcome, batch.lsn)
    }

    fn is_to_skip(&self, batch: &Batch) -> bool {
        batch.transactions.iter().any(|one| self.skips(&one.point))
    }

    /// The group of a batch; `None` if the fast way cannot write it.
    async fn encode(
        &mut self,
        transactions: &[Transaction],
        advance: Advance,
    ) -> Result<Option<bytes::Bytes>> {
        let changes = transactions.iter().flat_map(|transaction| &transaction.changes);
        let steps = match self.targets.fold(changes).await {
            Ok(steps) => steps,
            Err(error) if error.class().is_transient() => return Err(error),
            Err(_) => return Ok(None),
        };
        let mut group = self.pipe.group()?;
        group.command("BEGIN")?;
        journal::advance(&mut group, &self.task, advance)?;
        if encode::batch(&mut group, &steps).is_err() {
            self.pipe.forget();
            return Ok(None);
        }
        journal::commit(&mut group)?;
        Ok(Some(group.finish()))
    }

    /// The oldest batch failed: so did all behind it. Writes them again, one at a time.
    async fn recover(&mut self) -> Result<Landed> {
        let batches: Vec<Batch> = self.in_flight.drain(..).collect();
        for _ in 1..batches.len() {
            self.pipe.outcome().await?;
        }
        self.pipe.command("ROLLBACK").await?;
        self.targets.forget();
        let mut landed = None;
        for batch in batches {
            landed = Some(self.write_again(batch).await?);
        }
        landed.ok_or_else(|| Error::protocol("an answer without a question"))
    }

    /// Halves a batch until the transactions that fail stand alone (rule 6).
    async fn write_again(&mut self, batch: Batch) -> Result<Landed> {
        let mut parts = vec![batch];
        loop {
            let Some(mut part) = parts.pop() else {
                return Err(Error::protocol("a batch of nothing"));
            };
            let landed = match self.attempt(&part).await? {
                Some(landed) => landed,
                None if part.transactions.len() > 1 => {
                    let later = part.transactions.split_off(part.transactions.len() / 2);
                    let lsn = part.transactions.last().map_or(part.lsn, |one| one.point.end_lsn);
                    parts.push(Batch { transactions: later, lsn: part.lsn });
                    parts.push(Batch { transactions: part.transactions, lsn });
                    continue;
                }
                None => self.write_in_order(&part).await?,
            };
            if parts.is_empty() {
                return Ok(landed);
            }
        }
    }

    /// Tries a batch by itself; `None` says that it must be halved or written in order.
    async fn attempt(&mut self, batch: &Batch) -> Result<Option<Landed>> {
        let advance = Advance { prev: self.committed, lsn: batch.lsn };
        for _ in 0..TRIES {
            if self.is_to_skip(batch) {
                return Ok(None);
            }
            let Some(group) = self.encode(&batch.transactions, advance).await? else { return Ok(None) };
            let outcome = self.pipe.call(group).await?;
            let error = match &outcome.error {
                Some(error) if !outcome.committed => error,
                Some(_) | None => {
                    self.committed = batch.lsn;
                    return journal::landed(&outcome, batch.lsn).map(Some);
                }
            };
            self.pipe.command("ROLLBACK").await?;
            match verdict(error) {
                Verdict::Again => tokio::time::sleep(Duration::from_millis(100)).await,
                Verdict::Fenced => return Err(fenced()),
                Verdict::Slower => return Ok(None),
            }
        }
        Err(Error::unreachable(
            "the destination goes on refusing a batch for deadlocks or cancelled statements",
        ))
    }

    /// One transaction, row by row, with the policy deciding about conflicts.
    async fn write_in_order(&mut self, batch: &Batch) -> Result<Landed> {
        let advance = Advance { prev: self.committed, lsn: batch.lsn };
        let Some(transaction) = batch.transactions.first() else {
            return Err(Error::protocol("progress without rows was refused"));
        };
        let skip = self.skips(&transaction.point);
        self.pipe.command("BEGIN").await?;
        let mut ordered =
            Ordered::new(&mut self.pipe, &mut self.targets, &self.task, &self.policies, &transaction.point);
        if skip {
            ordered.skip().await?;
        } else if let Err(error) = ordered.transaction(&transaction.changes).await {
            return Err(ordered.stop(error).await);
        }
        let landed = journal::finish(&mut self.pipe, &self.task, advance).await?;
        self.committed = batch.lsn;
        Ok(landed)
    }
}

/// What an error of the server says of the batch.
enum Verdict {
    /// Nothing: the same batch may pass now.
    Again,
    /// Another writer is at work.
    Fenced,
    /// It holds something that the fast way cannot write.
    Slower,
}

fn verdict(error: &ServerError) -> Verdict {
    match error.code.as_str() {
        // serialization_failure, deadlock_detected, lock_not_available, query_canceled
        "40001" | "40P01" | "55P03" | "57014" => Verdict::Again,
        progress::FENCED => Verdict::Fenced,
        "23505" if error.schema.as_deref() == Some("walferry_state") => Verdict::Fenced,
        _ => Verdict::Slower,
    }
}
