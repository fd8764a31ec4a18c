//! `Decoding`: one decoding session, from its startup callback to the end of its decoding context. Every method is
//! one callback's work; `plugin` only takes PostgreSQL's pointers apart.

use crate::carrier;
use crate::context::Context;
use crate::describe::Wishes;
use crate::invalidation;
use crate::json::Json;
use crate::options::{Format, Options};
use crate::origin::Origins;
use crate::output::Output;
use crate::refuse::refuse;
use crate::relation::Relations;
use crate::stream::Stream;
use crate::transaction::Transaction;
use crate::tuple::{Change, Row};
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode as Code;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use walferry_wire::encode;
use walferry_wire::record::{Carrier, Ddl, MESSAGE_PREFIX, Message, Truncate};

/// Skipped changes after which the server is told that time passes (rule 20; from 16 on it looks itself).
const SKIPPED: u32 = 100;

/// Where a change comes from.
#[derive(Clone, Copy)]
pub struct Source {
    /// The transaction that is replayed.
    pub txn: Transaction,
    /// The (sub)transaction that made the change.
    pub xid: u32,
    /// The replication origin of its record.
    pub origin: u16,
    /// Where its record begins.
    pub lsn: u64,
}

/// The state of one decoding session.
pub struct Decoding {
    relations: Relations,
    origins: Origins,
    stream: Stream,
    row: Row,
    skipped: u32,
}

impl Decoding {
    /// A session with these options, its memory in the decoding context's.
    pub fn new(ctx: Context, options: Options) -> Self {
        let json = match options.format {
            Format::Binary => None,
            Format::Json => Some(Json::new(options.limit)),
        };
        // SAFETY: the context's memory outlives the state, which is freed with it.
        let (output, row) = unsafe { (Output::new(ctx.memory()), Row::new(ctx.memory())) };
        Self {
            relations: Relations::new(
                Wishes::new(options.selection, json.is_some(), options.ddl),
                ctx.memory(),
            ),
            origins: Origins::new(options.skip_origins),
            stream: Stream::new(output, options.version, json),
            row,
            skipped: 0,
        }
    }

    /// begin
    pub fn begin(&mut self) {
        self.stream.begin();
    }

    /// change
    ///
    /// # Safety
    /// `relation` must be open and the tuples of `change` of its rows.
    #[inline]
    pub unsafe fn change(&mut self, ctx: Context, from: Source, relation: pg_sys::Relation, change: Change) {
        self.refresh();
        if self.is_skipped(from) {
            return self.skip(ctx);
        }
        // SAFETY: open, the caller's promise.
        let known = unsafe { self.relations.know(relation, from.xid) };
        if let Some(carrier) = known.carrier {
            // SAFETY: the caller's promises.
            return unsafe { self.carry(ctx, from, carrier, relation, change) };
        }
        if known.described.is_none() {
            return self.skip(ctx);
        }
        self.stream.open(ctx, from.txn, from.xid);
        self.stream.describe(ctx, known);
        let Some(described) = &known.described else { return };
        self.row.reserve(described.attributes as usize);
        let (row, out) = (&mut self.row, &mut self.stream.output);
        // SAFETY: the closure holds references and copies only and does not panic; the tuples are of the relation,
        // whose description has as many attributes as its descriptor.
        unsafe {
            let desc = (*relation).rd_att;
            pg_guard_ffi_boundary(|| {
                out.begin();
                row.write(out, desc, described, change);
            });
        }
        self.stream.finish(ctx);
    }

    /// A change of a table that carries DDL: what is written there is sent, what is removed by age is not.
    ///
    /// # Safety
    /// As [`Decoding::change`].
    #[cold]
    unsafe fn carry(
        &mut self,
        ctx: Context,
        from: Source,
        carrier: Carrier,
        relation: pg_sys::Relation,
        change: Change,
    ) {
        if change.action != pg_sys::ReorderBufferChangeType::REORDER_BUFFER_CHANGE_INSERT {
            return self.skip(ctx);
        }
        // SAFETY: the caller's promises; an insert has its new row.
        let row = unsafe { carrier::fields(relation, change.new, ctx.memory()) };
        let fields = row.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let ddl = Ddl { carrier, lsn: from.lsn, fields };
        self.stream.open(ctx, from.txn, from.xid);
        self.stream.record(ctx, |out| encode::ddl(out, &ddl));
    }

