//! Rows, from the source's tables into the destination's, by COPY. `format` says which columns and how, `plan` cuts big
//! tables into parts, a `worker` carries one part after the other from
//! its `reader` to its `writer`, where `existing` decides about rows that are there already. `rate` slows it down,
//! `progress` counts, `gate` tells a stream that runs meanwhile. `anew` begins tables again.
//! `sequences` and `large_objects` stand apart.

mod anew;
mod existing;
mod format;
mod gate;
pub mod large_objects;
mod plan;
mod progress;
mod rate;
mod reader;
pub mod sequences;
mod worker;
mod writer;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use tokio::sync::{Mutex as AsyncMutex, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_postgres::Client;

pub use anew::{anew, begin_anew, emptying};
pub use format::{Format, fit};
pub use gate::{Gate, NoGate};
pub use plan::{Terms, broken, plan, refuse_standby};
pub use progress::Progress;
pub use rate::{Limiter, Limits};

use crate::catalog::source::SourceTable;
use crate::catalog::{self, TableRef};
use crate::config::Existing;
use crate::error::{Error, Result};
use crate::pg::{Conninfo, Lsn, Raw, Session, quote};
use crate::select::Names;
use crate::state::parts::Part;
use reader::Source;
use worker::{Job, Queue, Shared, Worker};
use writer::Destination;

/// The copy's first number as a writer: 0 is that of the stream, 1 that of its large transactions.
pub const FIRST_WRITER: usize = 2;

/// Smaller tables are not frozen: a truncation makes its COMMIT wait for the disk, 2,000 of them took twice as long as all
/// the rows.
const WORTH_FREEZING: i64 = 4 << 20;

/// Which snapshots tables are read in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// All in one that was exported; its exporter keeps it until all workers have begun.
    Shared {
        /// The name that it was exported under.
        snapshot: String,
        /// Where the slot that exported it begins.
        lsn: Lsn,
    },
    /// Each part in one of its own, held as long as the part takes.
    Own,
}

/// A table of the source, and where its rows go.
#[derive(Debug, Clone, PartialEq)]
pub struct CopyTable {
    /// The table.
    pub source: SourceTable,
    /// Where its rows go: the table of that name, or the partitioned table above it.
    pub target: TableRef,
    /// How.
    pub format: Format,
    /// The task has made the target, for this table alone, and freezing its rows is worth a truncation: while it is
    /// empty it may be truncated and locked.
    pub fresh: bool,
}

impl CopyTable {
    /// The target's name as statements spell it.
    fn target_name(&self) -> String {
        quote::ascii_qualified(&self.target.schema, &self.target.name)
    }
}

/// Finds where the rows of each table go: to the table of its name, else to the nearest of its ancestors that the
/// destination has (rule 15). `made` says whether the task has made the destination's table for it. Tables that do not fit
/// are given with the reason.
///
/// # Errors
/// As [`Class`](crate::error::Class) says.
pub async fn targets(
    destination: &Client,
    names: &Names,
    sources: Vec<SourceTable>,
    made: impl Fn(u32) -> bool,
) -> Result<(Vec<Arc<CopyTable>>, Vec<(u32, Error)>)> {
    let wanted: HashSet<(String, String)> = sources.iter().flat_map(|source| places(names, source)).collect();
    let wanted: Vec<_> = wanted.into_iter().collect();
    let found = catalog::tables(destination, &wanted).await?.into_iter();
    let found: HashMap<(String, String), TableRef> =
        found.map(|table| ((table.schema.clone(), table.name.clone()), Arc::new(table))).collect();
    let (mut tables, mut refused) = (Vec::new(), Vec::new());
    for source in sources {
        let oid = source.oid;
        match pair(names, source, &found, &made) {
            Ok(table) => tables.push(Arc::new(table)),
            Err(error) => refused.push((oid, error)),
        }
    }
    Ok((tables, refused))
}

/// Where the rows may go, the best place first.
fn places(names: &Names, source: &SourceTable) -> Vec<(String, String)> {
    let own = std::iter::once((source.oid, &source.schema, &source.name));
    let above = source.ancestors.iter().map(|(oid, schema, name)| (*oid, schema, name));
    own.chain(above).map(|(oid, schema, name)| names.of(oid, schema, name)).collect()
}

fn pair(
    names: &Names,
    source: SourceTable,
    found: &HashMap<(String, String), TableRef>,
    made: &impl Fn(u32) -> bool,
) -> Result<CopyTable> {
    let places = places(names, &source);
    let Some(place) = places.iter().position(|name| found.contains_key(name)) else {
        return Err(missing(&source, &places));
    };
    let target = found[&places[place]].clone();
    let format = fit(&source, &target)?;
    let alone = place == 0 && !names.are_many(&places[0]) && !target.partitioned;
    let fresh = alone && source.bytes >= WORTH_FREEZING && made(source.oid);
    Ok(CopyTable { source, target, format, fresh })
}

