//! What a stream that runs meanwhile must know of the parts that are being copied (rule 23).

use crate::pg::{Lsn, Snapshot};

/// Told by the workers what happens to each part. The calls do not wait.
pub trait Gate: Send + Sync {
    /// The part's snapshot is about to be taken.
    fn claimed(&self, oid: u32, part: i32);
    /// The part is being read in this snapshot.
    fn copying(&self, oid: u32, part: i32, snapshot: &Snapshot);
    /// The part's rows are committed at the destination. Before `lsn` every change that the snapshot sees has been
    /// committed at the source.
    fn copied(&self, oid: u32, part: i32, snapshot: &Snapshot, lsn: Lsn);
    /// The part was not copied, or the connection was lost while it was committed: `walferry_state.parts` knows.
    fn given_up(&self, oid: u32, part: i32);
}

/// No stream runs.
#[derive(Debug, Clone, Copy)]
pub struct NoGate;

impl Gate for NoGate {
    fn claimed(&self, _: u32, _: i32) {}
    fn copying(&self, _: u32, _: i32, _: &Snapshot) {}
    fn copied(&self, _: u32, _: i32, _: &Snapshot, _: Lsn) {}
    fn given_up(&self, _: u32, _: i32) {}
}

/// A part that was claimed; given up unless it is copied, also when the worker is dropped.
pub(super) struct Claim<'a> {
    gate: &'a dyn Gate,
    oid: u32,
    part: i32,
    copied: bool,
}

impl<'a> Claim<'a> {
    pub(super) fn new(gate: &'a dyn Gate, oid: u32, part: i32) -> Self {
        gate.claimed(oid, part);
        Self { gate, oid, part, copied: false }
    }

    pub(super) fn copying(&self, snapshot: &Snapshot) {
        self.gate.copying(self.oid, self.part, snapshot);
    }

    pub(super) fn copied(mut self, snapshot: &Snapshot, lsn: Lsn) {
        self.copied = true;
        self.gate.copied(self.oid, self.part, snapshot, lsn);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.copied {
            self.gate.given_up(self.oid, self.part);
        }
    }
}
