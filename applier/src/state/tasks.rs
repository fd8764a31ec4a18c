//! `walferry_state.tasks`: which slot of which source a task is bound to, and how it is.

use tokio_postgres::Client;
use tokio_postgres::types::PgLsn;

use crate::error::{Error, Result};
use crate::pg::{Lsn, client_error};

/// What a task is bound to for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The replication slot.
    pub slot: String,
    /// `system_identifier` of the source's cluster.
    pub system_identifier: u64,
    /// The oid of the source's database.
    pub database_oid: u32,
}

/// The binding of a task, if it has started before.
pub async fn binding(client: &Client, task: &str) -> Result<Option<Binding>> {
    let sql = "SELECT slot, system_identifier, database_oid FROM walferry_state.tasks WHERE task = $1";
    let row = client.query_opt(sql, &[&task]).await.map_err(client_error)?;
    row.map(|row| {
        let identifier: String = row.get(1);
        let system_identifier = identifier.parse().map_err(|_| {
            Error::protocol(format!("walferry_state.tasks has the system identifier \"{identifier}\""))
        })?;
        Ok(Binding { slot: row.get(0), system_identifier, database_oid: row.get(2) })
    })
    .transpose()
}

/// Binds a new task, which begins with a stage. Two tasks with one slot are refused.
pub async fn bind(client: &Client, task: &str, binding: &Binding, stage: Stage) -> Result<()> {
    let sql = "INSERT INTO walferry_state.tasks (task, slot, system_identifier, database_oid, stage) \
               VALUES ($1, $2, $3, $4, $5)";
    let identifier = binding.system_identifier.to_string();
    let written = client
        .execute(sql, &[&task, &binding.slot, &identifier, &binding.database_oid, &stage.as_str()])
        .await;
    match written.map_err(client_error) {
        Err(error) if error.sqlstate() == Some("23505") => Err(Error::refused(format!(
            "another task at this destination uses the slot {}; give this one a slot of its own ([source] slot)",
            binding.slot
        ))),
        other => other.map(|_| ()),
    }
}

/// The tasks that write to this database and come from that one.
pub async fn of_source(client: &Client, system_identifier: u64, database_oid: u32) -> Result<Vec<String>> {
    let sql =
        "SELECT task FROM walferry_state.tasks WHERE system_identifier = $1 AND database_oid = $2 ORDER BY 1";
    let identifier = system_identifier.to_string();
    let rows = client.query(sql, &[&identifier, &database_oid]).await.map_err(client_error)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// How far a task is with its full copy. Each stage may be begun again after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The slot is being made; nothing of the task is at the destination.
    Slot,
    /// Definitions that come before the rows are being made.
    Definitions,
    /// Rows are being copied.
    Rows,
    /// What the stream needs to find rows is being made.
    Keys,
    /// The stream makes parts level that were copied with different snapshots.
    CatchingUp,
    /// The rest of the definitions is being made.
    Constraints,
    /// The full copy is done: changes are followed.
    Following,
    /// A full copy without changes is done for good.
    Finished,
}

impl Stage {
    const ALL: [Self; 8] = [
        Self::Slot,
        Self::Definitions,
        Self::Rows,
        Self::Keys,
        Self::CatchingUp,
        Self::Constraints,
        Self::Following,
        Self::Finished,
    ];

    /// As `walferry_state.tasks` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Slot => "slot",
            Stage::Definitions => "definitions",
            Stage::Rows => "rows",
            Stage::Keys => "keys",
            Stage::CatchingUp => "catching up",
            Stage::Constraints => "constraints",
            Stage::Following => "following",
            Stage::Finished => "finished",
        }
    }
}

/// The stage of a task, if it has started before.
pub async fn stage(client: &Client, task: &str) -> Result<Option<Stage>> {
    let sql = "SELECT stage FROM walferry_state.tasks WHERE task = $1";
    let Some(row) = client.query_opt(sql, &[&task]).await.map_err(client_error)? else { return Ok(None) };
    let text: String = row.get(0);
    let known = Stage::ALL.into_iter().find(|stage| stage.as_str() == text);
    known.map(Some).ok_or_else(|| Error::protocol(format!("walferry_state.tasks has the stage \"{text}\"")))
}

/// Moves the task to a stage; durable when this returns.
pub async fn set_stage(client: &Client, task: &str, stage: Stage) -> Result<()> {
    let sql = "UPDATE walferry_state.tasks SET stage = $2 WHERE task = $1";
    client.execute(sql, &[&task, &stage.as_str()]).await.map_err(client_error)?;
    Ok(())
}

/// What was chosen by the configuration when the tables were last noted.
pub async fn selection(client: &Client, task: &str) -> Result<Option<String>> {
    let sql = "SELECT selection FROM walferry_state.tasks WHERE task = $1";
    let row = client.query_opt(sql, &[&task]).await.map_err(client_error)?;
    Ok(row.and_then(|row| row.get(0)))
}

/// Notes what the configuration chooses.
pub async fn set_selection(client: &Client, task: &str, selection: &str) -> Result<()> {
    let sql = "UPDATE walferry_state.tasks SET selection = $2 WHERE task = $1";
    client.execute(sql, &[&task, &selection]).await.map_err(client_error)?;
    Ok(())
}

/// Notes the snapshot of the source in which the definitions were read.
pub async fn set_definitions(client: &Client, task: &str, snapshot: &str) -> Result<()> {
    let sql = "UPDATE walferry_state.tasks SET definitions = $2 WHERE task = $1";
    client.execute(sql, &[&task, &snapshot]).await.map_err(client_error)?;
    Ok(())
}

