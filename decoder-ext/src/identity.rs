//! What identifies the rows of a relation, from the catalog as the decoded change saw it.

use pgrx::pg_sys::{self, FormData_pg_attribute, Oid};

/// Which columns identify a row.
pub enum Identity {
    Nothing,
    Full,
    Index(Vec<i16>),
}

/// REPLICA IDENTITY as PostgreSQL understands it: DEFAULT is the primary key unless that is deferrable. An index with
/// a generated column does not identify rows here, since generated columns are not sent.
///
/// # Safety
/// `relation` must be open.
pub unsafe fn identity(relation: pg_sys::Relation, attributes: &[FormData_pg_attribute]) -> Identity {
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

/// The attribute numbers of the primary key.
///
/// # Safety
/// `relation` must be open.
pub unsafe fn primary_key(relation: pg_sys::Relation) -> Vec<i16> {
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
