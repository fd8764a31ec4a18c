//! The rows of a full copy: which tables are left, in which snapshot they are read, and what is done as each is finished.

use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_postgres::Client;

use super::definitions::{Definitions, Hanging};
use super::keeper::{Keeper, Locks};
use super::report::Report;
use crate::catalog::source::SourceTable;
use crate::config;
use crate::copy::{self, CopyTable, Ended, Gate, Outcome, Progress, Reading, Round, Terms};
use crate::error::{Error, Result};
use crate::pg::{Lsn, Raw, Session, client, client_error, quote};
use crate::run::Task;
use crate::run::sides::{Sides, application_name, writer_name};
use crate::schema::Copied;
use crate::select::Names;
use crate::state::parts::{self, Part};
use crate::state::tables::{self, Chosen, TableProgress, TableState};

/// The tables of a round of copying, and how they are read.
pub struct Rows<'a> {
    pub task: &'a Task,
    pub sides: &'a Sides,
    pub chosen: &'a [Chosen],
    /// The task makes the destination's tables.
    pub made: bool,
    pub progress: Arc<Progress>,
}

/// What is to be copied.
pub struct Work {
    pub tables: Vec<Arc<CopyTable>>,
    pub parts: Vec<Part>,
    /// Tables that cannot be copied, and why.
    pub problems: Vec<String>,
}

