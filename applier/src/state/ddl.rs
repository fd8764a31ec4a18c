//! `walferry_state.ddl`: every statement that changed definitions at the source, and what became of it.

use serde::Serialize;
use serde_json::Value;
use std::fmt;
use tokio_postgres::Client;
use tokio_postgres::types::PgLsn;

use crate::error::Result;
use crate::pg::{Lsn, client_error};

/// What became of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was run at the destination.
    Applied,
    /// Statements of its kind are not carried.
    NotCarried,
    /// It concerns nothing that the task has chosen.
    OutOfScope,
    /// The definitions were copied after it.
    Known,
    /// It was passed over: as the user asked, or because it failed and `ddl_error` is `skip`.
    Skipped,
    /// It stopped the task.
    Failed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Applied => "applied",
            Outcome::NotCarried => "not_carried",
            Outcome::OutOfScope => "out_of_scope",
            Outcome::Known => "known",
            Outcome::Skipped => "skipped",
            Outcome::Failed => "failed",
        })
    }
}

/// Records a statement: task, lsn, commit_lsn, xid, captured_at, username, tag, objects, search_path, statement, ran,
/// outcome, reason, all as text. What stopped the task and is tried again replaces its own record.
pub const RECORD: &str = "INSERT INTO walferry_state.ddl (task, lsn, commit_lsn, xid, captured_at, username, tag, objects, \
    search_path, statement, ran, outcome, reason) \
    VALUES ($1, $2::pg_lsn, $3::pg_lsn, $4::bigint, $5::timestamptz, $6, $7, $8::jsonb, $9, $10, $11, $12, $13) \
    ON CONFLICT (task, lsn) DO UPDATE SET recorded_at = pg_catalog.clock_timestamp(), ran = excluded.ran, \
    outcome = excluded.outcome, reason = excluded.reason";

/// How many parameters [`RECORD`] has.
pub const RECORD_PARAMETERS: usize = 13;

/// Adds what a statement touched, which is known only once it is done: task, lsn, objects, as text.
pub const COMPLETE: &str =
    "UPDATE walferry_state.ddl SET objects = $3::jsonb WHERE task = $1 AND lsn = $2::pg_lsn";

/// A recorded statement, as `walferry ddl` shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recorded {
    /// Its own position: what `walferry skip` takes to pass over it alone.
    pub lsn: Lsn,
    /// Start of its transaction's commit record: what `walferry skip` takes to pass over all of it.
    pub commit_lsn: Lsn,
    /// The source transaction.
    pub xid: i64,
    /// When it was captured at the source.
    pub captured_at: String,
    /// The role that it ran as there.
    pub username: String,
    /// The command tag.
    pub tag: String,
    /// See [`Outcome`].
    pub outcome: String,
    /// Why.
    pub reason: Option<String>,
    /// The objects that it touched.
    pub objects: Value,
    /// The search_path that it ran under.
    pub search_path: String,
    /// The statement, where its text could and may be kept.
    pub statement: Option<String>,
    /// What ran at the destination, where that is another text.
    pub ran: Option<String>,
}

/// The newest statements of a task.
pub async fn newest(client: &Client, task: &str, limit: i64) -> Result<Vec<Recorded>> {
    let sql = "SELECT lsn, commit_lsn, xid, pg_catalog.to_char(captured_at, 'YYYY-MM-DD HH24:MI:SSOF'), username, tag, \
               outcome, reason, objects, search_path, statement, ran FROM walferry_state.ddl \
               WHERE task = $1 ORDER BY lsn DESC LIMIT $2";
    let rows = client.query(sql, &[&task, &limit]).await.map_err(client_error)?;
    let lsn = |row: &tokio_postgres::Row, at: usize| Lsn(row.get::<_, PgLsn>(at).into());
    let recorded = |row: &tokio_postgres::Row| Recorded {
        lsn: lsn(row, 0),
        commit_lsn: lsn(row, 1),
        xid: row.get(2),
        captured_at: row.get(3),
        username: row.get(4),
        tag: row.get(5),
        outcome: row.get(6),
        reason: row.get(7),
        objects: row.get(8),
        search_path: row.get(9),
        statement: row.get(10),
        ran: row.get(11),
    };
    Ok(rows.iter().map(recorded).collect())
}

/// How many statements were run at the destination.
pub async fn applied(client: &Client, task: &str) -> Result<i64> {
    let sql = "SELECT count(*) FROM walferry_state.ddl WHERE task = $1 AND outcome = 'applied'";
    Ok(client.query_one(sql, &[&task]).await.map_err(client_error)?.get(0))
}
