//! Tables that join a running task (B5): they get their definitions and keys, are copied part by part while the stream goes
//! on (rule 23), and have what else hangs on them made once they are level.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

use super::choose::Choices;
use super::full::{Definitions, Hanging, Locks, ROUNDS, Report, Rows, changes_since, moment};
use super::sides::{Sides, application_name};
use super::{Task, gates, source};
use crate::apply::Gate;
use crate::apply::gate::{State, Table};
use crate::catalog;
use crate::copy::{self, CopyTable, Ended, Outcome, Progress, Reading};
use crate::error::{Error, Result};
use crate::pg::{Lsn, Session, Snapshot, client};
use crate::state::parts;
use crate::state::tables::{self, Chosen, TableProgress, TableState};

/// How often it is looked whether the stream has passed the copy.
const LOOK: Duration = Duration::from_millis(200);

/// Copies the tables that join, if there are any; true once they are level and the stream may begin a session without the
/// gate. What cannot be copied is told and waits for the next start; the other tables go on.
pub async fn run(task: &Task, choices: &Choices, gate: Arc<Gate>) -> Result<bool> {
    if choices.joining.is_empty() {
        return std::future::pending().await;
    }
    match join(task, choices, gate).await {
        Ok(()) => Ok(true),
        // A run with an end would wait for it for ever.
        Err(error) if error.class().is_transient() || task.until.is_some() => Err(error),
        Err(error) => {
            tracing::error!(
                "tables could not join the task, the others go on; run again when it is mended: {error}"
            );
            std::future::pending().await
        }
    }
}

async fn join(task: &Task, choices: &Choices, gate: Arc<Gate>) -> Result<()> {
    let sides = Sides::reach(task).await?;
    let (mut definitions, locks) = defined(task, &sides, choices).await?;
    definitions.leave_present();
    gate.define_all();
    let dropped = dropped(&sides, &choices.joining).await?;
    definitions.forget(&sides, task, &dropped).await?;
    // What fails here and is needed shows with the tables themselves.
    tell(&definitions.before(&sides, task, &choices.chosen).await?);
    tell(&definitions.rest_of_hanging(Hanging::Keys).await?);
    // A round that breaks leaves parts of which nobody knows whether they landed: only another session finds out.
    let copying = Copying { task, sides: &sides, choices, gate, made: definitions.are_made() };
    let failed = copying.run(locks).await.map_err(|error| Error::unreachable(error.to_string()))?;
    let horizon = parts::horizon(&sides.destination_client, task.config.task.name.as_str()).await?;
    let horizon = horizon.unwrap_or(Lsn::ZERO);
    tracing::info!(lsn = %horizon, "the rows of the tables that join are there; making them level");
    reach(task, horizon).await;
    tell(&definitions.rest_of_hanging(Hanging::All).await?);
    tell(&definitions.last().await?);
    definitions.analyze(&choices.joining).await?;
    joined(task, &sides, &choices.joining, &failed).await?;
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Error::rejected(failed.into_values().collect::<Vec<_>>().join("; ")))
    }
}

/// Waits until the stream has been applied up to a position.
async fn reach(task: &Task, lsn: Lsn) {
    while task.shared.applied_lsn() < lsn {
        tokio::time::sleep(LOOK).await;
    }
}

/// The definitions as of a moment that the stream has passed, and locks that keep the tables as they are there.
async fn defined(task: &Task, sides: &Sides, choices: &Choices) -> Result<(Definitions, Locks)> {
    for _ in 0..ROUNDS {
        let keeper = moment(task, sides).await?;
        source::heartbeat(&sides.source_client).await?;
        reach(task, keeper.lsn).await;
        // pg_dump comes before the locks: behind them it would wait for whoever waits for us.
        let definitions = Definitions::read(task, sides, &keeper, &choices.chosen).await?;
        let locks = lock(task, sides, &choices.joining).await?;
        if changes_since(task, sides, &keeper.sees).await? == 0 {
            return Ok((definitions, locks));
        }
    }
    Err(Error::unreachable("definitions change at the source all the time; trying again"))
}

/// Keeps the tables from being altered until their rows are there.
async fn lock(task: &Task, sides: &Sides, joining: &[Chosen]) -> Result<Locks> {
    let oids: Vec<u32> = joining.iter().map(|table| table.source_oid).collect();
    let there = catalog::source::tables(&sides.source_client, Some(&oids)).await?;
    let names: Vec<_> = there.into_iter().map(|table| (table.schema, table.name)).collect();
    let locks = Locks::take(task, sides, &names).await?;
    locks.ok_or_else(|| {
        Error::unreachable("a table that joins was dropped or renamed just now; looking again")
    })
}

/// Definitions that could not be made; they are noted in `walferry_state.definitions`.
fn tell(problems: &[String]) {
    problems.iter().for_each(|problem| tracing::error!("not made: {problem}"));
}

