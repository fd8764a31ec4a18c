//! The end of the full copy: sequences, and in mode `full` the slot.

use std::time::Duration;
use tokio::time::Instant;

use super::definitions::Definitions;
use crate::copy::sequences::{self, Sequence};
use crate::error::Result;
use crate::pg::{Session, client, origin, quote};
use crate::run::Task;
use crate::run::ground::LOOK;
use crate::run::sides::{Sides, application_name};
use crate::schema::roles::{self, Which};
use crate::select::Choice;
use crate::state::tables::Chosen;
use crate::state::tasks::{self, Stage};
use crate::watch::phase;

/// How long the sessions of writers that were ended get to be gone.
const LEAVE: Duration = Duration::from_secs(5);

/// Sets every chosen sequence to where the source's is now.
pub async fn set_sequences(
    task: &Task,
    sides: &Sides,
    definitions: &Definitions,
    chosen: &[Chosen],
) -> Result<()> {
    let choice = Choice::new(&task.config.objects);
    let mut wanted = sequences::list(&sides.source_client).await?;
    wanted.retain(|one| {
        let owned = one.table_oid.is_some_and(|table| chosen.iter().any(|chosen| chosen.source_oid == table));
        owned || choice.wants(one.oid, &one.schema, &one.name)
    });
    let place = |one: &Sequence| definitions.name_of(&one.schema, &one.name);
    let failed = sequences::copy(&sides.source_client, &sides.destination_client, &wanted, place).await?;
    for (one, error) in &failed {
        tracing::warn!("the sequence {} is not set: {error}", quote::readable(&one.schema, &one.name));
    }
    tracing::info!("set {} sequences", wanted.len() - failed.len());
    Ok(())
}

/// Drops the tags of the task's writers, once their sessions are gone.
pub async fn drop_origins(task: &Task) -> Result<()> {
    let destination = client(&task.destination, Session::query(&application_name(task))).await?;
    let began = Instant::now();
    loop {
        match origin::drop_all(&destination, task.config.task.name.as_str()).await {
            // object_in_use
            Err(error) if error.sqlstate() == Some("55006") && began.elapsed() < LEAVE => {
                tokio::time::sleep(LOOK).await;
            }
            Err(error) if !error.class().is_transient() => {
                tracing::warn!("the replication origins of the task are still at the destination: {error}");
                return Ok(());
            }
            done => return done,
        }
    }
}

/// Mode `full`: nothing follows, so the slot goes.
pub async fn finish(task: &Task, sides: &Sides) -> Result<Stage> {
    super::drop_slot(task, &sides.source_client).await?;
    if task.config.objects.users {
        let roles = roles::read(&sides.source_client, Which::Concerned).await?;
        let names = roles.into_iter().map(|role| role.name).collect();
        for left in roles::give_back(&sides.destination_client, &names).await? {
            tracing::warn!("{left}");
        }
    }
    let name = task.config.task.name.as_str();
    tasks::note_wait(&sides.destination_client, name, phase::FINISHED, None).await?;
    tracing::info!("the full copy is done");
    Ok(Stage::Finished)
}
