//! The queries behind [`super::Table`]. They follow
//! <https://www.postgresql.org/docs/current/catalogs.html> and run on 13 to 18 alike.

use std::collections::HashMap;
use tokio_postgres::{Client, Row};

use super::{Column, KeyColumn, Table, UniqueIndex};
use crate::error::Result;
use crate::pg::client_error as server_error;

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
FROM unnest($1::text[], $2::text[]) AS wanted(schema, name)
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
WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped
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
WHERE i.indrelid = ANY ($1) AND i.indisunique AND i.indisvalid AND i.indislive
ORDER BY i.indisprimary DESC, i.indexrelid, k.at";

/// Reads a table, or `None` if there is no table (ordinary or partitioned) of this name.
pub async fn table(client: &Client, schema: &str, name: &str) -> Result<Option<Table>> {
    Ok(tables(client, &[(schema.to_owned(), name.to_owned())]).await?.pop())
}

/// Reads the tables of these names (schema and name) that there are, in any order.
pub async fn tables(client: &Client, names: &[(String, String)]) -> Result<Vec<Table>> {
    let (schemas, names): (Vec<&str>, Vec<&str>) =
        names.iter().map(|(schema, name)| (schema.as_str(), name.as_str())).unzip();
    let tables = client.query(TABLE, &[&schemas, &names]).await.map_err(server_error)?;
    let oids: Vec<u32> = tables.iter().map(|row| row.get(0)).collect();
    let columns = by_oid(client.query(COLUMNS, &[&oids]).await.map_err(server_error)?, 12);
    let indexes = by_oid(client.query(INDEXES, &[&oids]).await.map_err(server_error)?, 9);
    let of = |row: &Row| (rows(&columns, row.get(0)), rows(&indexes, row.get(0)));
    Ok(tables.iter().map(|row| self::row(row, of(row))).collect())
}

fn rows(tables: &HashMap<u32, Vec<Row>>, oid: u32) -> &[Row] {
    tables.get(&oid).map(Vec::as_slice).unwrap_or_default()
}

/// The rows of each table, whose oid stands in column `at`.
fn by_oid(rows: Vec<Row>, at: usize) -> HashMap<u32, Vec<Row>> {
    let mut tables: HashMap<u32, Vec<Row>> = HashMap::new();
    for row in rows {
        tables.entry(row.get(at)).or_default().push(row);
    }
    tables
}

fn row(row: &Row, (columns, indexes): (&[Row], &[Row])) -> Table {
    Table {
        oid: row.get(0),
        schema: row.get(4),
        name: row.get(5),
        partitioned: row.get(1),
        has_firing_triggers: row.get(2),
        has_firing_rules: row.get(3),
        columns: columns.iter().map(column).collect(),
        unique_indexes: unique_indexes(indexes),
    }
}

fn column(row: &Row) -> Column {
    Column {
        name: row.get(0),
        type_oid: row.get(1),
        type_schema: row.get(2),
        type_name: row.get(3),
        type_modifier: row.get(4),
        base_type_oid: row.get(5),
        base_array_oid: row.get(6),
        is_enum: row.get(7),
        nondeterministic: row.get(8),
        not_null: row.get(9),
        generated: row.get(10),
        always_identity: row.get(11),
    }
}

/// One row per key column, in order; an expression has no column, and makes its index a partial one.
fn unique_indexes(rows: &[Row]) -> Vec<UniqueIndex> {
    let mut indexes: Vec<(u32, UniqueIndex)> = Vec::new();
    for row in rows {
        let oid: u32 = row.get(0);
        if indexes.last().is_none_or(|(last, _)| *last != oid) {
            indexes.push((oid, index(row)));
        }
        let column: Option<String> = row.get(6);
        if let (Some((_, index)), Some(name)) = (indexes.last_mut(), column) {
            index.columns.push(KeyColumn { name, operator_schema: row.get(7), operator: row.get(8) });
        }
    }
    indexes.into_iter().map(|(_, index)| index).collect()
}

fn index(row: &Row) -> UniqueIndex {
    UniqueIndex {
        name: row.get(1),
        immediate: row.get(3),
        partial: row.get(4),
        nulls_not_distinct: row.get(5),
        columns: Vec::new(),
    }
}
