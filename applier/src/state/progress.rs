//! The journal of progress (rules 2 and 3): its rows are written inside the batches, read at the start, pruned now and then.

use tokio_postgres::Client;
use tokio_postgres::types::PgLsn;

use crate::error::Result;
use crate::pg::{Lsn, client_error};

/// The writer of the main stream. Others may follow.
pub const MAIN_WORKER: i32 = 0;

/// Adds the row of a batch: task, worker, the predecessor's LSN, the batch's own. Fails with [`FENCED`] unless the
/// predecessor is there; two successors of one predecessor violate the primary key.
pub const FOLLOW: &str = "WITH w AS (INSERT INTO walferry_state.progress (task, worker, prev, lsn) \
    SELECT p.task, p.worker, p.lsn, $4 FROM walferry_state.progress p \
    WHERE p.task = $1 AND p.worker = $2 AND p.lsn = $3 RETURNING 1) \
    SELECT walferry_state.follow(count(*)) FROM w";

/// The parameter types of [`FOLLOW`]: text, int4, pg_lsn, pg_lsn.
pub const FOLLOW_TYPES: [u32; 4] = [25, 23, 3220, 3220];

/// SQLSTATE: another writer has moved the progress on.
pub const FENCED: &str = "WF002";

/// Where the destination's WAL ends and how much of it is durable, after a commit (rule 4).
pub const WAL_POSITIONS: &str =
    "SELECT pg_catalog.pg_current_wal_insert_lsn(), pg_catalog.pg_current_wal_flush_lsn()";

/// How far the destination's WAL is durable.
pub async fn flushed(client: &Client) -> Result<Lsn> {
    let row = client.query_one("SELECT pg_catalog.pg_current_wal_flush_lsn()", &[]).await;
    Ok(lsn(row.map_err(client_error)?.get(0)))
}

/// The LSN up to which everything has been applied, or `None` before the first start.
pub async fn read(client: &Client, task: &str) -> Result<Option<Lsn>> {
    let sql = "SELECT max(lsn) FROM walferry_state.progress WHERE task = $1 AND worker = $2";
    let row = client.query_one(sql, &[&task, &MAIN_WORKER]).await.map_err(client_error)?;
    Ok(row.get::<_, Option<PgLsn>>(0).map(lsn))
}

/// Writes the first row: the stream begins at `start`.
pub async fn begin(client: &Client, task: &str, start: Lsn) -> Result<()> {
    let sql = "INSERT INTO walferry_state.progress (task, worker, prev, lsn) VALUES ($1, $2, '0/0', $3)";
    client.execute(sql, &[&task, &MAIN_WORKER, &PgLsn::from(start.0)]).await.map_err(client_error)?;
    Ok(())
}

/// Removes what lies behind `committed`. Its row stays: the next batch follows it.
pub async fn prune(client: &Client, task: &str, committed: Lsn) -> Result<()> {
    let sql = "DELETE FROM walferry_state.progress WHERE task = $1 AND worker = $2 AND lsn < $3";
    client.execute(sql, &[&task, &MAIN_WORKER, &PgLsn::from(committed.0)]).await.map_err(client_error)?;
    Ok(())
}

fn lsn(value: PgLsn) -> Lsn {
    Lsn(value.into())
}
