//! A connection to the destination that groups flow through: one task writes, one reads, so that neither side can wait
//! for the other, and the next group is at the server before the last one is done (rule 1).

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::group::{Group, Prepared};
use super::statement::Statement;
use crate::error::{Error, Result};
use crate::pg::{Conninfo, Frame, Raw, RawReceiver, RawSender, ServerError, Session, origin};

/// How a writer of a task connects.
#[derive(Debug, Clone)]
pub struct Connect {
    /// Where the destination is.
    pub conninfo: Conninfo,
    /// A writer's session.
    pub session: Session,
    /// The task's name.
    pub task: String,
}

impl Connect {
    /// Writer number `n` of the task, tagged with an origin of its own (rule 18). Without the right to use origins the
    /// rows go untagged, and that is said.
    pub async fn writer(&self, n: usize) -> Result<Pipe> {
        let raw = Raw::open(&self.conninfo, self.session.clone()).await?;
        self.tagged(raw, n).await
    }

    /// The same over a connection that is open already.
    pub async fn tagged(&self, mut raw: Raw, n: usize) -> Result<Pipe> {
        match origin::tag(&mut raw, &format!("walferry_{}_{n}", self.task)).await {
            // configuration_limit_exceeded: too many origins are known to the server.
            Err(error) if error.class().is_transient() && error.sqlstate() != Some("53400") => {
                return Err(error);
            }
            Err(error) => tracing::warn!(
                "what is written carries no replication origin, so a task in the other direction would send it back: {error}"
            ),
            Ok(()) => {}
        }
        Ok(Pipe::over(raw))
    }
}

/// What the server made of one group.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The first error; everything behind it was skipped.
    pub error: Option<ServerError>,
    /// A COMMIT answered COMMIT. One that answers ROLLBACK is none (rule 1).
    pub committed: bool,
    /// Every row that came back, as text.
    pub rows: Vec<Vec<Option<Bytes>>>,
}

/// The connection.
#[derive(Debug)]
pub struct Pipe {
    groups: mpsc::Sender<Bytes>,
    outcomes: mpsc::Receiver<Result<Outcome>>,
    tasks: [JoinHandle<()>; 2],
    prepared: Prepared,
}

impl Pipe {
    /// Takes over a connection that is ready for statements.
    fn over(raw: Raw) -> Self {
        let (sender, receiver) = raw.split();
        let (groups, to_send) = mpsc::channel(4);
        let (done, outcomes) = mpsc::channel(8);
        let tasks = [tokio::spawn(write(sender, to_send)), tokio::spawn(read(receiver, done))];
        Self { groups, outcomes, tasks, prepared: Prepared::default() }
    }

    /// A new group for this connection.
    pub fn group(&mut self) -> Result<Group<'_>> {
        Group::new(&mut self.prepared)
    }

    /// Forgets what was prepared: a group that prepared something was not sent.
    pub fn forget(&mut self) {
        self.prepared.forget();
    }

    /// Sends a group that [`Pipe::group`] began. A lost connection shows in its outcome.
    pub async fn send(&mut self, group: Bytes) {
        // When the writing task is gone, the reading one says why.
        self.groups.send(group).await.ok();
    }

    /// The outcome of the oldest group in flight. Can be dropped while it waits.
    pub async fn outcome(&mut self) -> Result<Outcome> {
        let outcome = self.outcomes.recv().await.unwrap_or_else(|| Err(gone()))?;
        if outcome.error.is_some() {
            self.prepared.forget();
        }
        Ok(outcome)
    }

    /// Sends a group and waits for its outcome; nothing else may be in flight.
    pub async fn call(&mut self, group: Bytes) -> Result<Outcome> {
        self.send(group).await;
        self.outcome().await
    }

    /// One statement by itself, used once.
    pub async fn once<'v>(
        &mut self,
        statement: &Statement,
        values: impl Iterator<Item = Option<&'v [u8]>>,
    ) -> Result<Outcome> {
        let mut group = self.group()?;
        group.once(statement, values)?;
        let bytes = group.finish();
        self.call(bytes).await
    }

    /// One command by itself, for example ROLLBACK; its failure is an error.
    pub async fn command(&mut self, sql: &'static str) -> Result<()> {
        let mut group = Group::plain(&mut self.prepared);
        group.command(sql)?;
        let bytes = group.finish();
        match self.call(bytes).await?.error {
            None => Ok(()),
            Some(error) => Err(error.into()),
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn gone() -> Error {
    Error::unreachable("the connection to the destination was lost")
}

async fn write(mut sender: RawSender, mut groups: mpsc::Receiver<Bytes>) {
    while let Some(group) = groups.recv().await {
        // The reader meets the same end and reports it.
        if sender.send(&group).await.is_err() {
            return;
        }
    }
    sender.close().await;
}

async fn read(mut receiver: RawReceiver, outcomes: mpsc::Sender<Result<Outcome>>) {
    loop {
        let outcome = outcome(&mut receiver).await;
        let ended = outcome.is_err();
        if outcomes.send(outcome).await.is_err() || ended {
            return;
        }
    }
}

async fn outcome(receiver: &mut RawReceiver) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    loop {
        let frame = receiver.recv().await?;
        match frame.tag {
            b'E' => failed(&mut outcome, &frame)?,
            b'D' => outcome.rows.push(frame.values()?),
            b'C' if frame.body.starts_with(b"COMMIT") => outcome.committed = true,
            // ParseComplete, BindComplete, CommandComplete, NoData, EmptyQuery, CopyInResponse, PortalSuspended
            b'1' | b'2' | b'C' | b'n' | b'I' | b'G' | b's' => {}
            b'Z' if frame.body.has_remaining() => return Ok(outcome),
            _ => return Err(frame.unexpected("the answer to a group of statements")),
        }
    }
}

/// FATAL and PANIC end the connection: no ReadyForQuery follows.
fn failed(outcome: &mut Outcome, frame: &Frame) -> Result<()> {
    let error = frame.server_error();
    if matches!(error.severity.as_str(), "FATAL" | "PANIC") {
        return Err(error.into());
    }
    outcome.error.get_or_insert(error);
    Ok(())
}
