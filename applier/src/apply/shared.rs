//! What the data path lets others see while it runs: positions and counters. Written by receive and write, read by watch.

use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

use crate::pg::Lsn;

/// Positions and counters of a running task.
#[derive(Debug, Default)]
pub struct Shared {
    received: AtomicU64,
    applied: AtomicU64,
    transactions: AtomicU64,
    changes: AtomicU64,
    definitions: AtomicU64,
    no_streaming_before: AtomicU64,
    nudge: Notify,
}

impl Shared {
    /// The source has sent everything up to here.
    pub fn received(&self, lsn: Lsn) {
        self.received.fetch_max(lsn.0, Ordering::Relaxed);
    }

    /// See [`Shared::received`].
    pub fn received_lsn(&self) -> Lsn {
        Lsn(self.received.load(Ordering::Relaxed))
    }

    /// Everything that the source committed before here is visible at the destination.
    pub fn applied(&self, lsn: Lsn) {
        self.applied.fetch_max(lsn.0, Ordering::Relaxed);
    }

    /// See [`Shared::applied`].
    pub fn applied_lsn(&self) -> Lsn {
        Lsn(self.applied.load(Ordering::Relaxed))
    }

    /// Counts source transactions and their changes as applied.
    pub fn count(&self, transactions: u64, changes: u64) {
        self.transactions.fetch_add(transactions, Ordering::Relaxed);
        self.changes.fetch_add(changes, Ordering::Relaxed);
    }

    /// Transactions and changes applied so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.transactions.load(Ordering::Relaxed), self.changes.load(Ordering::Relaxed))
    }

    /// Counts a transaction that changed definitions, once it has committed.
    pub fn redefined(&self) {
        self.definitions.fetch_add(1, Ordering::Relaxed);
    }

    /// How many transactions changed definitions while this process ran.
    pub fn redefinitions(&self) -> u64 {
        self.definitions.load(Ordering::Relaxed)
    }

    /// In-progress transactions must not be streamed on the next connections, until what has been received by now is
    /// applied.
    pub fn forbid_streaming(&self) {
        self.no_streaming_before.fetch_max(self.received_lsn().0 + 1, Ordering::Relaxed);
    }

    /// Whether in-progress transactions may be streamed.
    pub fn may_stream(&self) -> bool {
        self.applied_lsn().0 >= self.no_streaming_before.load(Ordering::Relaxed)
    }

    /// Asks the receiver to ask the source how far it has decoded.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Waits for [`Shared::nudge`].
    pub async fn nudged(&self) {
        self.nudge.notified().await;
    }
}
