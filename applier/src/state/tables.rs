//! `walferry_state.tables`: the tables that were chosen when the task was made, by oid, and where their rows go.

use tokio_postgres::Client;

use crate::error::{Error, Result};
use crate::pg::{client_error, quote};

/// A chosen table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// `pg_class.oid` at the source.
    pub source_oid: u32,
    /// Schema and name at the source when it was chosen.
    pub source: (String, String),
    /// Schema and name at the destination.
    pub destination: (String, String),
}

/// Notes the chosen tables, all in one state; those that are known stay as they are.
pub async fn add(client: &Client, task: &str, tables: &[Chosen], state: TableState) -> Result<()> {
    let sql = "INSERT INTO walferry_state.tables (task, source_oid, source_schema, source_name, \
               destination_schema, destination_name, state) SELECT $1, t.*, $7 FROM \
               unnest($2::oid[], $3::text[], $4::text[], $5::text[], $6::text[]) AS t \
               ON CONFLICT DO NOTHING";
    let column = |text: fn(&Chosen) -> &String| tables.iter().map(text).collect::<Vec<_>>();
    let oids: Vec<u32> = tables.iter().map(|table| table.source_oid).collect();
    let (schemas, names) = (column(|table| &table.source.0), column(|table| &table.source.1));
    let (to_schemas, to_names) = (column(|table| &table.destination.0), column(|table| &table.destination.1));
    client
        .execute(sql, &[&task, &oids, &schemas, &names, &to_schemas, &to_names, &state.as_str()])
        .await
        .map_err(client_error)?;
    Ok(())
}

/// Takes tables out of the task, and what is known of their copy.
pub async fn remove(client: &Client, task: &str, oids: &[u32]) -> Result<()> {
    for table in ["parts", "tables"] {
        let sql = format!("DELETE FROM walferry_state.{table} WHERE task = $1 AND source_oid = ANY ($2)");
        client.execute(&sql, &[&task, &oids]).await.map_err(client_error)?;
    }
    Ok(())
}

/// The chosen tables.
pub async fn read(client: &Client, task: &str) -> Result<Vec<Chosen>> {
    let sql = "SELECT source_oid, source_schema, source_name, destination_schema, destination_name \
               FROM walferry_state.tables WHERE task = $1 ORDER BY source_schema, source_name";
    let rows = client.query(sql, &[&task]).await.map_err(client_error)?;
    let chosen = |row: &tokio_postgres::Row| Chosen {
        source_oid: row.get(0),
        source: (row.get(1), row.get(2)),
        destination: (row.get(3), row.get(4)),
    };
    Ok(rows.iter().map(chosen).collect())
}

/// Notes what a table is called from now on, or a table that is new: task, oid, schema and name at the source, schema and
/// name at the destination, as text. Written in the transaction of the statement.
pub const CALL: &str = "INSERT INTO walferry_state.tables (task, source_oid, source_schema, source_name, \
    destination_schema, destination_name, state, judged) VALUES ($1, $2::text::oid, $3, $4, $5, $6, 'copied', false) \
    ON CONFLICT (task, source_oid) DO UPDATE SET source_schema = excluded.source_schema, \
    source_name = excluded.source_name, destination_schema = excluded.destination_schema, \
    destination_name = excluded.destination_name";

/// Forgets a table and what is known of its copy: task, oid, as text.
pub const FORGET: [&str; 2] = [
    "DELETE FROM walferry_state.parts WHERE task = $1 AND source_oid = $2::text::oid",
    "DELETE FROM walferry_state.tables WHERE task = $1 AND source_oid = $2::text::oid",
];

/// The question whether other tasks write to a table of the destination, too.
pub fn others(task: &str, schema: &str, name: &str) -> String {
    format!(
        "SELECT EXISTS (SELECT FROM walferry_state.tables WHERE task <> {} AND destination_schema = {} \
         AND destination_name = {})",
        quote::ascii_literal(task),
        quote::ascii_literal(schema),
        quote::ascii_literal(name)
    )
}

