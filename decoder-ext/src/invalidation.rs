//! What changed in the catalog since relations were described. PostgreSQL's invalidation callbacks cannot be taken
//! back, so they are registered once per process (rule 20) and only note what changed; the decoding session looks at
//! the notes before it uses a description.

use pgrx::pg_sys;
use pgrx::pg_sys::SysCacheIdentifier::{NAMESPACEOID, REPLORIGIDENT, TYPEOID};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// More relations than this at once count as all of them.
const MANY: usize = 1024;

/// What changed.
#[derive(Debug, Default)]
pub struct Changed {
    /// Any relation may have.
    pub all: bool,
    /// These did.
    pub relations: Vec<u32>,
    /// Replication origins did.
    pub origins: bool,
}

static ANY: AtomicBool = AtomicBool::new(false);
thread_local! {
    static NOTES: RefCell<Changed> =
        const { RefCell::new(Changed { all: false, relations: Vec::new(), origins: false }) };
}

/// Registers the callbacks, once per process.
pub fn register() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Relaxed) {
        return;
    }
    let none = pg_sys::Datum::null();
    // SAFETY: the functions live as long as the library, which is never unloaded.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(relation), none);
        pg_sys::CacheRegisterSyscacheCallback(TYPEOID as i32, Some(names), none);
        pg_sys::CacheRegisterSyscacheCallback(NAMESPACEOID as i32, Some(names), none);
        pg_sys::CacheRegisterSyscacheCallback(REPLORIGIDENT as i32, Some(origins), none);
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
            changed.relations.push(relation.to_u32());
        }
    });
}

unsafe extern "C-unwind" fn names(_: pg_sys::Datum, _: i32, _: u32) {
    note(|changed| {
        changed.all = true;
        changed.relations.clear();
    });
}

unsafe extern "C-unwind" fn origins(_: pg_sys::Datum, _: i32, _: u32) {
    note(|changed| changed.origins = true);
}
