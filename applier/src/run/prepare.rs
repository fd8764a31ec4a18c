//! From solid ground to a stream that may begin: progress read and compared with the slot (rule 5), tables chosen, the gate
//! set for those that were copied (rule 23).

use std::collections::HashSet;
use std::sync::Arc;
use tokio_postgres::Client;

use super::Task;
use super::choose::{self, Choices};
use super::ground::{Ground, LOOK};
use super::sides::application_name;
use super::{gates, source};
use crate::apply::Gate;
use crate::error::{Error, Result};
use crate::pg::Lsn;
use crate::select::Names;
use crate::state::tasks::{Binding, Stage};
use crate::state::{conflicts, progress, tasks};

/// Everything that a session of the stream needs.
pub struct Ready {
    /// Connections and lock.
    pub ground: Ground,
    /// Progress: where the stream goes on.
    pub progress: Lsn,
    /// What tables are called at the destination.
    pub names: Names,
    /// The tables of the task, and those that join it.
    pub choices: Choices,
    /// Transactions to pass over.
    pub skips: HashSet<Lsn>,
    /// What copied tables have seen already.
    pub gate: Arc<Gate>,
    /// The stream is to catch up with a copy, of which constraints and the like are still to be made.
    pub catching_up: bool,
}

/// Prepares the stream. `again` says that this process has streamed before, so a slot that is still held is waited for. A
/// task that is `catching_up` with its copy keeps the tables that it has.
pub async fn prepare(task: &Task, ground: Ground, again: bool, catching_up: bool) -> Result<Ready> {
    let (source_client, destination) = (&ground.sides.source_client, &ground.sides.destination_client);
    let progress = agree(task, source_client, destination, &ground.binding, again).await?;
    let choices = match catching_up {
        true => choose::keep(task, destination).await?,
        false => choose::follow(task, source_client, destination, progress).await?,
    };
    let mut names = Names::new(&task.config.map);
    names.keep(choices.chosen.iter().map(|table| (table.source_oid, table.destination.clone())));
    let skips = conflicts::skips(destination, task.config.task.name.as_str()).await?;
    let gate = Arc::new(gates::build(task, destination, progress, &choices.joining).await?);
    Ok(Ready { progress, names, choices, skips: skips.into_iter().collect(), gate, catching_up, ground })
}

/// Compares what the destination has with what the slot can still give (rule 5); a task without state takes over an idle
/// slot at its confirmed_flush_lsn.
async fn agree(
    task: &Task,
    source_client: &Client,
    destination: &Client,
    binding: &Binding,
    again: bool,
) -> Result<Lsn> {
    let name = task.config.task.name.as_str();
    let known = tasks::binding(destination, name).await?;
    if let Some(known) = &known {
        refuse_other_binding(known, binding)?;
        tasks::start(destination, name).await?;
    }
    let slot = wait_for_slot(task, source_client, again).await?;
    match progress::read(destination, name).await? {
        Some(progress) => {
            refuse_gap(&binding.slot, slot.confirmed_flush, progress)?;
            // Read again: while we waited for the lock another applier may have moved progress past the first answer.
            refuse_older_source(source::look(source_client).await?.insert_lsn, progress)?;
            Ok(progress)
        }
        None => {
            if known.is_none() {
                tasks::bind(destination, name, binding, Stage::Following).await?;
            }
            progress::begin(destination, name, slot.confirmed_flush).await?;
            tracing::info!(lsn = %slot.confirmed_flush, "taking over the slot {}", binding.slot);
            Ok(slot.confirmed_flush)
        }
    }
}

/// Our own old walsender may not have noticed yet that its client is gone.
async fn wait_for_slot(task: &Task, client: &Client, again: bool) -> Result<source::Slot> {
    let mut told = false;
    loop {
        let slot = source::slot(client, &task.config.slot()).await?;
        match &slot.active {
            None => return Ok(slot),
            Some((pid, who)) if *who == application_name(task) || again => {
                if !std::mem::replace(&mut told, true) {
                    tracing::info!("waiting for process {pid} of the source to leave the slot");
                }
            }
            Some((pid, who)) => {
                return Err(Error::refused(format!(
                    "the slot {} is in use by process {pid} of the source ({}); stop that client, \
                     or name another slot with [source] slot",
                    task.config.slot(),
                    if who.is_empty() { "unnamed" } else { who }
                )));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

pub fn refuse_other_binding(known: &Binding, now: &Binding) -> Result<()> {
    let other = |what: &str, known: &dyn std::fmt::Display, now: &dyn std::fmt::Display| {
        Err(Error::refused(format!(
            "this task was started with the {what} {known}, but now it is {now}; go back to the old one, or give the \
             new source a task of its own and copy the rows again"
        )))
    };
    if known.system_identifier != now.system_identifier {
        return other("source server", &known.system_identifier, &now.system_identifier);
    }
    if known.database_oid != now.database_oid {
        return other("source database (oid)", &known.database_oid, &now.database_oid);
    }
    if known.slot != now.slot {
        return other("slot", &known.slot, &now.slot);
    }
    Ok(())
}

/// START_REPLICATION would skip forward to the slot's own position in silence.
fn refuse_gap(slot: &str, confirmed: Lsn, progress: Lsn) -> Result<()> {
    if confirmed <= progress {
        return Ok(());
    }
    Err(Error::refused(format!(
        "the slot {slot} has been moved on to {confirmed}, but the destination has the changes up to {progress} only; \
         what lies between is lost for this slot: copy the rows again (walferry drop --yes, then a new slot)"
    )))
}

fn refuse_older_source(source: Lsn, progress: Lsn) -> Result<()> {
    if source >= progress {
        return Ok(());
    }
    Err(Error::refused(format!(
        "the source's WAL ends at {source}, before {progress}, which the destination already has: the source was \
         restored or replaced; copy the rows again with a new task"
    )))
}
