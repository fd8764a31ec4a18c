//! `walferry_state.conflicts` and `walferry_state.skips`: what stopped or bent a change, and what the user decided.

use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Client;
use tokio_postgres::types::PgLsn;

use crate::error::Result;
use crate::pg::{Lsn, client_error};

/// Adds a record: task, lsn, change, xid, commit time (microseconds since 2000), kind, resolution, destination rows, each
/// as text; `{table}` and `{detail}` stand for string constants, `{key}` and `{row}` for expressions over further
/// parameters. Repeating
/// a stopped transaction repeats its record, not its row.
pub const RECORD: &str = "INSERT INTO walferry_state.conflicts \
    (task, lsn, change, xid, committed_at, table_name, kind, resolution, destination_rows, detail, key, source_row) \
    VALUES ($1, $2::pg_lsn, $3::bigint, $4::bigint, \
    timestamptz '2000-01-01 00:00:00+00' + $5::bigint * interval '1 microsecond', \
    {table}, $6, $7, $8::jsonb, {detail}, {key}, {row}) \
    ON CONFLICT (task, lsn, change) DO UPDATE SET recorded_at = pg_catalog.clock_timestamp(), kind = excluded.kind, \
    resolution = excluded.resolution, destination_rows = excluded.destination_rows, detail = excluded.detail, \
    key = excluded.key, source_row = excluded.source_row";

/// How many parameters [`RECORD`] has before those of its expressions.
pub const RECORD_PARAMETERS: usize = 8;

/// A recorded conflict, as `walferry conflicts` shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recorded {
    /// Number of the record.
    pub id: i64,
    /// When it was recorded.
    pub recorded_at: String,
    /// Start of the transaction's commit record: what `walferry skip` takes.
    pub lsn: Lsn,
    /// The source transaction.
    pub xid: i64,
    /// Table at the destination.
    pub table: String,
    /// See `apply::conflict::Kind`.
    pub kind: String,
    /// See `apply::conflict::Resolution`.
    pub resolution: String,
    /// The identity of the row.
    pub key: Option<Value>,
    /// The row of the source.
    pub source_row: Option<Value>,
    /// The rows in the way at the destination.
    pub destination_rows: Option<Value>,
    /// What the destination said.
    pub detail: Option<String>,
}

/// The newest conflicts of a task.
pub async fn newest(client: &Client, task: &str, limit: i64) -> Result<Vec<Recorded>> {
    let sql = "SELECT id, pg_catalog.to_char(recorded_at, 'YYYY-MM-DD HH24:MI:SSOF'), lsn, xid, table_name, kind, \
               resolution, key, source_row, destination_rows, detail FROM walferry_state.conflicts \
               WHERE task = $1 ORDER BY id DESC LIMIT $2";
    let rows = client.query(sql, &[&task, &limit]).await.map_err(client_error)?;
    let recorded = |row: &tokio_postgres::Row| Recorded {
        id: row.get(0),
        recorded_at: row.get(1),
        lsn: Lsn(row.get::<_, PgLsn>(2).into()),
        xid: row.get(3),
        table: row.get(4),
        kind: row.get(5),
        resolution: row.get(6),
        key: row.get(7),
        source_row: row.get(8),
        destination_rows: row.get(9),
        detail: row.get(10),
    };
    Ok(rows.iter().map(recorded).collect())
}

/// How many conflicts a task has recorded.
pub async fn count(client: &Client, task: &str) -> Result<i64> {
    let sql = "SELECT count(*) FROM walferry_state.conflicts WHERE task = $1";
    Ok(client.query_one(sql, &[&task]).await.map_err(client_error)?.get(0))
}

/// Asks to pass over the transaction whose commit record starts at `lsn`.
pub async fn ask_skip(client: &Client, task: &str, lsn: Lsn) -> Result<()> {
    let sql = "INSERT INTO walferry_state.skips (task, lsn) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    client.execute(sql, &[&task, &PgLsn::from(lsn.0)]).await.map_err(client_error)?;
    Ok(())
}

/// The transactions to pass over.
pub async fn skips(client: &Client, task: &str) -> Result<Vec<Lsn>> {
    let sql = "SELECT lsn FROM walferry_state.skips WHERE task = $1 AND skipped_at IS NULL";
    let rows = client.query(sql, &[&task]).await.map_err(client_error)?;
    Ok(rows.iter().map(|row| Lsn(row.get::<_, PgLsn>(0).into())).collect())
}

/// Marks a transaction as passed over: task, lsn. Written in the transaction that moves progress past it.
pub const SKIPPED: &str = "UPDATE walferry_state.skips SET skipped_at = pg_catalog.clock_timestamp() \
    WHERE task = $1 AND lsn = $2";

/// The parameter types of [`SKIPPED`]: text, pg_lsn.
pub const SKIPPED_TYPES: [u32; 2] = [25, 3220];
