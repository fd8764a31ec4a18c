//! Tables that join a running task (B5): they get their definitions and keys, are copied part by part while the stream goes
//! on (rule 23), and have what else hangs on them made once they are level.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

use super::choose::Choices;
use super::full::{Definitions, Report, Rows};
use super::sides::{Sides, application_name};
use super::{Task, gates};
use crate::apply::Gate;
use crate::apply::gate::{State, Table};
use crate::catalog;
use crate::copy::{self, Ended, Outcome, Progress, Reading};
use crate::error::{Error, Result};
use crate::pg::{Lsn, Session, Snapshot, client};
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
        Err(error) if error.class().is_transient() => Err(error),
        Err(error) => {
            tracing::error!("tables could not join the task, the others go on: {error}");
            std::future::pending().await
        }
    }
}

async fn join(task: &Task, choices: &Choices, gate: Arc<Gate>) -> Result<()> {
    let sides = Sides::reach(task).await?;
    let mut definitions = Definitions::read(task, &sides, None, &choices.chosen).await?;
    let dropped = dropped(&sides, &choices.joining).await?;
    definitions.forget(&sides, task, &dropped).await?;
    refuse(definitions.before(&sides, task, &choices.chosen).await?)?;
    refuse(definitions.rest_of_hanging(true).await?)?;
    let horizon = copy(task, &sides, choices, gate, definitions.are_made()).await?;
    tracing::info!(lsn = %horizon, "the rows of the tables that join are there; making them level");
    while task.shared.applied_lsn() < horizon {
        tokio::time::sleep(LOOK).await;
    }
    let mut problems = definitions.rest_of_hanging(false).await?;
    problems.extend(definitions.last().await?);
    definitions.analyze(&choices.joining).await?;
    joined(task, &sides, &choices.joining).await?;
    refuse(problems)
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

fn refuse(problems: Vec<String>) -> Result<()> {
    if problems.is_empty() { Ok(()) } else { Err(Error::rejected(problems.join("; "))) }
}

/// Copies the rows; the position behind which every change is one that the tables need.
async fn copy(task: &Task, sides: &Sides, choices: &Choices, gate: Arc<Gate>, made: bool) -> Result<Lsn> {
    let progress = Arc::new(Progress::default());
    let rows = Rows { task, sides, chosen: &choices.joining, made, progress: progress.clone() };
    let asker = client(&task.source, Session::query(&application_name(task))).await?;
    let oids: Vec<u32> = choices.joining.iter().map(|table| table.source_oid).collect();
    let sources = catalog::source::tables(&asker, Some(&oids)).await?;
    let work = rows.plan(&asker, sources, &Reading::Own).await?;
    refuse(work.problems.clone())?;
    for table in &choices.joining {
        let mut parts = Table::default();
        let own = work.parts.iter().filter(|part| part.source_oid == table.source_oid);
        own.for_each(|part| gates::add(&mut parts, part));
        gate.set(table.source_oid, parts);
    }
    let (finished, ended) = mpsc::unbounded_channel();
    let mut report = Report::new(task, &choices.joining, true).await?;
    let tables = work.tables.clone();
    let copying = async {
        let copying = rows.run(work, Reading::Own, None, Arc::new(Glue(gate.clone())), finished);
        let (copied, problems) = tokio::join!(copying, problems(ended));
        copied.map(|()| problems)
    };
    let problems = tokio::select! {
        broken = report.run(|| progress.report()) => return Err(broken),
        problems = copying => problems?,
    };
    report.end(progress.report()).await?;
    rows.note_rowless(&tables).await?;
    refuse(problems)?;
    gate.forget_empty();
    Ok(gate.horizon().unwrap_or(Lsn::ZERO))
}

async fn problems(mut ended: mpsc::UnboundedReceiver<Ended>) -> Vec<String> {
    let mut problems = Vec::new();
    while let Some(Ended { outcome, .. }) = ended.recv().await {
        match outcome {
            Outcome::Copied => {}
            Outcome::Failed(error) => problems.push(error.to_string()),
            Outcome::Changed => problems.push(
                "a table was altered or emptied at the source while it was copied; take it out of the task, run, and add \
                 it again"
                    .to_owned(),
            ),
        }
    }
    problems
}

/// The tables are copied: the next session treats them as all others.
async fn joined(task: &Task, sides: &Sides, joining: &[Chosen]) -> Result<()> {
    let name = task.config.task.name.as_str();
    let mut progress = tables::progress(&sides.destination_client, name).await?;
    let is_joining = |one: &TableProgress| joining.iter().any(|table| table.source_oid == one.source_oid);
    progress.retain(is_joining);
    progress.iter_mut().for_each(|one| one.state = TableState::Copied);
    tables::note(&sides.destination_client, name, &progress).await?;
    tracing::info!("{} tables have joined the task", joining.len());
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
