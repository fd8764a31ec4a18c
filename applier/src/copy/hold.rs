//! The locks that keep tables as the shared snapshot saw them until they are copied (rule 24): one session takes ACCESS
//! SHARE on all of them right after the snapshot, then looks which had changed in between.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio_postgres::Client;

use super::CopyTable;
use crate::catalog::source::{Fingerprint, fingerprint};
use crate::error::Result;
use crate::pg::{Raw, client_error};

/// So many tables are locked in one statement.
const AT_ONCE: usize = 100;

/// Locks the tables in the session's transaction. A table that is gone costs its group one statement each.
pub(super) async fn lock(raw: &mut Raw, tables: &[Arc<CopyTable>]) -> Result<()> {
    for group in tables.chunks(AT_ONCE) {
        if !try_lock(raw, group).await? {
            for one in group {
                try_lock(raw, std::slice::from_ref(one)).await?;
            }
        }
    }
    Ok(())
}

async fn try_lock(raw: &mut Raw, tables: &[Arc<CopyTable>]) -> Result<bool> {
    let names: Vec<String> =
        tables.iter().map(|table| format!("ONLY {}", table.source.qualified())).collect();
    let sql = format!("SAVEPOINT hold; LOCK TABLE {} IN ACCESS SHARE MODE; RELEASE hold", names.join(", "));
    match raw.simple(&sql).await {
        Ok(_) => Ok(true),
        // Gone or forbidden: whoever copies the table finds out, and says so.
        Err(error) if error.sqlstate().is_some() && !error.class().is_transient() => {
            raw.simple("ROLLBACK TO hold").await?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The tables that are not any more what the plan saw. `client` sees what is committed now.
pub(super) async fn changed(client: &Client, tables: &[Arc<CopyTable>]) -> Result<HashSet<u32>> {
    let oids: Vec<u32> = tables.iter().map(|table| table.source.oid).collect();
    let sql = format!("SELECT c.oid, {} FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1)", fingerprint("c"));
    let rows = client.query(&sql, &[&oids]).await.map_err(client_error)?;
    let now: HashMap<u32, Fingerprint> =
        rows.iter().map(|row| (row.get(0), Fingerprint::new(row.get(1)))).collect();
    let other = |table: &&Arc<CopyTable>| now.get(&table.source.oid) != Some(&table.source.fingerprint);
    Ok(tables.iter().filter(other).map(|table| table.source.oid).collect())
}
