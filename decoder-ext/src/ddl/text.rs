//! The own text of one statement: a string that a client or a function runs may hold many.

use super::kind;
use pgrx::pg_sys::{self, Node};
use std::ffi::{CStr, c_char};

/// The text of a statement, in the database's encoding, or why there is none.
#[derive(Debug, Clone)]
pub enum Text {
    /// Without a semicolon at its end.
    Own(Vec<u8>),
    /// It could not be had.
    Unknown,
    /// It may hold secrets and is not kept.
    Secret,
}

impl Text {
    /// For the column `statement`.
    pub fn statement(&self) -> Option<&[u8]> {
        match self {
            Self::Own(text) => Some(text),
            Self::Unknown | Self::Secret => None,
        }
    }

    /// For the column `withheld`.
    pub fn withheld(&self) -> Option<&'static [u8]> {
        match self {
            Self::Own(_) => None,
            Self::Unknown => Some(b"unknown"),
            Self::Secret => Some(b"secret"),
        }
    }
}

/// The text of the statement `tree`, which stands at `location` of `source` and is `len` bytes long (0: the rest).
///
/// # Safety
/// `tree` must be a live utility statement that was parsed from `source`, a C string or null.
pub unsafe fn own(tree: *mut Node, source: *const c_char, location: i32, len: i32) -> Text {
    // SAFETY: the caller's promise.
    if kind::is_secret(unsafe { (*tree).type_ }) {
        return Text::Secret;
    }
    if source.is_null() {
        return Text::Unknown;
    }
    // SAFETY: the caller's promise.
    let whole = unsafe { CStr::from_ptr(source) }.to_bytes();
    let start = usize::try_from(location).unwrap_or(0).min(whole.len());
    let rest = &whole[start..];
    let own = match usize::try_from(len) {
        Ok(len @ 1..) => &rest[..len.min(rest.len())],
        _ => rest,
    };
    match trimmed(own) {
        b"" => Text::Unknown,
        text => Text::Own(text.to_vec()),
    }
}

fn trimmed(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    text.strip_suffix(b";").map_or(text, trimmed)
}

/// The text of a statement that began before the library was there: that of the client's query, if this statement is the
/// only one in it.
///
/// # Safety
/// `tree` must be a live utility statement.
pub unsafe fn of_portal(tree: *mut Node) -> Text {
    // SAFETY: the caller's promise; a portal has a list of planned statements and its text as long as it is active.
    unsafe {
        if kind::is_secret((*tree).type_) {
            return Text::Secret;
        }
        let portal = pg_sys::ActivePortal;
        if portal.is_null() || (*portal).stmts.is_null() || (*(*portal).stmts).length != 1 {
            return Text::Unknown;
        }
        let pstmt = (*(*(*portal).stmts).elements).ptr_value.cast::<pg_sys::PlannedStmt>();
        let found = (*pstmt).utilityStmt;
        if found != tree && (found.is_null() || !pg_sys::equal(found.cast(), tree.cast())) {
            return Text::Unknown;
        }
        own(tree, (*portal).sourceText, (*pstmt).stmt_location, (*pstmt).stmt_len)
    }
}
