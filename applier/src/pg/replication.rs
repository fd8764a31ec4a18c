//! The replication protocol: a walsender on a logical slot, over a connection that both sides write to
//! (<https://www.postgresql.org/docs/current/protocol-replication.html>). Only what is durable at the destination
//! may be given to [`ReplicationSender::status`] as flushed [4].

use super::conninfo::Conninfo;
use super::frame::{Frame, torn};
use super::lsn::Lsn;
use super::quote;
use super::raw::{Raw, RawReceiver, RawSender};
use super::session::Session;
use crate::error::{Error, Result};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use postgres_protocol::message::frontend;
use std::time::{SystemTime, UNIX_EPOCH};

/// 2000-01-01 as seconds since 1970: the origin of PostgreSQL's timestamps.
const POSTGRES_EPOCH: u64 = 946_684_800;

/// A replication session before the stream begins.
pub struct Replication {
    raw: Raw,
}

/// What IDENTIFY_SYSTEM says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// Which cluster this is; the same on its physical standbys.
    pub system_id: u64,
    /// The timeline that the server is on.
    pub timeline: u32,
    /// What is flushed (on a standby: replayed) so far.
    pub xlogpos: Lsn,
    /// The database of this session.
    pub dbname: String,
}

/// A slot that was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The stream has every transaction that commits from here on.
    pub consistent_point: Lsn,
    /// The name of the snapshot that sees what committed before.
    pub snapshot: Option<String>,
}

/// What a stream brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// XLogData: what the plugin wrote in one piece.
    Data {
        /// The position that the plugin gave to this piece.
        start: Lsn,
        /// The end of the WAL that the server knew when it was sent.
        end: Lsn,
        /// When it was sent, in microseconds since 2000-01-01.
        time: i64,
        /// The plugin's bytes, a slice of the read buffer.
        payload: Bytes,
    },
    /// Primary keepalive.
    KeepAlive {
        /// How far the server has decoded: everything before it has been sent.
        end: Lsn,
        /// Whether the server wants a status at once.
        reply_requested: bool,
    },
    /// The server ended the stream: after our own [`ReplicationSender::done`], or because it shuts down.
    End,
}

/// The half that acknowledges.
pub struct ReplicationSender {
    raw: RawSender,
    message: BytesMut,
}

/// The half that reads the stream.
pub struct ReplicationReceiver {
    raw: RawReceiver,
}

impl Replication {
    /// Opens a replication session; see [`Raw::open`] for errors.
    pub async fn open(conninfo: &Conninfo, session: Session) -> Result<Self> {
        Raw::open(conninfo, session).await.map(|raw| Self { raw })
    }

    /// Asks which server and database this is.
    pub async fn identify_system(&mut self) -> Result<System> {
        let rows = self.raw.rows("IDENTIFY_SYSTEM").await?;
        rows.first().and_then(|row| system(row)).ok_or_else(|| {
            Error::protocol("the server's answer to IDENTIFY_SYSTEM is not what PostgreSQL 13 to 18 give")
        })
    }

    /// Makes a logical slot, and exports the snapshot that matches it if wanted; that lives until this session does
    /// something else. Waits for every transaction that is in progress at the source (`SnapBuildFindSnapshot` of
    /// PostgreSQL's snapbuild.c).
    ///
    /// # Errors
    /// The server's refusal with its SQLSTATE: 42710 the slot exists, 53400 no slot is free ...
    pub async fn create_slot(&mut self, slot: &str, export: bool) -> Result<Created> {
        // The keywords of 13 are understood by all later servers.
        let snapshot = if export { "EXPORT_SNAPSHOT" } else { "NOEXPORT_SNAPSHOT" };
        let command = format!("CREATE_REPLICATION_SLOT {} LOGICAL walferry {snapshot}", quote::ident(slot));
        let rows = self.raw.rows(&command).await?;
        rows.first().and_then(|row| created(row)).ok_or_else(|| {
            Error::protocol(
                "the server's answer to CREATE_REPLICATION_SLOT is not what PostgreSQL 13 to 18 give",
            )
        })
    }

    /// Begins the stream of a logical slot and gives its two halves. The server itself goes no further back than the
    /// slot's confirmed_flush_lsn, and skips forward to it in silence: compare first [5].
    ///
    /// # Errors
    /// The server's refusal with its SQLSTATE: 55006 slot active elsewhere, 42704 no such slot, 55000 slot lost ...
    pub async fn start(
        mut self,
        slot: &str,
        lsn: Lsn,
        options: &[(&str, &str)],
    ) -> Result<(ReplicationSender, ReplicationReceiver)> {
        self.raw.query(&start_replication(slot, lsn, options)).await?;
        let frame = self.raw.recv().await?;
        match frame.tag {
            b'W' => {
                let (sender, receiver) = self.raw.split();
                Ok((
                    ReplicationSender { raw: sender, message: BytesMut::new() },
                    ReplicationReceiver { raw: receiver },
                ))
            }
            b'E' => Err(frame.server_error().into()),
            _ => Err(frame.unexpected("the start of replication")),
        }
    }
}

fn created(row: &[Option<Bytes>]) -> Option<Created> {
    let text = |at: usize| row.get(at)?.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
    Some(Created { consistent_point: text(1)?.parse().ok()?, snapshot: text(2) })
}

fn system(row: &[Option<Bytes>]) -> Option<System> {
    let text = |at: usize| row.get(at)?.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
    Some(System {
        system_id: text(0)?.parse().ok()?,
        timeline: text(1)?.parse().ok()?,
        xlogpos: text(2)?.parse().ok()?,
        dbname: text(3)?,
    })
}

