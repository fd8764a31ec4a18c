//! The stream of records: what was sent, and where it stands. Transactions and blocks of streamed ones are begun only
//! when there is something in them to send, so empty ones cost nothing on the wire.
//!
//! What a streamed transaction says of relations counts only after its commit (rule 7). So each streamed transaction
//! describes relations for itself, and once it committed, what it described is described anew for the others.

use crate::context::Context;
use crate::json::Json;
use crate::names;
use crate::output::Output;
use crate::refuse::refuse;
use crate::relation::Known;
use crate::transaction::{Transaction, wide};
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode as Code;
use std::collections::HashMap;
use std::ffi::CStr;
use walferry_wire::encode;
use walferry_wire::record::Header;

/// Where the stream stands.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Between transactions.
    Between,
    /// In a committed transaction.
    Transaction { begun: bool },
    /// In a block of a transaction in progress, among the changes of the (sub)transaction `current`.
    Block { top: u32, begun: bool, current: u32 },
}

/// A streamed transaction of which the client has heard: the versions of the relations that it described.
type Streamed = HashMap<u32, u64>;

/// The stream of records.
pub struct Stream {
    /// Where rows are written to.
    pub output: Output,
    json: Option<Json>,
    version: u16,
    header_sent: bool,
    place: Place,
    streamed: HashMap<u32, Streamed>,
}

impl Stream {
    /// A stream at its beginning; `json` writes texts instead of records.
    pub fn new(output: Output, version: u16, json: Option<Json>) -> Self {
        Self { output, json, version, header_sent: false, place: Place::Between, streamed: HashMap::new() }
    }

    /// Ends the record that is open in `output`.
    #[inline]
    pub fn finish(&mut self, ctx: Context) {
        match &mut self.json {
            None => self.output.finish(ctx),
            Some(json) => {
                json.write(ctx, self.output.open_record());
                self.output.discard();
            }
        }
    }

    /// Writes a record that is small and made by `write`.
    pub fn record(&mut self, ctx: Context, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        self.output.add(&bytes);
        self.finish(ctx);
    }

    /// The header, if the stream has not begun. Nothing can be written in the startup callback.
    pub fn header(&mut self, ctx: Context) {
        if !self.header_sent {
            self.header_sent = true;
            let version = self.version;
            self.record(ctx, |out| encode::header(out, &header(version)));
        }
    }

    /// A committed transaction follows.
    pub fn begin(&mut self) {
        self.place = Place::Transaction { begun: false };
    }

    /// A block of a transaction in progress follows.
    pub fn start_block(&mut self, txn: Transaction) {
        self.place = Place::Block { top: txn.xid(), begun: false, current: txn.xid() };
    }

    /// Makes the stream ready for a change of `xid`: begins the transaction or block if it was not begun.
    #[inline]
    pub fn open(&mut self, ctx: Context, txn: Transaction, xid: u32) {
        match self.place {
            Place::Transaction { begun: true } => {}
            Place::Block { begun: true, current, .. } if current == xid => {}
            Place::Transaction { begun: false } => self.begin_transaction(ctx, txn),
            Place::Block { .. } => self.enter_block(ctx, xid),
            Place::Between => refuse(
                Code::ERRCODE_INTERNAL_ERROR,
                "walferry: a change came outside a transaction".to_owned(),
                "Please report this with the server's version.",
            ),
        }
    }

    /// The (sub)transaction that changes of unknown origin in a block belong to.
    pub fn current(&self, txn: Transaction) -> u32 {
        match self.place {
            Place::Block { current, .. } => current,
            Place::Between | Place::Transaction { .. } => txn.xid(),
        }
    }

    #[cold]
    fn begin_transaction(&mut self, ctx: Context, txn: Transaction) {
        self.header(ctx);
        let origin = txn.origin_name();
        self.record(ctx, |out| encode::begin(out, &txn.begin(&origin)));
        self.place = Place::Transaction { begun: true };
    }

    #[cold]
    fn enter_block(&mut self, ctx: Context, xid: u32) {
        let Place::Block { top, begun, mut current } = self.place else { return };
        if !begun {
            self.header(ctx);
            let first = !self.streamed.contains_key(&top);
            self.streamed.entry(top).or_default();
            self.record(ctx, |out| encode::stream_start(out, wide(top), first));
            current = top;
        }
        if current != xid {
            self.record(ctx, |out| encode::stream_subtransaction(out, wide(xid)));
        }
        self.place = Place::Block { top, begun: true, current: xid };
    }

    /// Sends the description of a relation unless this transaction's reader knows it.
    #[inline]
    pub fn describe(&mut self, ctx: Context, known: &mut Known) {
        let Some(described) = &known.described else { return };
        let told = match self.place {
            Place::Block { top, .. } => {
                self.streamed.entry(top).or_default().entry(described.oid).or_default()
            }
            Place::Between | Place::Transaction { .. } => &mut known.sent,
        };
        if *told != known.version {
            *told = known.version;
            self.output.add(&described.record);
            self.finish(ctx);
        }
    }

    /// The committed transaction ends.
    pub fn commit(&mut self, ctx: Context, txn: Transaction) {
        let begun = matches!(self.place, Place::Transaction { begun: true });
        self.place = Place::Between;
        ctx.progress(!begun);
        if begun {
            self.record(ctx, |out| encode::commit(out, &txn.commit()));
            self.output.flush(ctx);
        }
    }

    /// The block ends.
    pub fn stop_block(&mut self, ctx: Context) {
        let begun = matches!(self.place, Place::Block { begun: true, .. });
        self.place = Place::Between;
        if begun {
            self.record(ctx, encode::stream_stop);
            self.output.flush(ctx);
        }
    }

    /// A streamed transaction committed. Gives the relations that it described.
    pub fn stream_commit(&mut self, ctx: Context, txn: Transaction) -> Vec<u32> {
        let streamed = self.streamed.remove(&txn.xid());
        self.place = Place::Between;
        ctx.progress(streamed.is_none());
        if streamed.is_some() {
            let origin = txn.origin_name();
            self.record(ctx, |out| encode::stream_commit(out, &txn.stream_commit(&origin)));
            self.output.flush(ctx);
        }
        streamed.unwrap_or_default().into_keys().collect()
    }

    /// A streamed transaction or a part of it rolled back. What it described may have been rolled back with it.
    pub fn stream_abort(&mut self, ctx: Context, txn: Transaction) {
        let (top, xid) = (txn.top_xid(), txn.xid());
        let Some(described) = self.streamed.get_mut(&top) else { return };
        described.clear();
        if top == xid {
            self.streamed.remove(&top);
        }
        self.record(ctx, |out| encode::stream_abort(out, wide(top), wide(xid)));
        self.output.flush(ctx);
    }
}

fn header(version: u16) -> Header<'static> {
    // SAFETY: a variable of this backend.
    let database = unsafe { pg_sys::MyDatabaseId }.to_u32();
    Header { version, server_version: server_version(), database, encoding: names::database_encoding() }
}

/// `server_version_num` of the server that runs, which may be another minor than the headers'.
fn server_version() -> u32 {
    // SAFETY: guarded; gives a C string that lives as long as the setting.
    let text =
        unsafe { CStr::from_ptr(pg_sys::GetConfigOption(c"server_version_num".as_ptr(), false, false)) };
    text.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(pg_sys::PG_VERSION_NUM)
}
