//! What a statement has touched, as the event triggers tell it.

use super::json;
use super::spi::{self, Plan, Sight};
use pgrx::pg_sys::{self, Datum, Oid};
use std::ffi::CStr;

/// What a statement has touched.
#[derive(Debug)]
pub struct Objects {
    /// A JSON array of them, without our own.
    pub json: Vec<u8>,
    /// So many of them are neither ours nor temporary.
    pub lasting: i64,
}

impl Default for Objects {
    fn default() -> Self {
        Self { json: b"[]".to_vec(), lasting: 0 }
    }
}

impl Objects {
    /// These and the others.
    pub fn and(&self, others: &Self) -> Self {
        Self { json: json::joined(&self.json, &others.json), lasting: self.lasting + others.lasting }
    }
}

/// Shows `found`: columns classid, objid, objsubid, type, schema, name, identity, command, dropped, original,
/// in_extension, temporary, indexed, number. The table is looked up for what hangs on one; catalogs are read by oid.
macro_rules! shown {
    ($found:expr) => {
        concat!(
            "WITH found AS (", $found, "), placed AS (
                SELECT f.*, CASE
                    WHEN f.classid = 'pg_class'::regclass AND f.objsubid <> 0 THEN f.objid
                    WHEN f.classid = 'pg_class'::regclass THEN coalesce(
                        (SELECT indrelid FROM pg_catalog.pg_index WHERE indexrelid = f.objid), f.indexed,
                        (SELECT d.refobjid FROM pg_catalog.pg_depend d
                         JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'
                         WHERE d.classid = f.classid AND d.objid = f.objid AND d.refclassid = f.classid
                             AND d.refobjsubid <> 0 AND d.deptype IN ('a', 'i') LIMIT 1))
                    WHEN f.classid = 'pg_trigger'::regclass
                        THEN (SELECT tgrelid FROM pg_catalog.pg_trigger WHERE oid = f.objid)
                    WHEN f.classid = 'pg_rewrite'::regclass
                        THEN (SELECT ev_class FROM pg_catalog.pg_rewrite WHERE oid = f.objid)
                    WHEN f.classid = 'pg_policy'::regclass
                        THEN (SELECT polrelid FROM pg_catalog.pg_policy WHERE oid = f.objid)
                    WHEN f.classid = 'pg_constraint'::regclass
                        THEN (SELECT nullif(conrelid, 0) FROM pg_catalog.pg_constraint WHERE oid = f.objid)
                    WHEN f.classid = 'pg_attrdef'::regclass
                        THEN (SELECT adrelid FROM pg_catalog.pg_attrdef WHERE oid = f.objid)
                END AS tbl
                FROM found f
            ), judged AS (
                SELECT p.*,
                    p.temporary OR coalesce(p.schema LIKE 'pg\\_temp%', false)
                        OR coalesce(t.relpersistence = 't', false) AS passing,
                    coalesce(p.schema IN ('walferry', 'walferry_state')
                        OR p.name IN ('walferry', 'walferry_state') AND p.type IN ('schema', 'extension')
                        OR p.type = 'event trigger' AND ltrim(p.name, '!') LIKE 'walferry\\_%'
                        OR t.relnamespace IN ('walferry'::regnamespace, to_regnamespace('walferry_state'))
                        OR p.schema LIKE 'pg\\_toast%', false) AS ours
                FROM placed p LEFT JOIN LATERAL
                    (SELECT relpersistence, relnamespace FROM pg_catalog.pg_class WHERE oid = p.tbl OFFSET 0) t ON true
            )
            SELECT count(*) FILTER (WHERE NOT passing),
                coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('type', type, 'schema', schema, 'name', name,
                    'identity', identity, 'oid', objid::int8, 'table', tbl::int8, 'command', command,
                    'dropped', nullif(dropped, false), 'original', nullif(original, false),
                    'in_extension', nullif(in_extension, false), 'temporary', nullif(passing, false)))
                    ORDER BY number), '[]')
            FROM judged WHERE NOT ours"
        )
    };
}

/// `pg_identify_object` gives a name as SQL spells it.
macro_rules! unquoted {
    ($name:literal) => {
        concat!(
            "CASE WHEN left(",
            $name,
            ", 1) = '\"' THEN replace(substr(",
            $name,
            ", 2, length(",
            $name,
            ") - 2), '\"\"', '\"') ELSE ",
            $name,
            " END"
        )
    };
}

