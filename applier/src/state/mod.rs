//! The task's own schema at the destination, `walferry_state`: the only SQL that names it. `progress` is the journal that
//! decides what has been applied; `tasks` what the task is bound to and how it is; `tables`, `parts` and `definitions` how
//! far the copy is; `ddl` what became of each statement; `conflicts` and `skips` what the user has to know and to say.

pub mod conflicts;
pub mod ddl;
pub mod definitions;
pub mod parts;
pub mod progress;
pub mod tables;
pub mod tasks;

use tokio_postgres::Client;

use crate::error::Result;
use crate::pg::client_error;

const SCRIPT: &str = include_str!("../../../sql/destination/01_state.sql");

/// Makes the schema if it is not there. Several tasks may start at once: one makes it, the others wait.
pub async fn install(client: &Client) -> Result<()> {
    if is_installed(client).await? {
        return Ok(());
    }
    let lock = "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('walferry_state', 0))";
    let script = format!("BEGIN; {lock}; {SCRIPT}; COMMIT");
    client.batch_execute(&script).await.map_err(|error| {
        client_error(error)
            .context("the schema walferry_state cannot be made at the destination")
            .and("; let the role of [destination] create it: GRANT CREATE ON DATABASE ... TO ...")
    })
}

/// Whether the schema is there.
pub async fn is_installed(client: &Client) -> Result<bool> {
    let sql = "SELECT pg_catalog.to_regclass('walferry_state.ddl') IS NOT NULL";
    Ok(client.query_one(sql, &[]).await.map_err(client_error)?.get(0))
}