/// The snapshot of the source in which the definitions were read; none where the task has not copied them.
pub async fn definitions(client: &Client, task: &str) -> Result<Option<String>> {
    let sql = "SELECT definitions FROM walferry_state.tasks WHERE task = $1";
    let row = client.query_opt(sql, &[&task]).await.map_err(client_error)?;
    Ok(row.and_then(|row| row.get(0)))
}

/// What is hashed for the advisory lock that the applier of a task holds.
pub fn lock_name(task: &str) -> String {
    format!("walferry:{task}")
}

/// Writes the row of a task as it is: task.
pub const TOUCH: &str = "UPDATE walferry_state.tasks SET task = task WHERE task = $1";

/// The parameter types of [`TOUCH`]: text.
pub const TOUCH_TYPES: [u32; 1] = [25];

/// How a task is, as `walferry status` shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// One of the states that users see.
    pub phase: String,
    /// Why it failed.
    pub error: Option<String>,
    /// The source's end of WAL, `None` while the source is away.
    pub source_lsn: Option<Lsn>,
    /// What has been received.
    pub received_lsn: Option<Lsn>,
    /// What has been applied.
    pub applied_lsn: Option<Lsn>,
    /// Age of the oldest sample of `source_lsn` that is not applied, in seconds.
    pub lag_seconds: Option<f64>,
    /// Source transactions applied since the task was made.
    pub transactions: i64,
    /// Their changes.
    pub changes: i64,
    /// An applier holds the task's lock: it is connected to the destination now.
    pub running: bool,
    /// What the task waits for: a transaction at the source, a lock.
    pub blocked_by: Option<String>,
    /// How far the full copy is.
    pub stage: String,
}

/// Notes that a task starts, all else staying as it was. One that failed stays so until it has run for a while.
pub async fn start(client: &Client, task: &str) -> Result<()> {
    let sql = "UPDATE walferry_state.tasks SET phase = 'starting', updated_at = pg_catalog.clock_timestamp() \
               WHERE task = $1 AND phase <> 'failed'";
    client.execute(sql, &[&task]).await.map_err(client_error)?;
    Ok(())
}

/// Notes the phase that a task is in and what it waits for, all else staying as it was.
pub async fn note_wait(client: &Client, task: &str, phase: &str, waits_for: Option<&str>) -> Result<()> {
    let sql = "UPDATE walferry_state.tasks SET phase = $2, blocked_by = $3, error = NULL, \
               updated_at = pg_catalog.clock_timestamp() WHERE task = $1";
    client.execute(sql, &[&task, &phase, &waits_for]).await.map_err(client_error)?;
    Ok(())
}

/// Writes how the task is. Asynchronously committed: a report may be lost, never progress.
pub async fn report(client: &Client, task: &str, report: &Report) -> Result<()> {
    let sql = "UPDATE walferry_state.tasks SET phase = $2, error = $3, source_lsn = $4, received_lsn = $5, \
               applied_lsn = $6, lag_seconds = $7, transactions = $8, changes = $9, blocked_by = $10, \
               updated_at = pg_catalog.clock_timestamp() WHERE task = $1";
    let lsn = |lsn: Option<Lsn>| lsn.map(|lsn| PgLsn::from(lsn.0));
    let (source, received, applied) =
        (lsn(report.source_lsn), lsn(report.received_lsn), lsn(report.applied_lsn));
    client
        .execute(
            sql,
            &[
                &task,
                &report.phase,
                &report.error,
                &source,
                &received,
                &applied,
                &report.lag_seconds,
                &report.transactions,
                &report.changes,
                &report.blocked_by,
            ],
        )
        .await
        .map_err(client_error)?;
    Ok(())
}

/// Reads how the task is, or `None` if it never started.
pub async fn read(client: &Client, task: &str) -> Result<Option<Report>> {
    let sql = "SELECT phase, error, source_lsn, received_lsn, applied_lsn, lag_seconds, transactions, changes, \
               EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database \
                       WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted \
                       AND d.datname = pg_catalog.current_database() \
                       AND (l.classid::bigint << 32 | l.objid::bigint) = pg_catalog.hashtextextended($2, 0)), \
               blocked_by, stage FROM walferry_state.tasks WHERE task = $1";
    let row = client.query_opt(sql, &[&task, &lock_name(task)]).await.map_err(client_error)?;
    Ok(row.map(|row| {
        let lsn = |at: usize| row.get::<_, Option<PgLsn>>(at).map(|lsn| Lsn(lsn.into()));
        Report {
            phase: row.get(0),
            error: row.get(1),
            source_lsn: lsn(2),
            received_lsn: lsn(3),
            applied_lsn: lsn(4),
            lag_seconds: row.get(5),
            transactions: row.get(6),
            changes: row.get(7),
            running: row.get(8),
            blocked_by: row.get(9),
            stage: row.get(10),
        }
    }))
}

/// Forgets what a full copy noted before it had its slot; the task stays bound.
pub async fn clear(client: &mut Client, task: &str) -> Result<()> {
    empty(client, task, &["definitions", "parts", "tables", "progress"]).await
}

/// Removes everything of a task, conflicts included.
pub async fn remove(client: &mut Client, task: &str) -> Result<()> {
    let all = ["conflicts", "skips", "ddl", "definitions", "parts", "tables", "progress", "tasks"];
    empty(client, task, &all).await
}

async fn empty(client: &mut Client, task: &str, tables: &[&str]) -> Result<()> {
    let transaction = client.transaction().await.map_err(client_error)?;
    for table in tables {
        let sql = format!("DELETE FROM walferry_state.{table} WHERE task = $1");
        transaction.execute(&sql, &[&task]).await.map_err(client_error)?;
    }
    transaction.commit().await.map_err(client_error)
}
