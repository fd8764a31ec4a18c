//! The tables that carry DDL (rule 25): which they are, and their rows as texts.

use crate::names;
use pgrx::pg_sys::{self, Datum, Oid};
use std::ffi::CStr;
use walferry_wire::record::Carrier;

/// The column names and values of a row, in UTF-8.
pub type Fields = Vec<(String, Option<String>)>;

/// Which carrier the relation is. A name is not enough: it must belong to the extension.
pub fn of(class: &pg_sys::FormData_pg_class) -> Option<Carrier> {
    // SAFETY: pg_class holds a C string in its name.
    let carrier = match unsafe { CStr::from_ptr(class.relname.data.as_ptr()) }.to_bytes() {
        b"ddl_log" => Carrier::Log,
        b"ddl_mark" => Carrier::Mark,
        _ => return None,
    };
    belongs_to_extension(class.oid).then_some(carrier)
}

fn belongs_to_extension(relation: Oid) -> bool {
    // SAFETY: guarded catalog lookups; the name is a constant.
    unsafe {
        let extension = pg_sys::getExtensionOfObject(pg_sys::RelationRelationId, relation);
        extension != pg_sys::InvalidOid && extension == pg_sys::get_extension_oid(c"walferry".as_ptr(), true)
    }
}

/// A row's columns. What making texts needs is allocated in a context under `parent`, and given back.
///
/// # Safety
/// `relation` must be open and `row` a row of it.
pub unsafe fn fields(
    relation: pg_sys::Relation,
    row: pg_sys::HeapTuple,
    parent: pg_sys::MemoryContext,
) -> Fields {
    let scratch = crate::describe::memory(parent);
    // SAFETY: guarded calls on live contexts. After an ERROR the context goes with its parent, at the session's end.
    unsafe {
        let before = pg_sys::CurrentMemoryContext;
        pg_sys::CurrentMemoryContext = scratch;
        let fields = texts((*relation).rd_att, row);
        pg_sys::CurrentMemoryContext = before;
        pg_sys::MemoryContextDelete(scratch);
        fields
    }
}

unsafe fn texts(desc: pg_sys::TupleDesc, row: pg_sys::HeapTuple) -> Fields {
    // SAFETY: the caller's promise: a row with as many attributes as the descriptor, for which there is room.
    unsafe {
        let attributes = crate::describe::attributes(desc);
        let mut values = vec![Datum::null(); attributes.len()];
        let mut nulls = vec![true; attributes.len()];
        pg_sys::heap_deform_tuple(row, desc, values.as_mut_ptr(), nulls.as_mut_ptr());
        let cells = attributes.iter().zip(values.iter().zip(&nulls));
        cells
            .filter(|(attribute, _)| !attribute.attisdropped)
            .map(|(attribute, (value, null))| {
                let text = (!null).then(|| text(attribute.atttypid, *value));
                (names::utf8(attribute.attname.data.as_ptr()), text)
            })
            .collect()
    }
}

unsafe fn text(type_oid: Oid, value: Datum) -> String {
    let (mut function, mut varlena) = (pg_sys::InvalidOid, false);
    // SAFETY: guarded; the value is of the type, and an output function gives a C string.
    unsafe {
        pg_sys::getTypeOutputInfo(type_oid, &mut function, &mut varlena);
        names::utf8(pg_sys::OidOutputFunctionCall(function, value))
    }
}
