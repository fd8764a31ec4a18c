//! `walferry_state.parts`: the parts that tables are copied in. A part lands once: its row, with the snapshot that its rows
//! were read in, is written in the transaction that writes them, and only if it has not been written before (rules 2, 23).

use std::fmt;
use std::str::FromStr;
use tokio_postgres::types::PgLsn;
use tokio_postgres::{Client, Row};

use crate::error::{Error, Result};
use crate::pg::{Lsn, Snapshot, client_error, quote};

/// What the bounds of a part are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    /// Nothing: the part is the whole table.
    Table,
    /// Nothing: the part is the whole table, and rows that are at the destination already have to be looked at.
    Existing,
    /// Blocks of the table's file.
    Blocks,
    /// Values of this column.
    Key(String),
    /// Oids of large objects.
    LargeObjects,
}

const KEY: &str = "key ";

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unit::Table => f.write_str("table"),
            Unit::Existing => f.write_str("existing"),
            Unit::Blocks => f.write_str("blocks"),
            Unit::Key(column) => write!(f, "{KEY}{column}"),
            Unit::LargeObjects => f.write_str("large objects"),
        }
    }
}

impl FromStr for Unit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match (text, text.strip_prefix(KEY)) {
            (_, Some(column)) => Ok(Unit::Key(column.to_owned())),
            ("table", None) => Ok(Unit::Table),
            ("existing", None) => Ok(Unit::Existing),
            ("blocks", None) => Ok(Unit::Blocks),
            ("large objects", None) => Ok(Unit::LargeObjects),
            (other, None) => Err(Error::protocol(format!(
                "walferry_state.parts has the unit \"{other}\", which is not known here"
            ))),
        }
    }
}

/// A part of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `pg_class.oid` at the source.
    pub source_oid: u32,
    /// Counts the parts of a table from 0.
    pub part: i32,
    /// What the bounds are of.
    pub unit: Unit,
    /// The first that is inside; none is the beginning.
    pub lower: Option<i64>,
    /// The first that is not; none is the end.
    pub upper: Option<i64>,
    /// Set once the rows are there.
    pub landed: Option<Landed>,
}

/// What is known of a part whose rows are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    /// Decides which changes of the stream the part has seen (rule 23).
    pub snapshot: Snapshot,
    /// Before it, every change that the snapshot sees has been committed.
    pub lsn: Lsn,
    /// Rows read at the source.
    pub rows: i64,
    /// Bytes, as they travelled.
    pub bytes: i64,
    /// Rows that were not written, because the destination had them.
    pub kept: i64,
}

/// Notes a plan; parts that are known stay as they are.
pub async fn add(client: &Client, task: &str, parts: &[Part]) -> Result<()> {
    let sql = "INSERT INTO walferry_state.parts (task, source_oid, part, unit, lower, upper) \
               SELECT $1, * FROM unnest($2::oid[], $3::int[], $4::text[], $5::text[], $6::text[]) ON CONFLICT DO NOTHING";
    let oids: Vec<u32> = parts.iter().map(|part| part.source_oid).collect();
    let numbers: Vec<i32> = parts.iter().map(|part| part.part).collect();
    let texts = |of: fn(&Part) -> Option<String>| parts.iter().map(of).collect::<Vec<_>>();
    let units = texts(|part| Some(part.unit.to_string()));
    let lower = texts(|part| part.lower.map(|bound| bound.to_string()));
    let upper = texts(|part| part.upper.map(|bound| bound.to_string()));
    client.execute(sql, &[&task, &oids, &numbers, &units, &lower, &upper]).await.map_err(client_error)?;
    Ok(())
}

/// The parts of a task, in order.
pub async fn read(client: &Client, task: &str) -> Result<Vec<Part>> {
    let sql = "SELECT source_oid, part, unit, lower::int8, upper::int8, snapshot, lsn, coalesce(rows, 0), \
               coalesce(bytes, 0), coalesce(kept, 0) FROM walferry_state.parts WHERE task = $1 ORDER BY 1, 2";
    let rows = client.query(sql, &[&task]).await.map_err(client_error)?;
    rows.iter().map(part).collect()
}

