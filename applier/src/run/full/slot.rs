//! The slot of a full copy: made first, with the snapshot that matches it. It waits for every transaction in progress at
//! the source; those are named meanwhile.

use std::time::Duration;
use tokio_postgres::Client;

use crate::catalog::slot;
use crate::config::Mode;
use crate::copy;
use crate::error::{Error, Result};
use crate::pg::{Created, client_error, quote};
use crate::run::Task;
use crate::run::ground::Ground;
use crate::run::sides::{Sides, application_name};
use crate::run::source;
use crate::state::{self, tasks};
use crate::watch::phase;

/// A slot is made at once unless transactions are in progress: after this it is worth saying what it waits for.
const PATIENCE: Duration = Duration::from_secs(1);

/// A task that has not begun needs the slot's name for itself (full) or the slot (incremental). Nothing has been written
/// anywhere yet.
pub async fn refuse_wrong(task: &Task, source: &Client, destination: &Client) -> Result<()> {
    let name = task.config.slot();
    match task.config.task.mode {
        Mode::Incremental => source::slot(source, &name).await.map(|_| ()),
        Mode::Full | Mode::FullIncremental => {
            let known = state::is_installed(destination).await?
                && tasks::binding(destination, task.config.task.name.as_str()).await?.is_some();
            if known {
                return Ok(());
            }
            copy::refuse_standby(source).await?;
            if !slot::exists(source, &name).await? {
                return Ok(());
            }
            Err(Error::refused(format!(
                "the source has a slot {name} already that is not of this task's full copy; name another one with \
                 [source] slot, set mode = \"incremental\" to go on from it, or drop it: \
                 SELECT pg_drop_replication_slot({})",
                quote::literal(&name)
            )))
        }
    }
}

/// Makes the slot. What it waits for goes to the log and to `status`.
pub async fn make(task: &Task, ground: &mut Ground) -> Result<Created> {
    let slot = task.config.slot();
    let Ground { replication, sides: Sides { source_client, destination_client, .. }, .. } = ground;
    let making = replication.create_slot(&slot, task.config.copy.snapshot);
    tokio::pin!(making);
    let mut told = Vec::new();
    let created = loop {
        let waited = tokio::select! {
            created = &mut making => break created?,
            () = tokio::time::sleep(PATIENCE) => blockers(task, source_client).await?,
        };
        let Some((who, waited)) = waited else { continue };
        if who != told {
            tracing::warn!("the slot waits for {waited}");
            told = who;
        }
        note(task, destination_client, Some(&waited)).await?;
    };
    if !told.is_empty() {
        note(task, destination_client, None).await?;
    }
    tracing::info!(lsn = %created.consistent_point, "made the slot {slot}");
    Ok(created)
}

async fn note(task: &Task, destination: &Client, waits_for: Option<&str>) -> Result<()> {
    tasks::note_wait(destination, task.config.task.name.as_str(), phase::FULL, waits_for).await
}

/// The transactions that the walsender waits for, by process and in words; of other roles' only a monitor sees the times.
async fn blockers(task: &Task, source: &Client) -> Result<Option<(Vec<i32>, String)>> {
    let sql = "SELECT w.pid, b.usename::text, b.application_name, \
               pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - b.xact_start)::bigint, \
               pg_catalog.to_char(b.query_start, 'YYYY-MM-DD HH24:MI:SSOF') \
               FROM pg_catalog.pg_stat_activity a \
               CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(a.pid)) AS w(pid) \
               LEFT JOIN pg_catalog.pg_stat_activity b ON b.pid = w.pid \
               WHERE a.application_name = $1 AND a.backend_type = 'walsender'";
    let rows = source.query(sql, &[&application_name(task)]).await.map_err(client_error)?;
    let (mut pids, mut found) = (Vec::new(), Vec::new());
    for row in rows {
        let pid: i32 = row.get(0);
        pids.push(pid);
        found.push(match pid {
            // A prepared transaction has no process.
            0 => prepared(source).await?,
            pid => described(pid, row.get(1), row.get(2), row.get(3), row.get(4)),
        });
    }
    Ok((!found.is_empty()).then(|| (pids, found.join("; "))))
}

fn described(
    pid: i32,
    user: Option<String>,
    application: Option<String>,
    age: Option<i64>,
    query_start: Option<String>,
) -> String {
    let user = user.map(|user| format!(" of {}", quote::readable_ident(&user)));
    let application = application.filter(|name| !name.is_empty()).map(|name| format!(" ({name})"));
    let age = age.map(|age| format!(", open for {age} s"));
    let query = query_start.map(|start| format!(", query started {start}"));
    let parts = [user, application, age, query].into_iter().flatten().collect::<String>();
    format!("the transaction of process {pid}{parts}")
}

async fn prepared(source: &Client) -> Result<String> {
    let sql = "SELECT gid, pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - prepared)::bigint, \
               pg_catalog.to_char(prepared, 'YYYY-MM-DD HH24:MI:SSOF') \
               FROM pg_catalog.pg_prepared_xacts ORDER BY prepared LIMIT 1";
    let row = source.query_opt(sql, &[]).await.map_err(client_error)?;
    Ok(row.map_or("a prepared transaction".to_owned(), |row| {
        let (gid, age, since): (String, i64, String) = (row.get(0), row.get(1), row.get(2));
        format!("the prepared transaction {gid}, prepared {age} s ago at {since}")
    }))
}
