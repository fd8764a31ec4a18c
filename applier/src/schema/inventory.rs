//! The names that a database has: what mapping can bring into collision, and what lives with which table.

use tokio_postgres::Client;

use crate::error::{Error, Result};
use crate::pg::client_error;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A table, view, materialized view, foreign table or composite type: all have a row type.
    Table,
    /// A sequence.
    Sequence,
    /// An index without a constraint.
    Index,
    /// A primary key, unique or exclusion constraint, and its index of the same name.
    Constraint,
    /// A domain, enum, range or base type.
    Type,
}

impl Kind {
    /// Whether it is an index, with or without a constraint.
    pub fn is_index(self) -> bool {
        match self {
            Kind::Index | Kind::Constraint => true,
            Kind::Table | Kind::Sequence | Kind::Type => false,
        }
    }

    fn of(letter: &str) -> Result<Self> {
        match letter {
            "t" => Ok(Kind::Table),
            "s" => Ok(Kind::Sequence),
            "i" => Ok(Kind::Index),
            "c" => Ok(Kind::Constraint),
            "y" => Ok(Kind::Type),
            other => Err(Error::protocol(format!("the catalog query answered with the kind {other:?}"))),
        }
    }
}

/// A name of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it stands for.
    pub kind: Kind,
    /// Its schema.
    pub schema: String,
    /// The table of an index or constraint, or that owns a sequence; always in the same schema.
    pub table: Option<String>,
    /// The name.
    pub name: String,
}

// Composite types are in pg_class; array types give way by themselves (makeArrayTypeName of pg_type.c).
const OBJECTS: &str = "
SELECT CASE WHEN c.relkind = 'S' THEN 's'
            WHEN c.relkind NOT IN ('i', 'I') THEN 't'
            WHEN EXISTS (SELECT FROM pg_catalog.pg_constraint k
                         WHERE k.conindid = c.oid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')) THEN 'c'
            ELSE 'i' END AS kind,
       n.nspname::text, o.relname::text, c.relname::text
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
LEFT JOIN pg_catalog.pg_depend d ON c.relkind = 'S' AND d.objid = c.oid AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
     AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
     AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
LEFT JOIN pg_catalog.pg_class o ON o.oid = coalesce(i.indrelid, d.refobjid)
WHERE n.nspname <> ALL (ARRAY['pg_catalog', 'information_schema', 'walferry', 'walferry_state']) AND n.nspname !~ '^pg_(toast|temp_)'
UNION ALL
SELECT 'y', n.nspname::text, NULL, t.typname::text
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.typrelid = 0 AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)
  AND n.nspname <> ALL (ARRAY['pg_catalog', 'information_schema', 'walferry', 'walferry_state']) AND n.nspname !~ '^pg_(toast|temp_)'
ORDER BY 2, 4, 1";

/// All names of the database outside the system's schemas and our own, in a stable order.
///
/// # Errors
/// What the server says.
pub async fn objects(client: &Client) -> Result<Vec<Object>> {
    let rows = client.query(OBJECTS, &[]).await.map_err(client_error)?;
    let object = |row: &tokio_postgres::Row| {
        Ok(Object { kind: Kind::of(row.get(0))?, schema: row.get(1), table: row.get(2), name: row.get(3) })
    };
    rows.iter().map(object).collect()
}