fn missing(source: &SourceTable, places: &[(String, String)]) -> Error {
    let wanted = places.first().map(|(schema, name)| quote::readable(schema, name)).unwrap_or_default();
    Error::refused(format!(
        "the destination has no table {wanted} for the rows of {}; create it there, or leave the table out with \
         [objects] exclude",
        source.readable()
    ))
}

/// What a round of copying needs.
pub struct Round {
    /// Where the source is.
    pub source: Conninfo,
    /// A session that asks, in the source's server_encoding.
    pub source_session: Session,
    /// Where the destination is.
    pub destination: Conninfo,
    /// A writer's session, in the source's server_encoding.
    pub destination_session: Session,
    /// The task.
    pub task: String,
    /// How many workers there are.
    pub jobs: usize,
    /// One for each piece of work at a time, shared with those that build indexes.
    pub permits: Arc<Semaphore>,
    /// Which snapshots there are.
    pub reading: Reading,
    /// The session that has the locks of all tables (rule 24), and the snapshot if that is shared, in a transaction.
    pub holder: Option<Raw>,
    /// What happens to rows that are at the destination already.
    pub existing: Existing,
    /// The limit.
    pub limiter: Arc<Limiter>,
    /// The stream that runs meanwhile.
    pub gate: Arc<dyn Gate>,
    /// Where it is counted; tables and parts are added to it here.
    pub progress: Arc<Progress>,
}

/// The end of a table's copy.
#[derive(Debug)]
pub struct Ended {
    /// `pg_class.oid` at the source.
    pub oid: u32,
    /// How.
    pub outcome: Outcome,
}

/// How the copy of a table ended.
#[derive(Debug)]
pub enum Outcome {
    /// All its rows are there.
    Copied,
    /// It cannot be copied; the other tables go on.
    Failed(Error),
    /// It is not any more what was planned: rewritten, altered, renamed or dropped (rule 24).
    Changed,
}

/// Copies the parts that have not landed. Every table that ends is told to `ended`, those at once that had landed before.
///
/// # Errors
/// What ends the round, after which it can be repeated with the parts read again; never what is wrong with one table.
pub async fn run(
    round: Round,
    tables: Vec<Arc<CopyTable>>,
    parts: Vec<Part>,
    ended: mpsc::UnboundedSender<Ended>,
) -> Result<()> {
    round.progress.add(&tables, &parts);
    let jobs = round.jobs;
    let pending = pending(&tables, parts);
    let waiting: HashSet<u32> = pending.iter().map(|job| job.table.source.oid).collect();
    let count = jobs.min(pending.len());
    let shared = share(round, ended, Queue::new(pending.into_iter()));
    for table in tables.iter().filter(|table| !waiting.contains(&table.source.oid)) {
        shared.end(table.source.oid, Outcome::Copied);
    }
    let mut workers = JoinSet::new();
    for at in 0..count {
        workers.spawn(Worker::new(shared.clone(), FIRST_WRITER + at).run());
    }
    // The first error ends the others, too: they are dropped with the set, and their transactions with them.
    while let Some(worker) = workers.join_next().await {
        worker.map_err(|_| Error::protocol("a worker of the copy has crashed; this is a bug"))??;
    }
    Ok(())
}

fn share(round: Round, ended: mpsc::UnboundedSender<Ended>, queue: Queue) -> Arc<Shared> {
    Arc::new(Shared {
        source: Source {
            conninfo: round.source,
            session: round.source_session,
            reading: round.reading,
            holder: AsyncMutex::new(round.holder),
        },
        destination: Destination {
            conninfo: round.destination,
            session: round.destination_session,
            task: round.task,
            existing: round.existing,
        },
        permits: round.permits,
        limiter: round.limiter,
        gate: round.gate,
        progress: round.progress,
        ended,
        drained: watch::Sender::new(queue.is_empty()),
        queue: Mutex::new(queue),
    })
}

/// The parts to copy, those of the biggest tables first, so that their indexes can begin early and no big one is last.
fn pending(tables: &[Arc<CopyTable>], parts: Vec<Part>) -> Vec<Job> {
    let by_oid: HashMap<u32, &Arc<CopyTable>> =
        tables.iter().map(|table| (table.source.oid, table)).collect();
    let open = parts.into_iter().filter(|part| part.landed.is_none());
    let mut jobs: Vec<Job> =
        open.filter_map(|part| Some(Job { table: (*by_oid.get(&part.source_oid)?).clone(), part })).collect();
    jobs.sort_by_key(|job| (std::cmp::Reverse(job.table.source.bytes), job.part.source_oid, job.part.part));
    jobs
}

#[cfg(test)]
mod tests;
