//! The role and the settings that a statement began under, as far as they change what its text means.

use super::json;
use pgrx::pg_sys::{self, Oid};
use std::ffi::CStr;

/// Settings that change how a text is read or what it makes, and whom SESSION_USER means.
const NAMES: [&CStr; 12] = [
    c"DateStyle",
    c"IntervalStyle",
    c"TimeZone",
    c"standard_conforming_strings",
    c"backslash_quote",
    c"array_nulls",
    c"xmloption",
    c"transform_null_equals",
    c"default_table_access_method",
    c"default_toast_compression",
    c"default_text_search_config",
    c"session_authorization",
];

/// What a statement began under.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The current role.
    pub user: Oid,
    /// The setting as it stands, in the database's encoding.
    pub search_path: Vec<u8>,
    /// The others, as a JSON object.
    pub json: Vec<u8>,
}

/// The present ones.
pub fn now() -> Settings {
    // SAFETY: guarded; reads variables and the catalog.
    let (user, superuser) = unsafe {
        let user = pg_sys::GetUserId();
        (user, pg_sys::superuser_arg(user))
    };
    let given = NAMES.iter().filter_map(|name| Some((name.to_bytes(), json::text(&setting(name)?))));
    let role = json::text(if superuser { b"on" } else { b"off" });
    let json = json::object(given.chain([(b"is_superuser".as_slice(), role)]));
    Settings { user, search_path: setting(c"search_path").unwrap_or_default(), json }
}

/// The value of a setting; none where the server does not know it.
fn setting(name: &CStr) -> Option<Vec<u8>> {
    // SAFETY: guarded; the value is a C string (or null), which is copied before anything else can change it.
    unsafe {
        let value = pg_sys::GetConfigOption(name.as_ptr(), true, false);
        (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes().to_vec())
    }
}
