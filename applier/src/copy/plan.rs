//! Big tables in parts, so that all workers are busy to the end: ranges of blocks where one snapshot is shared, ranges of a
//! key otherwise (a row that moves to another block between two snapshots would be missed or doubled). The plan is kept
//! in `walferry_state.parts` and read again after a crash.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio_postgres::Client;

use super::{CopyTable, Reading};
use crate::catalog::UniqueIndex;
use crate::error::{Error, Result};
use crate::pg::{client_error, major, quote};
use crate::state::parts::{self, Part, Unit};

/// A part is not smaller than this, in bytes at the source.
const SMALLEST: i64 = 32 << 20;
/// A table that is not larger stays whole, in bytes at the source.
const WHOLE: i64 = 2 * SMALLEST;
/// Whole tables may keep one worker longer than an even share by this factor.
const UNEVEN: f64 = 1.1;
/// A table has no more parts than this.
const MOST: i64 = 64;
/// So many blocks are sampled for the bounds of key ranges.
const SAMPLE: f64 = 600.0;
/// TID range scans came with this major; before, a range of blocks reads the whole table.
const TID_RANGES: u32 = 14;
/// So many tables are asked about in one statement.
const AT_ONCE: usize = 200;

/// Around a question about a table that another session of ours has locked.
const BEFORE_QUESTION: &str = "SAVEPOINT question; SET LOCAL lock_timeout = '500ms'";
const AFTER_QUESTION: &str = "ROLLBACK TO SAVEPOINT question; RELEASE SAVEPOINT question";

/// What the plan depends on besides the tables.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The task.
    pub task: &'a str,
    /// Which snapshots there are.
    pub reading: &'a Reading,
    /// How many workers there are.
    pub jobs: usize,
}

/// The parts of these tables, landed ones too: as planned before, or planned now and kept.
///
/// # Errors
/// As [`Class`](crate::error::Class) says.
pub async fn plan(
    source: &Client,
    destination: &Client,
    tables: &[Arc<CopyTable>],
    terms: Terms<'_>,
) -> Result<Vec<Part>> {
    refuse_standby(source).await?;
    let oids: HashSet<u32> = tables.iter().map(|table| table.source.oid).collect();
    let known = parts::read(destination, terms.task).await?;
    let mut parts: Vec<Part> = known.into_iter().filter(|part| oids.contains(&part.source_oid)).collect();
    let planned: HashSet<u32> = parts.iter().map(|part| part.source_oid).collect();
    let fresh: Vec<&Arc<CopyTable>> =
        tables.iter().filter(|table| !planned.contains(&table.source.oid)).collect();
    let cuts = Cuts::new(source, tables, terms).await?;
    let filled = filled(destination, &fresh).await?;
    let mut news = Vec::new();
    for table in fresh {
        news.extend(cuts.of(table, filled.contains(&table.target.oid)).await?);
    }
    parts::add(destination, terms.task, &news).await?;
    parts.extend(news);
    Ok(parts)
}

/// Refuses a source that is in recovery: its snapshots do not name the transactions that were in progress, so that nobody
/// could tell which changes of the stream a part has seen (rule 23).
///
/// # Errors
/// Refused; else as [`Class`](crate::error::Class) says.
pub async fn refuse_standby(source: &Client) -> Result<()> {
    let row = source.query_one("SELECT pg_catalog.pg_is_in_recovery()", &[]).await.map_err(client_error)?;
    if row.get(0) {
        return Err(Error::refused(
            "the source is a standby, and rows cannot be copied from one, because its snapshots do not say which \
             transactions they have seen; name the primary in [source] url",
        ));
    }
    Ok(())
}

/// The tables whose copy has to begin anew in this reading, because the snapshot that their blocks were planned for is gone:
/// with another one that is shared, those of which some blocks are at the destination; with snapshots of their own, all that
/// have any blocks left, between two of which a row could move. See [`begin_anew`](super::begin_anew).
pub fn broken(parts: &[Part], reading: &Reading) -> Vec<u32> {
    let of = |landed: bool| -> HashSet<u32> {
        let blocks = parts.iter().filter(|part| part.unit == Unit::Blocks && part.landed.is_some() == landed);
        blocks.map(|part| part.source_oid).collect()
    };
    let mut broken = of(false);
    match reading {
        Reading::Shared { .. } => {
            let there = of(true);
            broken.retain(|oid| there.contains(oid));
        }
        Reading::Own => {}
    }
    let mut oids: Vec<u32> = broken.into_iter().collect();
    oids.sort_unstable();
    oids
}

