//! The callbacks that PostgreSQL calls
//! (<https://www.postgresql.org/docs/current/logicaldecoding-output-plugin.html>). Each is guarded - a Rust panic or a
//! PostgreSQL ERROR unwinds to it and goes on as an ERROR - and does no more than take the pointers apart.

use crate::context::Context;
use crate::decoding::{self, Decoding, Source};
use crate::invalidation;
use crate::names;
use crate::options::{self, Format, Options};
use crate::refuse::refuse;
use crate::transaction::Transaction;
use crate::tuple::Change;
use pgrx::pg_guard;
use pgrx::pg_sys::errcodes::PgSqlErrorCode as Code;
use pgrx::pg_sys::{
    self, HeapTuple, LogicalDecodingContext, OutputPluginCallbacks, OutputPluginOptions, Relation,
    ReorderBufferChange, ReorderBufferChangeType as Action, ReorderBufferTXN, RepOriginId, Size, XLogRecPtr,
};
use std::ffi::{CStr, c_char, c_int};
use walferry_wire::record::{Message, Truncate};

/// What PostgreSQL looks for in the library of an output plugin.
///
/// There are no callbacks for two-phase commit: prepared transactions come at COMMIT PREPARED.
///
/// # Safety
/// Called by PostgreSQL with a zeroed table.
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn _PG_output_plugin_init(callbacks: *mut OutputPluginCallbacks) {
    // SAFETY: PostgreSQL's own table.
    let callbacks = unsafe { &mut *callbacks };
    callbacks.startup_cb = Some(startup);
    callbacks.begin_cb = Some(begin);
    callbacks.change_cb = Some(change);
    callbacks.truncate_cb = Some(truncate);
    callbacks.commit_cb = Some(commit);
    callbacks.message_cb = Some(message);
    callbacks.filter_by_origin_cb = Some(filter_by_origin);
    callbacks.shutdown_cb = Some(shutdown);
    #[cfg(not(feature = "pg13"))]
    {
        callbacks.stream_start_cb = Some(stream_start);
        callbacks.stream_stop_cb = Some(stream_stop);
        callbacks.stream_abort_cb = Some(stream_abort);
        callbacks.stream_commit_cb = Some(stream_commit);
        callbacks.stream_change_cb = Some(change);
        callbacks.stream_message_cb = Some(message);
        callbacks.stream_truncate_cb = Some(truncate);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn startup(
    ctx: *mut LogicalDecodingContext,
    output: *mut OutputPluginOptions,
    is_init: bool,
) {
    // SAFETY: the arguments are live; when a slot is made there are no options and nothing is decoded.
    unsafe {
        let given = options::given((*ctx).output_plugin_options);
        let options = Options::read(given);
        (*output).receive_rewrites = options.ddl;
        (*output).output_type = match options.format {
            Format::Binary => pg_sys::OutputPluginOutputType::OUTPUT_PLUGIN_BINARY_OUTPUT,
            Format::Json => pg_sys::OutputPluginOutputType::OUTPUT_PLUGIN_TEXTUAL_OUTPUT,
        };
        #[cfg(not(feature = "pg13"))]
        {
            (*ctx).streaming &= options.streaming;
        }
        if options.format == Format::Binary && !is_init {
            refuse_conversion();
        }
        invalidation::register();
        let ctx = Context::new(ctx);
        ctx.attach(Box::new(Decoding::new(ctx, options)));
    }
}

/// Native encoders give text in the database's encoding, send and output functions in the client's: both must be one.
fn refuse_conversion() {
    // SAFETY: guarded; they read settings of this backend.
    let (client, database) = unsafe { (pg_sys::pg_get_client_encoding(), pg_sys::GetDatabaseEncoding()) };
    if client != database && client != pg_sys::pg_enc::PG_SQL_ASCII as c_int {
        let (client, database) = (names::client_encoding(), names::database_encoding());
        refuse(
            Code::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!("walferry: client_encoding is {client}, but the database's encoding is {database}"),
            "Set client_encoding to the server_encoding of the database for this session.",
        );
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn shutdown(_ctx: *mut LogicalDecodingContext) {
    // The state goes away with the decoding context, also where no shutdown callback runs.
}

#[pg_guard]
unsafe extern "C-unwind" fn begin(ctx: *mut LogicalDecodingContext, _txn: *mut ReorderBufferTXN) {
    // SAFETY: PostgreSQL's arguments; startup ran.
    unsafe { Context::new(ctx).decoding() }.begin();
}

#[pg_guard]
unsafe extern "C-unwind" fn change(
    ctx: *mut LogicalDecodingContext,
    txn: *mut ReorderBufferTXN,
    relation: Relation,
    change: *mut ReorderBufferChange,
) {
    // SAFETY: PostgreSQL's arguments; startup ran; the tuples are rows of the open relation.
    unsafe {
        let ctx = Context::new(ctx);
        ctx.decoding().change(ctx, source(txn, change), relation, row_change(change));
    }
}

/// # Safety
/// PostgreSQL's arguments.
#[inline]
unsafe fn source(txn: *mut ReorderBufferTXN, change: *mut ReorderBufferChange) -> Source {
    // SAFETY: the caller's promise; every change knows its (sub)transaction.
    unsafe {
        Source {
            txn: Transaction::new(txn),
            xid: Transaction::new((*change).txn).xid(),
            origin: (*change).origin_id,
            lsn: (*change).lsn,
        }
    }
}

#[inline]
unsafe fn row_change(change: *mut ReorderBufferChange) -> Change {
    // SAFETY: the caller's promise; row changes have `tp`.
    let (action, old, new) = unsafe {
        let rows = (*change).data.tp;
        ((*change).action, heap_tuple(rows.oldtuple), heap_tuple(rows.newtuple))
    };
    if new.is_null() && action != Action::REORDER_BUFFER_CHANGE_DELETE {
        decoding::refuse_without_row();
    }
    Change { action, old, new }
}

#[cfg(any(feature = "pg13", feature = "pg14", feature = "pg15", feature = "pg16"))]
unsafe fn heap_tuple(buffer: *mut pg_sys::ReorderBufferTupleBuf) -> HeapTuple {
    match buffer.is_null() {
        true => std::ptr::null_mut(),
        // SAFETY: a buffer holds a tuple.
        false => unsafe { &raw mut (*buffer).tuple },
    }
}

#[cfg(not(any(feature = "pg13", feature = "pg14", feature = "pg15", feature = "pg16")))]
unsafe fn heap_tuple(tuple: HeapTuple) -> HeapTuple {
    tuple
}

#[pg_guard]
unsafe extern "C-unwind" fn truncate(
    ctx: *mut LogicalDecodingContext,
    txn: *mut ReorderBufferTXN,
    count: c_int,
    relations: *mut Relation,
    change: *mut ReorderBufferChange,
) {
    // SAFETY: PostgreSQL's arguments: `count` open relations, and a change that has `truncate`.
    unsafe {
        let ctx = Context::new(ctx);
        let of = (*change).data.truncate;
        let truncate =
            Truncate { cascade: of.cascade, restart_identity: of.restart_seqs, relations: Vec::new() };
        let relations = std::slice::from_raw_parts(relations, count as usize);
        ctx.decoding().truncate(ctx, source(txn, change), relations, truncate);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn commit(
    ctx: *mut LogicalDecodingContext,
    txn: *mut ReorderBufferTXN,
    _commit_lsn: XLogRecPtr,
) {
    // SAFETY: PostgreSQL's arguments; startup ran.
    unsafe {
        let ctx = Context::new(ctx);
        ctx.decoding().commit(ctx, Transaction::new(txn));
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn message(
    ctx: *mut LogicalDecodingContext,
    txn: *mut ReorderBufferTXN,
    lsn: XLogRecPtr,
    transactional: bool,
    prefix: *const c_char,
    size: Size,
    content: *const c_char,
) {
    // SAFETY: PostgreSQL's arguments: a C string, and `size` bytes.
    unsafe {
        let ctx = Context::new(ctx);
        // A prefix of ours is ASCII; others could not be converted outside a transaction, and are nobody's business.
        let Some(prefix) = CStr::from_ptr(prefix).to_str().ok().filter(|prefix| prefix.is_ascii()) else {
            return;
        };
        let content = std::slice::from_raw_parts(content.cast(), size);
        let txn = transactional.then(|| Transaction::new(txn));
        ctx.decoding().message(ctx, txn, &Message { transactional, lsn, prefix, content });
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn filter_by_origin(ctx: *mut LogicalDecodingContext, origin: RepOriginId) -> bool {
    // SAFETY: PostgreSQL's arguments; startup ran.
    unsafe { Context::new(ctx).decoding() }.drops_origin(origin)
}

#[cfg(not(feature = "pg13"))]
#[pg_guard]
unsafe extern "C-unwind" fn stream_start(ctx: *mut LogicalDecodingContext, txn: *mut ReorderBufferTXN) {
    // SAFETY: PostgreSQL's arguments; startup ran.
    unsafe { Context::new(ctx).decoding().stream_start(Transaction::new(txn)) };
}

#[cfg(not(feature = "pg13"))]
#[pg_guard]
unsafe extern "C-unwind" fn stream_stop(ctx: *mut LogicalDecodingContext, _txn: *mut ReorderBufferTXN) {
    // SAFETY: PostgreSQL's arguments; startup ran.
    unsafe {
        let ctx = Context::new(ctx);
        ctx.decoding().stream_stop(ctx);
    }
}

#[cfg(not(feature = "pg13"))]
#[pg_guard]
unsafe extern "C-unwind" fn stream_abort(
    ctx: *mut LogicalDecodingContext,
    txn: *mut ReorderBufferTXN,
    _abort_lsn: XLogRecPtr,
) {
    // SAFETY: PostgreSQL's arguments; startup ran.
    unsafe {
        let ctx = Context::new(ctx);
        ctx.decoding().stream_abort(ctx, Transaction::new(txn));
    }
}

#[cfg(not(feature = "pg13"))]
#[pg_guard]
unsafe extern "C-unwind" fn stream_commit(
    ctx: *mut LogicalDecodingContext,
    txn: *mut ReorderBufferTXN,
    _commit_lsn: XLogRecPtr,
) {
    // SAFETY: PostgreSQL's arguments; startup ran.
    unsafe {
        let ctx = Context::new(ctx);
        ctx.decoding().stream_commit(ctx, Transaction::new(txn));
    }
}
