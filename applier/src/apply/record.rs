//! What is written down of a conflict: one row of `walferry_state.conflicts`, with the key and both rows as JSON. Values
//! of rows go there and nowhere else.

use walferry_wire::tuple::Cell;

use super::conflict::{Kind, Resolution};
use super::locate::{self, Found, Values};
use super::model::{CommitPoint, Row};
use super::statement::Statement;
use super::target::{Access, Target};
use crate::pg::ServerError;
use crate::state::conflicts::{RECORD, RECORD_PARAMETERS};

const TEXT_OID: u32 = 25;

/// A record that can be written now, or after the transaction was rolled back.
#[derive(Debug)]
pub struct Record {
    /// The INSERT.
    pub statement: Statement,
    /// Its parameters.
    pub values: Values,
}

/// Where in the parameters the destination's rows and the detail stand.
const ROWS: usize = 8;
const DETAIL: usize = 9;

impl Record {
    /// A record without rows.
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
            target.readable(),
            kind.to_string(),
            resolution.to_string(),
        ];
        let mut values: Values = texts.into_iter().map(|text| Some(text.into_bytes())).collect();
        values.resize(RECORD_PARAMETERS, None);
        let sql = RECORD.replace("{key}", "NULL").replace("{row}", "NULL");
        Self { statement: Statement { sql, types: vec![TEXT_OID; RECORD_PARAMETERS] }, values }
    }

    /// The same record with the key, the source's row and the destination's rows.
    pub fn with_rows(mut self, target: &Target, key: &Row, new: &Row, rivals: &[Found]) -> Self {
        let key = self.json(target, key, &identity(target));
        let known: Vec<usize> = (new.cells().enumerate())
            .filter(|(_, cell)| *cell != Cell::Unchanged)
            .map(|(at, _)| at)
            .collect();
        let row = self.json(target, new, &known);
        self.statement.sql = RECORD.replace("{key}", &key).replace("{row}", &row);
        if !rivals.is_empty() {
            let rows: Vec<&[u8]> = rivals.iter().map(|found| &found.row[..]).collect();
            self.values[ROWS] = Some([&b"["[..], &rows.join(&b","[..]), &b"]"[..]].concat());
        }
        self
    }

    /// The same record with what the server said.
    pub fn with_detail(mut self, error: Option<&ServerError>) -> Self {
        if let Some(error) = error {
            let detail = error.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
            self.values[DETAIL] = Some(format!("{} [{}]{detail}", error.message, error.code).into_bytes());
        }
        self
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