/// The destination tables that have rows.
async fn filled(client: &Client, tables: &[&Arc<CopyTable>]) -> Result<HashSet<u32>> {
    let mut filled = HashSet::new();
    for some in tables.chunks(AT_ONCE) {
        let look = |table: &&Arc<CopyTable>| {
            let target = &table.target;
            format!("SELECT {}::oid WHERE EXISTS (SELECT FROM {})", target.oid, target.only())
        };
        let sql = some.iter().map(look).collect::<Vec<_>>().join(" UNION ALL ");
        let rows = client.query(&sql, &[]).await.map_err(client_error)?;
        filled.extend(rows.iter().map(|row| row.get::<_, u32>(0)));
    }
    Ok(filled)
}

/// Cuts tables.
struct Cuts<'a> {
    source: &'a Client,
    reading: &'a Reading,
    tid_ranges: bool,
    /// The tables that are cut, by their oids.
    cut: HashSet<u32>,
    /// How many source tables go to a table of the destination, by its oid.
    sources: HashMap<u32, usize>,
}

impl<'a> Cuts<'a> {
    async fn new(source: &'a Client, tables: &[Arc<CopyTable>], terms: Terms<'a>) -> Result<Self> {
        let version = source.query_one("SHOW server_version", &[]).await.map_err(client_error)?;
        let tid_ranges = major(version.get(0)).is_some_and(|major| major >= TID_RANGES);
        let sizes: Vec<(u32, i64)> =
            tables.iter().map(|table| (table.source.oid, table.source.bytes)).collect();
        let cut = match terms.reading {
            Reading::Shared { .. } => unbalanced(sizes, terms.jobs),
            // No snapshot is to be held for long.
            Reading::Own => {
                sizes.into_iter().filter(|(_, bytes)| *bytes > WHOLE).map(|(oid, _)| oid).collect()
            }
        };
        Ok(Self { source, reading: terms.reading, tid_ranges, cut, sources: sources(tables) })
    }

    async fn of(&self, table: &CopyTable, filled: bool) -> Result<Vec<Part>> {
        if self.meets_rows(table, filled) {
            return Ok(vec![part(table, 0, Unit::Existing, (None, None))]);
        }
        let source = &table.source;
        let count = (source.bytes / SMALLEST).clamp(1, MOST);
        let may = self.cut.contains(&source.oid) && source.condition.is_none();
        match (self.reading, &source.range_column) {
            (Reading::Shared { .. }, _) if may && self.tid_ranges && source.heap => {
                let bounds = even(i64::from(source.blocks), count);
                Ok(ranges(table, &Unit::Blocks, &bounds))
            }
            (_, Some(column)) if may && keeps_apart(table, column) => {
                let bounds = self.quantiles(table, column, count).await?;
                Ok(ranges(table, &Unit::Key(column.clone()), &bounds))
            }
            (Reading::Shared { .. } | Reading::Own, _) => Ok(ranges(table, &Unit::Table, &[])),
        }
    }

    /// Rows are there already, or another source table brings some that may have the same keys. Leaves of one partitioned
    /// table have none in common.
    fn meets_rows(&self, table: &CopyTable, filled: bool) -> bool {
        let shared = self.sources.get(&table.target.oid).is_some_and(|sources| *sources > 1);
        filled || (shared && !table.target.unique_indexes.is_empty())
    }

