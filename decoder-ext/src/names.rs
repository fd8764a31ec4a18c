//! Texts of the server, which are in the database's encoding, as UTF-8, which is what records and patterns use.

use pgrx::pg_sys;
use std::borrow::Cow;
use std::ffi::{CStr, c_char};

/// A C string of the server as UTF-8; empty for null. In a database of encoding SQL_ASCII what is not UTF-8 becomes U+FFFD, which matches no name.
///
/// # Safety
/// `text` must be null or a C string.
pub unsafe fn utf8(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    bytes_utf8(unsafe { CStr::from_ptr(text) }.to_bytes()).into_owned()
}

/// Bytes of a text of the server as UTF-8, see [`utf8`].
pub fn bytes_utf8(bytes: &[u8]) -> Cow<'_, str> {
    // SAFETY: no arguments.
    let encoding = unsafe { pg_sys::GetDatabaseEncoding() };
    let as_it_is = bytes.is_ascii() || encoding == UTF8 || encoding == pg_sys::pg_enc::PG_SQL_ASCII as i32;
    if as_it_is { String::from_utf8_lossy(bytes) } else { Cow::Owned(converted(bytes)) }
}

const UTF8: i32 = pg_sys::pg_enc::PG_UTF8 as i32;

fn converted(bytes: &[u8]) -> String {
    // SAFETY: the function reads `len` bytes and gives a palloc'd C string (or its argument, when nothing had to be
    // converted, which is ASCII and so excluded here).
    in_transaction(|| unsafe {
        let text = pg_sys::pg_server_to_any(bytes.as_ptr().cast(), bytes.len() as i32, UTF8);
        let owned = CStr::from_ptr(text).to_string_lossy().into_owned();
        pg_sys::pfree(text.cast());
        owned
    })
}

/// PostgreSQL looks conversions up in the catalog. Changes are decoded in a transaction, but options are read before.
fn in_transaction<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: guarded. Starting and ending a transaction moves the current memory context and resource owner, which
    // are the caller's; after an ERROR the session cleans up.
    unsafe {
        if pg_sys::IsTransactionState() {
            return work();
        }
        let (memory, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::StartTransactionCommand();
        let done = work();
        pg_sys::CommitTransactionCommand();
        (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner) = (memory, owner);
        done
    }
}

/// The database's encoding as PostgreSQL calls it.
pub fn database_encoding() -> &'static str {
    // SAFETY: guarded; gives a constant string.
    unsafe { constant(pg_sys::GetDatabaseEncodingName()) }
}

/// The client's encoding as PostgreSQL calls it.
pub fn client_encoding() -> &'static str {
    // SAFETY: guarded; gives a constant string.
    unsafe { constant(pg_sys::pg_get_client_encoding_name()) }
}

unsafe fn constant(name: *const c_char) -> &'static str {
    // SAFETY: names of encodings are constant C strings of ASCII.
    unsafe { CStr::from_ptr(name) }.to_str().unwrap_or_default()
}