/// The grammar of replication commands knows neither `E''` nor backslashes (PostgreSQL's repl_scanner.l): a quote is
/// doubled and everything else stands for itself.
fn start_replication(slot: &str, lsn: Lsn, options: &[(&str, &str)]) -> String {
    let option =
        |(name, value): &(&str, &str)| format!("{} '{}'", quote::ident(name), value.replace('\'', "''"));
    let options: Vec<_> = options.iter().map(option).collect();
    let command = format!("START_REPLICATION SLOT {} LOGICAL {lsn}", quote::ident(slot));
    if options.is_empty() { command } else { format!("{command} ({})", options.join(", ")) }
}

impl ReplicationReceiver {
    /// The next event. Can be dropped while it waits.
    ///
    /// # Errors
    /// What the server reports, with its SQLSTATE; unreachable when the connection is lost.
    pub async fn next(&mut self) -> Result<Event> {
        let frame = self.raw.recv().await?;
        match frame.tag {
            b'd' => event(frame.body),
            b'c' | b'C' => Ok(Event::End),
            b'E' => Err(frame.server_error().into()),
            _ => Err(unexpected(&frame)),
        }
    }
}

fn unexpected(frame: &Frame) -> Error {
    frame.unexpected("a piece of the replication stream")
}

fn event(mut body: Bytes) -> Result<Event> {
    match body.try_get_u8().map_err(|_| torn())? {
        b'w' => data(body).map_err(|_| torn()),
        b'k' => keep_alive(body).map_err(|_| torn()),
        other => Err(Error::protocol(format!(
            "the replication stream has a message of kind {other}, which is not known here"
        ))),
    }
}

fn data(mut body: Bytes) -> Result<Event, bytes::TryGetError> {
    let start = Lsn(body.try_get_u64()?);
    let end = Lsn(body.try_get_u64()?);
    let time = body.try_get_i64()?;
    Ok(Event::Data { start, end, time, payload: body })
}

fn keep_alive(mut body: Bytes) -> Result<Event, bytes::TryGetError> {
    let end = Lsn(body.try_get_u64()?);
    let _sent_at = body.try_get_i64()?;
    Ok(Event::KeepAlive { end, reply_requested: body.try_get_u8()? != 0 })
}

impl ReplicationSender {
    /// Tells the server how far we are. `flushed` frees WAL at the source for good: only what is durable at the
    /// destination. `ask_reply` makes the server answer with a keepalive.
    ///
    /// # Errors
    /// Unreachable when the connection is lost.
    pub async fn status(&mut self, received: Lsn, flushed: Lsn, applied: Lsn, ask_reply: bool) -> Result<()> {
        self.message.clear();
        write_status(&mut self.message, [received, flushed, applied], now(), ask_reply);
        self.raw.send(&self.message).await
    }

    /// Asks the server to end the stream; [`Event::End`] follows what it still has to send.
    pub async fn done(&mut self) -> Result<()> {
        self.message.clear();
        frontend::copy_done(&mut self.message);
        self.raw.send(&self.message).await
    }
}

/// CopyData with a standby status update in it.
fn write_status(out: &mut BytesMut, positions: [Lsn; 3], time: i64, ask_reply: bool) {
    const LENGTH: u32 = 4 + 1 + 3 * 8 + 8 + 1;
    out.put_u8(b'd');
    out.put_u32(LENGTH);
    out.put_u8(b'r');
    positions.iter().for_each(|position| out.put_u64(position.0));
    out.put_i64(time);
    out.put_u8(u8::from(ask_reply));
}

/// Microseconds since 2000-01-01.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = since.as_micros().saturating_sub(u128::from(POSTGRES_EPOCH) * 1_000_000);
    i64::try_from(micros).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command() {
        assert_eq!(start_replication("s", Lsn(16), &[]), "START_REPLICATION SLOT \"s\" LOGICAL 0/10");
        assert_eq!(
            start_replication("s", Lsn(0), &[("tables", "a'b\\c"), ("x", "1")]),
            "START_REPLICATION SLOT \"s\" LOGICAL 0/0 (\"tables\" 'a''b\\c', \"x\" '1')"
        );
    }

    #[test]
    fn events_and_every_truncation() {
        let mut data = BytesMut::new();
        data.put_u8(b'w');
        data.put_u64(1);
        data.put_u64(2);
        data.put_i64(3);
        let header = data.len();
        data.put_slice(b"row");
        let data = data.freeze();
        let wanted = Event::Data { start: Lsn(1), end: Lsn(2), time: 3, payload: Bytes::from_static(b"row") };
        assert_eq!(event(data.clone()).unwrap(), wanted);
        for end in 0..header {
            assert!(event(data.slice(..end)).is_err(), "{end}");
        }
        let alive = Bytes::from_static(b"k\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\x01");
        assert_eq!(event(alive.clone()).unwrap(), Event::KeepAlive { end: Lsn(5), reply_requested: true });
        for end in 0..alive.len() {
            assert!(event(alive.slice(..end)).is_err(), "{end}");
        }
        assert!(event(Bytes::from_static(b"?")).is_err());
    }

    #[test]
    fn status_is_one_copy_data_message() {
        let mut out = BytesMut::new();
        write_status(&mut out, [Lsn(3), Lsn(2), Lsn(1)], 7, true);
        assert_eq!(&out[..6], b"d\0\0\0\x26r");
        assert_eq!(out.len(), 1 + 0x26);
        assert_eq!(&out[6..14], 3u64.to_be_bytes());
        assert_eq!(out[38], 1);
    }
}
