//! What the destination cannot know from a statement's text: values and expressions that the source evaluated.

use super::spi::{self, Plan, Sight};
use super::{json, node};
use pgrx::pg_sys::{self, Node, Oid};

/// Values that rows written before a column have in it, by table and column. Inheritors get theirs with the table.
static MISSING: Plan = Plan::new(
    "WITH RECURSIVE altered AS (
        SELECT c.objid FROM pg_catalog.pg_event_trigger_ddl_commands() c
        WHERE c.classid = 'pg_class'::regclass AND c.objid IS NOT NULL
        UNION SELECT i.inhrelid FROM altered JOIN pg_catalog.pg_inherits i ON i.inhparent = altered.objid
    )
    SELECT jsonb_object_agg(t.objid::text, v.missing) FROM altered t, LATERAL (
        SELECT jsonb_object_agg(a.attname::text, (a.attmissingval::text::text[])[1]) AS missing
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = t.objid AND a.attnum > 0 AND a.atthasmissing AND NOT a.attisdropped
            AND jsonb_exists($1::jsonb, a.attname::text)
    ) v WHERE v.missing IS NOT NULL",
    &[pg_sys::TEXTOID],
);

/// The bounds of partitions that were made, and of the one that was attached.
static BOUNDS: Plan = Plan::new(
    "SELECT jsonb_object_agg(r.oid::text, pg_get_expr(r.relpartbound, r.oid)) FROM pg_catalog.pg_class r
    WHERE r.relispartition AND r.relpartbound IS NOT NULL AND (r.oid = $1 OR r.oid IN (
        SELECT c.objid FROM pg_catalog.pg_event_trigger_ddl_commands() c
        WHERE c.classid = 'pg_class'::regclass AND c.command_tag LIKE 'CREATE %'))",
    &[pg_sys::OIDOID],
);

/// The columns of the table that a query made.
static COLUMNS: Plan = Plan::new(
    "SELECT jsonb_agg(jsonb_build_object('name', a.attname, 'type_schema', tn.nspname, 'type_name', t.typname,
        'modifier', a.atttypmod, 'collation_schema', cn.nspname, 'collation_name', l.collname) ORDER BY a.attnum)
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
    LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
    LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = l.collnamespace
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped",
    &[pg_sys::OIDOID],
);

/// What a statement says that must be looked up: names as the user's session resolves them.
#[derive(Debug, Default)]
pub struct Questions {
    /// Columns that ALTER TABLE adds, as a JSON array.
    added: Option<Vec<u8>>,
    /// The partition that is attached, or 0, if the statement may make partitions.
    partitions: Option<Oid>,
    /// The table that a query made.
    made: Option<Oid>,
}

impl Questions {
    /// Those of a statement. To be called with the user's search_path.
    ///
    /// # Safety
    /// `tree` must be a live utility statement that has been run.
    pub unsafe fn of(tree: *mut Node) -> Self {
        // SAFETY: the caller's promise; guarded.
        unsafe {
            let added = node::added_columns(tree);
            Self {
                added: (!added.is_empty()).then(|| json::texts(added)),
                partitions: node::attached(tree)
                    .or_else(|| node::may_make_partitions(tree).then_some(pg_sys::InvalidOid)),
                made: node::makes_table_of_query(tree).then(|| node::made_relation(tree)).flatten(),
            }
        }
    }

    /// The answers, as a JSON object. Only for the trigger on `ddl_command_end`, but for tables made by a query.
    pub fn answers(&self) -> Vec<u8> {
        let missing = self.added.as_ref().and_then(|added| answer(&MISSING, spi::text(added)));
        let bounds = self.partitions.and_then(|partition| answer(&BOUNDS, partition.into()));
        let columns = self.made.and_then(|table| answer(&COLUMNS, table.into()));
        let named = [(b"missing_values".as_slice(), missing), (b"bounds", bounds), (b"columns", columns)];
        json::object(named.into_iter().filter_map(|(name, value)| Some((name, value?))))
    }
}

fn answer(plan: &Plan, argument: pg_sys::Datum) -> Option<Vec<u8>> {
    plan.run(Sight::Present, &[Some(argument)]).into_iter().flatten().next().flatten()
}
