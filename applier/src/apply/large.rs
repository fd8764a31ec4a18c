//! A large transaction on a connection of its own: written in parts as it arrives, committed when the source's commit is
//! read (rule 7). The main writer has nothing on its way while a part is sent, so the order among rows is the source's.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::ddl::{Asker, Definitions, Open, Runner};
use super::encode;
use super::journal::{self, Advance, Landed};
use super::model::{Change, CommitPoint};
use super::ordered::Ordered;
use super::pipe::{Outcome, Pipe};
use super::shared::Shared;
use super::statement::{self, Statement};
use super::target::Target;
use super::targets::Targets;
use super::write::Policies;
use crate::ddl::Captured;
use crate::error::{Error, Result};

/// How many parts may be on their way.
const IN_FLIGHT: usize = 2;

/// A transaction in progress with more subtransactions is cheaper to write once it is known which of them stay.
const MOST_SAVEPOINTS: usize = 64;

/// The open transaction.
pub struct Large {
    pipe: Pipe,
    /// Of a transaction that has committed at the source; `None` while it is in progress there.
    point: Option<CommitPoint>,
    parts: VecDeque<Vec<Change>>,
    savepoints: Vec<u64>,
    settled: i64,
    sent: u64,
    /// Targets with constraints that only we look after (rule 12).
    unenforced: HashMap<usize, Arc<Target>>,
    /// Statements that change definitions.
    ddl: Open,
}

/// What the parts need from the writer.
pub struct Around<'a> {
    /// Where rows go.
    pub targets: &'a mut Targets,
    /// The task's name.
    pub task: &'a str,
    /// What is done about conflicts.
    pub policies: &'a Policies,
    /// What is done about statements that change definitions.
    pub definitions: &'a mut Definitions,
    /// Where to say that streaming must end.
    pub shared: &'a Shared,
}

impl Large {
    /// Begins on this connection.
    pub async fn begin(mut pipe: Pipe, point: Option<CommitPoint>) -> Result<Self> {
        pipe.command("BEGIN").await?;
        let parts = VecDeque::new();
        Ok(Self {
            pipe,
            point,
            parts,
            savepoints: Vec::new(),
            settled: 0,
            sent: 0,
            unenforced: HashMap::new(),
            ddl: Open::default(),
        })
    }

    /// How many changes were written.
    pub fn changes(&self) -> u64 {
        self.sent
    }

    /// Takes a row of a table that carries DDL: statements are run at their place among the rows.
    pub async fn ddl(&mut self, captured: Box<Captured>, around: &mut Around<'_>) -> Result<()> {
        self.drain(around).await?;
        let Some(point) = &self.point else {
            around.shared.forbid_streaming();
            return Err(Error::unreachable(
                "a transaction in progress changes definitions; asking for it again once it has committed",
            ));
        };
        self.ddl.take(captured, &mut Runner { pipe: &mut self.pipe, point, around }).await
    }

    /// Whether statements were read that change definitions.
    pub fn changes_definitions(&self) -> bool {
        self.ddl.any()
    }

    /// Sends a part on its way, behind a savepoint of its own.
    pub async fn part(&mut self, changes: Vec<Change>, around: &mut Around<'_>) -> Result<()> {
        let changes = self.admit(changes, around).await?;
        while self.parts.len() >= IN_FLIGHT {
            self.settle(around).await?;
        }
        self.sent += changes.len() as u64;
        match self.encode(&changes, around).await? {
            Some(group) => {
                self.parts.push_back(changes);
                self.pipe.send(group).await;
                Ok(())
            }
            None => {
                self.drain(around).await?;
                self.pipe.command("SAVEPOINT walferry_part").await?;
                self.in_order(changes, around).await
            }
        }
    }

    /// Of a transaction that changes definitions, the changes that are to be written, their tables looked up where these
    /// can be seen already.
    async fn admit(&mut self, changes: Vec<Change>, around: &mut Around<'_>) -> Result<Vec<Change>> {
        let Some(point) = self.point.clone().filter(|_| self.ddl.any()) else { return Ok(changes) };
        self.drain(around).await?;
        let mut runner = Runner { pipe: &mut self.pipe, point: &point, around };
        let changes = self.ddl.admit(changes, &mut runner).await?;
        self.look_up(&changes, around).await?;
        Ok(changes)
    }

    /// Tables that this transaction made or altered are seen over its own connection alone.
    async fn look_up(&mut self, changes: &[Change], around: &mut Around<'_>) -> Result<()> {
        if !self.ddl.any() {
            return Ok(());
        }
        // What is wrong with a table shows again where its rows are written.
        match around.targets.look_up(changes, &mut Asker(&mut self.pipe)).await {
            Err(error) if !error.class().is_transient() => Ok(()),
            done => done,
        }
    }

    /// Sets a savepoint for a subtransaction, at its first change.
    pub async fn savepoint(&mut self, subxid: u64, around: &mut Around<'_>) -> Result<()> {
        if self.savepoints.contains(&subxid) {
            return Ok(());
        }
        if self.savepoints.len() >= MOST_SAVEPOINTS {
            around.shared.forbid_streaming();
            return Err(Error::unreachable(
                "a transaction in progress has very many subtransactions; asking for it again once it has committed",
            ));
        }
        self.drain(around).await?;
        self.savepoints.push(subxid);
        self.named("SAVEPOINT", subxid).await
    }

