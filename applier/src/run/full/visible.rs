//! Before the first snapshot that is not the slot's own. A commit is in WAL, and with a synchronous standby long decoded,
//! while snapshots do not see it yet; a change that the stream passed over by then would be in neither.

use std::time::Duration;
use tokio_postgres::Client;

use crate::error::Result;
use crate::pg::client_error;

/// How often it is looked, and how many times before it is told.
const LOOK: Duration = Duration::from_millis(100);
const PATIENCE: u32 = 30;

/// Waits until every transaction that was in progress at the source when this began has ended, as the making of a slot does.
pub async fn wait(source: &Client) -> Result<()> {
    let sql = "SELECT pg_catalog.pg_snapshot_xmin(s)::text::int8, pg_catalog.pg_snapshot_xmax(s)::text::int8 \
               FROM pg_catalog.pg_current_snapshot() AS s";
    let mut begun: Option<i64> = None;
    let mut looks = 0;
    loop {
        let row = source.query_one(sql, &[]).await.map_err(client_error)?;
        let (oldest, next): (i64, i64) = (row.get(0), row.get(1));
        if oldest >= *begun.get_or_insert(next) {
            return Ok(());
        }
        looks += 1;
        if looks == PATIENCE {
            tracing::warn!(
                "waiting for transactions that are in progress at the source before rows are read"
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}
