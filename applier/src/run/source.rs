//! What has to be true of the source before a stream can begin: extension, plugin, slot. Everything is looked at before
//! anything is asked for, so that a refusal leaves the slot where it was.

use tokio_postgres::Client;
use tokio_postgres::types::PgLsn;

use crate::error::{Error, Result};
use crate::pg::{Lsn, client_error, quote};

/// The source, as far as a task needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `server_encoding`: what text in the stream is in.
    pub encoding: String,
    /// The oid of the database.
    pub database_oid: u32,
    /// `wal_sender_timeout` in milliseconds; 0 is none.
    pub wal_sender_timeout: u64,
    /// Where WAL ends.
    pub insert_lsn: Lsn,
}

/// The slot, as the server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// What has been acknowledged: the stream cannot begin before.
    pub confirmed_flush: Lsn,
    /// Who uses it: process id and application_name.
    pub active: Option<(i32, String)>,
}

/// Looks at the server and the extension.
pub async fn look(client: &Client) -> Result<Source> {
    let sql = "SELECT pg_catalog.current_setting('server_encoding'), d.oid, \
               (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'), \
               CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
                    ELSE pg_catalog.pg_current_wal_insert_lsn() END, \
               pg_catalog.current_setting('wal_level'), \
               (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'output_plugin_libraries'), \
               EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'walferry'), d.datname::text \
               FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";
    let row = client.query_one(sql, &[]).await.map_err(client_error)?;
    let (wal_level, plugins): (String, Option<String>) = (row.get(4), row.get(5));
    let database: String = row.get(7);
    if wal_level != "logical" {
        return Err(Error::refused(format!(
            "wal_level is {wal_level} at the source; run ALTER SYSTEM SET wal_level = logical there and restart the server"
        )));
    }
    if !row.get::<_, bool>(6) {
        return Err(Error::refused(format!(
            "the extension walferry is not installed in the source's database {0}; \
             run CREATE EXTENSION walferry in it",
            quote::ident(&database)
        )));
    }
    refuse_forbidden_plugin(plugins)?;
    Ok(Source {
        encoding: row.get(0),
        database_oid: row.get(1),
        wal_sender_timeout: row.get::<_, i64>(2).unsigned_abs(),
        insert_lsn: Lsn(row.get::<_, PgLsn>(3).into()),
    })
}

/// Minors from late 2026 on list the output plugins that are allowed (CVE-2026-6471). Who lacks the right to see the
/// list gets none here, and the server's own refusal later.
fn refuse_forbidden_plugin(allowed: Option<String>) -> Result<()> {
    let Some(allowed) = allowed else { return Ok(()) };
    let mut names = allowed.split(',').map(|name| name.trim().trim_matches('"'));
    if names.any(|name| name == "walferry" || name == "*") {
        return Ok(());
    }
    Err(Error::refused(format!(
        "the source allows the output plugins {allowed} only; run ALTER SYSTEM SET output_plugin_libraries = \
         {allowed}, walferry there and SELECT pg_reload_conf()"
    )))
}

/// Looks at the slot; what makes it useless is an error.
pub async fn slot(client: &Client, name: &str) -> Result<Slot> {
    let sql = "SELECT s.slot_type, s.plugin::text, s.database::text, s.wal_status, s.confirmed_flush_lsn, \
               s.active_pid, coalesce(a.application_name, ''), pg_catalog.current_database()::text \
               FROM pg_catalog.pg_replication_slots s \
               LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid WHERE s.slot_name = $1";
    let row = client.query_opt(sql, &[&name]).await.map_err(client_error)?;
    let Some(row) = row else { return Err(missing(name)) };
    let (kind, plugin): (String, Option<String>) = (row.get(0), row.get(1));
    if kind != "logical" || plugin.as_deref() != Some("walferry") {
        return Err(Error::refused(format!(
            "the slot {name} is {kind} with the plugin {}, not a logical one of walferry; \
             name another one with [source] slot",
            plugin.as_deref().unwrap_or("none")
        )));
    }
    let (of, here): (Option<String>, String) = (row.get(2), row.get(7));
    if of.as_deref() != Some(&here) {
        return Err(Error::refused(format!(
            "the slot {name} belongs to the database {}, the source's url names {}; correct one of them",
            quote::ident(&of.unwrap_or_default()),
            quote::ident(&here)
        )));
    }
    let (wal_status, confirmed): (Option<String>, Option<PgLsn>) = (row.get(3), row.get(4));
    let (Some(confirmed), false) = (confirmed, wal_status.as_deref() == Some("lost")) else {
        return Err(lost(name));
    };
    let pid: Option<i32> = row.get(5);
    Ok(Slot { confirmed_flush: Lsn(confirmed.into()), active: pid.map(|pid| (pid, row.get(6))) })
}

fn missing(name: &str) -> Error {
    Error::refused(format!(
        "there is no replication slot {name} at the source; for a new task run SELECT \
         pg_create_logical_replication_slot({}, 'walferry') in the source's database before the rows are copied; \
         if the task has run before, changes since it went are lost: copy the rows again (walferry drop --yes first)",
        quote::literal(name)
    ))
}

fn lost(name: &str) -> Error {
    Error::refused(format!(
        "the slot {name} is lost: the source has removed WAL that it needed (max_slot_wal_keep_size); the changes in it \
         cannot be had again: copy the rows again with a new slot (walferry drop --yes removes this one)"
    ))
}

/// Commits a transaction that comes through the slot, so that its end is a position the stream reaches (rule 30).
pub async fn heartbeat(client: &Client) -> Result<()> {
    client.batch_execute("SELECT walferry.heartbeat()").await.map_err(client_error)
}

/// The views, materialized views and sequences of the source: oid, schema, name.
pub async fn others(client: &Client) -> Result<Vec<(u32, String, String)>> {
    let sql = "SELECT c.oid, n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm', 'S')";
    let rows = client.query(sql, &[]).await.map_err(client_error)?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
}

/// The ordinary and partitioned tables of the source: oid, schema, name. Unlogged ones only if wanted: their changes are
/// not in the stream.
pub async fn tables(client: &Client, unlogged: bool) -> Result<Vec<(u32, String, String)>> {
    let sql = "SELECT c.oid, n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relkind IN ('r', 'p') AND (c.relpersistence = 'p' OR $1 AND c.relpersistence = 'u') \
               ORDER BY 2, 3";
    let rows = client.query(sql, &[&unlogged]).await.map_err(client_error)?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
}
