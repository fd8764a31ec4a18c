//! Messages from the server, cut out of what the socket gives without copying, and the values inside them.

use super::server_error::ServerError;
use super::stream::lost;
use crate::error::{Error, Result};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::HashMap;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How much the socket is asked for at once.
const CHUNK: usize = 128 * 1024;
/// PostgreSQL's own limit for a message is 1 GB; more than that is not PostgreSQL.
const LARGEST: usize = 1 << 30;
/// The tag and the length.
const HEADER: usize = 5;

/// One message of the backend: its tag and what follows the length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The message type, for example `b'D'` for DataRow.
    pub tag: u8,
    /// The message without tag and length; a slice of the read buffer.
    pub body: Bytes,
}

impl Frame {
    /// The error that an ErrorResponse carries.
    pub fn server_error(&self) -> ServerError {
        ServerError::parse(&self.body)
    }

    /// The values of a DataRow.
    pub fn values(&self) -> Result<Vec<Option<Bytes>>> {
        let mut body = self.body.clone();
        let count = body.try_get_u16().map_err(|_| torn())?;
        (0..count).map(|_| value(&mut body)).collect()
    }

    /// A protocol error that names the unexpected tag.
    pub fn unexpected(&self, waiting_for: &str) -> Error {
        let tag = char::from(self.tag).escape_default();
        Error::protocol(format!("the server sent a message '{tag}' where {waiting_for} was expected"))
    }
}

fn value(body: &mut Bytes) -> Result<Option<Bytes>> {
    let length = body.try_get_i32().map_err(|_| torn())?;
    match usize::try_from(length) {
        Err(_) => Ok(None),
        Ok(length) if length <= body.len() => Ok(Some(body.split_to(length))),
        Ok(_) => Err(torn()),
    }
}

/// A message that ends too early.
pub(super) fn torn() -> Error {
    Error::protocol("the server sent a message that is shorter than it says")
}

/// What has been read and not yet handed out, and the parameters that the server reported.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    buffer: BytesMut,
    parameters: HashMap<String, String>,
}

impl Inbox {
    /// The last value that the server reported for a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// The next message that is not a notice, a notification or a parameter's value. Can be dropped while it waits:
    /// nothing that was read is lost.
    pub(super) async fn next<R: AsyncRead + Unpin>(&mut self, io: &mut R) -> Result<Frame> {
        loop {
            match self.cut()? {
                Some(frame) => match frame.tag {
                    b'N' => notice(&frame.server_error()),
                    b'S' => self.keep_parameter(frame.body),
                    b'A' => {}
                    _ => return Ok(frame),
                },
                None => self.fill(io).await?,
            }
        }
    }

    /// Reads more from the socket. Can be dropped while it waits.
    pub(super) async fn fill<R: AsyncRead + Unpin>(&mut self, io: &mut R) -> Result<()> {
        if self.buffer.capacity() - self.buffer.len() < CHUNK / 4 {
            self.buffer.reserve(CHUNK);
        }
        match io.read_buf(&mut self.buffer).await {
            Ok(0) => Err(lost(&io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(lost(&error)),
        }
    }

    fn cut(&mut self) -> Result<Option<Frame>> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else { return Ok(None) };
        let [tag, length @ ..] = *header;
        let length = payload(length)? + 4;
        if self.buffer.len() < length + 1 {
            // A large message: room for all of it at once.
            self.buffer.reserve(length + 1 - self.buffer.len());
            return Ok(None);
        }
        let mut body = self.buffer.split_to(length + 1).freeze();
        body.advance(HEADER);
        Ok(Some(Frame { tag, body }))
    }

    /// Moves the payload of CopyData messages to `out` until that holds `end` bytes. A message may be moved in pieces:
    /// `left` is what is still to come of the one at hand.
    pub(super) fn copy_data(&mut self, left: &mut usize, out: &mut BytesMut, end: usize) -> Result<Moved> {
        let (mut at, mut messages) = (0, 0);
        let pause = loop {
            let piece = (*left).min(self.buffer.len() - at).min(end.saturating_sub(out.len()));
            out.extend_from_slice(&self.buffer[at..at + piece]);
            at += piece;
            *left -= piece;
            if out.len() >= end {
                break Pause::Full;
            }
            match self.buffer[at..].first_chunk::<HEADER>() {
                None => break Pause::Empty,
                Some(_) if *left > 0 => break Pause::Empty,
                Some([b'd', length @ ..]) => *left = payload(*length)?,
                Some(_) => break Pause::Other,
            }
            at += HEADER;
            messages += 1;
        };
        self.buffer.advance(at);
        Ok(Moved { messages, pause })
    }

    fn keep_parameter(&mut self, body: Bytes) {
        let mut texts = body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
        if let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            self.parameters.insert(name, value);
        }
    }
}

