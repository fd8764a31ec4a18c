//! The queries behind [`super::Table`]. They follow
//! <https://www.postgresql.org/docs/current/catalogs.html> and run on 13 to 18 alike.

use std::collections::HashMap;
use std::future::Future;
use std::str::FromStr;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::{Column, KeyColumn, Table, UniqueIndex};
use crate::error::{Error, Result};
use crate::pg::{client_error, quote};

// The partitions by pg_inherits: pg_partition_tree would wait for the locks of our own writers.
const TABLE: &str = "
WITH RECURSIVE below(root, oid) AS (
  SELECT i.inhparent, i.inhrelid FROM pg_catalog.pg_inherits i
  UNION ALL
  SELECT b.root, i.inhrelid FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.oid)
SELECT c.oid, c.relkind = 'p' AS partitioned,
       EXISTS (SELECT FROM pg_catalog.pg_trigger g
               WHERE g.tgenabled IN ('A', 'R') AND NOT g.tgisinternal AND (g.tgrelid = c.oid OR g.tgrelid IN
                     (SELECT b.oid FROM below b WHERE b.root = c.oid))) AS firing_triggers,
       EXISTS (SELECT FROM pg_catalog.pg_rewrite r
               WHERE r.ev_class = c.oid AND r.ev_enabled IN ('A', 'R') AND r.ev_type <> '1') AS firing_rules,
       n.nspname::text, c.relname::text
FROM (VALUES {names}) AS wanted(schema, name)
JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.schema::name
JOIN pg_catalog.pg_class c ON c.relname = wanted.name::name AND c.relnamespace = n.oid
WHERE c.relkind IN ('r', 'p')";

const COLUMNS: &str = "
WITH RECURSIVE base(typid, oid) AS (
  SELECT t.oid, t.oid FROM pg_catalog.pg_type t
  UNION ALL
  SELECT b.typid, t.typbasetype FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid WHERE t.typtype = 'd')
SELECT a.attname::text, a.atttypid, tn.nspname::text, t.typname::text, a.atttypmod, bt.oid AS base_oid, bt.typarray,
       bt.typtype = 'e' AS is_enum, coalesce(NOT l.collisdeterministic, false) AS nondeterministic,
       a.attnotnull, a.attgenerated <> '' AS generated, a.attidentity = 'a' AS always_identity,
       a.attrelid
FROM pg_catalog.pg_attribute a
JOIN base b ON b.typid = a.atttypid
JOIN pg_catalog.pg_type bt ON bt.oid = b.oid AND bt.typtype <> 'd'
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
WHERE a.attrelid IN ({oids}) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum";

const INDEXES: &str = "
SELECT i.indexrelid, c.relname::text, i.indisprimary, i.indimmediate,
       i.indpred IS NOT NULL OR i.indexprs IS NOT NULL AS partial,
       coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false) AS nulls_not_distinct,
       a.attname::text, n.nspname::text, o.oprname::text, i.indrelid
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
CROSS JOIN LATERAL pg_catalog.generate_series(0, i.indnkeyatts - 1) AS k(at)
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.at]
JOIN pg_catalog.pg_opclass oc ON oc.oid = i.indclass[k.at]
JOIN pg_catalog.pg_amop m ON m.amopfamily = oc.opcfamily AND m.amoplefttype = oc.opcintype
     AND m.amoprighttype = oc.opcintype AND m.amopstrategy = 3
JOIN pg_catalog.pg_operator o ON o.oid = m.amopopr
JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
WHERE i.indrelid IN ({oids}) AND i.indisunique AND i.indisvalid AND i.indislive
ORDER BY i.indisprimary DESC, i.indexrelid, k.at";

/// Who can be asked about the catalog: a connection for questions, or a writer's own, which sees what its open
/// transaction has made.
pub trait Ask: Send {
    /// The rows of one SELECT in ASCII without parameters, as text.
    fn ask(&mut self, sql: &str) -> impl Future<Output = Result<Vec<Answer>>> + Send;
}

/// One row, as text.
pub type Answer = Vec<Option<String>>;

impl Ask for &Client {
    async fn ask(&mut self, sql: &str) -> Result<Vec<Answer>> {
        let messages = self.simple_query(sql).await.map_err(client_error)?;
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
            }
            _ => None,
        };
        Ok(messages.into_iter().filter_map(row).collect())
    }
}

