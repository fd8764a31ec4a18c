//! Rows from one server's COPY TO STDOUT into another's COPY FROM STDIN, in bounded memory and without touching a disk
//! (<https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY>). A server sends a message for each row;
//! here many rows make one, because the receiving server pays for each message.

use super::frame::{Frame, Pause};
use super::raw::Raw;
use crate::error::{Error, Result};
use bytes::{BufMut, BytesMut};
use postgres_protocol::message::frontend;
use std::future::{Future, ready};
use std::sync::atomic::{AtomicI64, Ordering};

/// So much goes out as one message. The sockets' own buffers keep both servers busy meanwhile.
const MESSAGE: usize = 128 * 1024;
/// Tag and length.
const HEADER: usize = 5;

/// What has passed so far; may be read at any time.
#[derive(Debug, Default)]
pub struct Tally {
    /// Rows; one too many while a binary COPY runs, whose end looks like a row.
    pub rows: AtomicI64,
    /// Bytes, as they travel.
    pub bytes: AtomicI64,
}

impl Tally {
    /// Adds to both; negative numbers take back.
    pub fn add(&self, rows: i64, bytes: i64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Says when the next bytes may go.
pub trait Throttle: Send + Sync {
    /// Waits until `bytes` more may pass.
    fn take(&self, bytes: usize) -> impl Future<Output = ()> + Send;
}

/// What a relay has carried, as the servers counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// Rows that the source sent.
    pub read: i64,
    /// Rows that the destination took.
    pub written: i64,
}

/// Where a relay broke.
#[derive(Debug)]
pub enum Broken {
    /// At the source. The destination's COPY has been ended; its transaction has failed.
    Source(Error),
    /// At the destination. The source may go on sending: its connection is of no more use without [`drain`].
    Destination(Error, Rest),
}

/// What is left of a source's COPY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Nothing: the source is ready.
    Nothing,
    /// Rows, beginning with so many bytes of one that has been read in part.
    Rows(usize),
}

