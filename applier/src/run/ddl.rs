//! What a session of the stream has to know of definitions.

use std::collections::HashSet;
use std::sync::Arc;

use super::Task;
use super::sides::Sides;
use crate::apply::{Definitions, Gate, Terms};
use crate::config::{DdlError, Scope};
use crate::error::{Error, Result};
use crate::pg::{Lsn, Snapshot, client_error};
use crate::select::Choice;
use crate::state::tables::Chosen;
use crate::state::tasks;

/// What the task says of definitions, and its tables.
pub async fn definitions(
    task: &Task,
    sides: &Sides,
    chosen: &[Chosen],
    skips: HashSet<Lsn>,
    (gate, catching_up): (Arc<Gate>, bool),
) -> Result<Definitions> {
    let known = tasks::definitions(&sides.destination_client, task.config.task.name.as_str()).await?;
    let terms = Terms {
        database: match task.config.objects.scope {
            Scope::Database => true,
            Scope::Tables => false,
        },
        choice: Choice::new(&task.config.objects),
        rules: task.config.map.clone(),
        indexes: task.config.objects.indexes,
        skip_failing: match task.config.apply.ddl_error {
            DdlError::Stop => false,
            DdlError::Skip => true,
        },
        server: sides.destination_major().await?,
        known: known.map(|text| snapshot(&text)).transpose()?,
        catching_up,
        gate,
        skips,
    };
    Ok(Definitions::new(terms, chosen.to_vec()))
}

fn snapshot(text: &str) -> Result<Snapshot> {
    text.parse().map_err(|error| Error::protocol(format!("walferry_state.tasks: {error}")))
}

/// Says so if definitions are to be followed, but the source does not capture them.
pub async fn warn_of_no_capture(task: &Task, sides: &Sides) -> Result<()> {
    if !task.config.objects.ddl {
        return Ok(());
    }
    let sql = "SELECT walferry.ddl_capture_enabled()";
    let row = sides.source_client.query_one(sql, &[]).await.map_err(client_error)?;
    if !row.get::<_, bool>(0) {
        tracing::warn!(
            "changes of definitions are not captured at the source, and so not carried over: run SELECT \
             walferry.enable_ddl_capture() there as a superuser, or set [objects] ddl = false"
        );
    }
    Ok(())
}
