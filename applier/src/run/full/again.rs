//! A table that was copied in parts of several snapshots, and has a change that cannot be divided among them, is copied again
//! from its beginning; a later snapshot has the change.

use crate::catalog;
use crate::error::{Error, Result};
use crate::pg::client_error;
use crate::run::Task;
use crate::run::sides::Sides;
use crate::state::{parts, tables};

/// Empties these tables and forgets their parts. No older writer of the task is connected any more.
pub async fn copy_again(task: &Task, sides: &Sides, oids: &[u32]) -> Result<()> {
    let name = task.config.task.name.as_str();
    let destination = &sides.destination_client;
    let mut chosen = tables::read(destination, name).await?;
    chosen.retain(|table| oids.contains(&table.source_oid));
    let places: Vec<_> = chosen.iter().map(|table| table.destination.clone()).collect();
    let there = catalog::tables(destination, &places).await?;
    if there.len() < oids.len() {
        return Err(Error::refused(
            "a row moved between parts of a table whose rows are together with those of others; copy it with snapshot = true",
        ));
    }
    let mut statements: Vec<String> =
        there.iter().map(|table| format!("TRUNCATE {}", table.only())).collect();
    statements.push(parts::begin_anew(name, oids));
    destination.batch_execute(&statements.join("; ")).await.map_err(client_error)
}
