//! What is written down of a conflict: one row of `walferry_state.conflicts`, with the key and both rows as JSON. Values
//! of rows go there and nowhere else.

use bytes::Bytes;
use walferry_wire::tuple::Cell;

use super::conflict::{Kind, Resolution};
use super::locate::{self, Values};
use super::model::{CommitPoint, Row};
use super::statement::{Statement, TEXT_OID};
use super::target::{Access, Target};
use crate::error::Error;
use crate::pg::{ServerError, quote, tellable};
use crate::state::conflicts::{RECORD, RECORD_PARAMETERS};

/// A record that can be written now, or after the transaction was rolled back.
#[derive(Debug)]
pub struct Record {
    /// The INSERT.
    pub statement: Statement,
    /// Its parameters.
    pub values: Values,
}

/// Where in the parameters the destination's rows stand.
const ROWS: usize = 7;

impl Record {
    /// A record without rows. Names are spelled in the statement, in ASCII: the session speaks the source's encoding.
    pub fn new(
        task: &str,
        point: &CommitPoint,
        change: i64,
        target: &Target,
        kind: Kind,
        resolution: Resolution,
    ) -> Self {
        let texts = [
            task.to_owned(),
            point.commit_lsn.to_string(),
            change.to_string(),
            point.xid.to_string(),
            point.commit_time.to_string(),
            kind.to_string(),
            resolution.to_string(),
        ];
        let mut values: Values = texts.into_iter().map(|text| Some(text.into_bytes())).collect();
        values.resize(RECORD_PARAMETERS, None);
        let sql = RECORD.replacen("{table}", &quote::ascii_literal(&target.readable()), 1);
        Self { statement: Statement { sql, types: vec![TEXT_OID; RECORD_PARAMETERS] }, values }
    }

    /// The same record with the key, the source's row and the destination's rows (as JSON).
    pub fn with_rows(mut self, target: &Target, key: &Row, new: &Row, rivals: &[Bytes]) -> Self {
        let key = self.json(target, key, &identity(target));
        let known: Vec<usize> = (new.cells().enumerate())
            .filter(|(_, cell)| *cell != Cell::Unchanged)
            .map(|(at, _)| at)
            .collect();
        let row = self.json(target, new, &known);
        self.fill("{key}", &key);
        self.fill("{row}", &row);
        if !rivals.is_empty() {
            let rows: Vec<&[u8]> = rivals.iter().map(|row| &row[..]).collect();
            self.values[ROWS] = Some([&b"["[..], &rows.join(&b","[..]), &b"]"[..]].concat());
        }
        self
    }

    /// The same record with what the server said, as far as it is ASCII.
    pub fn with_detail(mut self, error: Option<&ServerError>) -> Self {
        let said = error.map(|error| {
            let detail = error.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
            let said = format!("{} [{}]{detail}", error.message, error.code);
            quote::ascii_literal(&said.replace(|c: char| !c.is_ascii(), "?"))
        });
        self.fill("{detail}", said.as_deref().unwrap_or("NULL"));
        self
    }

    /// The last of a mark in the statement is ours: what stands before it may hold the same word as a name.
    fn fill(&mut self, mark: &str, text: &str) {
        if let Some(at) = self.statement.sql.rfind(mark) {
            self.statement.sql.replace_range(at..at + mark.len(), text);
        }
    }

    /// The parameters as a statement takes them.
    pub fn values(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.values.iter().map(Option::as_deref)
    }

    /// Adds the parameters of a JSON object of these cells; its expression.
    fn json(&mut self, target: &Target, row: &Row, columns: &[usize]) -> String {
        let (sql, types, values) = locate::json(target, row, columns, self.values.len());
        self.statement.types.extend(types);
        self.values.extend(values);
        sql
    }
}

/// The columns that identify a row of the target.
fn identity(target: &Target) -> Vec<usize> {
    match &target.access {
        Access::Key(parts) => parts.iter().map(|part| part.column).collect(),
        Access::Image(columns) => columns.clone(),
    }
}

/// What is said of a conflict that stops the task.
pub fn stopped(target: &Target, kind: Kind, point: &CommitPoint) -> Error {
    Error::rejected(format!(
        "conflict {kind} on the destination table {}; `walferry conflicts` shows the rows; change the destination's row, \
         or set [apply] conflict, or run `walferry skip {}`",
        target.readable(),
        point.commit_lsn
    ))
}

/// What is said of a row that the destination rejects. A server's message may quote a value (class 22, data exceptions), so only its code is told then.
pub fn rejected(target: &Target, error: &ServerError, point: &CommitPoint) -> Error {
    let said = tellable(&error.code, &error.message).unwrap_or("a row does not fit");
    Error::rejected(format!(
        "the destination table {} rejects a row: {said} (SQLSTATE {}); `walferry conflicts` shows it; change the \
         destination so that it fits, or run `walferry skip {}`",
        target.readable(),
        error.code,
        point.commit_lsn
    ))
    .with_sqlstate(&error.code)
}