/// How much of a COPY was moved, and why no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved {
    /// Messages that were begun. A server sends one for each row.
    pub messages: u64,
    /// Why it ended.
    pub pause: Pause,
}

/// Why the moving of CopyData ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// There is no more room.
    Full,
    /// Nothing more has been read.
    Empty,
    /// Another kind of message is next.
    Other,
}

/// What follows a message's length, which counts itself.
fn payload(length: [u8; 4]) -> Result<usize> {
    let length = u32::from_be_bytes(length) as usize;
    match length.checked_sub(4) {
        Some(payload) if length <= LARGEST => Ok(payload),
        Some(_) | None => Err(Error::protocol(
            "what answers there does not speak PostgreSQL's protocol; check host and port",
        )),
    }
}

/// Without DETAIL and CONTEXT, which may hold values of rows.
fn notice(notice: &ServerError) {
    tracing::debug!(severity = %notice.severity, code = %notice.code, "the server says: {}", notice.message);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    async fn frames(bytes: &[u8], piece: usize) -> (Vec<Frame>, Inbox, Error) {
        let mut inbox = Inbox::default();
        let mut io = tokio_test_reader(bytes, piece);
        let mut frames = Vec::new();
        loop {
            match inbox.next(&mut io).await {
                Ok(frame) => frames.push(frame),
                Err(error) => return (frames, inbox, error),
            }
        }
    }

    fn tokio_test_reader(bytes: &[u8], piece: usize) -> impl AsyncRead + Unpin {
        let (mut write, read) = tokio::io::duplex(piece);
        let bytes = bytes.to_vec();
        tokio::spawn(async move { tokio::io::AsyncWriteExt::write_all(&mut write, &bytes).await });
        read
    }

    #[tokio::test]
    async fn frames_arrive_whatever_the_pieces() {
        let big = vec![7u8; 300_000];
        let mut bytes = message(b'S', b"server_version\x0015.18\0");
        bytes.extend(message(b'N', b"VNOTICE\0Mhello\0\0"));
        bytes.extend(message(b'd', &big));
        bytes.extend(message(b'Z', b"I"));
        for piece in [1, 7, 4096, 1 << 20] {
            let (frames, inbox, error) = frames(&bytes, piece).await;
            assert_eq!(frames.iter().map(|frame| frame.tag).collect::<Vec<_>>(), [b'd', b'Z']);
            assert_eq!(frames[0].body, big);
            assert_eq!(inbox.parameter("server_version"), Some("15.18"));
            assert!(error.class().is_transient(), "{error}");
        }
    }

    #[test]
    fn copy_data_is_gathered_whatever_the_pieces() {
        let mut bytes = message(b'd', b"one\n");
        bytes.extend(message(b'd', &[b'x'; 1000]));
        bytes.extend(message(b'd', b""));
        bytes.extend(message(b'c', b""));
        for (piece, end) in [(1, 10), (3, 4000), (4000, 7), (4000, 4000)] {
            let (mut inbox, mut left, mut all, mut messages) = (Inbox::default(), 0, Vec::new(), 0);
            let mut pieces = bytes.chunks(piece);
            loop {
                let mut out = BytesMut::new();
                let moved = inbox.copy_data(&mut left, &mut out, end).unwrap();
                assert!(out.len() <= end);
                all.extend_from_slice(&out);
                messages += moved.messages;
                match moved.pause {
                    Pause::Full => assert_eq!(out.len(), end),
                    Pause::Empty => inbox.buffer.extend_from_slice(pieces.next().unwrap()),
                    Pause::Other => break,
                }
            }
            assert_eq!((all.len(), messages, left), (1004, 3, 0));
            assert_eq!(&all[..6], b"one\nxx");
        }
    }

    #[tokio::test]
    async fn what_is_not_postgresql_is_an_error() {
        let (_, _, error) = frames(b"HTTP/1.1 400 Bad Request\r\n", 100).await;
        assert_eq!(error.class(), crate::error::Class::Protocol);
    }

    #[test]
    fn rows() {
        let row = |body: &'static [u8]| Frame { tag: b'D', body: Bytes::from_static(body) }.values();
        let full = b"\x00\x02\x00\x00\x00\x01a\xff\xff\xff\xff";
        assert_eq!(row(full).unwrap(), vec![Some(Bytes::from_static(b"a")), None]);
        for end in 0..full.len() {
            assert!(row(&full[..end]).is_err(), "{end}");
        }
    }
}
