//! The source's tables as the copy of their rows needs them: which have rows of their own, which columns are sent, how
//! they can be read in parts, and what tells that one was rewritten after a snapshot (rule 24).

use tokio_postgres::{Client, Row};

use crate::error::Result;
use crate::pg::client_error;
use crate::pg::quote;

/// A table that has rows of its own: an ordinary one or a leaf partition, of the user or (some rows) of an extension.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceTable {
    /// `pg_class.oid`.
    pub oid: u32,
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// Its rows are not in the stream.
    pub unlogged: bool,
    /// It is stored as a heap, so blocks can be read by range.
    pub heap: bool,
    /// Size of its main fork in blocks of `block_size`.
    pub blocks: u32,
    /// Size in bytes, TOAST included.
    pub bytes: i64,
    /// About how many rows it has; `None` if it was never analysed.
    pub rows: Option<i64>,
    /// The columns that are sent: neither dropped nor generated.
    pub columns: Vec<SourceColumn>,
    /// Generated columns, which are not sent.
    pub generated: Vec<String>,
    /// Columns of the replica identity (the primary key by default); none for FULL and NOTHING.
    pub identity: Vec<String>,
    /// An int2, int4 or int8 that leads the index of the replica identity (with FULL, the primary key): rows can be read by its
    /// ranges, and every change of the stream says which range it is for.
    pub range_column: Option<String>,
    /// The tables that it is a partition of, nearest first: oid, schema, name.
    pub ancestors: Vec<(u32, String, String)>,
    /// What tells that it is another table now.
    pub fingerprint: Fingerprint,
    /// The rows of an extension's table that belong to the user: a WHERE clause.
    pub condition: Option<String>,
}

/// A column that is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// Name.
    pub name: String,
    /// The type.
    pub type_oid: u32,
    /// Schema of the type.
    pub type_schema: String,
    /// Name of the type.
    pub type_name: String,
    /// `pg_attribute.atttypmod`.
    pub type_modifier: i32,
    /// The type beneath all domains.
    pub base_type_oid: u32,
    /// The base type is an enum.
    pub is_enum: bool,
    /// The type beneath the elements if the base type is an array, or 0.
    pub element_oid: u32,
}

/// Two reads of a table with equal fingerprints have seen the same columns and the same file (rule 24).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// As [`fingerprint`] gave it.
    pub fn new(text: String) -> Self {
        Self(text)
    }
}

impl SourceTable {
    /// The name for people.
    pub fn readable(&self) -> String {
        quote::readable(&self.schema, &self.name)
    }

    /// The name as statements spell it.
    pub fn qualified(&self) -> String {
        quote::ascii_qualified(&self.schema, &self.name)
    }
}

/// The expression of a fingerprint, over a row `c` of `pg_class`. The snapshot of the transaction decides, but for
/// `pg_relation_filenode`, which tells the file as it is now: a transaction that sees the one and gets the other reads a
/// table that was rewritten behind its back.
pub fn fingerprint(c: &str) -> String {
    format!(
        "pg_catalog.concat_ws(' ', {c}.relfilenode, pg_catalog.pg_relation_filenode({c}.oid), \
         (SELECT pg_catalog.md5(pg_catalog.string_agg(pg_catalog.concat_ws(' ', a.attnum, a.attname, a.atttypid, \
          a.atttypmod, a.attisdropped, a.attgenerated), ',' ORDER BY a.attnum)) \
          FROM pg_catalog.pg_attribute a WHERE a.attrelid = {c}.oid AND a.attnum > 0))"
    )
}

/// All but our own schemas and the system's. Members of an extension only as far as it says that they hold the user's rows.
const TABLES: &str = "
SELECT c.oid, n.nspname::text, c.relname::text, c.relpersistence = 'u', coalesce(am.amname = 'heap', false),
       b.blocks, coalesce(pg_catalog.pg_table_size(c.oid), 0),
       CASE WHEN c.reltuples >= 0 AND c.relpages > 0 THEN (c.reltuples / c.relpages * b.blocks)::int8 END,
       e.condition, {fingerprint}
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
-- Sizes are of now: a table that the snapshot sees may be gone.
CROSS JOIN LATERAL (SELECT coalesce(pg_catalog.pg_relation_size(c.oid), 0)
                           / pg_catalog.current_setting('block_size')::int8 AS blocks) b
LEFT JOIN LATERAL (
  SELECT true AS member, (SELECT x.extcondition[s.at] FROM pg_catalog.generate_subscripts(x.extconfig, 1) AS s(at)
          WHERE x.extconfig[s.at] = c.oid) AS condition
  FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
    AND d.refclassid = 'pg_catalog.pg_extension'::regclass LIMIT 1) e ON true
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('walferry', 'walferry_state', 'information_schema') AND n.nspname !~ '^pg_'
  AND (e.member IS NULL OR e.condition IS NOT NULL)
  AND ($1::oid[] IS NULL OR c.oid = ANY ($1))
ORDER BY 7 DESC, 1";

