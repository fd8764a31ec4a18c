//! Replication slots of the source, as far as a task may remove its own.

use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::error::{Error, Result};
use crate::pg::client_error;

/// How long an old walsender gets to leave its slot.
const LEAVE: Duration = Duration::from_secs(10);
/// It is looked for so often.
const LOOK: Duration = Duration::from_millis(100);

/// Whether the source has a slot of this name, of whatever kind.
pub async fn exists(source: &Client, slot: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = $1)";
    Ok(source.query_one(sql, &[&slot]).await.map_err(client_error)?.get(0))
}

/// Drops a slot of our plugin, if there is one of this name.
pub async fn drop(source: &Client, slot: &str) -> Result<bool> {
    let sql = "SELECT count(pg_catalog.pg_drop_replication_slot(slot_name)) FROM pg_catalog.pg_replication_slots \
               WHERE slot_name = $1 AND plugin = 'walferry'";
    let row = source.query_one(sql, &[&slot]).await.map_err(client_error)?;
    Ok(row.get::<_, i64>(0) > 0)
}

/// Ends the walsenders of this name that make the slot, or hold it and have nobody to talk to any more, and waits until
/// they are gone. One that makes a slot does not notice that its client has left.
pub async fn end_makers(source: &Client, application_name: &str, slot: &str) -> Result<()> {
    let sql = "SELECT count(pg_catalog.pg_terminate_backend(a.pid)) FROM pg_catalog.pg_stat_activity a \
               WHERE a.backend_type = 'walsender' AND a.application_name = $1 \
               AND a.query LIKE 'CREATE_REPLICATION_SLOT %' AND a.pid IN \
               (SELECT a.pid WHERE a.state = 'active' UNION ALL \
                SELECT s.active_pid FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = $2)";
    let began = Instant::now();
    loop {
        let row = source.query_one(sql, &[&application_name, &slot]).await.map_err(client_error)?;
        if row.get::<_, i64>(0) == 0 {
            return Ok(());
        }
        if began.elapsed() > LEAVE {
            return Err(Error::unreachable(format!(
                "an old walsender of this task does not leave the slot {slot}"
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}
