//! From the socket into the queue, and status back to the source: asked and unasked, whatever the writer is doing (rule 4).
//! Nothing downstream can make the source time this connection out.

use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::queue::{Filling, Piece};
use super::shared::Shared;
use crate::error::{Error, Result};
use crate::pg::{Event, Lsn, ReplicationReceiver, ReplicationSender};

/// The receiving end of one replication stream.
pub struct Receive<'a> {
    /// Where status goes.
    pub sender: ReplicationSender,
    /// Where events come from.
    pub receiver: ReplicationReceiver,
    /// Where they go.
    pub queue: Filling,
    /// What may be acknowledged.
    pub durable: watch::Receiver<Lsn>,
    /// Turns true when the writer has ended in good order.
    pub finished: watch::Receiver<bool>,
    /// What others see of this.
    pub shared: &'a Shared,
    /// At least so often a status goes out.
    pub every: Duration,
}

/// At the end the source gets so long to take the last status.
const GOODBYE: Duration = Duration::from_secs(5);

impl Receive<'_> {
    /// Runs until the writer has finished (then the last status has gone out) or the stream breaks.
    pub async fn run(mut self) -> Result<()> {
        let mut tick = interval(self.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let has_room = self.queue.has_room();
            tokio::select! {
                event = self.receiver.next(), if has_room => self.take(event?).await?,
                () = self.queue.room(), if !has_room => {}
                _ = tick.tick() => self.status(true).await?,
                () = self.shared.nudged() => self.status(true).await?,
                Ok(()) = self.durable.changed() => self.status(false).await?,
                Ok(()) = self.finished.changed() => return self.say_goodbye().await,
            }
        }
    }

    async fn take(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Data { end, payload, .. } => {
                self.shared.received(end);
                self.queue.push(Piece::Data(payload));
            }
            Event::KeepAlive { end, reply_requested } => {
                self.shared.received(end);
                self.queue.push(Piece::Position(end));
                if reply_requested {
                    self.status(false).await?;
                }
            }
            Event::End => {
                return Err(Error::unreachable("the source ended the stream; it may be shutting down"));
            }
        }
        Ok(())
    }

    async fn status(&mut self, ask_reply: bool) -> Result<()> {
        let durable = *self.durable.borrow_and_update();
        let received = self.shared.received_lsn().max(durable);
        let applied = self.shared.applied_lsn().max(durable);
        self.sender.status(received, durable, applied, ask_reply).await
    }

    /// The last status, and the end of the stream, so that the walsender is gone when we are.
    async fn say_goodbye(mut self) -> Result<()> {
        self.status(false).await?;
        self.sender.done().await?;
        let deadline = Instant::now() + GOODBYE;
        while let Ok(event) = tokio::time::timeout_at(deadline, self.receiver.next()).await {
            if matches!(event, Ok(Event::End) | Err(_)) {
                break;
            }
        }
        Ok(())
    }
}
