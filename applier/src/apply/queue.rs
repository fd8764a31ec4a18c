//! Between the socket and the writer: a queue bounded by bytes. When it is full nothing more is read from the socket, and
//! the source waits; the receiver goes on sending status meanwhile (rule 4).

use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Notify, mpsc};

use crate::pg::Lsn;

/// How many bytes may wait. One piece more than that fits, whatever its size.
const CAPACITY: usize = 16 << 20;

/// What the socket brought.
#[derive(Debug)]
pub enum Piece {
    /// What the plugin wrote.
    Data(Bytes),
    /// Everything before this position has been sent.
    Position(Lsn),
}

#[derive(Debug, Default)]
struct Level {
    bytes: AtomicUsize,
    fell: Notify,
}

/// The receiver's end.
#[derive(Debug)]
pub struct Filling {
    pieces: mpsc::UnboundedSender<Piece>,
    level: Arc<Level>,
}

/// The writer's end.
#[derive(Debug)]
pub struct Draining {
    pieces: mpsc::UnboundedReceiver<Piece>,
    level: Arc<Level>,
}

/// Both ends of a new queue.
pub fn queue() -> (Filling, Draining) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let level = Arc::new(Level::default());
    (Filling { pieces: sender, level: level.clone() }, Draining { pieces: receiver, level })
}

impl Filling {
    /// Whether another piece may be put in.
    pub fn has_room(&self) -> bool {
        self.level.bytes.load(Ordering::Acquire) < CAPACITY
    }

    /// Waits until there may be room.
    pub async fn room(&self) {
        self.level.fell.notified().await;
    }

    /// Puts a piece in. When the writer is gone nobody needs it.
    pub fn push(&self, piece: Piece) {
        self.level.bytes.fetch_add(size(&piece), Ordering::AcqRel);
        self.pieces.send(piece).ok();
    }
}

impl Draining {
    /// The next piece; `None` when the receiver has ended. Can be dropped while it waits.
    pub async fn pop(&mut self) -> Option<Piece> {
        let piece = self.pieces.recv().await?;
        self.level.bytes.fetch_sub(size(&piece), Ordering::AcqRel);
        self.level.fell.notify_one();
        Some(piece)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

fn size(piece: &Piece) -> usize {
    match piece {
        Piece::Data(bytes) => bytes.len(),
        Piece::Position(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_has_room_again_once_something_was_taken() {
        let (filling, mut draining) = queue();
        assert!(filling.has_room());
        filling.push(Piece::Data(vec![0; CAPACITY].into()));
        assert!(!filling.has_room());
        draining.pop().await.unwrap();
        filling.room().await;
        assert!(filling.has_room() && draining.is_empty());
    }
}