/// The last part of an object's address is its name, where it has one; names of other kinds come with the object.
macro_rules! named {
    ($name:expr, $address:literal) => {
        concat!(
            "CASE WHEN objsubid <> 0 OR classid IN ('pg_proc'::regclass, 'pg_trigger'::regclass,
                'pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_constraint'::regclass)
                THEN ",
            $address,
            "[cardinality(",
            $address,
            ")] ELSE ",
            $name,
            " END AS name"
        )
    };
}

static DONE: Plan = Plan::new(
    shown!(concat!(
        "SELECT c.classid, c.objid, c.objsubid, c.object_type AS type, c.schema_name AS schema, ",
        named!(unquoted!("i.name"), "a.object_names"),
        ", c.object_identity AS identity, c.command_tag AS command, false AS dropped, false AS original,
            c.in_extension, false AS temporary, NULL::oid AS indexed, c.ordinality AS number
        FROM pg_catalog.pg_event_trigger_ddl_commands() WITH ORDINALITY c
        LEFT JOIN LATERAL pg_catalog.pg_identify_object(c.classid, c.objid, c.objsubid) i ON true
        LEFT JOIN LATERAL pg_catalog.pg_identify_object_as_address(c.classid, c.objid, c.objsubid) a ON true"
    )),
    &[],
);

static DROPPED: Plan = Plan::new(
    shown!(concat!(
        "SELECT d.classid, d.objid, d.objsubid, d.object_type AS type, d.schema_name AS schema, ",
        named!("d.object_name", "d.address_names"),
        ", d.object_identity AS identity, NULL::text AS command, true AS dropped, d.original,
            false AS in_extension, d.is_temporary AS temporary,
            CASE d.object_type WHEN 'index' THEN nullif($1, 0) END AS indexed, d.ordinality AS number
        FROM pg_catalog.pg_event_trigger_dropped_objects() WITH ORDINALITY d"
    )),
    &[pg_sys::OIDOID],
);

/// Relations of which the event triggers say nothing, or - of GRANT and REVOKE - only the kind.
static NAMED: Plan = Plan::new(
    shown!(concat!(
        "SELECT 'pg_class'::regclass::oid AS classid, g.oid AS objid, 0 AS objsubid, i.type, ",
        unquoted!("i.schema"),
        " AS schema, ",
        unquoted!("i.name"),
        " AS name, i.identity,
            $2 AS command, false AS dropped, false AS original, false AS in_extension, false AS temporary,
            NULL::oid AS indexed, g.number
        FROM unnest($1::oid[]) WITH ORDINALITY g (oid, number),
            pg_catalog.pg_identify_object('pg_class'::regclass, g.oid, 0) i"
    )),
    &[pg_sys::TEXTOID, pg_sys::TEXTOID],
);

/// What the statement made and changed. Only for the trigger on `ddl_command_end`.
pub fn done() -> Objects {
    asked(&DONE, Sight::Present, &[])
}

/// Relations that a statement with this tag named.
pub fn named(relations: &[Oid], tag: &CStr) -> Objects {
    let oids: Vec<_> = relations.iter().map(|oid| oid.to_u32().to_string()).collect();
    let oids = format!("{{{}}}", oids.join(","));
    asked(&NAMED, Sight::Present, &[Some(spi::text(oids.as_bytes())), Some(spi::text(tag.to_bytes()))])
}

/// What the statement dropped. Only for the trigger on `sql_drop`. What hung on which table is told by the catalog as it
/// was before; `indexed` is the table of an index that it knew no more then.
pub fn dropped(indexed: Option<Oid>) -> Objects {
    asked(&DROPPED, Sight::Before, &[Some(indexed.unwrap_or(pg_sys::InvalidOid).into())])
}

fn asked(plan: &Plan, sight: Sight, values: &[Option<Datum>]) -> Objects {
    let mut rows = plan.run(sight, values);
    let Some(row) = rows.first_mut() else { return Objects::default() };
    Objects {
        lasting: spi::number(row.first()).unwrap_or(0),
        json: row.get_mut(1).and_then(Option::take).unwrap_or_else(|| b"[]".to_vec()),
    }
}
