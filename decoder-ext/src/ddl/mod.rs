//! The capture of DDL on the source: every statement that changes definitions becomes a row of `walferry.ddl_log`, in the
//! transaction that it runs in, and steps of it that rows follow become rows of `walferry.ddl_mark` (rules 25 to 27).
//!
//! The way of a statement: [`hook`] (the statement's own text, before it runs) -> [`frame`] (the statements that run now)
//! -> [`events`] (the event triggers, which say what it did) -> [`objects`] and [`facts`] -> [`write`] (the row).
//! Without the hook - the library came into the session with the statement itself - [`text`] finds the text where it can.
//!
//! The code runs inside the statements of every user. An ERROR of the user's statement must reach the user whole, so the
//! hook calls on without a boundary; all work of ours is in guarded functions.

mod events;
mod facts;
mod frame;
mod hook;
mod json;
mod kind;
mod node;
mod objects;
mod session;
mod settings;
mod spi;
mod text;
mod write;

use pgrx::pg_guard;
use pgrx::pg_sys;

/// How many days rows stay in the tables.
static mut LOG_DAYS: i32 = 30;

/// What PostgreSQL calls when the library comes into a process.
///
/// # Safety
/// Called by PostgreSQL, once per process.
#[pg_guard]
pub unsafe extern "C-unwind" fn _PG_init() {
    // SAFETY: guarded; the variable and the texts live as long as the process.
    unsafe {
        pg_sys::DefineCustomIntVariable(
            c"walferry.ddl_log_days".as_ptr(),
            c"Days after which rows of walferry.ddl_log and walferry.ddl_mark are removed.".as_ptr(),
            std::ptr::null(),
            &raw mut LOG_DAYS,
            30,
            1,
            36500,
            pg_sys::GucContext::PGC_SUSET,
            0,
            None,
            None,
            None,
        );
    }
    frame::register();
    hook::install();
}

/// How many days rows stay in the tables.
fn log_days() -> i32 {
    // SAFETY: a variable of this process, which has one thread; PostgreSQL writes it between statements.
    unsafe { LOG_DAYS }
}
