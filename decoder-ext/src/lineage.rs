//! A relation's name and those of its partitioned ancestors, from the catalog as the decoded change saw it.

use crate::names;
use pgrx::pg_sys::{self, Oid};

// SAFETY: declared as in catalog/partition.h, the same from 13 to 18.
unsafe extern "C-unwind" {
    fn get_partition_ancestors(relation: Oid) -> *mut pg_sys::List;
}

/// A name with its schema.
pub struct Name {
    pub oid: u32,
    pub schema: String,
    pub name: String,
}

/// The relation, then its partitioned ancestors, the nearest first.
pub fn of(class: &pg_sys::FormData_pg_class) -> Vec<Name> {
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

/// The name of a schema.
pub fn schema(oid: Oid) -> String {
    // SAFETY: a guarded catalog lookup, which gives a palloc'd string or null.
    unsafe { names::utf8(pg_sys::get_namespace_name(oid)) }
}
