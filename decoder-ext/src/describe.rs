//! The description of one relation, from the catalog as the decoded change saw it.

use crate::carrier;
use crate::encoders::{self, Encoder};
use crate::identity::{Identity, identity, primary_key};
use crate::lineage::{self, Name, schema};
use crate::names;
use crate::refuse::refuse;
use crate::relation::{Column, Described};
use pgrx::pg_sys::errcodes::PgSqlErrorCode as Code;
use pgrx::pg_sys::{self, Datum, FormData_pg_attribute, Oid};
use walferry_wire::encode::{self, OldKind};
use walferry_wire::pattern::Selection;
use walferry_wire::record::{self, Carrier, Encoding};

/// Memory for the encoders of one relation, as part of `parent`.
pub fn memory(parent: pg_sys::MemoryContext) -> pg_sys::MemoryContext {
    // SAFETY: guarded; the name is a constant.
    unsafe {
        pg_sys::AllocSetContextCreateInternal(
            parent,
            c"walferry relation".as_ptr(),
            pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
            pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
            pg_sys::ALLOCSET_SMALL_MAXSIZE as usize,
        )
    }
}

/// What the client asked for.
#[derive(Debug)]
pub struct Wishes {
    selection: Selection,
    /// JSON shows every value as text.
    text_only: bool,
    /// DDL is sent, and what is needed to follow it.
    ddl: bool,
}

impl Wishes {
    /// Tables of `selection`; all values as text, or each as it is best; with or without DDL.
    pub fn new(selection: Selection, text_only: bool, ddl: bool) -> Self {
        Self { selection, text_only, ddl }
    }
}

/// What the catalog says of a relation.
#[derive(Default)]
pub struct Description {
    /// The oids of its partitioned ancestors, and of the table that it rewrites. When one of them changes, so may this.
    pub ancestors: Vec<u32>,
    /// `None` if it is not wanted.
    pub described: Option<Described>,
    /// It carries DDL. Such a table is not described.
    pub carrier: Option<Carrier>,
}

/// A relation, and the table that it is described like: itself, or the one whose rewritten rows it takes (rule 26).
#[derive(Clone, Copy)]
struct Subject {
    rows: pg_sys::Relation,
    table: pg_sys::Relation,
}

/// Describes a relation for a change of `xid`; what its encoders need is allocated in a context of its own under `parent`.
///
/// # Safety
/// `relation` must be open.
pub unsafe fn describe(
    relation: pg_sys::Relation,
    xid: u32,
    wishes: &Wishes,
    parent: pg_sys::MemoryContext,
) -> Description {
    // SAFETY: open, the caller's promise; `rd_rel` is always there. The original is closed after its use; after an ERROR
    // its transaction does it.
    unsafe {
        let class = &*(*relation).rd_rel;
        if let Some(carrier) = wishes.ddl.then(|| carrier::of(class)).flatten() {
            return Description { carrier: Some(carrier), ..Description::default() };
        }
        if class.relrewrite == pg_sys::InvalidOid {
            return describe_subject(Subject { rows: relation, table: relation }, xid, wishes, parent);
        }
        let original = pg_sys::RelationIdGetRelation(class.relrewrite);
        if original.is_null() {
            return Description::default();
        }
        let described = describe_subject(Subject { rows: relation, table: original }, xid, wishes, parent);
        pg_sys::RelationClose(original);
        described
    }
}

unsafe fn describe_subject(
    subject: Subject,
    xid: u32,
    wishes: &Wishes,
    parent: pg_sys::MemoryContext,
) -> Description {
    // SAFETY: both are open.
    let (rows, table) = unsafe { (&*(*subject.rows).rd_rel, &*(*subject.table).rd_rel) };
    let lineage = lineage::of(table);
    let ancestors = lineage.iter().map(|of| of.oid).filter(|oid| *oid != rows.oid.to_u32()).collect();
    let names = lineage.iter().map(|of| (of.oid, of.schema.as_str(), of.name.as_str()));
    let wanted = is_table(table) && is_logged(rows) && wishes.selection.wants(names);
    Description {
        ancestors,
        // SAFETY: open.
        described: wanted.then(|| unsafe { describe_wanted(subject, xid, wishes, &lineage, parent) }),
        carrier: None,
    }
}

