//! A connection that speaks PostgreSQL's protocol frame by frame: for the writer's pipelines, whose every answer
//! matters [1], and for replication, which tokio-postgres does not know.

use super::auth;
use super::connect::{self, Startup};
use super::conninfo::{Conninfo, Host};
use super::frame::{Frame, Inbox, Moved, Pause};
use super::session::Session;
use super::stream::{Stream, lost};
use crate::error::{Error, Result};
use bytes::{Bytes, BytesMut};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

/// A logged-in connection.
pub struct Raw {
    stream: Stream,
    inbox: Inbox,
}

/// The half that writes; see [`Raw::split`].
pub struct RawSender {
    io: WriteHalf<Stream>,
}

/// The half that reads; see [`Raw::split`].
pub struct RawReceiver {
    io: ReadHalf<Stream>,
    inbox: Inbox,
}

impl Raw {
    /// Connects and logs in; the session's settings are in force when this returns.
    ///
    /// # Errors
    /// As [`Class`](crate::error::Class) says; the message names the host, never the password.
    pub async fn open(conninfo: &Conninfo, session: Session) -> Result<Raw> {
        connect::open(conninfo, &Login { conninfo, session }).await
    }

    /// The last value that the server reported for one of its reported parameters (`server_version` ...).
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.inbox.parameter(name)
    }

    /// Runs statements by the simple query protocol; the rows of all of them, as text.
    ///
    /// # Errors
    /// The first error, after which the connection can be used on; a protocol error for text that is not UTF-8.
    pub async fn simple(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let text = |value: Bytes| String::from_utf8(value.into()).map_err(|_| not_utf8());
        let row =
            |row: Vec<Option<Bytes>>| row.into_iter().map(|value| value.map(text).transpose()).collect();
        self.rows(sql).await?.into_iter().map(row).collect()
    }

    /// The same, the rows as the server sent them.
    pub(super) async fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<Bytes>>>> {
        self.query(sql).await?;
        let mut rows = Vec::new();
        let mut failure: Option<Error> = None;
        loop {
            let frame = self.recv().await?;
            match frame.tag {
                b'D' => rows.push(frame.values()?),
                b'T' | b'C' | b'I' => {}
                b'E' => failure = failure.or(Some(self.failed(&frame)?)),
                b'Z' => return failure.map_or(Ok(rows), Err),
                _ => return Err(frame.unexpected("the answer to a query")),
            }
        }
    }

    /// Runs statements of which the last is COMMIT.
    ///
    /// # Errors
    /// As [`Raw::simple`]; a COMMIT that answers otherwise is none (rule 1).
    pub async fn commit(&mut self, sql: &str) -> Result<()> {
        self.query(sql).await?;
        match self.ready().await?.as_deref() {
            Some("COMMIT") => Ok(()),
            Some(_) | None => {
                Err(Error::protocol("the server did not commit a transaction, and gave no reason"))
            }
        }
    }

    /// Reads to the end of the answer: the tag of the last command.
    pub(super) async fn ready(&mut self) -> Result<Option<String>> {
        let (mut tag, mut failure) = (None, None);
        loop {
            let frame = self.recv().await?;
            match frame.tag {
                b'C' => tag = Some(String::from_utf8_lossy(&frame.body).trim_end_matches('\0').to_owned()),
                b'T' | b'D' | b'I' => {}
                b'E' => failure = failure.or(Some(self.failed(&frame)?)),
                b'Z' => return failure.map_or(Ok(tag), Err),
                _ => return Err(frame.unexpected("the end of a statement")),
            }
        }
    }

    /// Moves rows of a COPY TO STDOUT to `out`, until that holds `end` bytes ([`Pause::Full`]) or another message is next
    /// ([`Pause::Other`]); `left` as for [`Inbox::copy_data`]. Can be dropped while it waits.
    pub(super) async fn copy_data(
        &mut self,
        left: &mut usize,
        out: &mut BytesMut,
        end: usize,
        messages: &mut u64,
    ) -> Result<Pause> {
        loop {
            let Moved { messages: moved, pause } = self.inbox.copy_data(left, out, end)?;
            *messages += moved;
            match pause {
                Pause::Full | Pause::Other => return Ok(pause),
                Pause::Empty => self.inbox.fill(&mut self.stream).await?,
            }
        }
    }

    /// FATAL and PANIC end the connection: no ReadyForQuery follows them.
    pub(super) fn failed(&self, frame: &Frame) -> Result<Error> {
        let error = frame.server_error();
        match error.severity.as_str() {
            "FATAL" | "PANIC" => Err(error.into()),
            _ => Ok(error.into()),
        }
    }

    /// Sends a simple query without waiting for the answer.
    pub(super) async fn query(&mut self, sql: &str) -> Result<()> {
        let mut message = BytesMut::new();
        let zero = |_| Error::usage("a statement has a zero byte in it, which PostgreSQL does not take");
        frontend::query(sql, &mut message).map_err(zero)?;
        self.send(&message).await
    }

    /// Writes whole messages and flushes. Must not be dropped while it waits: half a message would be out.
    ///
    /// # Errors
    /// Unreachable when the connection is lost.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        write(&mut self.stream, bytes).await
    }

    /// The next message from the server. Notices are logged and parameters kept on the way. Can be dropped while it
    /// waits.
    ///
    /// # Errors
    /// Unreachable when the connection is lost; an ErrorResponse is a frame like any other.
    pub async fn recv(&mut self) -> Result<Frame> {
        self.inbox.next(&mut self.stream).await
    }

    /// Two halves, so that one task can write while another reads.
    pub fn split(self) -> (RawSender, RawReceiver) {
        let (read, write) = tokio::io::split(self.stream);
        (RawSender { io: write }, RawReceiver { io: read, inbox: self.inbox })
    }

    pub(super) fn server_end_point(&self) -> Option<Vec<u8>> {
        self.stream.server_end_point()
    }
}

