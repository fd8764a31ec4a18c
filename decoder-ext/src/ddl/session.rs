//! Whether this session captures, and the surroundings that our own SQL runs in: the tables' owner, a pinned search_path,
//! and settings under which texts of values mean the same everywhere.

use super::spi;
use pgrx::pg_sys::{self, Oid};
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What our SQL runs under. Nobody can make objects in pg_catalog; temporary ones come last.
const PINNED: [(&CStr, &CStr); 7] = [
    (c"search_path", c"pg_catalog, pg_temp"),
    (c"DateStyle", c"ISO, YMD"),
    (c"IntervalStyle", c"iso_8601"),
    (c"TimeZone", c"UTC"),
    (c"extra_float_digits", c"3"),
    (c"bytea_output", c"hex"),
    (c"quote_all_identifiers", c"off"),
];

/// Our own SQL runs. What it runs in turn is nobody's statement.
static BUSY: AtomicBool = AtomicBool::new(false);

/// A (sub)transaction ended by an ERROR, and our SQL with it if it ran.
pub fn aborted() {
    BUSY.store(false, Relaxed);
}

/// Whether statements of this session are captured now.
pub fn is_capturing() -> bool {
    // SAFETY: guarded, or variables of this process.
    unsafe {
        !BUSY.load(Relaxed)
            && pg_sys::IsUnderPostmaster
            && !pg_sys::IsBinaryUpgrade
            && pg_sys::IsTransactionState()
            && !pg_sys::creating_extension
            && !pg_sys::RecoveryInProgress()
            && is_enabled()
    }
}

/// Whether the event triggers are switched on, which stand for all of the capture.
fn is_enabled() -> bool {
    const DISABLED: u8 = b'D';
    let name = c"!walferry_ddl_command_end";
    // SAFETY: guarded; a tuple of this cache is a pg_event_trigger row until it is released.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::EVENTTRIGGERNAME as i32;
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(name.as_ptr()));
        if tuple.is_null() {
            return false;
        }
        let form = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_event_trigger>();
        let enabled = form.evtenabled as u8 != DISABLED;
        pg_sys::ReleaseSysCache(tuple);
        enabled
    }
}

/// Runs `work`, which uses [`spi`], as the owner of our tables; not at all where there are none. After an ERROR the end of
/// the (sub)transaction restores everything.
pub fn as_owner<T>(work: impl FnOnce() -> T) -> Option<T> {
    let owner = owner()?;
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: guarded; what was saved is restored.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        pg_sys::SetUserIdAndSecContext(owner, context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32);
        let level = pg_sys::NewGUCNestLevel();
        pin();
        BUSY.store(true, Relaxed);
        let done = spi::connected(work);
        BUSY.store(false, Relaxed);
        pg_sys::AtEOXact_GUC(true, level);
        pg_sys::SetUserIdAndSecContext(user, context);
        Some(done)
    }
}

fn pin() {
    for (name, value) in PINNED {
        // SAFETY: guarded; constant C strings.
        unsafe {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
    }
}

/// The owner of `walferry.ddl_log`.
fn owner() -> Option<Oid> {
    // SAFETY: guarded; constant names; a tuple of this cache is a pg_class row until it is released.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"walferry".as_ptr(), true);
        let table = pg_sys::get_relname_relid(c"ddl_log".as_ptr(), schema);
        let cache = pg_sys::SysCacheIdentifier::RELOID as i32;
        let tuple = pg_sys::SearchSysCache1(cache, table.into());
        if tuple.is_null() {
            return None;
        }
        let owner = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>()).relowner;
        pg_sys::ReleaseSysCache(tuple);
        Some(owner)
    }
}
