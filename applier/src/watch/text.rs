//! What `walferry status` shows to people: the task in a few lines, and its tables while they are being copied.

use std::time::Instant;

use indicatif::{BinaryBytes, HumanCount};

use super::status::{Copied, Status};
use super::tally::{self, Pace, Tally, percent};
use crate::pg::Lsn;
use crate::state::tables::{TableProgress, TableState};

/// The table of tables has so many lines.
const MOST: usize = 30;

/// The status as lines. `pace` knows more than one look where the status is shown again and again.
pub fn text(status: &Status, pace: &Pace) -> String {
    let mut lines = vec![
        format!("task       {}", status.task),
        format!(
            "phase      {}{}",
            phase(status),
            if status.running { "" } else { " (no applier is connected)" }
        ),
    ];
    if status.is_copying() {
        lines.push(format!("copy       {}", Tally::of(&progress(status)).line(pace, Instant::now())));
    }
    lines.extend(positions(status));
    lines.push(format!("conflicts  {}", status.conflicts));
    lines.push(format!("ddl        {} statements applied", status.ddl_applied));
    lines.push(format!("tables     {}", status.tables.len()));
    lines.extend(status.blocked_by.iter().map(|who| format!("blocked by {who}")));
    lines.extend(status.error.iter().map(|error| format!("error      {error}")));
    let warned = status.tables.iter().filter_map(|table| Some((table, table.warning.as_ref()?)));
    lines.extend(warned.map(|(table, warning)| format!("warning    {}: {warning}", table.source)));
    if status.is_copying() || status.tables.iter().any(Copied::is_unfinished) {
        lines.extend(tables(&status.tables));
    }
    lines.join("\n")
}

fn phase(status: &Status) -> String {
    match &status.stage {
        Some(stage) if status.is_copying() => format!("{} ({stage})", status.phase),
        Some(_) | None => status.phase.clone(),
    }
}

fn positions(status: &Status) -> [String; 5] {
    let lsn = |lsn: Option<Lsn>| lsn.map_or("unknown".to_owned(), |lsn| lsn.to_string());
    let lag = match (status.lag_bytes, status.lag_seconds) {
        (Some(0), _) => "level".to_owned(),
        (Some(bytes), Some(seconds)) => format!("{bytes} bytes, {seconds:.1} s"),
        (Some(bytes), None) => format!("{bytes} bytes"),
        (None, _) => "unknown".to_owned(),
    };
    [
        format!("source     {}", lsn(status.source_lsn)),
        format!("received   {}", lsn(status.received_lsn)),
        format!("applied    {}", lsn(status.applied_lsn)),
        format!("lag        {lag}"),
        format!("applied    {} transactions, {} changes", status.transactions, status.changes),
    ]
}

fn progress(status: &Status) -> Vec<TableProgress> {
    status.tables.iter().map(|table| table.progress.clone()).collect()
}

/// Those at work and those that failed first, then the largest that wait, then the rest; not more than fit a screen.
fn tables(tables: &[Copied]) -> Vec<String> {
    let mut order: Vec<&Copied> = tables.iter().collect();
    order.sort_by_key(|table| {
        (rank(table.progress.state), std::cmp::Reverse(tally::bytes(&table.progress).1))
    });
    let width = order.iter().take(MOST).map(|table| table.source.chars().count()).max().unwrap_or(0).max(5);
    let mut lines = vec![String::new(), line(width, ["table", "state", "rows", "bytes", "of about", "%"])];
    lines.extend(order.iter().take(MOST).map(|table| row(width, table)));
    if order.len() > MOST {
        lines.push(format!("and {} more", order.len() - MOST));
    }
    lines
}

fn rank(state: TableState) -> u8 {
    match state {
        TableState::Failed => 0,
        TableState::Copying => 1,
        TableState::Pending => 2,
        TableState::Copied | TableState::Level => 3,
    }
}

fn row(width: usize, table: &Copied) -> String {
    let (rows, bytes) = (tally::rows(&table.progress), tally::bytes(&table.progress));
    let numbers = [
        HumanCount(rows.0).to_string(),
        BinaryBytes(bytes.0).to_string(),
        BinaryBytes(bytes.1).to_string(),
        percent(bytes).to_string(),
    ];
    let [rows, bytes, total, percent] = numbers.each_ref().map(String::as_str);
    let line = line(width, [&table.source, table.state, rows, bytes, total, percent]);
    match &table.error {
        Some(error) => format!("{line}\n  {error}"),
        None => line,
    }
}

fn line(width: usize, [name, state, rows, bytes, total, percent]: [&str; 6]) -> String {
    format!("{name:width$}  {state:<8} {rows:>15} {bytes:>11} {total:>11} {percent:>4}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, state: TableState, bytes: i64) -> Copied {
        let progress = TableProgress {
            state,
            rows: bytes / 100,
            bytes,
            bytes_total: Some(4 << 20),
            ..TableProgress::default()
        };
        Copied::new(format!("public.{name}"), format!("public.{name}"), progress, false)
    }

    #[test]
    fn what_is_at_work_stands_first() {
        let all = [
            table("done", TableState::Copied, 4 << 20),
            table("waits", TableState::Pending, 0),
            table("busy", TableState::Copying, 1 << 20),
        ];
        let lines = tables(&all);
        assert_eq!(lines[1], "table         state               rows       bytes    of about    %");
        assert_eq!(lines[2], "public.busy   copying           10,485    1.00 MiB    4.00 MiB   25");
        assert!(lines[3].starts_with("public.waits  pending"), "{}", lines[3]);
        assert!(lines[4].starts_with("public.done   copied "), "{}", lines[4]);
    }

    #[test]
    fn many_tables_are_cut_to_a_screen() {
        let all: Vec<Copied> = (0..2000).map(|i| table(&format!("t{i}"), TableState::Pending, 0)).collect();
        let lines = tables(&all);
        assert_eq!(lines.len(), MOST + 3);
        assert_eq!(lines.last().map(String::as_str), Some("and 1970 more"));
    }
}