    /// Values of the key with about as many rows between each two; none if the table is better left whole.
    async fn quantiles(&self, table: &CopyTable, column: &str, count: i64) -> Result<Vec<i64>> {
        let fractions: Vec<f64> = (1..count).map(|at| at as f64 / count as f64).collect();
        let percent = (SAMPLE / f64::from(table.source.blocks.max(1)) * 100.0).min(100.0);
        let column = quote::ascii_ident(column);
        let sql = format!(
            "SELECT pg_catalog.percentile_disc($1::float8[]) WITHIN GROUP (ORDER BY {column}::int8) \
             FROM ONLY {} TABLESAMPLE SYSTEM ({percent})",
            table.source.qualified()
        );
        self.around(BEFORE_QUESTION).await?;
        let row = self.source.query_one(&sql, &[&fractions]).await.map_err(client_error);
        if self.source.is_closed() {
            return row.map(|_| Vec::new());
        }
        self.around(AFTER_QUESTION).await?;
        match row {
            Ok(row) => {
                let mut bounds = row.get::<_, Option<Vec<i64>>>(0).unwrap_or_default();
                bounds.dedup();
                Ok(bounds)
            }
            Err(error) if leaves_whole(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// In the transaction of a shared snapshot, which has to go on.
    async fn around(&self, sql: &str) -> Result<()> {
        match self.reading {
            Reading::Shared { .. } => self.source.batch_execute(sql).await.map_err(client_error),
            Reading::Own => Ok(()),
        }
    }
}

/// Whether no key of the destination can be in two ranges of the column. A row that moves to another range between their
/// snapshots is read twice, and the stream removes the one; until then a key without the column would be there twice.
fn keeps_apart(table: &CopyTable, column: &str) -> bool {
    let holds = |index: &UniqueIndex| index.columns.iter().any(|key| key.name == column);
    table.target.unique_indexes.iter().all(holds)
}

/// Gone or forbidden: the worker says so, for this table alone. Locked: somebody waits behind our own lock, and would wait
/// for ever if we waited for them.
fn leaves_whole(error: &Error) -> bool {
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    let is_locked = error.sqlstate() == Some(LOCK_NOT_AVAILABLE);
    is_locked || (error.sqlstate().is_some() && !error.class().is_transient())
}

/// The tables to cut so that all workers have as much to do: as few as possible, the largest first, because whole tables
/// are cheaper (no query, and frozen rows).
fn unbalanced(mut sizes: Vec<(u32, i64)>, jobs: usize) -> HashSet<u32> {
    sizes.sort_by_key(|(oid, bytes)| (std::cmp::Reverse(*bytes), *oid));
    let share = sizes.iter().map(|(_, bytes)| bytes).sum::<i64>() as f64 / jobs.max(1) as f64;
    let is_even = |whole: &[(u32, i64)]| longest(whole, jobs) as f64 <= share * UNEVEN;
    let stays = |at: &usize| is_even(&sizes[*at..]) || sizes[*at].1 <= WHOLE;
    let cut = (0..sizes.len()).find(stays).unwrap_or(sizes.len());
    sizes[..cut].iter().map(|(oid, _)| *oid).collect()
}

/// What the busiest worker gets if each takes the next table once it is free.
fn longest(sizes: &[(u32, i64)], jobs: usize) -> i64 {
    let mut loads = vec![0; jobs.max(1)];
    for (_, bytes) in sizes {
        if let Some(least) = loads.iter_mut().min() {
            *least += bytes;
        }
    }
    loads.into_iter().max().unwrap_or_default()
}

/// Counts the sources of each destination table; the leaves of one root count once.
fn sources(tables: &[Arc<CopyTable>]) -> HashMap<u32, usize> {
    let mut roots: HashMap<u32, HashSet<u32>> = HashMap::new();
    for table in tables {
        let root = table.source.ancestors.last().map_or(table.source.oid, |(oid, ..)| *oid);
        roots.entry(table.target.oid).or_default().insert(root);
    }
    roots.into_iter().map(|(target, roots)| (target, roots.len())).collect()
}

fn part(table: &CopyTable, number: usize, unit: Unit, (lower, upper): (Option<i64>, Option<i64>)) -> Part {
    Part { source_oid: table.source.oid, part: number as i32, unit, lower, upper, landed: None }
}

/// The parts between the bounds, open at both ends; the whole table if there are none.
fn ranges(table: &CopyTable, unit: &Unit, bounds: &[i64]) -> Vec<Part> {
    if bounds.is_empty() {
        return vec![part(table, 0, Unit::Table, (None, None))];
    }
    let lower = std::iter::once(None).chain(bounds.iter().copied().map(Some));
    let upper = bounds.iter().copied().map(Some).chain(std::iter::once(None));
    lower.zip(upper).enumerate().map(|(at, range)| part(table, at, unit.clone(), range)).collect()
}

/// Bounds of `count` equal parts of `length`.
fn even(length: i64, count: i64) -> Vec<i64> {
    let mut bounds: Vec<i64> = (1..count).map(|at| length * at / count).filter(|bound| *bound > 0).collect();
    bounds.dedup();
    bounds
}

#[cfg(test)]
mod tests;
