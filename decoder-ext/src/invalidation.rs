//! What changed in the catalog since relations were described. PostgreSQL's invalidation callbacks cannot be taken
//! back, so they are registered once per process (rule 20) and only note what changed; the decoding session looks at
//! the notes before it uses a description.

use pgrx::pg_sys;
use pgrx::pg_sys::SysCacheIdentifier::{NAMESPACEOID, REPLORIGIDENT, TYPEOID};
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

type RelationCallback = Option<unsafe extern "C-unwind" fn(pg_sys::Datum, pg_sys::Oid)>;
type CacheCallback = Option<unsafe extern "C-unwind" fn(pg_sys::Datum, c_int, u32)>;

// SAFETY: declared as in utils/inval.h, the same from 13 to 18 (the bindings of 13 lack them).
unsafe extern "C-unwind" {
    fn CacheRegisterRelcacheCallback(function: RelationCallback, argument: pg_sys::Datum);
    fn CacheRegisterSyscacheCallback(cache: c_int, function: CacheCallback, argument: pg_sys::Datum);
}

/// More relations than this at once count as all of them.
const MANY: usize = 1024;

/// What changed.
#[derive(Debug, Default)]
pub struct Changed {
    /// Any relation may have.
    pub all: bool,
    /// These did.
    pub relations: BTreeSet<u32>,
    /// Replication origins did.
    pub origins: bool,
}

static ANY: AtomicBool = AtomicBool::new(false);
thread_local! {
    static NOTES: RefCell<Changed> =
        const { RefCell::new(Changed { all: false, relations: BTreeSet::new(), origins: false }) };
}

/// Registers the callbacks, once per process.
pub fn register() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Relaxed) {
        return;
    }
    let none = pg_sys::Datum::null();
    // SAFETY: the callbacks live as long as the library, which is never unloaded; the closure holds nothing.
    unsafe {
        pg_guard_ffi_boundary(|| {
            CacheRegisterRelcacheCallback(Some(relation), none);
            CacheRegisterSyscacheCallback(TYPEOID as c_int, Some(names), none);
            CacheRegisterSyscacheCallback(NAMESPACEOID as c_int, Some(names), none);
            CacheRegisterSyscacheCallback(REPLORIGIDENT as c_int, Some(origins), none);
        });
    }
}

/// What changed since the last call.
#[inline]
pub fn take() -> Option<Changed> {
    if ANY.load(Relaxed) { noted() } else { None }
}

#[cold]
fn noted() -> Option<Changed> {
    ANY.store(false, Relaxed);
    NOTES.with(|notes| notes.try_borrow_mut().ok().map(|mut notes| std::mem::take(&mut *notes)))
}

/// Runs inside PostgreSQL's invalidation code: must neither raise nor panic.
fn note(change: impl FnOnce(&mut Changed)) {
    NOTES.with(|notes| {
        if let Ok(mut notes) = notes.try_borrow_mut() {
            change(&mut notes);
        }
    });
    ANY.store(true, Relaxed);
}

unsafe extern "C-unwind" fn relation(_: pg_sys::Datum, relation: pg_sys::Oid) {
    note(|changed| {
        if relation == pg_sys::InvalidOid || changed.relations.len() >= MANY {
            changed.all = true;
            changed.relations.clear();
        } else if !changed.all {
            changed.relations.insert(relation.to_u32());
        }
    });
}

unsafe extern "C-unwind" fn names(_: pg_sys::Datum, _: c_int, _: u32) {
    note(|changed| {
        changed.all = true;
        changed.relations.clear();
    });
}

unsafe extern "C-unwind" fn origins(_: pg_sys::Datum, _: c_int, _: u32) {
    note(|changed| changed.origins = true);
}
