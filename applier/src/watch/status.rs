//! `walferry status`, for people and as JSON. It reads the destination, and the source for what only it knows; what cannot
//! be known is null.

use serde::Serialize;
use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

use super::output::{Output, json, print};
use super::report::source_lsn;
use super::tally::{self, Pace};
use super::text::text;
use crate::config::Config;
use crate::error::Result;
use crate::pg::{Conninfo, Lsn, Session, client};
use crate::state::tables::{self, Chosen, TableProgress, TableState};
use crate::state::tasks::{Report, Stage};
use crate::state::{self, progress, tasks};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// What `walferry status --output json` prints.
#[derive(Debug, Serialize)]
pub struct Status {
    pub task: String,
    pub phase: String,
    /// How far within the phase a full copy is.
    pub stage: Option<String>,
    #[serde(skip)]
    pub running: bool,
    pub error: Option<String>,
    pub source_lsn: Option<Lsn>,
    pub received_lsn: Option<Lsn>,
    pub applied_lsn: Option<Lsn>,
    pub lag_bytes: Option<u64>,
    pub lag_seconds: Option<f64>,
    pub conflicts: i64,
    pub ddl_applied: i64,
    pub blocked_by: Option<String>,
    pub transactions: i64,
    pub changes: i64,
    pub tables: Vec<Copied>,
}

impl Status {
    /// Rows or definitions are still being copied.
    pub fn is_copying(&self) -> bool {
        let done = [Stage::Following.as_str(), Stage::Finished.as_str()];
        self.stage.as_deref().is_some_and(|stage| !done.contains(&stage))
    }
}

/// A table of `status`.
#[derive(Debug, Serialize)]
pub struct Copied {
    pub source: String,
    pub destination: String,
    pub state: &'static str,
    pub rows: Option<u64>,
    pub rows_total: Option<u64>,
    pub bytes: Option<u64>,
    pub bytes_total: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// What is to be known of it.
    pub warning: Option<String>,
    #[serde(skip)]
    pub progress: TableProgress,
}

impl Copied {
    /// Its rows are not all there.
    pub fn is_unfinished(&self) -> bool {
        !matches!(self.progress.state, TableState::Copied | TableState::Level)
    }

    /// A table as the state has it; of a task that is level, what is copied is level.
    pub fn new(source: String, destination: String, progress: TableProgress, is_level: bool) -> Self {
        let state =
            if is_level && progress.state == TableState::Copied { TableState::Level } else { progress.state };
        let number = |number: i64| u64::try_from(number).ok();
        // A table that was there before the task has never been counted.
        let seen = progress.rows_total.is_some() || progress.rows > 0 || progress.state != TableState::Copied;
        Self {
            source,
            destination,
            state: state.as_str(),
            rows: number(progress.rows).filter(|_| seen),
            rows_total: progress.rows_total.and_then(number),
            bytes: number(progress.bytes).filter(|_| seen),
            bytes_total: progress.bytes_total.and_then(number),
            error: progress.error.clone(),
            warning: progress.warning.clone(),
            progress,
        }
    }
}

/// Prints how the task is; with `watch` again every second.
pub async fn status(config: &Config, output: Output, watch: bool) -> Result<()> {
    let name = config.session_name();
    let destination = client(&Conninfo::destination(&config.destination)?, Session::query(&name)).await?;
    let mut source: Option<Client> = None;
    let mut pace = Pace::default();
    loop {
        if source.as_ref().is_none_or(Client::is_closed) {
            source = client(&Conninfo::source(&config.source)?, Session::query(&name)).await.ok();
        }
        let status = read(config, &destination, source.as_ref()).await?;
        let bytes = status.tables.iter().map(|table| tally::bytes(&table.progress).0).sum();
        pace.sample(Instant::now(), bytes);
        // People want to know how fast it goes: one look does not tell.
        let looks_again =
            output == Output::Text && status.is_copying() && pace.rate(Instant::now()).is_none();
        if watch || !looks_again {
            show(&status, output, watch, &pace)?;
        }
        if !watch && !looks_again {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn read(config: &Config, destination: &Client, source: Option<&Client>) -> Result<Status> {
    let task = config.task.name.as_str();
    let known = state::is_installed(destination).await?;
    let report = if known { tasks::read(destination, task).await? } else { None };
    let Some(report) = report else { return Ok(created(task)) };
    let now = match source {
        Some(source) => source_lsn(source).await.ok(),
        None => None,
    };
    let progress = progress::read(destination, task).await?;
    let mut status = assemble(task, report, now, progress);
    if status.stage.as_deref() != Some(Stage::Following.as_str()) {
        // Rows are missing, or nothing is followed any more: no number says how far behind the tables are.
        (status.lag_bytes, status.lag_seconds) = (None, None);
    }
    status.conflicts = state::conflicts::count(destination, task).await?;
    status.ddl_applied = state::ddl::applied(destination, task).await?;
    let is_level = status.lag_bytes == Some(0);
    let progress = tables::progress(destination, task).await?;
    let progress = progress.into_iter().map(|table| (table.source_oid, table)).collect();
    status.tables = copied(&tables::read(destination, task).await?, progress, is_level);
    Ok(status)
}

fn created(task: &str) -> Status {
    assemble(task, Report { phase: "created".to_owned(), ..Report::default() }, None, None)
}

/// With a daemon at work its own positions count; they are newer than the journal's.
fn assemble(task: &str, report: Report, now: Option<Lsn>, progress: Option<Lsn>) -> Status {
    let running = report.running;
    let applied = if running { report.applied_lsn.max(progress) } else { progress };
    // The answer of just now, though what was applied since may be newer still.
    let source = now
        .or(if running { report.source_lsn } else { None })
        .map(|source| source.max(applied.unwrap_or(Lsn::ZERO)));
    let lag_seconds = if running { report.lag_seconds } else { None };
    let behind = source.zip(applied).map(|(source, applied)| source.0.saturating_sub(applied.0));
    let is_level = lag_seconds == Some(0.0) || behind == Some(0);
    Status {
        task: task.to_owned(),
        phase: report.phase,
        stage: Some(report.stage).filter(|stage| !stage.is_empty()),
        running,
        error: report.error,
        source_lsn: source,
        received_lsn: if running { report.received_lsn } else { applied },
        applied_lsn: applied,
        lag_bytes: if is_level { Some(0) } else { behind },
        lag_seconds: if behind == Some(0) { Some(0.0) } else { lag_seconds },
        conflicts: 0,
        ddl_applied: 0,
        blocked_by: report.blocked_by,
        transactions: report.transactions,
        changes: report.changes,
        tables: Vec::new(),
    }
}

fn copied(chosen: &[Chosen], mut progress: HashMap<u32, TableProgress>, is_level: bool) -> Vec<Copied> {
    let name = |(schema, name): &(String, String)| format!("{schema}.{name}");
    let table = |chosen: &Chosen| {
        let progress = progress.remove(&chosen.source_oid).unwrap_or_default();
        Copied::new(name(&chosen.source), name(&chosen.destination), progress, is_level)
    };
    chosen.iter().map(table).collect()
}

fn show(status: &Status, output: Output, watch: bool, pace: &Pace) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let live = watch && output == Output::Text && out.is_terminal();
    let text = match output {
        Output::Json => json(status)?,
        Output::Text => text(status, pace),
    };
    let clear = if live { "\x1b[H\x1b[2J" } else { "" };
    print(writeln!(out, "{clear}{text}").and_then(|()| out.flush()))
}