/// The latest position at which a part's snapshot was taken.
pub async fn horizon(client: &Client, task: &str) -> Result<Option<Lsn>> {
    let sql = "SELECT max(lsn) FROM walferry_state.parts WHERE task = $1 AND unit <> $2";
    let unit = Unit::LargeObjects.to_string();
    let row = client.query_one(sql, &[&task, &unit]).await.map_err(client_error)?;
    Ok(row.get::<_, Option<PgLsn>>(0).map(|lsn| Lsn(lsn.into())))
}

fn part(row: &Row) -> Result<Part> {
    let snapshot: Option<&str> = row.get(5);
    let lsn: Option<PgLsn> = row.get(6);
    let landed = match (snapshot.map(str::parse), lsn) {
        (None, _) => None,
        (Some(Ok(snapshot)), Some(lsn)) => Some(Landed {
            snapshot,
            lsn: Lsn(lsn.into()),
            rows: row.get(7),
            bytes: row.get(8),
            kept: row.get(9),
        }),
        (Some(_), _) => return Err(Error::protocol("walferry_state.parts has a snapshot that is none")),
    };
    Ok(Part {
        source_oid: row.get(0),
        part: row.get(1),
        unit: row.get::<_, &str>(2).parse()?,
        lower: row.get(3),
        upper: row.get(4),
        landed,
    })
}

/// The statements that let tables be copied again from their beginning; for one message with those that empty them, so that
/// all of it happens or nothing. A task that is catching up goes back to its rows.
pub fn begin_anew(task: &str, oids: &[u32]) -> String {
    let task = quote::ascii_literal(task);
    let oids: Vec<String> = oids.iter().map(u32::to_string).collect();
    let which = format!("WHERE task = {task} AND source_oid IN ({})", oids.join(", "));
    format!(
        "DELETE FROM walferry_state.parts {which}; \
         UPDATE walferry_state.tables SET state = 'pending', rows = NULL, bytes = NULL, error = NULL {which}; \
         UPDATE walferry_state.tasks SET stage = 'rows' WHERE task = {task} AND stage = 'catching up'"
    )
}

/// The statement that lands a part, for the end of the transaction that wrote its rows. Fails inside the server if it has
/// landed before, or is not planned like this any more: whoever comes second writes nothing.
pub fn land(task: &str, part: &Part, landed: &Landed) -> String {
    let bound = |value: Option<i64>| value.map_or("IS NULL".to_owned(), |value| format!("= '{value}'"));
    format!(
        "WITH w AS (UPDATE walferry_state.parts SET snapshot = {}, lsn = {}, rows = {}, bytes = {}, kept = {} \
         WHERE task = {} AND source_oid = {} AND part = {} AND unit = {} AND lower {} AND upper {} \
         AND snapshot IS NULL RETURNING 1) \
         SELECT walferry_state.expect(count(*), 1) FROM w",
        quote::ascii_literal(&landed.snapshot.to_string()),
        quote::ascii_literal(&landed.lsn.to_string()),
        landed.rows,
        landed.bytes,
        landed.kept,
        quote::ascii_literal(task),
        part.source_oid,
        part.part,
        quote::ascii_literal(&part.unit.to_string()),
        bound(part.lower),
        bound(part.upper),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_as_they_are_written() {
        let column = Unit::Key("table".to_owned());
        for unit in [Unit::Table, Unit::Existing, Unit::Blocks, column, Unit::LargeObjects] {
            assert_eq!(unit.to_string().parse::<Unit>().unwrap(), unit);
        }
        assert!("tables".parse::<Unit>().is_err());
    }

    #[test]
    fn rule_2_a_part_lands_once() {
        let part =
            Part { source_oid: 7, part: 2, unit: Unit::Blocks, lower: None, upper: Some(9), landed: None };
        let snapshot = "10:12:11".parse().unwrap();
        let landed = Landed { snapshot, lsn: Lsn(16), rows: 3, bytes: 40, kept: 0 };
        assert_eq!(
            land("it's", &part, &landed),
            "WITH w AS (UPDATE walferry_state.parts SET snapshot = '10:12:11', lsn = '0/10', rows = 3, bytes = 40, \
             kept = 0 WHERE task = 'it''s' AND source_oid = 7 AND part = 2 AND unit = 'blocks' AND lower IS NULL \
             AND upper = '9' AND snapshot IS NULL RETURNING 1) \
             SELECT walferry_state.expect(count(*), 1) FROM w"
        );
    }
}
