//! A table that was copied in parts of several snapshots, and has a change that cannot be divided among them, is copied again
//! from its beginning; a later snapshot has the change.

use crate::catalog;
use crate::error::{Error, Result};
use crate::pg::{Session, client, client_error};
use crate::run::Task;
use crate::run::session::Next;
use crate::run::sides::application_name;
use crate::state::{parts, tables};

/// Empties these tables and forgets their parts; `why` is what the stream said.
pub async fn copy_again(task: &Task, oids: &[u32], why: Error) -> Result<Next> {
    let name = task.config.task.name.as_str();
    let destination = client(&task.destination, Session::query(&application_name(task))).await?;
    let mut chosen = tables::read(&destination, name).await?;
    chosen.retain(|table| oids.contains(&table.source_oid));
    let places: Vec<_> = chosen.iter().map(|table| table.destination.clone()).collect();
    let there = catalog::tables(&destination, &places).await?;
    if there.len() < oids.len() {
        // Its rows are in a table together with those of others.
        return Err(why);
    }
    tracing::warn!("{why}; the table is copied again from its beginning");
    let mut statements: Vec<String> =
        there.iter().map(|table| format!("TRUNCATE {}", table.only())).collect();
    statements.push(parts::begin_anew(name, oids));
    destination.batch_execute(&statements.join("; ")).await.map_err(client_error)?;
    Ok(Next::Again)
}
