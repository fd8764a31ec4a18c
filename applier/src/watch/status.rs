//! `walferry status` and `walferry conflicts`, for people and as JSON. They read the destination, and the source for what
//! only it knows; what cannot be known is null.

use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::time::Duration;
use tokio_postgres::Client;

use super::Output;
use super::report::source_lsn;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::pg::{Conninfo, Lsn, Session, client};
use crate::state::tables::Chosen;
use crate::state::tasks::Report;
use crate::state::{self, progress, tasks};

/// `conflicts` shows this many.
const NEWEST: i64 = 100;

/// What `walferry status --output json` prints.
#[derive(Debug, Serialize)]
struct Status {
    task: String,
    phase: String,
    #[serde(skip)]
    running: bool,
    error: Option<String>,
    source_lsn: Option<Lsn>,
    received_lsn: Option<Lsn>,
    applied_lsn: Option<Lsn>,
    lag_bytes: Option<u64>,
    lag_seconds: Option<f64>,
    conflicts: i64,
    ddl_applied: i64,
    blocked_by: Option<String>,
    transactions: i64,
    changes: i64,
    tables: Vec<Table>,
}

#[derive(Debug, Serialize)]
struct Table {
    source: String,
    destination: String,
    state: &'static str,
    rows: Option<u64>,
    rows_total: Option<u64>,
    bytes: Option<u64>,
    bytes_total: Option<u64>,
}

/// Prints how the task is; with `watch` again every second.
pub async fn status(config: &Config, output: Output, watch: bool) -> Result<()> {
    let name = config.session_name();
    let destination = client(&Conninfo::destination(&config.destination)?, Session::query(&name)).await?;
    let mut source: Option<Client> = None;
    loop {
        if source.as_ref().is_none_or(Client::is_closed) {
            source = client(&Conninfo::source(&config.source)?, Session::query(&name)).await.ok();
        }
        let status = read(config, &destination, source.as_ref()).await?;
        show(&status, output, watch)?;
        if !watch {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
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
    let conflicts = state::conflicts::count(destination, task).await?;
    let tables = state::tables::read(destination, task).await?;
    Ok(assemble(task, report, now, progress, conflicts, &tables))
}

fn created(task: &str) -> Status {
    assemble(task, Report { phase: "created".to_owned(), ..Report::default() }, None, None, 0, &[])
}

/// With a daemon at work its own positions count; they are newer than the journal's.
fn assemble(
    task: &str,
    report: Report,
    now: Option<Lsn>,
    progress: Option<Lsn>,
    conflicts: i64,
    tables: &[Chosen],
) -> Status {
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
        running,
        error: report.error,
        source_lsn: source,
        received_lsn: if running { report.received_lsn } else { applied },
        applied_lsn: applied,
        lag_bytes: if is_level { Some(0) } else { behind },
        lag_seconds: if behind == Some(0) { Some(0.0) } else { lag_seconds },
        conflicts,
        ddl_applied: 0,
        blocked_by: None,
        transactions: report.transactions,
        changes: report.changes,
        tables: tables.iter().map(|chosen| table(chosen, is_level)).collect(),
    }
}

fn table(chosen: &Chosen, is_level: bool) -> Table {
    let name = |(schema, name): &(String, String)| format!("{schema}.{name}");
    Table {
        source: name(&chosen.source),
        destination: name(&chosen.destination),
        state: if is_level { "level" } else { "copied" },
        rows: None,
        rows_total: None,
        bytes: None,
        bytes_total: None,
    }
}

fn show(status: &Status, output: Output, watch: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let live = watch && output == Output::Text && out.is_terminal();
    let text = match output {
        Output::Json => json(status)?,
        Output::Text => text(status),
    };
    let clear = if live { "\x1b[H\x1b[2J" } else { "" };
    print(writeln!(out, "{clear}{text}").and_then(|()| out.flush()))
}

fn text(status: &Status) -> String {
    let lsn = |lsn: Option<Lsn>| lsn.map_or("unknown".to_owned(), |lsn| lsn.to_string());
    let lag = match (status.lag_bytes, status.lag_seconds) {
        (Some(0), _) => "level".to_owned(),
        (Some(bytes), Some(seconds)) => format!("{bytes} bytes, {seconds:.1} s"),
        (Some(bytes), None) => format!("{bytes} bytes"),
        (None, _) => "unknown".to_owned(),
    };
    let mut lines = vec![
        format!("task       {}", status.task),
        format!(
            "phase      {}{}",
            status.phase,
            if status.running { "" } else { " (no applier is connected)" }
        ),
        format!("source     {}", lsn(status.source_lsn)),
        format!("received   {}", lsn(status.received_lsn)),
        format!("applied    {}", lsn(status.applied_lsn)),
        format!("lag        {lag}"),
        format!("applied    {} transactions, {} changes", status.transactions, status.changes),
        format!("conflicts  {}", status.conflicts),
        format!("tables     {}", status.tables.len()),
    ];
    lines.extend(status.error.iter().map(|error| format!("error      {error}")));
    lines.join("\n")
}

/// Prints what was recorded, newest first.
pub async fn conflicts(config: &Config, output: Output) -> Result<()> {
    let name = config.session_name();
    let destination = client(&Conninfo::destination(&config.destination)?, Session::query(&name)).await?;
    let recorded = if state::is_installed(&destination).await? {
        state::conflicts::newest(&destination, config.task.name.as_str(), NEWEST).await?
    } else {
        Vec::new()
    };
    let line = |one: &state::conflicts::Recorded| {
        let json =
            |value: &Option<serde_json::Value>| value.as_ref().map_or("-".to_owned(), ToString::to_string);
        format!(
            "{} {} at {}: {} on {}, {}\n  key         {}\n  source      {}\n  destination {}{}",
            one.id,
            one.recorded_at,
            one.lsn,
            one.kind,
            one.table,
            one.resolution,
            json(&one.key),
            json(&one.source_row),
            json(&one.destination_rows),
            one.detail.as_ref().map(|detail| format!("\n  detail      {detail}")).unwrap_or_default()
        )
    };
    let text = match output {
        Output::Json => json(&recorded)?,
        Output::Text if recorded.is_empty() => "no conflicts".to_owned(),
        Output::Text => recorded.iter().map(line).collect::<Vec<_>>().join("\n"),
    };
    print(writeln!(std::io::stdout(), "{text}"))
}

fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::protocol(format!("cannot be written as JSON: {error}")))
}

/// A reader that has gone away (`walferry status | head -1`) is no failure.
fn print(written: std::io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::usage(format!("standard output cannot be written: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