const COLUMNS: &str = "
WITH RECURSIVE base(typid, oid) AS (
  SELECT t.oid, t.oid FROM pg_catalog.pg_type t
  UNION ALL
  SELECT b.typid, t.typbasetype FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid WHERE t.typtype = 'd')
SELECT a.attrelid, a.attname::text, a.attgenerated <> '' AS generated, a.atttypid, tn.nspname::text, t.typname::text,
       a.atttypmod, bt.oid AS base, bt.typtype = 'e' AS is_enum,
       CASE WHEN bt.typcategory = 'A' THEN bt.typelem ELSE 0::oid END AS element
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
JOIN base b ON b.typid = a.atttypid
JOIN pg_catalog.pg_type bt ON bt.oid = b.oid AND bt.typtype <> 'd'
WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum";

const IDENTITIES: &str = "
SELECT i.indrelid, a.attname::text,
       k.at = 0 AND a.atttypid IN (20, 21, 23) AND a.attnotnull
         AND CASE c.relreplident WHEN 'i' THEN i.indisreplident WHEN 'n' THEN false ELSE i.indisprimary END AS ranges,
       CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END AS identity
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
CROSS JOIN LATERAL pg_catalog.generate_series(0, i.indnkeyatts - 1) AS k(at)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.at]
WHERE i.indrelid = ANY ($1) AND i.indisvalid AND (i.indisprimary OR i.indisreplident)
ORDER BY i.indrelid, i.indisprimary DESC, k.at";

const ANCESTORS: &str = "
WITH RECURSIVE above(leaf, oid, distance) AS (
  SELECT c.oid, i.inhparent, 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
  WHERE c.relispartition AND c.oid = ANY ($1)
  UNION ALL
  SELECT a.leaf, i.inhparent, a.distance + 1 FROM above a JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.oid)
SELECT a.leaf, c.oid, n.nspname::text, c.relname::text
FROM above a JOIN pg_catalog.pg_class c ON c.oid = a.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY a.leaf, a.distance";

/// The tables that have rows to copy, largest first: all, or those of `oids`, as the transaction of `client` sees them.
///
/// # Errors
/// As [`Class`](crate::error::Class) says.
pub async fn tables(client: &Client, oids: Option<&[u32]>) -> Result<Vec<SourceTable>> {
    let sql = TABLES.replace("{fingerprint}", &fingerprint("c"));
    let rows = client.query(&sql, &[&oids]).await.map_err(client_error)?;
    let mut tables: Vec<SourceTable> = rows.iter().map(table).collect();
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let places = oids.iter().enumerate().map(|(at, oid)| (*oid, at)).collect();
    let mut tables = Filling { tables: &mut tables, places };
    for row in client.query(COLUMNS, &[&oids]).await.map_err(client_error)? {
        tables.fill(&row, add_column);
    }
    for row in client.query(IDENTITIES, &[&oids]).await.map_err(client_error)? {
        tables.fill(&row, add_key);
    }
    for row in client.query(ANCESTORS, &[&oids]).await.map_err(client_error)? {
        tables.fill(&row, |table, row| table.ancestors.push((row.get(1), row.get(2), row.get(3))));
    }
    Ok(std::mem::take(tables.tables))
}

/// Tables, and where each stands by its oid.
struct Filling<'a> {
    tables: &'a mut Vec<SourceTable>,
    places: std::collections::HashMap<u32, usize>,
}

impl Filling<'_> {
    /// Adds what a row says to the table whose oid it begins with.
    fn fill(&mut self, row: &Row, add: impl Fn(&mut SourceTable, &Row)) {
        let place = self.places.get(&row.get::<_, u32>(0));
        if let Some(table) = place.and_then(|at| self.tables.get_mut(*at)) {
            add(table, row);
        }
    }
}

fn table(row: &Row) -> SourceTable {
    SourceTable {
        oid: row.get(0),
        schema: row.get(1),
        name: row.get(2),
        unlogged: row.get(3),
        heap: row.get(4),
        blocks: u32::try_from(row.get::<_, i64>(5)).unwrap_or(u32::MAX),
        bytes: row.get(6),
        rows: row.get(7),
        columns: Vec::new(),
        generated: Vec::new(),
        identity: Vec::new(),
        range_column: None,
        ancestors: Vec::new(),
        fingerprint: Fingerprint(row.get(9)),
        condition: row.get::<_, Option<String>>(8).filter(|condition| !condition.is_empty()),
    }
}

fn add_column(table: &mut SourceTable, row: &Row) {
    if row.get(2) {
        table.generated.push(row.get(1));
        return;
    }
    table.columns.push(SourceColumn {
        name: row.get(1),
        type_oid: row.get(3),
        type_schema: row.get(4),
        type_name: row.get(5),
        type_modifier: row.get(6),
        base_type_oid: row.get(7),
        is_enum: row.get(8),
        element_oid: row.get(9),
    });
}

/// The primary key comes first, so its leading column is the one for ranges.
fn add_key(table: &mut SourceTable, row: &Row) {
    if row.get(2) && table.range_column.is_none() {
        table.range_column = Some(row.get(1));
    }
    if row.get(3) {
        table.identity.push(row.get(1));
    }
}
