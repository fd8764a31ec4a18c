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
    /// The part was not copied: a server has said so. It is not told where nobody knows, because a connection was lost while
    /// the part was committed, or because the worker was ended: then the stream has to wait, and its session ends, too.
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