impl<A: Ask> Ask for &mut A {
    async fn ask(&mut self, sql: &str) -> Result<Vec<Answer>> {
        (**self).ask(sql).await
    }
}

/// Reads the tables (ordinary or partitioned) of these names (schema and name) that there are, in any order.
pub async fn tables(mut asked: impl Ask, names: &[(String, String)]) -> Result<Vec<Table>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let name = |(schema, name): &(String, String)| {
        format!("({}, {})", quote::ascii_literal(schema), quote::ascii_literal(name))
    };
    let names: Vec<String> = names.iter().map(name).collect();
    let tables = asked.ask(&TABLE.replace("{names}", &names.join(", "))).await?;
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let oids = tables.iter().map(|row| text(row, 0)).collect::<Result<Vec<_>>>()?.join(", ");
    let columns = by_oid(asked.ask(&COLUMNS.replace("{oids}", &oids)).await?, 12)?;
    let indexes = by_oid(asked.ask(&INDEXES.replace("{oids}", &oids)).await?, 9)?;
    let of = |row: &Answer| {
        let oid = read(row, 0)?;
        self::row(row, (rows(&columns, oid), rows(&indexes, oid)))
    };
    tables.iter().map(of).collect()
}

fn rows(tables: &HashMap<u32, Vec<Answer>>, oid: u32) -> &[Answer] {
    tables.get(&oid).map(Vec::as_slice).unwrap_or_default()
}

/// The rows of each table, whose oid stands in column `at`.
fn by_oid(rows: Vec<Answer>, at: usize) -> Result<HashMap<u32, Vec<Answer>>> {
    let mut tables: HashMap<u32, Vec<Answer>> = HashMap::new();
    for row in rows {
        tables.entry(read(&row, at)?).or_default().push(row);
    }
    Ok(tables)
}

fn odd() -> Error {
    Error::protocol("the catalog gave an answer that makes no sense")
}

fn text(row: &Answer, at: usize) -> Result<String> {
    row.get(at).cloned().flatten().ok_or_else(odd)
}

fn read<T: FromStr>(row: &Answer, at: usize) -> Result<T> {
    text(row, at)?.parse().map_err(|_| odd())
}

fn truth(row: &Answer, at: usize) -> Result<bool> {
    Ok(text(row, at)? == "t")
}

fn row(row: &Answer, (columns, indexes): (&[Answer], &[Answer])) -> Result<Table> {
    Ok(Table {
        oid: read(row, 0)?,
        schema: text(row, 4)?,
        name: text(row, 5)?,
        partitioned: truth(row, 1)?,
        has_firing_triggers: truth(row, 2)?,
        has_firing_rules: truth(row, 3)?,
        columns: columns.iter().map(column).collect::<Result<_>>()?,
        unique_indexes: unique_indexes(indexes)?,
    })
}

fn column(row: &Answer) -> Result<Column> {
    Ok(Column {
        name: text(row, 0)?,
        type_oid: read(row, 1)?,
        type_schema: text(row, 2)?,
        type_name: text(row, 3)?,
        type_modifier: read(row, 4)?,
        base_type_oid: read(row, 5)?,
        base_array_oid: read(row, 6)?,
        is_enum: truth(row, 7)?,
        nondeterministic: truth(row, 8)?,
        not_null: truth(row, 9)?,
        generated: truth(row, 10)?,
        always_identity: truth(row, 11)?,
    })
}

/// One row per key column, in order; an expression has no column, and makes its index a partial one.
fn unique_indexes(rows: &[Answer]) -> Result<Vec<UniqueIndex>> {
    let mut indexes: Vec<(u32, UniqueIndex)> = Vec::new();
    for row in rows {
        let oid: u32 = read(row, 0)?;
        if indexes.last().is_none_or(|(last, _)| *last != oid) {
            indexes.push((oid, index(row)?));
        }
        if let (Some((_, index)), Some(name)) = (indexes.last_mut(), row.get(6).cloned().flatten()) {
            index.columns.push(KeyColumn { name, operator_schema: text(row, 7)?, operator: text(row, 8)? });
        }
    }
    Ok(indexes.into_iter().map(|(_, index)| index).collect())
}

fn index(row: &Answer) -> Result<UniqueIndex> {
    Ok(UniqueIndex {
        name: text(row, 1)?,
        immediate: truth(row, 3)?,
        partial: truth(row, 4)?,
        nulls_not_distinct: truth(row, 5)?,
        columns: Vec::new(),
    })
}
