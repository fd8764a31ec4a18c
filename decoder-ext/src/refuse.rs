//! The ERRORs that the plugin raises itself: what was seen, and what to do.

use pgrx::PgLogLevel;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use pgrx::pg_sys::panic::ErrorReport;

/// Ends the command with an ERROR.
pub fn refuse(code: PgSqlErrorCode, message: String, hint: &str) -> ! {
    ErrorReport::new(code, message, "walferry").set_hint(hint).report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}