unsafe fn describe_wanted(
    subject: Subject,
    xid: u32,
    wishes: &Wishes,
    lineage: &[Name],
    parent: pg_sys::MemoryContext,
) -> Described {
    let memory = memory(parent);
    // SAFETY: open: the class of the one, and the attributes of the other's descriptor.
    let (class, attributes) = unsafe { (&*(*subject.table).rd_rel, attributes((*subject.rows).rd_att)) };
    // SAFETY: open.
    let (primary_key, identity) =
        unsafe { (primary_key(subject.table), identity(subject.table, attributes)) };
    let made: Vec<_> = attributes
        .iter()
        .filter(|attribute| !attribute.attisdropped)
        .map(|attribute| made_column(attribute, &identity, &primary_key, wishes.text_only, memory))
        .collect();
    // SAFETY: open.
    let oid = unsafe { (*subject.rows).rd_id };
    let mut head = record_head(class, lineage);
    if wishes.ddl {
        (head.oid, head.created_here) = (oid.to_u32(), is_made_by(class.oid, xid));
        head.rewrite_of = if oid == class.oid { 0 } else { class.oid.to_u32() };
    }
    let mut bytes = Vec::new();
    let record = record::Relation { columns: made.iter().map(column_record).collect(), ..head };
    encode::relation(&mut bytes, &record);
    described(oid, attributes.len(), &identity, made, bytes, memory)
}

/// Whether the (sub)transaction made the relation. Its row in pg_class changes again and again; those of system columns
/// stay as they were made.
fn is_made_by(relation: Oid, xid: u32) -> bool {
    const FROZEN: u16 = (pg_sys::HEAP_XMIN_COMMITTED | pg_sys::HEAP_XMIN_INVALID) as u16;
    let column = i32::from(pg_sys::TableOidAttributeNumber as i16);
    // SAFETY: guarded; a tuple of this cache has its header until it is released.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::ATTNUM as i32;
        let tuple = pg_sys::SearchSysCache2(cache, relation.into(), Datum::from(column));
        if tuple.is_null() {
            return false;
        }
        let header = &*(*tuple).t_data;
        let made = header.t_choice.t_heap.t_xmin.into_inner() == xid && header.t_infomask & FROZEN != FROZEN;
        pg_sys::ReleaseSysCache(tuple);
        made
    }
}

/// Ordinary tables and partitioned ones (a TRUNCATE names these too). Rows of materialized views and TOAST tables are
/// decoded as well; they are other tables' business.
fn is_table(class: &pg_sys::FormData_pg_class) -> bool {
    let kind = class.relkind as u8;
    kind == pg_sys::RELKIND_RELATION || kind == pg_sys::RELKIND_PARTITIONED_TABLE
}

/// Unlogged and temporary relations have no changes in WAL.
fn is_logged(class: &pg_sys::FormData_pg_class) -> bool {
    class.relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT
}

/// The attributes of a tuple descriptor.
///
/// # Safety
/// `desc` must be live, and outlive what is given.
pub unsafe fn attributes<'a>(desc: pg_sys::TupleDesc) -> &'a [FormData_pg_attribute] {
    // SAFETY: they lie behind the descriptor; from 18 on behind the compact ones (TupleDescAttr in access/tupdesc.h).
    unsafe {
        let count = (*desc).natts as usize;
        #[cfg(feature = "pg18")]
        let first = (*desc).compact_attrs.as_ptr().add(count).cast();
        #[cfg(not(feature = "pg18"))]
        let first = (*desc).attrs.as_ptr();
        std::slice::from_raw_parts(first, count)
    }
}

/// A column as the record says it, with the names that it borrows there, and its encoder if it is sent.
struct Made {
    column: Option<Column>,
    number: i16,
    name: String,
    identity: bool,
    primary_key: bool,
    not_null: bool,
    generated: u8,
    identity_column: u8,
    type_oid: u32,
    base_type_oid: u32,
    type_modifier: i32,
    type_schema: String,
    type_name: String,
    collation_schema: String,
    collation_name: String,
}

