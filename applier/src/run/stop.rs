//! Signals: SIGTERM and SIGINT end the run in good order.

use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Class, Error, Result};

/// Says whether a signal came.
#[derive(Debug, Clone)]
pub struct Stop {
    requested: watch::Receiver<bool>,
    number: watch::Receiver<u8>,
}

impl Stop {
    /// Listens from now on, for as long as the process lives.
    pub fn on_signals() -> Result<Self> {
        let listen = |kind| {
            signal(kind).map_err(|error| Error::refused(format!("signals cannot be received: {error}")))
        };
        let mut terminate = listen(SignalKind::terminate())?;
        let mut interrupt = listen(SignalKind::interrupt())?;
        let (request, requested) = watch::channel(false);
        let (which, number) = watch::channel(15);
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {
                    which.send_replace(2);
                }
            }
            tracing::info!("stopping: what is on its way is finished first");
            request.send_replace(true);
            // Keeps the channel open: a closed one looks like a signal that never came.
            std::future::pending::<()>().await;
        });
        Ok(Self { requested, number })
    }

    /// What a command ends with that was stopped before it was done.
    pub fn exit_status(&self) -> u8 {
        128 + *self.number.borrow()
    }

    /// Waits until a signal comes.
    pub async fn requested(&self) -> Error {
        let mut requested = self.requested.clone();
        // The channel stays open for ever, so this returns only with a signal.
        requested.wait_for(|requested| *requested).await.ok();
        Error::new(Class::Stopped, "stopped by a signal")
    }

    /// Sleeps, unless a signal comes.
    pub async fn sleep(&self, duration: Duration) -> Result<()> {
        self.unless(async {
            tokio::time::sleep(duration).await;
            Ok(())
        })
        .await
    }

    /// Does something that may be dropped half way, unless a signal comes.
    pub async fn unless<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            stopped = self.requested() => Err(stopped),
            done = work => done,
        }
    }
}
