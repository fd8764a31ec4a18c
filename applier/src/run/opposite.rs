//! Tasks in the other direction: what they wrote at our source came from our destination, and is not sent back (rule 18).
//! Anything else that reached the source by replication goes on, so that cascades work.

use std::time::Duration;
use tokio_postgres::Client;

use super::Task;
use super::sides::Sides;
use crate::error::Result;
use crate::pg::client_error;
use crate::state::tasks;

/// No task writes with more connections than this.
const WRITERS: usize = 256;
/// Tasks of the other direction are looked for so often.
const LOOK: Duration = Duration::from_secs(2);

/// Waits until there are other tasks of the other direction than those of `known`.
pub async fn changed(task: &Task, known: &str) -> Result<()> {
    let sides = Sides::reach(task).await?;
    while origins(&sides).await? == known {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// The origins of all that a task from our destination's database wrote at the source, as the plugin takes them.
pub async fn origins(sides: &Sides) -> Result<String> {
    let source = &sides.source_client;
    match may_look(source).await? {
        None => return Ok(String::new()),
        Some(false) => {
            tracing::debug!(
                "the role of [source] may not read walferry_state there, so tasks of the other direction are unknown"
            );
            return Ok(String::new());
        }
        Some(true) => {}
    }
    let sql = "SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()), \
               (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";
    let row = sides.destination_client.query_one(sql, &[]).await.map_err(client_error)?;
    let identifier = row.get::<_, i64>(0).cast_unsigned();
    let opposite = tasks::of_source(source, identifier, row.get(1)).await?;
    let names = opposite.iter().flat_map(|task| (0..WRITERS).map(move |n| format!("walferry_{task}_{n}")));
    Ok(names.collect::<Vec<_>>().join(","))
}

/// Whether our role may read the state of tasks that write to the source, if there is any.
async fn may_look(source: &Client) -> Result<Option<bool>> {
    let sql = "SELECT coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
               AND pg_catalog.has_table_privilege(c.oid, 'SELECT'), false) \
               FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid \
               WHERE n.nspname = 'walferry_state' AND c.relname = 'tasks'";
    let row = source.query_opt(sql, &[]).await.map_err(client_error)?;
    Ok(row.map(|row| row.get(0)))
}