    /// truncate
    ///
    /// # Safety
    /// `relations` must be open.
    pub unsafe fn truncate(
        &mut self,
        ctx: Context,
        from: Source,
        relations: &[pg_sys::Relation],
        mut truncate: Truncate,
    ) {
        self.refresh();
        if self.is_skipped(from) {
            return self.skip(ctx);
        }
        for relation in relations {
            // SAFETY: open, the caller's promise.
            let known = unsafe { self.relations.know(*relation, from.xid) };
            if let Some(described) = &known.described {
                truncate.relations.push(described.oid);
                self.stream.open(ctx, from.txn, from.xid);
                self.stream.describe(ctx, known);
            }
        }
        match truncate.relations.is_empty() {
            true => self.skip(ctx),
            false => self.stream.record(ctx, |out| encode::truncate(out, &truncate)),
        }
    }

    /// message: only ours are sent. Anybody may write one, with any prefix and content.
    pub fn message(&mut self, ctx: Context, txn: Option<Transaction>, message: &Message<'_>) {
        if !message.prefix.starts_with(MESSAGE_PREFIX) {
            return;
        }
        match txn {
            Some(txn) if self.origins.skips(txn.origin()) => return,
            Some(txn) => self.stream.open(ctx, txn, self.stream.current(txn)),
            None => self.stream.header(ctx),
        }
        let out = &mut self.stream.output;
        // SAFETY: the closure holds references only and does not panic.
        unsafe {
            pg_guard_ffi_boundary(|| {
                out.begin();
                encode::message(out, message);
            });
        }
        self.stream.finish(ctx);
        if txn.is_none() {
            self.stream.output.flush(ctx);
        }
    }

    /// commit
    pub fn commit(&mut self, ctx: Context, txn: Transaction) {
        self.stream.commit(ctx, txn);
    }

    /// filter_by_origin: whether PostgreSQL may drop a record already as it reads it.
    pub fn drops_origin(&mut self, origin: u16) -> bool {
        self.refresh();
        self.origins.known_to_skip(origin)
    }

    /// stream_start
    pub fn stream_start(&mut self, txn: Transaction) {
        self.stream.start_block(txn);
    }

    /// stream_stop
    pub fn stream_stop(&mut self, ctx: Context) {
        self.stream.stop_block(ctx);
    }

    /// stream_abort
    pub fn stream_abort(&mut self, ctx: Context, txn: Transaction) {
        self.stream.stream_abort(ctx, txn);
    }

    /// stream_commit
    pub fn stream_commit(&mut self, ctx: Context, txn: Transaction) {
        for relation in self.stream.stream_commit(ctx, txn) {
            self.relations.unsend(relation);
        }
    }

    /// Takes note of what changed in the catalog.
    #[inline]
    fn refresh(&mut self) {
        if let Some(changed) = invalidation::take() {
            self.relations.invalidate(&changed);
            if changed.origins {
                self.origins.forget();
            }
        }
    }

    /// Like PostgreSQL's own filter: by the origin of the record, or of the commit.
    #[inline]
    fn is_skipped(&mut self, from: Source) -> bool {
        self.origins.skips(from.origin) || self.origins.skips(from.txn.origin())
    }

    #[inline]
    fn skip(&mut self, ctx: Context) {
        self.skipped += 1;
        if self.skipped >= SKIPPED {
            self.skipped = 0;
            if cfg!(any(feature = "pg13", feature = "pg14", feature = "pg15")) {
                ctx.progress(false);
            }
        }
    }
}

/// A change without the row that its kind must have.
pub fn refuse_without_row() -> ! {
    refuse(
        Code::ERRCODE_DATA_CORRUPTED,
        "walferry: the write-ahead log has an insert or update without its row".to_owned(),
        "It was written while wal_level was not logical; the slot must be made anew.",
    )
}
