//! PostgreSQL functions without pgrx's guard, for code that runs inside one [`pg_guard_ffi_boundary`]: there an ERROR
//! jumps straight to the boundary, so nothing between may have a destructor, and nothing may panic.
//!
//! Who may come in: `output` and `tuple` (and what they call). Everything else uses the guarded `pg_sys`.
//!
//! [`pg_guard_ffi_boundary`]: pgrx::pg_sys::ffi::pg_guard_ffi_boundary

use pgrx::pg_sys::{
    Datum, FmgrInfo, HeapTuple, LogicalDecodingContext, MemoryContext, StringInfo, TupleDesc, bytea, varlena,
};
use std::ffi::{c_char, c_int, c_void};

// SAFETY: the declarations follow access/htup_details.h, fmgr.h, utils/palloc.h, utils/memutils.h,
// lib/stringinfo.h and replication/output_plugin.h, which agree on them from 13 to 18.
unsafe extern "C-unwind" {
    pub fn heap_deform_tuple(tuple: HeapTuple, desc: TupleDesc, values: *mut Datum, isnull: *mut bool);
    pub fn pg_detoast_datum_packed(datum: *mut varlena) -> *mut varlena;
    pub fn SendFunctionCall(function: *mut FmgrInfo, value: Datum) -> *mut bytea;
    pub fn OutputFunctionCall(function: *mut FmgrInfo, value: Datum) -> *mut c_char;
    pub fn MemoryContextReset(context: MemoryContext);
    pub fn repalloc_huge(pointer: *mut c_void, size: usize) -> *mut c_void;
    pub fn appendBinaryStringInfo(out: StringInfo, data: *const c_void, len: c_int);
    pub fn OutputPluginPrepareWrite(ctx: *mut LogicalDecodingContext, last_write: bool);
    pub fn OutputPluginWrite(ctx: *mut LogicalDecodingContext, last_write: bool);
}