/// Tables that the destination does not have (any more).
async fn dropped(sides: &Sides, joining: &[Chosen]) -> Result<Vec<u32>> {
    let names: Vec<_> = joining.iter().map(|table| table.destination.clone()).collect();
    let there = catalog::tables(&sides.destination_client, &names).await?;
    let has = |(schema, name): &(String, String)| {
        there.iter().any(|table| table.schema == *schema && table.name == *name)
    };
    Ok(joining.iter().filter(|table| !has(&table.destination)).map(|table| table.source_oid).collect())
}

/// The copy of the rows of tables that join.
struct Copying<'a> {
    task: &'a Task,
    sides: &'a Sides,
    choices: &'a Choices,
    gate: Arc<Gate>,
    made: bool,
}

impl Copying<'_> {
    /// Copies until nothing is left but what fails, by the oid at the source. A table that is altered or emptied meanwhile is
    /// planned anew.
    async fn run(&self, locks: Locks) -> Result<HashMap<u32, String>> {
        let mut holder = Some(locks);
        let joining = &self.choices.joining;
        let progress = Arc::new(Progress::default());
        let mut report = Report::new(self.task, joining, true).await?;
        let rows = Rows {
            task: self.task,
            sides: self.sides,
            chosen: joining,
            made: self.made,
            progress: progress.clone(),
        };
        let mut failed = HashMap::new();
        for _ in 0..ROUNDS {
            let (tables, ended) = tokio::select! {
                broken = report.run(|| progress.report()) => return Err(broken),
                ended = self.round(&rows, holder.take(), &mut failed) => ended?,
            };
            report.end(progress.report()).await?;
            rows.note_rowless(&tables).await?;
            if ended.is_empty() {
                self.gate.forget_empty();
                return Ok(failed);
            }
            ended.iter().for_each(|oid| self.gate.set(*oid, Table::default()));
            rows.begin_anew(&tables, &ended, "it was altered or emptied at the source").await?;
        }
        Err(Error::refused("tables that join are altered or emptied again and again while they are copied"))
    }

    /// Plans what is left, and copies it. Gives the tables that were changed meanwhile.
    async fn round(
        &self,
        rows: &Rows<'_>,
        locks: Option<Locks>,
        failed: &mut HashMap<u32, String>,
    ) -> Result<(Vec<Arc<CopyTable>>, Vec<u32>)> {
        let (holder, asker) = locks.map(|locks| (locks.session, locks.asker)).unzip();
        let asker = match asker {
            Some(asker) => asker,
            None => client(&self.task.source, Session::query(&application_name(self.task))).await?,
        };
        let oids: Vec<u32> = self.choices.joining.iter().map(|table| table.source_oid).collect();
        let sources = catalog::source::tables(&asker, Some(&oids)).await?;
        let work = rows.plan(&asker, sources, &Reading::Own).await?;
        work.problems.iter().for_each(|problem| tracing::error!("{problem}"));
        for oid in oids {
            let mut parts = Table::default();
            work.parts
                .iter()
                .filter(|part| part.source_oid == oid)
                .for_each(|part| gates::add(&mut parts, part));
            self.gate.set(oid, parts);
        }
        drop(asker);
        let tables = work.tables.clone();
        let (finished, mut ended) = mpsc::unbounded_channel();
        let copying = rows.run(work, Reading::Own, holder, Arc::new(Glue(self.gate.clone())), finished);
        let mut changed = Vec::new();
        let listening = async {
            while let Some(Ended { oid, outcome }) = ended.recv().await {
                match outcome {
                    Outcome::Copied => {}
                    Outcome::Failed(error) => drop(failed.insert(oid, error.to_string())),
                    Outcome::Changed => changed.push(oid),
                }
            }
        };
        let (copied, ()) = tokio::join!(copying, listening);
        copied.map(|()| (tables, changed))
    }
}

/// The tables are copied: the next session treats them as all others.
async fn joined(task: &Task, sides: &Sides, joining: &[Chosen], failed: &HashMap<u32, String>) -> Result<()> {
    let name = task.config.task.name.as_str();
    let mut progress = tables::progress(&sides.destination_client, name).await?;
    let is_joining = |one: &TableProgress| {
        joining.iter().any(|table| table.source_oid == one.source_oid)
            && !failed.contains_key(&one.source_oid)
    };
    progress.retain(|one| is_joining(one) && one.state != TableState::Failed);
    progress.iter_mut().for_each(|one| one.state = TableState::Copied);
    tables::note(&sides.destination_client, name, &progress).await?;
    tracing::info!("{} tables have joined the task", progress.len());
    Ok(())
}

/// Tells the stream's gate what the copy does.
struct Glue(Arc<Gate>);

impl copy::Gate for Glue {
    fn claimed(&self, oid: u32, part: i32) {
        self.0.part(oid, part, State::Claimed);
    }

    fn copying(&self, oid: u32, part: i32, snapshot: &Snapshot) {
        self.0.part(oid, part, State::Copying(snapshot.clone()));
    }

    fn copied(&self, oid: u32, part: i32, snapshot: &Snapshot, lsn: Lsn) {
        self.0.part(oid, part, State::Copied(snapshot.clone(), lsn));
    }

    fn given_up(&self, oid: u32, part: i32) {
        self.0.part(oid, part, State::Pending);
    }
}
