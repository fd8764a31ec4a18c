//! What one attempt works with: a snapshot, what it sees of definitions and tables, and the locks that keep it so (rule 24).
//! pg_dump and the questions about tables come before the locks: behind them they would wait for whoever waits for us.

use std::collections::HashMap;
use tokio_postgres::Client;

use super::definitions::Definitions;
use super::keeper::{Keeper, Locks};
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
    /// With `snapshot = false`: the tables stay as the definitions have them.
    pub locks: Option<Locks>,
    /// What the snapshot saw in which the definitions were read.
    pub sees: String,
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
            return Self::locked(task, sides, None).await;
        }
        let keeper = Keeper::of_slot(task, sides, created).await?;
        let chosen = choose::select(task, &keeper.asker(task).await?).await?;
        Self::read(task, sides, keeper, chosen).await
    }

    /// A later one, with a snapshot of now if rows are to be copied.
    pub async fn again(task: &Task, sides: &Sides, rows: bool) -> Result<Self> {
        let chosen = tables::read(&sides.destination_client, task.config.task.name.as_str()).await?;
        if rows {
            visible::wait(&sides.source_client).await?;
        }
        if !rows {
            let keeper = Keeper::fresh(task, sides).await?;
            let mut round = Self::read(task, sides, keeper, chosen).await?;
            (round.keeper, round.locks) = (None, None);
            round.definitions.leave_present();
            return Ok(round);
        }
        if !task.config.copy.snapshot {
            let mut round = Self::locked(task, sides, Some(chosen)).await?;
            round.definitions.leave_present();
            return Ok(round);
        }
        for _ in 0..TRIES {
            let keeper = Keeper::fresh(task, sides).await?;
            let mut round = Self::read(task, sides, keeper, chosen.clone()).await?;
            round.definitions.leave_present();
            if round.settle(task, sides).await? {
                return Ok(round);
            }
        }
        Err(endless())
    }

    /// With definitions as `keeper` sees them, which is let go once they are made.
    pub async fn rest(task: &Task, sides: &Sides, keeper: Keeper) -> Result<Self> {
        let chosen = tables::read(&sides.destination_client, task.config.task.name.as_str()).await?;
        let mut round = Self::read(task, sides, keeper, chosen).await?;
        round.definitions.leave_present();
        Ok(round)
    }

    /// Without a snapshot to read in, but with locks: tables do not change between their definitions and their rows.
    async fn locked(task: &Task, sides: &Sides, known: Option<Vec<Chosen>>) -> Result<Self> {
        for _ in 0..TRIES {
            let keeper = Keeper::fresh(task, sides).await?;
            let asker = keeper.asker(task).await?;
            let chosen = match &known {
                Some(known) => known.clone(),
                None => choose::select(task, &asker).await?,
            };
            let mut then = shapes_of(&asker, &chosen).await?;
            let mut round = Self::read(task, sides, keeper, chosen).await?;
            let Some(locks) = Locks::take(task, sides, &names(&then)).await? else { continue };
            let mut now = shapes(&sides.source_client).await?;
            // Rows come later, so a table may have been emptied.
            then.values_mut().chain(now.values_mut()).for_each(|shape| shape.filenode = 0);
            if is_changed(&then, &now) {
                continue;
            }
            let oids: Vec<u32> = then.keys().copied().collect();
            round.sources = source::tables(&locks.asker, Some(&oids)).await?;
            (round.keeper, round.locks) = (None, Some(locks));
            return Ok(round);
        }
        Err(endless())
    }

    async fn read(task: &Task, sides: &Sides, keeper: Keeper, chosen: Vec<Chosen>) -> Result<Self> {
        let definitions = Definitions::read(task, sides, &keeper, &chosen).await?;
        let oids: Vec<u32> = chosen.iter().map(|table| table.source_oid).collect();
        let sources = source::tables(&keeper.asker(task).await?, Some(&oids)).await?;
        let sees = keeper.sees.clone();
        Ok(Self { keeper: Some(keeper), locks: None, sees, definitions, chosen, sources })
    }

    /// Locks the tables for as long as the snapshot is held. `false`: one of them was altered or emptied since the snapshot,
    /// so that what the snapshot sees of it is gone.
    pub async fn settle(&mut self, task: &Task, sides: &Sides) -> Result<bool> {
        let Some(keeper) = &mut self.keeper else { return Ok(true) };
        let then = shapes_of(&keeper.asker(task).await?, &self.chosen).await?;
        if !keeper.lock(&names(&then)).await? {
            return Ok(false);
        }
        Ok(!is_changed(&then, &shapes(&sides.source_client).await?))
    }
}

/// Whether a table is another one now; said then.
fn is_changed(then: &HashMap<u32, Shape>, now: &HashMap<u32, Shape>) -> bool {
    let changed = then.iter().find(|(oid, shape)| now.get(*oid) != Some(*shape));
    let Some((_, table)) = changed else { return false };
    let name = quote::readable(&table.schema, &table.name);
    tracing::warn!("{name} was altered or emptied after the snapshot was taken; taking another one");
    true
}

fn names(shapes: &HashMap<u32, Shape>) -> Vec<(String, String)> {
    let with_rows = shapes.values().filter(|shape| !shape.partitioned);
    with_rows.map(|shape| (shape.schema.clone(), shape.name.clone())).collect()
}

/// The chosen tables as this session sees them, by oid.
async fn shapes_of(client: &Client, chosen: &[Chosen]) -> Result<HashMap<u32, Shape>> {
    let mut shapes = shapes(client).await?;
    shapes.retain(|oid, _| chosen.iter().any(|table| table.source_oid == *oid));
    Ok(shapes)
}

/// What a table is like, as a session sees it.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    schema: String,
    name: String,
    /// It has no rows of its own: who alters it needs its partitions, too, and new ones may come.
    partitioned: bool,
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
               a.atttypmod, a.attisdropped, pg_catalog.quote_ident(a.attname)), ',' ORDER BY a.attnum), ''), c.relkind = 'p' \
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
               WHERE c.relkind IN ('r', 'p') GROUP BY c.oid, n.nspname";
    let shape = |row: &tokio_postgres::Row| {
        let shape = Shape {
            schema: row.get(1),
            name: row.get(2),
            partitioned: row.get(5),
            filenode: row.get(3),
            columns: row.get(4),
        };
        (row.get(0), shape)
    };
    Ok(client.query(sql, &[]).await.map_err(client_error)?.iter().map(shape).collect())
}
