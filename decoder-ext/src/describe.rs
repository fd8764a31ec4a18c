//! The description of one relation, from the catalog as the decoded change saw it.

use crate::encoders::{self, Encoder};
use crate::names;
use crate::refuse::refuse;
use crate::relation::{Column, Described};
use pgrx::pg_sys::errcodes::PgSqlErrorCode as Code;
use pgrx::pg_sys::{self, FormData_pg_attribute, Oid};
use walferry_wire::encode::{self, OldKind};
use walferry_wire::pattern::Selection;
use walferry_wire::record::{self, Encoding};

// SAFETY: declared as in catalog/partition.h, the same from 13 to 18.
unsafe extern "C-unwind" {
    fn get_partition_ancestors(relation: Oid) -> *mut pg_sys::List;
}

/// A name with its schema.
struct Name {
    oid: u32,
    schema: String,
    name: String,
}

/// Which columns identify a row.
enum Identity {
    Nothing,
    Full,
    Index(Vec<i16>),
}

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

/// What the catalog says of a relation.
pub struct Description {
    /// The oids of its partitioned ancestors. When one of them changes, so may this.
    pub ancestors: Vec<u32>,
    /// `None` if it is not wanted.
    pub described: Option<Described>,
}

/// Describes a relation; what its encoders need is allocated in a context of its own under `parent`.
///
/// # Safety
/// `relation` must be open.
pub unsafe fn describe(
    relation: pg_sys::Relation,
    selection: &Selection,
    text_only: bool,
    parent: pg_sys::MemoryContext,
) -> Description {
    // SAFETY: open, the caller's promise; `rd_rel` is always there.
    let class = unsafe { &*(*relation).rd_rel };
    if !is_table(class) {
        return Description { ancestors: Vec::new(), described: None };
    }
    let lineage = lineage(class);
    let wanted = selection.wants(lineage.iter().map(|of| (of.oid, of.schema.as_str(), of.name.as_str())));
    Description {
        ancestors: lineage.iter().skip(1).map(|of| of.oid).collect(),
        // SAFETY: the caller's promise.
        described: wanted.then(|| unsafe { describe_wanted(relation, &lineage, text_only, parent) }),
    }
}

unsafe fn describe_wanted(
    relation: pg_sys::Relation,
    lineage: &[Name],
    text_only: bool,
    parent: pg_sys::MemoryContext,
) -> Described {
    let memory = memory(parent);
    // SAFETY: open, the caller's promise: its class, and its descriptor's attributes.
    let (class, attributes) = unsafe { (&*(*relation).rd_rel, attributes((*relation).rd_att)) };
    // SAFETY: open, the caller's promise.
    let primary_key = unsafe { primary_key(relation) };
    // SAFETY: open, the caller's promise.
    let identity = unsafe { identity(relation, attributes) };
    let made: Vec<_> = attributes
        .iter()
        .filter(|attribute| !attribute.attisdropped)
        .map(|attribute| made_column(attribute, &identity, &primary_key, text_only, memory))
        .collect();
    described(class, attributes.len(), lineage, &identity, made, memory)
}

/// Ordinary tables and partitioned ones (a TRUNCATE names these too). Rows of materialized views and TOAST tables are
/// decoded as well; they are other tables' business. Unlogged and temporary ones have no changes in WAL.
fn is_table(class: &pg_sys::FormData_pg_class) -> bool {
    let kind = class.relkind as u8;
    (kind == pg_sys::RELKIND_RELATION || kind == pg_sys::RELKIND_PARTITIONED_TABLE)
        && class.relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT
}

/// The relation, then its partitioned ancestors, the nearest first.
fn lineage(class: &pg_sys::FormData_pg_class) -> Vec<Name> {
    // SAFETY: pg_class holds a C string in its name.
    let own = unsafe { names::utf8(class.relname.data.as_ptr()) };
    let mut lineage = vec![Name { oid: class.oid.to_u32(), schema: schema(class.relnamespace), name: own }];
    if class.relispartition {
        lineage.extend(ancestors(class.oid));
    }
    lineage
}