/// Reads the rest of a COPY TO STDOUT away; the connection can be used on.
///
/// # Errors
/// Of the connection; what the server says of the rest is of no interest.
pub async fn drain(source: &mut Raw, rest: Rest) -> Result<()> {
    let Rest::Rows(mut left) = rest else { return Ok(()) };
    let mut message = BytesMut::with_capacity(MESSAGE);
    while source.copy_data(&mut left, &mut message, MESSAGE, &mut 0).await? == Pause::Full {
        message.clear();
    }
    match end_of_source(source).await {
        Err(error) if error.sqlstate().is_none() => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Sends statements of which the last is COPY TO STDOUT, and returns once its rows come.
///
/// # Errors
/// The first statement that fails; the connection can be used on.
pub async fn begin_out(source: &mut Raw, sql: &str) -> Result<()> {
    begin(source, sql, b'H').await
}

/// Sends statements of which the last is COPY FROM STDIN, and returns once it waits for rows.
///
/// # Errors
/// As for [`begin_out`].
pub async fn begin_in(destination: &mut Raw, sql: &str) -> Result<()> {
    begin(destination, sql, b'G').await
}

async fn begin(raw: &mut Raw, sql: &str, response: u8) -> Result<()> {
    raw.query(sql).await?;
    loop {
        let frame = raw.recv().await?;
        match frame.tag {
            tag if tag == response => return Ok(()),
            b'T' | b'D' | b'C' | b'I' => {}
            b'E' => return Err(failure(raw, &frame).await),
            _ => return Err(frame.unexpected("the start of a COPY")),
        }
    }
}

/// Carries all rows of a COPY that has begun on both sides.
///
/// # Errors
/// Which side broke, and how; the destination's error goes before the source's.
pub async fn relay(
    source: &mut Raw,
    destination: &mut Raw,
    tally: &Tally,
    throttle: &impl Throttle,
) -> Result<Carried, Broken> {
    let mut left = 0;
    let mut message = BytesMut::with_capacity(MESSAGE);
    loop {
        let pause = gather(source, destination, &mut message, &mut left, tally).await?;
        if message.len() > HEADER {
            throttle.take(message.len()).await;
            let sent = send(destination, &mut message).await;
            sent.map_err(|error| Broken::Destination(error, Rest::Rows(left)))?;
        }
        if pause == Pause::Other {
            break;
        }
    }
    end(source, destination).await
}

/// The end of the rows, on both sides.
async fn end(source: &mut Raw, destination: &mut Raw) -> Result<Carried, Broken> {
    match end_of_source(source).await {
        Ok(read) => {
            let written =
                done(destination).await.map_err(|error| Broken::Destination(error, Rest::Nothing))?;
            Ok(Carried { read, written })
        }
        Err(error) => Err(give_up(destination, error).await),
    }
}

/// Fills one message with rows. An error of the destination ends the wait for the source.
async fn gather(
    source: &mut Raw,
    destination: &mut Raw,
    message: &mut BytesMut,
    left: &mut usize,
    tally: &Tally,
) -> Result<Pause, Broken> {
    message.clear();
    message.put_bytes(0, HEADER);
    let mut messages = 0;
    let pause = tokio::select! {
        biased;
        pause = source.copy_data(left, message, MESSAGE, &mut messages) => pause,
        frame = destination.recv() => {
            return Err(Broken::Destination(answer(destination, frame).await, Rest::Rows(*left)));
        }
    };
    tally.add(messages as i64, (message.len() - HEADER) as i64);
    match pause {
        Ok(pause) => Ok(pause),
        Err(error) => Err(give_up(destination, error).await),
    }
}

/// Sends the message, then looks whether the destination has something against it.
async fn send(destination: &mut Raw, message: &mut BytesMut) -> Result<()> {
    let length = (message.len() - 1) as u32;
    message[0] = b'd';
    message[1..HEADER].copy_from_slice(&length.to_be_bytes());
    let sent = destination.send(message).await;
    let frame = match sent {
        Ok(()) => tokio::select! {
            biased;
            frame = destination.recv() => frame,
            () = ready(()) => return Ok(()),
        },
        // What the server said before it went is worth more than that it went.
        Err(lost) => destination.recv().await.map_err(|_| lost),
    };
    Err(answer(destination, frame).await)
}

/// The error in what a server says in the middle of a COPY.
async fn answer(raw: &mut Raw, frame: Result<Frame>) -> Error {
    match frame {
        Ok(frame) if frame.tag == b'E' => failure(raw, &frame).await,
        Ok(frame) => frame.unexpected("the end of a COPY"),
        Err(error) => error,
    }
}

/// The error of a frame; the connection is ready for the next statement when this returns.
async fn failure(raw: &mut Raw, frame: &Frame) -> Error {
    match raw.failed(frame) {
        Ok(error) => raw.ready().await.err().unwrap_or(error),
        Err(fatal) => fatal,
    }
}

/// CopyDone and what follows it: the number of rows. An error may be in its place.
async fn end_of_source(source: &mut Raw) -> Result<i64> {
    let frame = source.recv().await?;
    match frame.tag {
        b'c' => source.ready().await.and_then(rows),
        b'E' => Err(failure(source, &frame).await),
        _ => Err(frame.unexpected("a row of a COPY")),
    }
}

/// Ends the destination's COPY; its number of rows.
async fn done(destination: &mut Raw) -> Result<i64> {
    let mut message = BytesMut::new();
    frontend::copy_done(&mut message);
    destination.send(&message).await?;
    destination.ready().await.and_then(rows)
}

fn rows(tag: Option<String>) -> Result<i64> {
    let rows = tag.as_deref().and_then(|tag| tag.strip_prefix("COPY ")?.parse().ok());
    rows.ok_or_else(|| Error::protocol("the server did not say how many rows a COPY had"))
}

/// Fails the destination's COPY because the source did. A failure of its own goes before the source's.
async fn give_up(destination: &mut Raw, error: Error) -> Broken {
    const QUERY_CANCELED: &str = "57014";
    let mut message = BytesMut::new();
    let ended = match frontend::copy_fail("the source broke off", &mut message) {
        Ok(()) => destination.send(&message).await,
        Err(_) => Err(Error::protocol("a message could not be made")),
    };
    let answer = match ended {
        Ok(()) => destination.ready().await.map(|_| ()),
        Err(lost) => Err(lost),
    };
    match answer {
        Err(own) if own.sqlstate() != Some(QUERY_CANCELED) => Broken::Destination(own, Rest::Nothing),
        Ok(()) | Err(_) => Broken::Source(error),
    }
}
