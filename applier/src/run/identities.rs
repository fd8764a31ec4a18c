//! Tables whose changes cannot be followed in full: looked for when definitions have changed, told in `status`. New ones
//! get REPLICA IDENTITY FULL at the source where the user has asked for that (rule 16).

use std::collections::HashSet;
use tokio_postgres::Client;

use super::Task;
use super::sides::application_name;
use crate::config::Scope;
use crate::error::Result;
use crate::pg::{Session, client, client_error};
use crate::state::tables;

/// What was looked at last.
#[derive(Debug, Default)]
pub struct Identities {
    seen: Option<u64>,
}

/// A table whose UPDATE and DELETE cannot be followed.
struct Wanting {
    oid: u32,
    /// As SQL spells it.
    name: String,
    /// REPLICA IDENTITY FULL would help.
    by_default: bool,
    reason: String,
}

impl Identities {
    /// Looks whether definitions have changed since it was looked last, or never.
    pub async fn look(&mut self, task: &Task) -> Result<()> {
        let now = task.shared.redefinitions();
        if self.seen == Some(now) {
            return Ok(());
        }
        let session = || Session::query(&application_name(task));
        let (source, destination) =
            (client(&task.source, session()).await?, client(&task.destination, session()).await?);
        let name = task.config.task.name.as_str();
        let chosen: HashSet<u32> =
            tables::read(&destination, name).await?.iter().map(|table| table.source_oid).collect();
        let mut wanting = wanting(&source).await?;
        wanting.retain(|table| chosen.contains(&table.oid));
        if task.config.source.set_identity_full && task.config.objects.scope == Scope::Database {
            let new: HashSet<u32> = tables::not_judged(&destination, name).await?.into_iter().collect();
            let mut left = Vec::new();
            for table in wanting {
                if !(table.by_default && new.contains(&table.oid) && set_full(&source, &table).await) {
                    left.push(table);
                }
            }
            wanting = left;
        }
        let warnings: Vec<(u32, String)> =
            wanting.into_iter().map(|table| (table.oid, table.reason)).collect();
        tables::judge(&destination, name, &warnings).await?;
        self.seen = Some(now);
        Ok(())
    }
}

async fn wanting(source: &Client) -> Result<Vec<Wanting>> {
    let sql = "SELECT pg_catalog.to_regclass(t.\"table\")::oid, t.\"table\", t.replica_identity = 'default', t.reason \
               FROM walferry.tables t WHERE NOT t.synchronisable AND pg_catalog.to_regclass(t.\"table\") IS NOT NULL";
    let wanting = |row: &tokio_postgres::Row| Wanting {
        oid: row.get(0),
        name: row.get(1),
        by_default: row.get(2),
        reason: row.get(3),
    };
    Ok(source.query(sql, &[]).await.map_err(client_error)?.iter().map(wanting).collect())
}

/// Needs to own the table; without that right the warning says what to do.
async fn set_full(source: &Client, table: &Wanting) -> bool {
    // An unlogged table has no changes to identify.
    if table.reason.starts_with("unlogged") {
        return false;
    }
    // Who waits for a lock is waited for by all others.
    let set = format!("SET lock_timeout = '2s'; ALTER TABLE {} REPLICA IDENTITY FULL", table.name);
    match source.batch_execute(&set).await {
        Ok(()) => {
            tracing::info!("{} has no primary key: set REPLICA IDENTITY FULL at the source", table.name);
            true
        }
        Err(error) => {
            tracing::warn!("REPLICA IDENTITY FULL could not be set: {}", client_error(error));
            false
        }
    }
}