fn ancestors(relation: Oid) -> Vec<Name> {
    // SAFETY: the guard turns an ERROR into unwinding; the closure holds an oid only. The list is palloc'd (or null)
    // and has `length` oids.
    let oids: Vec<Oid> = unsafe {
        let list = pg_sys::ffi::pg_guard_ffi_boundary(|| get_partition_ancestors(relation));
        let length = if list.is_null() { 0 } else { (*list).length as usize };
        (0..length).map(|index| (*(*list).elements.add(index)).oid_value).collect()
    };
    oids.into_iter().map(relation_name).collect()
}

fn relation_name(oid: Oid) -> Name {
    // SAFETY: guarded catalog lookups, which give palloc'd strings or null.
    let (name, namespace) =
        unsafe { (names::utf8(pg_sys::get_rel_name(oid)), pg_sys::get_rel_namespace(oid)) };
    Name { oid: oid.to_u32(), schema: schema(namespace), name }
}

fn schema(oid: Oid) -> String {
    // SAFETY: a guarded catalog lookup, which gives a palloc'd string or null.
    unsafe { names::utf8(pg_sys::get_namespace_name(oid)) }
}

/// The attributes of a tuple descriptor.
unsafe fn attributes<'a>(desc: pg_sys::TupleDesc) -> &'a [FormData_pg_attribute] {
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

/// REPLICA IDENTITY as PostgreSQL understands it: DEFAULT is the primary key unless that is deferrable. An index with
/// a generated column does not identify rows here, since generated columns are not sent.
unsafe fn identity(relation: pg_sys::Relation, attributes: &[FormData_pg_attribute]) -> Identity {
    let is_sent = |number: &i16| attributes.iter().any(|it| it.attnum == *number && it.attgenerated == 0);
    // SAFETY: open, the caller's promise; guarded.
    unsafe {
        match (*(*relation).rd_rel).relreplident as u8 {
            b'f' => Identity::Full,
            b'n' => Identity::Nothing,
            _ => match index_columns(pg_sys::RelationGetReplicaIndex(relation)) {
                columns if columns.is_empty() || !columns.iter().all(is_sent) => Identity::Nothing,
                columns => Identity::Index(columns),
            },
        }
    }
}

unsafe fn primary_key(relation: pg_sys::Relation) -> Vec<i16> {
    // SAFETY: open, the caller's promise; guarded.
    unsafe {
        #[cfg(feature = "pg18")]
        let index = pg_sys::RelationGetPrimaryKeyIndex(relation, true);
        #[cfg(not(feature = "pg18"))]
        let index = pg_sys::RelationGetPrimaryKeyIndex(relation);
        index_columns(index)
    }
}

/// The attribute numbers of an index' key; none for an invalid oid.
unsafe fn index_columns(index: Oid) -> Vec<i16> {
    if index == pg_sys::InvalidOid {
        return Vec::new();
    }
    // SAFETY: guarded; a relation of an index has rd_index with indnkeyatts key columns.
    unsafe {
        let relation = pg_sys::RelationIdGetRelation(index);
        if relation.is_null() {
            return Vec::new();
        }
        let form = (*relation).rd_index;
        let count = (*form).indnkeyatts as usize;
        let columns = std::slice::from_raw_parts((*form).indkey.values.as_ptr(), count).to_vec();
        pg_sys::RelationClose(relation);
        columns
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
    class: &pg_sys::FormData_pg_class,
    attributes: usize,
    lineage: &[Name],
    identity: &Identity,
    made: Vec<Made>,
    memory: pg_sys::MemoryContext,
) -> Described {
    let mut bytes = Vec::new();
    encode::relation(&mut bytes, &relation_record(class, lineage, &made));
    let columns: Vec<Column> = made.into_iter().filter_map(|made| made.column).collect();
    Described {
        oid: class.oid.to_u32(),
        attributes: attributes as i32,
        key_cells: columns.iter().filter(|column| column.identity).count() as u16,
        identity: match identity {
            Identity::Nothing => OldKind::Unidentifiable,
            Identity::Full => OldKind::Full,
            Identity::Index(_) => OldKind::Key,
        },
        columns,
        record: bytes,
        memory,
    }
}

fn relation_record<'a>(
    class: &pg_sys::FormData_pg_class,
    lineage: &'a [Name],
    made: &'a [Made],
) -> record::Relation<'a> {
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
        columns: made.iter().map(column_record).collect(),
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