/// Tables that came by DDL and were not judged yet.
pub async fn not_judged(client: &Client, task: &str) -> Result<Vec<u32>> {
    let sql = "SELECT source_oid FROM walferry_state.tables WHERE task = $1 AND NOT judged";
    let rows = client.query(sql, &[&task]).await.map_err(client_error)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Writes what is to be known of tables, by oid at the source; all others have no warning.
pub async fn judge(client: &Client, task: &str, warnings: &[(u32, String)]) -> Result<()> {
    let sql = "UPDATE walferry_state.tables t SET warning = w.warning, judged = true \
               FROM walferry_state.tables o LEFT JOIN unnest($2::oid[], $3::text[]) AS w(oid, warning) \
               ON w.oid = o.source_oid WHERE t.task = $1 AND o.task = t.task AND o.source_oid = t.source_oid \
               AND (t.warning IS DISTINCT FROM w.warning OR NOT t.judged)";
    let (oids, texts): (Vec<u32>, Vec<&str>) =
        warnings.iter().map(|(oid, warning)| (*oid, warning.as_str())).unzip();
    client.execute(sql, &[&task, &oids, &texts]).await.map_err(client_error)?;
    Ok(())
}

/// How far the copy of a table's rows is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TableState {
    /// Its rows have not been begun.
    #[default]
    Pending,
    /// Its rows are on their way.
    Copying,
    /// All its rows are there; changes may be missing.
    Copied,
    /// It has all that its source had.
    Level,
    /// It could not be copied.
    Failed,
}

impl TableState {
    /// As `status` and `walferry_state.tables` spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            TableState::Pending => "pending",
            TableState::Copying => "copying",
            TableState::Copied => "copied",
            TableState::Level => "level",
            TableState::Failed => "failed",
        }
    }
}

impl std::str::FromStr for TableState {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::Pending, Self::Copying, Self::Copied, Self::Level, Self::Failed];
        let known = all.into_iter().find(|state| state.as_str() == text);
        known.ok_or_else(|| Error::protocol(format!("walferry_state.tables has the state \"{text}\"")))
    }
}

/// How far the copy of one table is, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableProgress {
    /// `pg_class.oid` at the source.
    pub source_oid: u32,
    /// Where it is.
    pub state: TableState,
    /// Rows written.
    pub rows: i64,
    /// About how many there are; exact once copied.
    pub rows_total: Option<i64>,
    /// Bytes written, as they travel.
    pub bytes: i64,
    /// About how many there are; exact once copied.
    pub bytes_total: Option<i64>,
    /// Rows of the destination that stayed as they were.
    pub kept: i64,
    /// Why it failed.
    pub error: Option<String>,
    /// What is to be known of it.
    pub warning: Option<String>,
}

/// Writes how far the copy is.
pub async fn note(client: &Client, task: &str, tables: &[TableProgress]) -> Result<()> {
    let sql = "UPDATE walferry_state.tables t SET state = p.state, rows = p.rows, rows_total = p.rows_total, \
               bytes = p.bytes, bytes_total = p.bytes_total, kept = p.kept, error = p.error \
               FROM unnest($2::oid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], \
               $8::bigint[], $9::text[]) AS p(oid, state, rows, rows_total, bytes, bytes_total, kept, error) \
               WHERE t.task = $1 AND t.source_oid = p.oid";
    let oids: Vec<u32> = tables.iter().map(|table| table.source_oid).collect();
    let states: Vec<&str> = tables.iter().map(|table| table.state.as_str()).collect();
    let numbers = |of: fn(&TableProgress) -> i64| tables.iter().map(of).collect::<Vec<_>>();
    let totals = |of: fn(&TableProgress) -> Option<i64>| tables.iter().map(of).collect::<Vec<_>>();
    let errors: Vec<Option<&str>> = tables.iter().map(|table| table.error.as_deref()).collect();
    client
        .execute(
            sql,
            &[
                &task,
                &oids,
                &states,
                &numbers(|table| table.rows),
                &totals(|table| table.rows_total),
                &numbers(|table| table.bytes),
                &totals(|table| table.bytes_total),
                &numbers(|table| table.kept),
                &errors,
            ],
        )
        .await
        .map_err(client_error)?;
    Ok(())
}

/// How far the copy of each table is.
pub async fn progress(client: &Client, task: &str) -> Result<Vec<TableProgress>> {
    let sql = "SELECT source_oid, state, coalesce(rows, 0), rows_total, coalesce(bytes, 0), bytes_total, \
               coalesce(kept, 0), error, warning FROM walferry_state.tables WHERE task = $1 \
               ORDER BY source_schema, source_name";
    let rows = client.query(sql, &[&task]).await.map_err(client_error)?;
    let one = |row: &tokio_postgres::Row| {
        Ok(TableProgress {
            source_oid: row.get(0),
            state: row.get::<_, &str>(1).parse()?,
            rows: row.get(2),
            rows_total: row.get(3),
            bytes: row.get(4),
            bytes_total: row.get(5),
            kept: row.get(6),
            error: row.get(7),
            warning: row.get(8),
        })
    };
    rows.iter().map(one).collect()
}
