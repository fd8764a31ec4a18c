//! Our own SQL: statements that are planned once per session, and their answers as texts.

use crate::refuse::refuse;
use pgrx::pg_sys::errcodes::PgSqlErrorCode as Code;
use pgrx::pg_sys::{self, Datum, Oid};
use std::ffi::{CStr, CString, c_char};
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

/// A statement of ours. Its plan looks names up under the pinned search_path whenever it is made anew, so it must run
/// within [`super::session::as_owner`] only.
pub struct Plan {
    sql: &'static str,
    arguments: &'static [Oid],
    saved: AtomicPtr<pg_sys::_SPI_plan>,
}

/// An answer: its rows, each of texts in the database's encoding.
pub type Rows = Vec<Vec<Option<Vec<u8>>>>;

/// What the statement may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// All that was done.
    Present,
    /// What was there before the running statement, if that can be had; nothing can be written then.
    Before,
}

impl Plan {
    /// A statement with arguments of these types.
    pub const fn new(sql: &'static str, arguments: &'static [Oid]) -> Self {
        Self { sql, arguments, saved: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// Runs it; `None` is NULL.
    pub fn run(&self, sight: Sight, values: &[Option<Datum>]) -> Rows {
        let mut datums: Vec<Datum> = values.iter().map(|value| value.unwrap_or(Datum::null())).collect();
        let nulls: Vec<c_char> =
            values.iter().map(|value| if value.is_some() { b' ' } else { b'n' } as c_char).collect();
        // SAFETY: guarded; connected, as the callers of this file are; as many values as arguments. A statement that may
        // not write needs a snapshot to look through.
        unsafe {
            let read_only = sight == Sight::Before && pg_sys::ActiveSnapshotSet();
            let plan = self.plan();
            let done = pg_sys::SPI_execute_plan(plan, datums.as_mut_ptr(), nulls.as_ptr(), read_only, 0);
            if done < 0 {
                fail(done);
            }
            rows()
        }
    }

    fn plan(&self) -> pg_sys::SPIPlanPtr {
        let saved = self.saved.load(Relaxed);
        if !saved.is_null() {
            return saved;
        }
        let sql = CString::new(self.sql).unwrap_or_default();
        // SAFETY: guarded; the types are constants, which are only read.
        unsafe {
            let arguments = self.arguments.as_ptr().cast_mut();
            let plan = pg_sys::SPI_prepare(sql.as_ptr(), self.arguments.len() as i32, arguments);
            if plan.is_null() || pg_sys::SPI_keepplan(plan) != 0 {
                fail(pg_sys::SPI_result);
            }
            self.saved.store(plan, Relaxed);
            plan
        }
    }
}

fn fail(code: i32) -> ! {
    let message = format!("walferry: SPI answered {code} while DDL was captured");
    refuse(Code::ERRCODE_INTERNAL_ERROR, message, "Please report this with the server's version.")
}

/// Runs `work` with SPI. Only for [`super::session::as_owner`].
pub fn connected<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: guarded; after an ERROR the end of the (sub)transaction disconnects.
    unsafe {
        let code = pg_sys::SPI_connect();
        if code < 0 {
            fail(code);
        }
        let done = work();
        pg_sys::SPI_finish();
        done
    }
}

/// The rows of the last statement.
unsafe fn rows() -> Rows {
    // SAFETY: SPI's variables: a table of `numvals` tuples if the statement has given rows.
    unsafe {
        let table = pg_sys::SPI_tuptable;
        if table.is_null() {
            return Vec::new();
        }
        let (desc, count) = ((*table).tupdesc, pg_sys::SPI_processed as usize);
        let row = |index: usize| {
            let columns = 1..=(*desc).natts;
            columns.map(|column| value(*(*table).vals.add(index), desc, column)).collect()
        };
        let rows = (0..count).map(row).collect();
        pg_sys::SPI_freetuptable(table);
        rows
    }
}

unsafe fn value(tuple: pg_sys::HeapTuple, desc: pg_sys::TupleDesc, column: i32) -> Option<Vec<u8>> {
    // SAFETY: guarded; gives a palloc'd C string, or null.
    unsafe {
        let text = pg_sys::SPI_getvalue(tuple, desc, column);
        (!text.is_null()).then(|| CStr::from_ptr(text).to_bytes().to_vec())
    }
}

/// A value of type text.
pub fn text(bytes: &[u8]) -> Datum {
    // SAFETY: guarded; copies the bytes.
    Datum::from(unsafe { pg_sys::cstring_to_text_with_len(bytes.as_ptr().cast(), bytes.len() as i32) })
}

/// A number in an answer.
pub fn number(value: Option<&Option<Vec<u8>>>) -> Option<i64> {
    let text = std::str::from_utf8(value?.as_deref()?).ok()?;
    text.parse().ok()
}