impl Rows<'_> {
    /// Finds the tables that are not copied yet and cuts them into parts. Those of which only some blocks are there begin
    /// anew: the snapshot that these were read in is gone.
    pub async fn plan(&self, asker: &Client, sources: Vec<SourceTable>, reading: &Reading) -> Result<Work> {
        let destination = &self.sides.destination_client;
        self.leave_gone(asker).await?;
        let mut names = Names::new(&self.task.config.map);
        names.keep(self.chosen.iter().map(|table| (table.source_oid, table.destination.clone())));
        let (tables, refused) = copy::targets(destination, &names, sources, |_| self.made).await?;
        let problems = self.refused(refused).await?;
        let terms = Terms { task: self.name(), reading, jobs: usize::from(self.task.config.copy.jobs.get()) };
        let mut parts = copy::plan(asker, destination, &tables, terms).await?;
        let broken = copy::broken(&parts, reading);
        if !broken.is_empty() {
            self.begin_anew(&tables, &broken, "the snapshot that its blocks were planned for is gone")
                .await?;
            parts = copy::plan(asker, destination, &tables, terms).await?;
        }
        let emptied = self.emptied(&tables, &parts).await?;
        if !emptied.is_empty() {
            self.begin_anew(
                &tables,
                &emptied,
                "it is unlogged, and the destination has emptied it after a crash",
            )
            .await?;
            parts = copy::plan(asker, destination, &tables, terms).await?;
        }
        self.say(&tables, &parts);
        Ok(Work { tables, parts, problems })
    }

    /// Takes tables out of the task that were dropped at the source.
    async fn leave_gone(&self, asker: &Client) -> Result<()> {
        let sql = "SELECT o FROM unnest($1::oid[]) AS o WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = o)";
        let oids: Vec<u32> = self.chosen.iter().map(|table| table.source_oid).collect();
        let gone = asker.query(sql, &[&oids]).await.map_err(client_error)?;
        let gone: Vec<u32> = gone.iter().map(|row| row.get(0)).collect();
        for table in self.chosen.iter().filter(|table| gone.contains(&table.source_oid)) {
            let name = quote::readable(&table.source.0, &table.source.1);
            tracing::warn!(
                "{name} is gone at the source, and is taken out of the task; what the destination has of it stays"
            );
        }
        tables::remove(&self.sides.destination_client, self.name(), &gone).await
    }

    /// Unlogged tables whose rows were there and are not any more.
    async fn emptied(&self, tables: &[Arc<CopyTable>], parts: &[Part]) -> Result<Vec<u32>> {
        let has_landed = |oid: u32| {
            let mut landed =
                parts.iter().filter(|part| part.source_oid == oid).filter_map(|part| part.landed.as_ref());
            landed.any(|landed| landed.rows > 0)
        };
        let mut emptied = Vec::new();
        for table in tables.iter().filter(|table| table.source.unlogged && has_landed(table.source.oid)) {
            let sql = format!("SELECT EXISTS (SELECT FROM {})", table.target.only());
            let row = self.sides.destination_client.query_one(&sql, &[]).await.map_err(client_error)?;
            if !row.get::<_, bool>(0) {
                emptied.push(table.source.oid);
            }
        }
        Ok(emptied)
    }

    /// Copies; `finished` is told of every table that is done.
    pub async fn run(
        &self,
        work: Work,
        reading: Reading,
        holder: Option<Raw>,
        gate: Arc<dyn Gate>,
        finished: mpsc::UnboundedSender<Ended>,
    ) -> Result<()> {
        let (name, encoding) = (application_name(self.task), &self.sides.source.encoding);
        let round = Round {
            source: self.task.source.clone(),
            source_session: Session::query(&name).set("client_encoding", encoding),
            destination: self.task.destination.clone(),
            destination_session: Session::writer(&writer_name(self.task), encoding)
                .set("synchronous_commit", "off"),
            task: self.name().to_owned(),
            jobs: usize::from(self.task.config.copy.jobs.get()),
            permits: self.sides.permits.clone(),
            reading,
            holder,
            existing: self.task.config.copy.existing,
            limiter: self.task.limit.clone(),
            gate,
            progress: self.progress.clone(),
        };
        copy::run(round, work.tables, work.parts, finished).await
    }

    /// Empties tables at the destination and forgets their parts, to copy them again; with them goes what else is in the same
    /// tables there.
    pub async fn begin_anew(&self, tables: &[Arc<CopyTable>], oids: &[u32], why: &str) -> Result<()> {
        let parts = parts::read(&self.sides.destination_client, self.name()).await?;
        let anew = copy::anew(tables, &parts, oids);
        for table in tables.iter().filter(|table| anew.oids.contains(&table.source.oid)) {
            let own = oids.contains(&table.source.oid);
            let why = if own { why } else { "its destination is that of such a table" };
            tracing::info!("{} is copied again from its beginning: {why}", table.source.readable());
        }
        let statements = anew.targets.iter().map(|target| copy::emptying(target, self.made)).collect();
        let session = Session::writer(&writer_name(self.task), &self.sides.source.encoding);
        let at = (&self.task.destination, session);
        copy::begin_anew(at, self.name(), copy::FIRST_WRITER, statements, &anew.oids).await
    }

    /// Says what is left, where something is done already.
    fn say(&self, tables: &[Arc<CopyTable>], parts: &[Part]) {
        let open: HashSet<u32> =
            parts.iter().filter(|part| part.landed.is_none()).map(|part| part.source_oid).collect();
        let begun = parts.iter().any(|part| part.landed.is_some());
        if !begun || open.is_empty() {
            return;
        }
        let done = tables.len() - open.len();
        tracing::info!("taking the copy up again: {done} tables are there and stay, {} are left", open.len());
        for table in tables.iter().filter(|table| open.contains(&table.source.oid)) {
            let all = parts.iter().filter(|part| part.source_oid == table.source.oid);
            let (there, all) =
                all.fold((0, 0), |(there, all), part| (there + u32::from(part.landed.is_some()), all + 1));
            tracing::info!("taking up {}: {there} of its {all} parts are there", table.source.readable());
        }
    }

    /// Tables without a place at the destination: with definitions = "none" they are none of the task's.
    async fn refused(&self, refused: Vec<(u32, Error)>) -> Result<Vec<String>> {
        let destination = &self.sides.destination_client;
        let oids: Vec<u32> = refused.iter().map(|(oid, _)| *oid).collect();
        match self.task.config.objects.definitions {
            config::Definitions::None => {
                refused.iter().for_each(|(_, error)| tracing::warn!("not copied: {error}"));
                tables::remove(destination, self.name(), &oids).await?;
                Ok(Vec::new())
            }
            config::Definitions::Create | config::Definitions::Use => {
                let failed = |(oid, error): &(u32, Error)| TableProgress {
                    source_oid: *oid,
                    state: TableState::Failed,
                    error: Some(error.to_string()),
                    ..TableProgress::default()
                };
                let failed: Vec<TableProgress> = refused.iter().map(failed).collect();
                tables::note(destination, self.name(), &failed).await?;
                Ok(refused.into_iter().map(|(_, error)| error.to_string()).collect())
            }
        }
    }

    /// Tables that have no rows of their own (partitioned ones), or none that are the user's.
    pub async fn note_rowless(&self, tables: &[Arc<CopyTable>]) -> Result<()> {
        let with_rows: HashSet<u32> = tables.iter().map(|table| table.source.oid).collect();
        let destination = &self.sides.destination_client;
        let mut open = tables::progress(destination, self.name()).await?;
        open.retain(|table| table.state == TableState::Pending && !with_rows.contains(&table.source_oid));
        open.iter_mut().for_each(|table| table.state = TableState::Copied);
        for table in tables.iter().filter(|table| table.source.unlogged) {
            let name = table.source.readable();
            tracing::warn!("{name} is unlogged: its rows are copied, later changes of it are not followed");
        }
        tables::note(destination, self.name(), &open).await
    }

    fn name(&self) -> &str {
        self.task.config.task.name.as_str()
    }
}

