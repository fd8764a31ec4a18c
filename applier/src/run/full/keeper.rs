//! The keeper of a snapshot: one session of the source whose transaction all readers of a round share, and that keeps the
//! chosen tables from being altered meanwhile (rule 24).

use tokio_postgres::Client;

use crate::error::{Error, Result};
use crate::pg::{Created, Lsn, Session, Snapshot, client, client_error, quote};
use crate::run::Task;
use crate::run::ground::application_name;
use crate::state::tables::Chosen;

/// So many tables are locked by one statement.
const LOCK_AT_ONCE: usize = 200;

/// A snapshot of the source, held for as long as this lives.
pub struct Keeper {
    /// The session; its catalog queries see what the snapshot sees.
    pub client: Client,
    /// The name by which other sessions take the snapshot.
    pub name: String,
    /// What it sees.
    pub snapshot: Snapshot,
    /// All that it sees was committed before this position.
    pub lsn: Lsn,
}

impl Keeper {
    /// Keeps the snapshot that was exported when the slot was made.
    pub async fn of_slot(task: &Task, created: &Created) -> Result<Self> {
        let Some(exported) = &created.snapshot else {
            return Err(Error::protocol("the source made the slot without exporting its snapshot"));
        };
        let client = begin(task).await?;
        let take = format!("SET TRANSACTION SNAPSHOT {}", quote::literal(exported));
        client.batch_execute(&take).await.map_err(client_error)?;
        Self::of(client, created.consistent_point).await
    }

    /// Takes a new snapshot behind locks on these tables.
    pub async fn fresh(task: &Task, tables: &[Chosen]) -> Result<Self> {
        let client = begin(task).await?;
        lock(&client, tables).await?;
        let mut keeper = Self::of(client, Lsn::ZERO).await?;
        let sql = "SELECT pg_catalog.pg_current_wal_insert_lsn()";
        let lsn: tokio_postgres::types::PgLsn = keeper.client.query_one(sql, &[]).await.map_err(client_error)?.get(0);
        keeper.lsn = Lsn(lsn.into());
        Ok(keeper)
    }

    async fn of(client: Client, lsn: Lsn) -> Result<Self> {
        let sql = "SELECT pg_catalog.pg_export_snapshot(), pg_catalog.pg_current_snapshot()::text";
        let row = client.query_one(sql, &[]).await.map_err(client_error)?;
        let text: String = row.get(1);
        let snapshot = text.parse().map_err(|error| Error::protocol(format!("source: {error}")))?;
        Ok(Self { client, name: row.get(0), snapshot, lsn })
    }

    /// Locks the tables from now on.
    pub async fn lock(&self, tables: &[Chosen]) -> Result<()> {
        lock(&self.client, tables).await
    }
}

async fn begin(task: &Task) -> Result<Client> {
    let client = client(&task.source, Session::query(&application_name(task))).await?;
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await.map_err(client_error)?;
    Ok(client)
}

/// ACCESS SHARE, without the tables that inherit: each is chosen by itself. Waits for whoever alters one of them.
async fn lock(client: &Client, tables: &[Chosen]) -> Result<()> {
    for some in tables.chunks(LOCK_AT_ONCE) {
        let name = |table: &Chosen| format!("ONLY {}", quote::ascii_qualified(&table.source.0, &table.source.1));
        let names: Vec<String> = some.iter().map(name).collect();
        let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "));
        client.batch_execute(&sql).await.map_err(|error| client_error(error).context("source"))?;
    }
    Ok(())
}
