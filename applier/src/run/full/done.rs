//! The end of the full copy: sequences, and in mode `full` the slot.

use super::definitions::Definitions;
use crate::copy::sequences::{self, Sequence};
use crate::error::Result;
use crate::pg::quote;
use crate::run::Task;
use crate::run::sides::Sides;
use crate::schema::roles::{self, Which};
use crate::select::Choice;
use crate::state::tables::Chosen;
use crate::state::tasks::{self, Stage};
use crate::watch::phase;

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