/// How a round ended.
#[derive(Default)]
pub struct Ending {
    /// Tables that could not be copied, and definitions that could not be made.
    pub problems: Vec<String>,
    /// Tables that were altered or emptied before they were read.
    pub changed: Vec<u32>,
    /// All rows are there.
    pub complete: bool,
}

/// Copies what is left in the keeper's snapshot, or each part in its own, and makes what hangs on each table as it is
/// finished; only keys if rows of other moments are there, or will be.
pub async fn copy(
    rows: &Rows<'_>,
    sources: Vec<SourceTable>,
    (keeper, locks): (Option<Keeper>, Option<Locks>),
    definitions: &Definitions,
    begun: Lsn,
) -> Result<Ending> {
    let reading = match &keeper {
        Some(keeper) => Reading::Shared { snapshot: keeper.name.clone(), lsn: keeper.lsn },
        None => Reading::Own,
    };
    let (session, locks) = locks.map(|locks| (locks.session, locks.asker)).unzip();
    let asker = match (&keeper, locks) {
        (Some(keeper), _) => keeper.asker(rows.task).await?,
        (None, Some(asker)) => asker,
        (None, None) => client(&rows.task.source, Session::query(&application_name(rows.task))).await?,
    };
    let work = rows.plan(&asker, sources, &reading).await?;
    let mut ending = Ending { problems: work.problems.clone(), ..Ending::default() };
    let tables = work.tables.clone();
    let hanging = match is_one_moment(&work.parts, keeper.as_ref(), begun) {
        true => Hanging::All,
        false => Hanging::Keys,
    };
    super::objects::copy(rows, &asker).await?;
    drop(asker);
    let (finished, ended) = mpsc::unbounded_channel();
    let (copied, waiting) = mpsc::unbounded_channel();
    let complete = work.problems.is_empty();
    let mut report = Report::new(rows.task, rows.chosen, false).await?;
    let holder = keeper.map(|keeper| keeper.session).or(session);
    let copying = rows.run(work, reading, holder, Arc::new(copy::NoGate), finished);
    let all = async {
        let telling = tell(ended, copied, complete);
        let telling = async { Ok(telling.await) };
        // An error of the copy does not wait for indexes.
        let ((), made, told) = tokio::try_join!(copying, definitions.hanging(hanging, waiting), telling)?;
        Ok::<_, Error>((made, told))
    };
    let progress = rows.progress.clone();
    let (made, told) = tokio::select! {
        broken = report.run(|| progress.report()) => return Err(broken),
        done = all => done?,
    };
    report.end(rows.progress.report()).await?;
    rows.note_rowless(&tables).await?;
    ending.problems.extend(told.failed);
    ending.complete = ending.problems.is_empty() && told.changed.is_empty();
    ending.problems.extend(made);
    if !told.changed.is_empty() {
        rows.begin_anew(&tables, &told.changed, "it was altered or emptied at the source").await?;
    }
    ending.changed = told.changed;
    Ok(ending)
}

/// Whether all parts are, or will be, read as the slot's beginning saw them.
fn is_one_moment(parts: &[Part], keeper: Option<&Keeper>, begun: Lsn) -> bool {
    let landed = parts.iter().filter_map(|part| part.landed.as_ref());
    let all_landed = parts.iter().all(|part| part.landed.is_some());
    landed.into_iter().all(|landed| landed.lsn <= begun)
        && (all_landed || keeper.is_some_and(|keeper| keeper.lsn <= begun))
}

#[derive(Default)]
struct Told {
    failed: Vec<String>,
    changed: Vec<u32>,
}

/// Passes on which tables are done; that all are, only if they are.
async fn tell(
    mut ended: mpsc::UnboundedReceiver<Ended>,
    copied: mpsc::UnboundedSender<Copied>,
    complete: bool,
) -> Told {
    let mut told = Told::default();
    while let Some(Ended { oid, outcome }) = ended.recv().await {
        match outcome {
            // Who builds indexes may have ended with an error of its own.
            Outcome::Copied => copied.send(Copied::Table(oid)).unwrap_or_default(),
            Outcome::Failed(error) => told.failed.push(error.to_string()),
            Outcome::Changed => told.changed.push(oid),
        }
    }
    if complete && told.failed.is_empty() && told.changed.is_empty() {
        copied.send(Copied::All).unwrap_or_default();
    }
    told
}
