//! Sequences: read at the source at the end of the copy (they are not transactional) and set at the destination.

use tokio_postgres::{Client, Row};

use crate::error::{Error, Result};
use crate::pg::{client_error, quote};

/// A sequence of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// `pg_class.oid`.
    pub oid: u32,
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// The table of the column that it belongs to (serial and identity columns).
    pub table_oid: Option<u32>,
    /// That column.
    pub column: Option<String>,
}

/// Where a sequence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Value {
    last_value: i64,
    is_called: bool,
}

/// So many sequences are read or set in one statement.
const AT_ONCE: usize = 200;

/// As for tables: none of the system's and ours, none of an extension unless it says that it holds the user's data.
const SEQUENCES: &str = "
SELECT c.oid, n.nspname::text, c.relname::text, o.refobjid, a.attname::text
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_depend o ON o.classid = 'pg_catalog.pg_class'::regclass AND o.objid = c.oid
     AND o.refclassid = 'pg_catalog.pg_class'::regclass AND o.refobjsubid > 0 AND o.deptype IN ('a', 'i')
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = o.refobjid AND a.attnum = o.refobjsubid
WHERE c.relkind = 'S' AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('walferry', 'walferry_state', 'information_schema') AND n.nspname !~ '^pg_'
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
      AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND c.oid <> ALL (coalesce(x.extconfig, '{}')))
ORDER BY 2, 3";

/// All sequences of the source's database.
///
/// # Errors
/// As [`Class`](crate::error::Class) says.
pub async fn list(source: &Client) -> Result<Vec<Sequence>> {
    let sequence = |row: &Row| Sequence {
        oid: row.get(0),
        schema: row.get(1),
        name: row.get(2),
        table_oid: row.get(3),
        column: row.get(4),
    };
    let rows = source.query(SEQUENCES, &[]).await.map_err(client_error)?;
    Ok(rows.iter().map(sequence).collect())
}

/// Sets these sequences at the destination to where the source's stand; `place` says what one is called there. Those that
/// cannot be read or set are given with the reason, and the others go on; so neither session may be in a transaction.
///
/// # Errors
/// When a connection is lost.
pub async fn copy(
    source: &Client,
    destination: &Client,
    sequences: &[Sequence],
    place: impl Fn(&Sequence) -> (String, String),
) -> Result<Vec<(Sequence, Error)>> {
    let mut failed = Vec::new();
    for group in sequences.chunks(AT_ONCE) {
        let group: Vec<&Sequence> = group.iter().collect();
        if attempt(source, destination, &group, &place).await?.is_none() {
            continue;
        }
        for one in group {
            if let Some(error) = attempt(source, destination, &[one], &place).await? {
                failed.push((one.clone(), error));
            }
        }
    }
    Ok(failed)
}

/// The error that one of the sequences met, if any; one that is about no sequence is the caller's.
async fn attempt(
    source: &Client,
    destination: &Client,
    sequences: &[&Sequence],
    place: &impl Fn(&Sequence) -> (String, String),
) -> Result<Option<Error>> {
    let names: Vec<_> = sequences.iter().map(|one| quote::ascii_qualified(&one.schema, &one.name)).collect();
    let done = async {
        let values = source.query(&read(&names), &[]).await.map_err(client_error)?;
        let values = values.iter().map(|row| Value { last_value: row.get(1), is_called: row.get(2) });
        let places: Vec<(String, String)> = sequences.iter().map(|one| place(one)).collect();
        destination.batch_execute(&set(places.iter().zip(values))).await.map_err(client_error)
    };
    match done.await {
        Ok(()) => Ok(None),
        Err(error) if error.sqlstate().is_some() && !error.class().is_transient() => Ok(Some(error)),
        Err(error) => Err(error),
    }
}

fn read(names: &[String]) -> String {
    let one = |(at, name): (usize, &String)| format!("SELECT {at}, last_value, is_called FROM {name}");
    let all: Vec<String> = names.iter().enumerate().map(one).collect();
    format!("{} ORDER BY 1", all.join(" UNION ALL "))
}

fn set<'a>(values: impl Iterator<Item = (&'a (String, String), Value)>) -> String {
    let one = |((schema, name), value): (&(String, String), Value)| {
        let name = quote::qualified(schema, name);
        format!(
            "SELECT pg_catalog.setval({}, {}, {})",
            quote::ascii_literal(&name),
            value.last_value,
            value.is_called
        )
    };
    values.map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements() {
        let names = ["\"a\".\"s\"".to_owned(), "\"a\".\"t\"".to_owned()];
        assert_eq!(
            read(&names),
            "SELECT 0, last_value, is_called FROM \"a\".\"s\" UNION ALL \
             SELECT 1, last_value, is_called FROM \"a\".\"t\" ORDER BY 1"
        );
        let place = ("A".to_owned(), "it's".to_owned());
        let value = Value { last_value: -7, is_called: false };
        assert_eq!(
            set([(&place, value)].into_iter()),
            "SELECT pg_catalog.setval('\"A\".\"it''s\"', -7, false)"
        );
    }
}