impl RawSender {
    /// As [`Raw::send`].
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        write(&mut self.io, bytes).await
    }

    /// As [`Raw::close`].
    pub async fn close(mut self) {
        terminate(&mut self.io).await;
    }
}

impl RawReceiver {
    /// As [`Raw::recv`].
    pub async fn recv(&mut self) -> Result<Frame> {
        self.inbox.next(&mut self.io).await
    }
}

fn not_utf8() -> Error {
    Error::protocol("the server sent text that is not UTF-8 although the session asked for it")
}

async fn write<W: AsyncWrite + Unpin>(io: &mut W, bytes: &[u8]) -> Result<()> {
    io.write_all(bytes).await.map_err(|error| lost(&error))?;
    io.flush().await.map_err(|error| lost(&error))
}

async fn terminate<W: AsyncWrite + Unpin>(io: &mut W) {
    let mut message = BytesMut::new();
    frontend::terminate(&mut message);
    // The server may have gone first, which comes to the same.
    if write(io, &message).await.is_ok() {
        io.shutdown().await.ok();
    }
}

struct Login<'a> {
    conninfo: &'a Conninfo,
    session: Session,
}

impl Startup for Login<'_> {
    type Connection = Raw;

    async fn start(&self, stream: Stream, host: &Host) -> Result<Raw> {
        let mut raw = Raw { stream, inbox: Inbox::default() };
        raw.send(&self.startup_message()?).await?;
        auth::authenticate(&mut raw, self.conninfo, host).await?;
        raw.until_ready().await?;
        if let Some(sql) = raw.parameter("server_version").and_then(Session::later) {
            raw.simple(&sql).await?;
        }
        Ok(raw)
    }

    async fn in_recovery(&self, raw: &mut Raw) -> Result<bool> {
        // Reported since 14.
        if let Some(reported) = raw.parameter("in_hot_standby") {
            return Ok(reported == "on");
        }
        let rows = raw.simple("SELECT pg_catalog.pg_is_in_recovery()").await?;
        Ok(rows.iter().flatten().any(|value| value.as_deref() == Some("t")))
    }
}

impl Login<'_> {
    fn startup_message(&self) -> Result<BytesMut> {
        let place = [("user", self.conninfo.user.as_str()), ("database", self.conninfo.dbname.as_str())];
        let options = self.conninfo.options.as_deref().map(|options| ("options", options));
        let parameters = place.into_iter().chain(options).chain(self.session.parameters());
        let mut message = BytesMut::new();
        let zero =
            |_| Error::usage("the connection string has a zero byte in it, which PostgreSQL does not take");
        frontend::startup_message(parameters, &mut message).map_err(zero)?;
        Ok(message)
    }
}

impl Raw {
    /// From AuthenticationOk to the first ReadyForQuery.
    async fn until_ready(&mut self) -> Result<()> {
        loop {
            let frame = self.recv().await?;
            match frame.tag {
                // BackendKeyData: nothing here cancels.
                b'K' => {}
                b'Z' => return Ok(()),
                b'E' => return Err(frame.server_error().into()),
                _ => return Err(frame.unexpected("the end of the login")),
            }
        }
    }
}
