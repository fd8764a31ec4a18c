//! Large objects: copied with the rows, in scope `database`. Changes to them are not in the stream.

use tokio_postgres::Client;

use super::rows::Rows;
use crate::config::Scope;
use crate::copy::large_objects::{LargeObjects, plan};
use crate::error::{Error, Result};
use crate::pg::{Lsn, Session, client, client_error};
use crate::run::sides::application_name;
use tokio_postgres::types::PgLsn;

/// Copies the large objects that are not there yet. `asker` is a session of the source, with the round's snapshot if there is
/// one.
pub async fn copy(rows: &Rows<'_>, asker: &Client) -> Result<()> {
    let task = rows.task.config.task.name.as_str();
    match rows.task.config.objects.scope {
        Scope::Database => {}
        Scope::Tables => return Ok(()),
    }
    let parts = plan(asker, &rows.sides.destination_client, task).await?;
    let open: Vec<_> = parts.iter().filter(|part| part.landed.is_none()).collect();
    if open.is_empty() {
        return Ok(());
    }
    let sql = "SELECT pg_catalog.pg_current_snapshot()::text, pg_catalog.pg_current_wal_insert_lsn()";
    let row = asker.query_one(sql, &[]).await.map_err(client_error)?;
    let (text, lsn): (String, PgLsn) = (row.get(0), row.get(1));
    let snapshot = text.parse().map_err(|error| Error::protocol(format!("source: {error}")))?;
    let objects = LargeObjects {
        source: asker,
        task,
        limiter: &rows.task.limit,
        existing: rows.task.config.copy.existing,
        seen: (snapshot, Lsn(lsn.into())),
    };
    let session = Session::writer(&application_name(rows.task), "UTF8").set("synchronous_commit", "off");
    let mut destination = client(&rows.task.destination, session).await?;
    let mut bytes = 0;
    for part in open {
        bytes += objects.copy(&mut destination, part).await?.bytes;
    }
    tracing::info!("copied the large objects, {bytes} bytes; later changes of them are not followed");
    Ok(())
}