fn made_column(
    attribute: &FormData_pg_attribute,
    identity: &Identity,
    primary_key: &[i16],
    text_only: bool,
    memory: pg_sys::MemoryContext,
) -> Made {
    let is_identity = match identity {
        Identity::Nothing => false,
        Identity::Full => true,
        Identity::Index(columns) => columns.contains(&attribute.attnum),
    };
    // SAFETY: a guarded catalog lookup.
    let base = unsafe { pg_sys::getBaseType(attribute.atttypid) };
    let (type_schema, type_name) = type_name(attribute.atttypid);
    let (collation_schema, collation_name) = collation_name(attribute.attcollation);
    let generated = attribute.attgenerated as u8;
    let column = (generated == 0).then(|| Column {
        index: (attribute.attnum - 1) as usize,
        varlena: attribute.attlen == -1,
        identity: is_identity,
        encoder: encoders::choose(attribute.atttypid, base, text_only, memory),
    });
    Made {
        column,
        number: attribute.attnum,
        // SAFETY: pg_attribute holds a C string in its name.
        name: unsafe { names::utf8(attribute.attname.data.as_ptr()) },
        identity: is_identity,
        primary_key: primary_key.contains(&attribute.attnum),
        not_null: attribute.attnotnull,
        generated,
        identity_column: attribute.attidentity as u8,
        type_oid: attribute.atttypid.to_u32(),
        base_type_oid: base.to_u32(),
        type_modifier: attribute.atttypmod,
        type_schema,
        type_name,
        collation_schema,
        collation_name,
    }
}

/// Schema and name of a collation; both empty for none.
fn collation_name(oid: Oid) -> (String, String) {
    if oid == pg_sys::InvalidOid {
        return Default::default();
    }
    // SAFETY: guarded; a tuple of this cache is a pg_collation row, whose name is a C string, until it is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::COLLOID as i32, oid.into());
        if tuple.is_null() {
            return Default::default();
        }
        let form = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_collation>();
        let names = (schema(form.collnamespace), names::utf8(form.collname.data.as_ptr()));
        pg_sys::ReleaseSysCache(tuple);
        names
    }
}

fn type_name(oid: Oid) -> (String, String) {
    // SAFETY: guarded; a tuple of this cache is a pg_type row, whose name is a C string, until it is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::TYPEOID as i32, oid.into());
        if tuple.is_null() {
            let message = format!("walferry: the type with oid {} is not in the catalog", oid.to_u32());
            refuse(Code::ERRCODE_UNDEFINED_OBJECT, message, "This is a damaged catalog; look at pg_type.");
        }
        let form = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_type>();
        let names = (schema(form.typnamespace), names::utf8(form.typname.data.as_ptr()));
        pg_sys::ReleaseSysCache(tuple);
        names
    }
}

fn described(
    oid: Oid,
    attributes: usize,
    identity: &Identity,
    made: Vec<Made>,
    record: Vec<u8>,
    memory: pg_sys::MemoryContext,
) -> Described {
    let columns: Vec<Column> = made.into_iter().filter_map(|made| made.column).collect();
    Described {
        oid: oid.to_u32(),
        attributes: attributes as i32,
        key_cells: columns.iter().filter(|column| column.identity).count() as u16,
        identity: match identity {
            Identity::Nothing => OldKind::Unidentifiable,
            Identity::Full => OldKind::Full,
            Identity::Index(_) => OldKind::Key,
        },
        columns,
        record,
        memory,
    }
}

/// The record of a table, still without its columns.
fn record_head<'a>(class: &pg_sys::FormData_pg_class, lineage: &'a [Name]) -> record::Relation<'a> {
    let (own, ancestors) = lineage.split_first().map_or((None, lineage), |(own, rest)| (Some(own), rest));
    let ancestor = |of: &'a Name| record::Ancestor { oid: of.oid, schema: &of.schema, name: &of.name };
    record::Relation {
        oid: class.oid.to_u32(),
        kind: class.relkind as u8,
        replica_identity: class.relreplident as u8,
        created_here: false,
        rewrite_of: 0,
        schema: own.map_or("", |own| &own.schema),
        name: own.map_or("", |own| &own.name),
        ancestors: ancestors.iter().map(ancestor).collect(),
        columns: Vec::new(),
    }
}

fn column_record(made: &Made) -> record::Column<'_> {
    record::Column {
        number: made.number,
        name: &made.name,
        encoding: made.column.as_ref().map_or(Encoding::NotSent, |column| Encoder::encoding(column.encoder)),
        identity: made.identity,
        primary_key: made.primary_key,
        not_null: made.not_null,
        generated: made.generated,
        identity_column: made.identity_column,
        type_oid: made.type_oid,
        base_type_oid: made.base_type_oid,
        type_modifier: made.type_modifier,
        type_schema: &made.type_schema,
        type_name: &made.type_name,
        collation_schema: &made.collation_schema,
        collation_name: &made.collation_name,
    }
}
