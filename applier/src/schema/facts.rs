//! What the archive does not say of the source's objects, read in the snapshot that pg_dump reads too: which table a
//! constraint, an index or a trigger belongs to, which of them the stream needs, how partitions hang together.
//! Follows <https://www.postgresql.org/docs/current/catalogs.html>; runs on 13 to 18 alike.

use std::collections::HashMap;
use tokio_postgres::{Client, Row};

use crate::error::Result;
use crate::pg::client_error;

/// The catalogs whose objects hang on a table, by oid; the archive names catalogs so.
pub mod catalogs {
    /// `pg_class`
    pub const CLASS: u32 = 1259;
    /// `pg_type`
    pub const TYPE: u32 = 1247;
    /// `pg_namespace`
    pub const NAMESPACE: u32 = 2615;
}

/// A relation of the source that may be chosen: a table, view, materialized view, sequence or foreign table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// `pg_class.oid`
    pub oid: u32,
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// `pg_class.relkind`
    pub kind: char,
    /// The table that a sequence belongs to.
    pub owner_table: Option<u32>,
    /// A materialized view that has rows.
    pub is_filled: bool,
    /// 8 kB pages on disk.
    pub pages: i64,
    /// What it inherits from or is a partition of.
    pub parents: Vec<u32>,
    /// It is a partition.
    pub is_partition: bool,
}

/// What hangs on a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The table.
    pub table: u32,
    /// The table that a foreign key points to.
    pub referenced: Option<u32>,
    /// The stream finds rows by it: a primary key, or the index of REPLICA IDENTITY.
    pub is_key: bool,
    /// A primary key.
    pub is_primary: bool,
    /// `CREATE UNIQUE INDEX`, where a constraint can be made from such an index.
    pub index: Option<String>,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// By oid.
    pub relations: HashMap<u32, Relation>,
    /// By catalog and oid.
    pub attached: HashMap<(u32, u32), Attached>,
    /// What inherits from a table or is a partition of it.
    pub children: HashMap<u32, Vec<u32>>,
}

const RELATIONS: &str = "
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text,
       (SELECT d.refobjid FROM pg_catalog.pg_depend d WHERE c.relkind = 'S' AND d.classid = 1259 AND d.objid = c.oid
        AND d.refclassid = 1259 AND d.deptype IN ('a', 'i') LIMIT 1) AS owner_table,
       c.relkind = 'm' AND c.relispopulated AS is_filled, 
       CASE WHEN c.relkind IN ('r', 'm') THEN coalesce(pg_catalog.pg_relation_size(c.oid), 0) / 8192 ELSE 0 END AS pages,
       coalesce((SELECT pg_catalog.array_agg(i.inhparent ORDER BY i.inhseqno) FROM pg_catalog.pg_inherits i
                 WHERE i.inhrelid = c.oid), '{}') AS parents,
       c.relispartition
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'";

// An index that a primary key or a unique constraint can be made from: see the documentation of ALTER TABLE,
// ADD table_constraint_using_index.
const ATTACHED: &str = "
SELECT 2606::oid AS catalog, k.oid, k.conrelid AS tbl, nullif(k.confrelid, 0) AS referenced,
       k.contype = 'p' OR coalesce(i.indisreplident, false) AS is_key, k.contype = 'p' AS is_primary,
       CASE WHEN k.contype IN ('p', 'u') AND NOT k.condeferrable AND t.relkind = 'r' AND a.amname = 'btree'
                 AND i.indisvalid THEN pg_catalog.pg_get_indexdef(k.conindid) END AS index
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class t ON t.oid = k.conrelid
LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = k.conindid AND k.contype IN ('p', 'u', 'x')
LEFT JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid LEFT JOIN pg_catalog.pg_am a ON a.oid = x.relam
WHERE k.oid >= 16384
UNION ALL SELECT 1259, indexrelid, indrelid, NULL, indisreplident, false, NULL FROM pg_catalog.pg_index
WHERE indexrelid >= 16384
UNION ALL SELECT 2620, oid, tgrelid, NULL, false, false, NULL FROM pg_catalog.pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 2618, oid, ev_class, NULL, false, false, NULL FROM pg_catalog.pg_rewrite WHERE oid >= 16384
UNION ALL SELECT 3256, oid, polrelid, NULL, false, false, NULL FROM pg_catalog.pg_policy
UNION ALL SELECT 2604, oid, adrelid, NULL, false, false, NULL FROM pg_catalog.pg_attrdef WHERE oid >= 16384
UNION ALL SELECT 3381, oid, stxrelid, NULL, false, false, NULL FROM pg_catalog.pg_statistic_ext";

impl Facts {
    /// Reads them in the transaction that the client is in.
    pub async fn read(client: &Client) -> Result<Self> {
        let relations = client.query(RELATIONS, &[]).await.map_err(client_error)?;
        let attached = client.query(ATTACHED, &[]).await.map_err(client_error)?;
        let relations: HashMap<u32, Relation> =
            relations.iter().map(|row| (row.get(0), relation(row))).collect();
        Ok(Self {
            children: children(&relations),
            relations,
            attached: attached.iter().map(|row| ((row.get(0), row.get(1)), attachment(row))).collect(),
        })
    }

    /// The relation, then its partitioned ancestors up to the root.
    pub fn lineage(&self, oid: u32) -> Vec<&Relation> {
        let mut lineage = Vec::new();
        let mut next = self.relations.get(&oid);
        while let Some(relation) = next {
            // A partition has one parent; what inherits stands for itself.
            let parent = relation.parents.first().filter(|_| relation.is_partition);
            next = parent.and_then(|parent| self.relations.get(parent));
            lineage.push(relation);
        }
        lineage
    }

    /// The table and all that is below it.
    pub fn family(&self, table: u32) -> Vec<u32> {
        let mut family = vec![table];
        let mut at = 0;
        while at < family.len() {
            family.extend(self.children.get(&family[at]).into_iter().flatten());
            at += 1;
        }
        family
    }
}

fn children(relations: &HashMap<u32, Relation>) -> HashMap<u32, Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for relation in relations.values() {
        for parent in &relation.parents {
            children.entry(*parent).or_default().push(relation.oid);
        }
    }
    children
}

fn relation(row: &Row) -> Relation {
    Relation {
        oid: row.get(0),
        schema: row.get(1),
        name: row.get(2),
        kind: row.get::<_, String>(3).chars().next().unwrap_or(' '),
        owner_table: row.get(4),
        is_filled: row.get(5),
        pages: row.get(6),
        parents: row.get(7),
        is_partition: row.get(8),
    }
}

fn attachment(row: &Row) -> Attached {
    Attached {
        table: row.get(2),
        referenced: row.get(3),
        is_key: row.get(4),
        is_primary: row.get(5),
        index: row.get(6),
    }
}
