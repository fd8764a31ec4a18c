//! `Transaction`: what the plugin reads of a transaction that is decoded.

use crate::origin;
use pgrx::pg_sys;
use walferry_wire::record::{Begin, Commit, StreamCommit};

/// A transaction that PostgreSQL passed to the callback that is running.
#[derive(Clone, Copy)]
pub struct Transaction(*const pg_sys::ReorderBufferTXN);

impl Transaction {
    /// # Safety
    /// `txn` must be what PostgreSQL passed to the callback that is running.
    pub unsafe fn new(txn: *const pg_sys::ReorderBufferTXN) -> Self {
        Self(txn)
    }

    fn get(&self) -> &pg_sys::ReorderBufferTXN {
        // SAFETY: live, see `new`.
        unsafe { &*self.0 }
    }

    /// Its xid as PostgreSQL has it.
    pub fn xid(self) -> u32 {
        self.get().xid.into_inner()
    }

    /// The xid of the transaction that this is a subtransaction of, or its own.
    pub fn top_xid(self) -> u32 {
        match self.get().toplevel_xid.into_inner() {
            0 => self.xid(),
            top => top,
        }
    }

    /// The number of the replication origin that its commit record names; 0 while in progress.
    pub fn origin(self) -> u16 {
        self.get().origin_id
    }

    /// The record that begins it.
    pub fn begin(self, origin: &str) -> Begin<'_> {
        Begin { xid: wide(self.xid()), commit_lsn: self.get().final_lsn, commit_time: self.time(), origin }
    }

    /// The record that ends it (rule 3: the end of the commit record is what counts as applied).
    pub fn commit(self) -> Commit {
        Commit { commit_lsn: self.get().final_lsn, end_lsn: self.get().end_lsn }
    }

    /// The record that ends it when it was streamed.
    pub fn stream_commit(self, origin: &str) -> StreamCommit<'_> {
        let Commit { commit_lsn, end_lsn } = self.commit();
        StreamCommit { xid: wide(self.xid()), commit_lsn, end_lsn, commit_time: self.time(), origin }
    }

    /// The name of its origin. Needs a transaction of the server.
    pub fn origin_name(self) -> String {
        origin::name(self.origin())
    }

    #[cfg(any(feature = "pg13", feature = "pg14"))]
    fn time(self) -> i64 {
        self.get().commit_time
    }

    #[cfg(not(any(feature = "pg13", feature = "pg14")))]
    fn time(self) -> i64 {
        // SAFETY: all members of the union are times.
        unsafe { self.get().xact_time.commit_time }
    }
}

/// An xid with its epoch. Transactions that are decoded are at most half the xid space old, so the epoch is that of
/// the next xid, or the one before if the xid is ahead of it.
pub fn wide(xid: u32) -> u64 {
    // SAFETY: guarded; reads a counter in shared memory.
    let next = unsafe { pg_sys::ReadNextFullTransactionId() }.value;
    let epoch = (next >> 32).wrapping_sub(u64::from(xid > next as u32));
    epoch << 32 | u64::from(xid)
}
