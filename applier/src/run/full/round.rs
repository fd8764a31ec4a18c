//! What one attempt works with: a snapshot, what it sees of definitions and tables, and the locks that keep it so (rule 24).
//! pg_dump and the questions about tables come before the locks: behind them they would wait for whoever waits for us.

use std::collections::HashMap;
use tokio_postgres::Client;

use super::definitions::Definitions;
use super::keeper::Keeper;
use super::visible;
use crate::catalog::source::{self, SourceTable};
use crate::error::{Error, Result};
use crate::pg::{Created, client_error, quote};
use crate::run::sides::Sides;
use crate::run::{Task, choose};
use crate::state::tables::{self, Chosen};

/// So many snapshots are taken before it is told that tables change all the time.
const TRIES: usize = 5;

/// One attempt's view of the source.
pub struct Round {
    /// The snapshot that readers share; none with `snapshot = false`, and none that is not needed.
    pub keeper: Option<Keeper>,
    /// What is made at the destination.
    pub definitions: Definitions,
    /// The tables of the task.
    pub chosen: Vec<Chosen>,
    /// Those of them that have rows.
    pub sources: Vec<SourceTable>,
}

impl Round {
    /// The first one of a task: it chooses the tables. Not settled yet.
    pub async fn first(task: &Task, sides: &Sides, created: &Created) -> Result<Self> {
        if !task.config.copy.snapshot {
            visible::wait(&sides.source_client).await?;
            let chosen = choose::select(task, &sides.source_client).await?;
            return Self::read(task, sides, None, chosen).await;
        }
        let keeper = Keeper::of_slot(task, sides, created).await?;
        let chosen = choose::select(task, &keeper.asker(task).await?).await?;
        Self::read(task, sides, Some(keeper), chosen).await
    }

    /// A later one, with a snapshot of now if rows are to be copied.
    pub async fn again(task: &Task, sides: &Sides, rows: bool) -> Result<Self> {
        let chosen = tables::read(&sides.destination_client, task.config.task.name.as_str()).await?;
        if rows {
            visible::wait(&sides.source_client).await?;
        }
        if !rows || !task.config.copy.snapshot {
            let mut round = Self::read(task, sides, None, chosen).await?;
            round.definitions.leave_present();
            return Ok(round);
        }
        for _ in 0..TRIES {
            let keeper = Keeper::fresh(task, sides).await?;
            let mut round = Self::read(task, sides, Some(keeper), chosen.clone()).await?;
            round.definitions.leave_present();
            if round.settle(task, sides).await? {
                return Ok(round);
            }
        }
        Err(endless())
    }

    async fn read(task: &Task, sides: &Sides, keeper: Option<Keeper>, chosen: Vec<Chosen>) -> Result<Self> {
        let definitions = Definitions::read(task, sides, keeper.as_ref(), &chosen).await?;
        let oids: Vec<u32> = chosen.iter().map(|table| table.source_oid).collect();
        let sources = match &keeper {
            Some(keeper) => source::tables(&keeper.asker(task).await?, Some(&oids)).await?,
            None => source::tables(&sides.source_client, Some(&oids)).await?,
        };
        Ok(Self { keeper, definitions, chosen, sources })
    }

    /// Locks the tables for as long as the snapshot is held. `false`: one of them was altered or emptied since the snapshot,
    /// so that what the snapshot sees of it is gone.
    pub async fn settle(&mut self, task: &Task, sides: &Sides) -> Result<bool> {
        let Some(keeper) = &mut self.keeper else { return Ok(true) };
        let asker = keeper.asker(task).await?;
        let mut then = shapes(&asker).await?;
        then.retain(|oid, _| self.chosen.iter().any(|table| table.source_oid == *oid));
        let names: Vec<_> = then.values().map(|shape| (shape.schema.clone(), shape.name.clone())).collect();
        if !keeper.lock(&names).await? {
            return Ok(false);
        }
        let now = shapes(&sides.source_client).await?;
        let changed = then.iter().find(|(oid, shape)| now.get(*oid) != Some(*shape));
        let Some((_, table)) = changed else { return Ok(true) };
        let name = quote::readable(&table.schema, &table.name);
        tracing::warn!("{name} was altered or emptied after the snapshot was taken; taking another one");
        Ok(false)
    }
}

/// What a table is like, as a session sees it.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    schema: String,
    name: String,
    /// Where its rows are.
    filenode: u32,
    /// What its columns are.
    columns: String,
}

/// What is said when tables change all the time.
pub fn endless() -> Error {
    Error::refused(
        "chosen tables are altered or emptied again and again while the copy begins; run again when that is over",
    )
}

/// Whether it is time to say so.
pub fn is_endless(tries: usize) -> bool {
    tries >= TRIES
}

/// The tables as this session sees them, by oid.
async fn shapes(client: &Client) -> Result<HashMap<u32, Shape>> {
    let sql = "SELECT c.oid, n.nspname::text, c.relname::text, c.relfilenode, \
               coalesce(pg_catalog.string_agg(pg_catalog.concat_ws(' ', a.attnum, a.atttypid, \
               a.atttypmod, a.attisdropped, pg_catalog.quote_ident(a.attname)), ',' ORDER BY a.attnum), '') \
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
               WHERE c.relkind IN ('r', 'p') GROUP BY c.oid, n.nspname";
    let shape = |row: &tokio_postgres::Row| {
        let shape = Shape { schema: row.get(1), name: row.get(2), filenode: row.get(3), columns: row.get(4) };
        (row.get(0), shape)
    };
    Ok(client.query(sql, &[]).await.map_err(client_error)?.iter().map(shape).collect())
}