    /// Takes back a subtransaction, and with it all that came after its first change: that was part of it.
    pub async fn abort(&mut self, subxid: u64, around: &mut Around<'_>) -> Result<()> {
        let Some(at) = self.savepoints.iter().position(|known| *known == subxid) else { return Ok(()) };
        self.drain(around).await?;
        self.savepoints.truncate(at);
        self.named("ROLLBACK TO SAVEPOINT", subxid).await?;
        self.named("RELEASE SAVEPOINT", subxid).await
    }

    /// Rolls everything back and gives the connection back.
    pub async fn roll_back(mut self, around: &mut Around<'_>) -> Result<Pipe> {
        self.drain(around).await?;
        self.pipe.command("ROLLBACK").await?;
        Ok(self.pipe)
    }

    /// Commits, with progress, and gives the connection back.
    pub async fn commit(mut self, advance: Advance, around: &mut Around<'_>) -> Result<(Landed, Pipe)> {
        self.drain(around).await?;
        self.probe(around).await?;
        let landed = journal::finish(&mut self.pipe, around.task, advance).await?;
        Ok((landed, self.pipe))
    }

    /// Looks after deferrable constraints once, at the end: keys may stand twice for a while.
    async fn probe(&mut self, around: &Around<'_>) -> Result<()> {
        for target in self.unenforced.values() {
            for parts in &target.probes {
                let zero = 0_i64.to_be_bytes();
                let probe = statement::probe_all(target, parts);
                if self.pipe.once(&probe, [Some(&zero[..])].into_iter()).await?.error.is_some() {
                    around.shared.forbid_streaming();
                    return Err(twice(target, self.point.as_ref()));
                }
            }
        }
        Ok(())
    }

    /// Waits until every part has been written.
    pub async fn drain(&mut self, around: &mut Around<'_>) -> Result<()> {
        while !self.parts.is_empty() {
            self.settle(around).await?;
        }
        Ok(())
    }

    async fn settle(&mut self, around: &mut Around<'_>) -> Result<()> {
        let outcome = self.pipe.outcome().await?;
        if outcome.error.is_some() {
            return self.recover(outcome, around).await;
        }
        if let Some(part) = self.parts.pop_front() {
            self.settled += part.len() as i64;
        }
        Ok(())
    }

    /// The oldest part failed, and with it those behind it. They are written again in ordered mode.
    async fn recover(&mut self, outcome: Outcome, around: &mut Around<'_>) -> Result<()> {
        let parts: Vec<Vec<Change>> = self.parts.drain(..).collect();
        for _ in 1..parts.len() {
            self.pipe.outcome().await?;
        }
        tracing::debug!(code = ?outcome.error.map(|error| error.code), "a part of a large transaction is written row by row");
        self.pipe.command("ROLLBACK TO SAVEPOINT walferry_part").await?;
        around.targets.forget();
        let mut again = false;
        for part in parts {
            self.look_up(&part, around).await?;
            if std::mem::replace(&mut again, true) {
                self.pipe.command("SAVEPOINT walferry_part").await?;
            }
            self.in_order(part, around).await?;
        }
        Ok(())
    }

    /// Writes a part row by row, behind its savepoint. What is in progress at the source has no commit LSN yet that a
    /// conflict could be recorded with: then the source is asked for it again, once it has committed.
    async fn in_order(&mut self, changes: Vec<Change>, around: &mut Around<'_>) -> Result<()> {
        let Some(point) = &self.point else {
            around.shared.forbid_streaming();
            return Err(Error::unreachable(
                "a transaction in progress does not fit the destination; asking for it again once it has committed",
            ));
        };
        let mut ordered = Ordered::new(&mut self.pipe, around.targets, around.task, around.policies, point)
            .starting_at(self.settled);
        if let Err(error) = ordered.changes(&changes).await {
            return Err(ordered.stop(error).await);
        }
        self.settled += changes.len() as i64;
        self.pipe.command("RELEASE SAVEPOINT walferry_part").await
    }

    async fn encode(&mut self, changes: &[Change], around: &mut Around<'_>) -> Result<Option<bytes::Bytes>> {
        let steps = match around.targets.fold(changes.iter()).await {
            Ok(steps) => steps,
            Err(error) if error.class().is_transient() => return Err(error),
            Err(_) => return Ok(None),
        };
        for target in encode::targets(&steps) {
            if !target.probes.is_empty() {
                self.unenforced.insert(target.id, target.clone());
            }
        }
        let mut group = self.pipe.group()?;
        group.command("SAVEPOINT walferry_part")?;
        if encode::part(&mut group, &steps).is_err() {
            self.pipe.forget();
            return Ok(None);
        }
        group.command("RELEASE SAVEPOINT walferry_part")?;
        Ok(Some(group.finish()))
    }

    async fn named(&mut self, command: &str, subxid: u64) -> Result<()> {
        let statement = Statement { sql: format!("{command} walferry_{subxid}"), types: Vec::new() };
        self.pipe.once(&statement, std::iter::empty()).await?.error.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// What is in progress at the source is asked for again first, for a position that the user can be told.
fn twice(target: &Target, point: Option<&CommitPoint>) -> Error {
    let table = target.readable();
    match point {
        None => Error::unreachable(format!(
            "two rows of {table} have one key; asking for them once they are committed"
        )),
        Some(point) => Error::rejected(format!(
            "two rows of the destination table {table} have one key of a deferrable constraint after the transaction {} \
             at {}; remove the destination's own row, or run `walferry skip {1}`",
            point.xid, point.commit_lsn
        )),
    }
}
