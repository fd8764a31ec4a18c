//! The hook into utility statements: it notes the text of a statement that changes definitions before the statement
//! runs, and writes the row itself where no event trigger speaks (rule 27).
//!
//! Statements of other kinds are passed on at once. An ERROR of the statement jumps over this file, so nothing here
//! may hold what has a destructor while it calls on; what the jump leaves behind, [`frame`] clears.

use super::events::{self, Done};
use super::{frame, kind, node, session, settings, text, write};
use pgrx::pg_guard;
use pgrx::pg_sys::ProcessUtilityContext::PROCESS_UTILITY_SUBCOMMAND;
use pgrx::pg_sys::{self, PlannedStmt, ProcessUtility_hook_type, ProcessUtilityContext};
use std::ffi::c_char;

/// The hook that was there before.
static mut NEXT: ProcessUtility_hook_type = None;

/// Puts the hook before those that are there. Called once per process.
pub fn install() {
    // SAFETY: variables of this process, which has one thread.
    unsafe {
        NEXT = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(utility);
    }
}

/// The hook, and PostgreSQL's own function, whose arguments differ between 13 and later majors.
macro_rules! hook {
    ($($read_only:ident)?) => {
        // SAFETY: declared as in tcop/utility.h. Without pgrx's boundary, which would give the user's ERROR on without
        // its position, constraint and other fields.
        unsafe extern "C-unwind" {
            fn standard_ProcessUtility(
                pstmt: *mut PlannedStmt,
                query: *const c_char,
                $($read_only: bool,)?
                context: ProcessUtilityContext::Type,
                params: pg_sys::ParamListInfo,
                environment: *mut pg_sys::QueryEnvironment,
                receiver: *mut pg_sys::DestReceiver,
                completion: *mut pg_sys::QueryCompletion,
            );
        }

        unsafe extern "C-unwind" fn utility(
            pstmt: *mut PlannedStmt,
            query: *const c_char,
            $($read_only: bool,)?
            context: ProcessUtilityContext::Type,
            params: pg_sys::ParamListInfo,
            environment: *mut pg_sys::QueryEnvironment,
            receiver: *mut pg_sys::DestReceiver,
            completion: *mut pg_sys::QueryCompletion,
        ) {
            // SAFETY: PostgreSQL's arguments, passed on. No destructors here.
            unsafe {
                let may_be_ours = context != PROCESS_UTILITY_SUBCOMMAND
                    && (kind::is_definition((*(*pstmt).utilityStmt).type_) || node::explains((*pstmt).utilityStmt));
                let depth = if may_be_ours { enter(pstmt, query) } else { 0 };
                match NEXT {
                    Some(next) => {
                        next(pstmt, query, $($read_only,)? context, params, environment, receiver, completion);
                    }
                    None => standard_ProcessUtility(
                        pstmt, query, $($read_only,)? context, params, environment, receiver, completion,
                    ),
                }
                if depth > 0 {
                    leave(pstmt, depth);
                }
            }
        }
    };
}

#[cfg(feature = "pg13")]
hook!();
#[cfg(not(feature = "pg13"))]
hook!(read_only_tree);

/// The statement begins. Gives its depth among those that run, which `leave` must be told; 0 if it is not captured.
#[pg_guard]
unsafe extern "C-unwind" fn enter(pstmt: *mut PlannedStmt, query: *const c_char) -> usize {
    // SAFETY: PostgreSQL's arguments: a live statement and its source text.
    unsafe {
        let tree = (*pstmt).utilityStmt;
        let explained = node::explained(tree);
        if explained.is_none() && node::explains(tree) || !session::is_capturing() {
            return 0;
        }
        let own = text::own(tree, query, (*pstmt).stmt_location, (*pstmt).stmt_len);
        let depth = frame::push(frame::Frame::new(explained.unwrap_or(tree), own, settings::now(), true));
        if let Some(explained) = explained {
            events::foretell(explained);
        }
        if kind::is_beyond_recall((*tree).type_) {
            events::tell();
        }
        depth
    }
}

/// The statement is done. No event trigger told of it if there is none for its kind, or if they are switched off.
#[pg_guard]
unsafe extern "C-unwind" fn leave(pstmt: *mut PlannedStmt, depth: usize) {
    let Some(frame) = frame::pop_at(depth) else { return };
    // SAFETY: live until the hook returns.
    let tree = unsafe { (*pstmt).utilityStmt };
    // SAFETY: as above.
    if frame.started || unsafe { node::is_ours(tree) } || !session::is_capturing() {
        return;
    }
    // SAFETY: as above.
    let done = match unsafe { node::explained(tree) } {
        None => Some(Done::unknown()),
        // SAFETY: as above.
        Some(explained) => unsafe { Done::explained(&frame, explained) },
    };
    if let Some(done) = done {
        session::as_owner(|| write::log(&frame, &done));
    }
}
