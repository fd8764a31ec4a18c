//! The byte stream to a server: TCP or a Unix socket, in TLS or not.

use super::conninfo::{Address, Conninfo, Host, Keepalive};
use super::tls;
use crate::error::{Error, Result};
use bytes::BytesMut;
use postgres_protocol::message::frontend;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};

/// An open connection, before anything of PostgreSQL's own protocol but SSLRequest has been said.
pub enum Stream {
    /// TCP in the clear.
    Tcp(TcpStream),
    /// A Unix socket; TLS is never used on it, whatever `sslmode` says, as in libpq.
    Unix(UnixStream),
    /// TCP in TLS.
    Tls(Box<tls::Client>),
}

/// What one attempt asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encryption {
    /// No TLS.
    Plain,
    /// TLS if the server offers it, else the same connection in the clear.
    IfOffered,
    /// TLS or nothing.
    Tls,
}

impl Stream {
    /// Connects to one host.
    ///
    /// # Errors
    /// Unreachable when there is no connection, refused when there is no agreement on TLS. The host is not named:
    /// the caller does.
    pub(super) async fn open(conninfo: &Conninfo, host: &Host, encryption: Encryption) -> Result<Self> {
        let name = match &host.address {
            Address::Unix(directory) => {
                let path = directory.join(format!(".s.PGSQL.{}", host.port));
                return UnixStream::connect(path).await.map(Stream::Unix).map_err(|error| no_socket(&error));
            }
            Address::Tcp(name) => name,
        };
        let found = lookup_host((name.as_str(), host.port)).await.map_err(|error| no_name(&error))?;
        let tcp = TcpStream::connect(&found.collect::<Vec<_>>()[..]).await.map_err(|error| no_tcp(&error))?;
        prepare(&tcp, conninfo.keepalive).map_err(|error| lost(&error))?;
        match encryption {
            Encryption::Plain => Ok(Stream::Tcp(tcp)),
            Encryption::IfOffered | Encryption::Tls => negotiate(conninfo, name, tcp, encryption).await,
        }
    }

    /// The `tls-server-end-point` channel binding, where the connection has one (RFC 5929).
    pub(super) fn server_end_point(&self) -> Option<Vec<u8>> {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => None,
            Stream::Tls(tls) => tls::server_end_point(tls),
        }
    }
}

fn prepare(tcp: &TcpStream, keepalive: Option<Keepalive>) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let Some(keepalive) = keepalive else { return Ok(()) };
    let mut wanted = TcpKeepalive::new();
    if let Some(idle) = keepalive.idle {
        wanted = wanted.with_time(idle);
    }
    if let Some(interval) = keepalive.interval {
        wanted = wanted.with_interval(interval);
    }
    if let Some(count) = keepalive.count {
        wanted = wanted.with_retries(count);
    }
    let socket = SockRef::from(tcp);
    socket.set_keepalive(true)?;
    socket.set_tcp_keepalive(&wanted)
}

/// Asks for TLS with SSLRequest and, if the server says yes, shakes hands. Nothing may have been read beyond the
/// one byte of the answer, or somebody in between could slip in text before the handshake (CVE-2021-23222).
async fn negotiate(
    conninfo: &Conninfo,
    name: &str,
    mut tcp: TcpStream,
    encryption: Encryption,
) -> Result<Stream> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    tcp.write_all(&request).await.map_err(|error| lost(&error))?;
    let answer = tcp.read_u8().await.map_err(|error| lost(&error))?;
    match answer {
        b'S' => tls::handshake(&conninfo.tls, name, tcp).await.map(|tls| Stream::Tls(Box::new(tls))),
        b'N' if encryption == Encryption::IfOffered => Ok(Stream::Tcp(tcp)),
        b'N' => Err(Error::refused(
            "the server does not offer TLS, which sslmode asks for; switch ssl on there, or choose a weaker sslmode",
        )),
        _ => Err(Error::refused(
            "what answers there does not speak PostgreSQL's protocol; check host and port",
        )),
    }
}

fn no_name(error: &io::Error) -> Error {
    Error::unreachable(format!("the host name cannot be resolved ({error}); check it in the url"))
}

fn no_tcp(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::unreachable(
            "connection refused; is the server running there, and does its listen_addresses include this address?",
        ),
        _ => Error::unreachable(format!("{error}; check address and network")),
    }
}

fn no_socket(error: &io::Error) -> Error {
    Error::unreachable(format!("{error}; is the server running, and is this its unix_socket_directories?"))
}

/// A connection that broke. A TLS alert that arrives late (a missing client certificate, in TLS 1.3) is a refusal.
pub(super) fn lost(error: &io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(alert) => tls::explain(alert),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            Error::unreachable("the server closed the connection; its log may say why")
        }
        None => Error::unreachable(format!("the connection was lost ({error})")),
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(io) => Pin::new(io).poll_read(cx, buf),
            Stream::Unix(io) => Pin::new(io).poll_read(cx, buf),
            Stream::Tls(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(io) => Pin::new(io).poll_write(cx, buf),
            Stream::Unix(io) => Pin::new(io).poll_write(cx, buf),
            Stream::Tls(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(io) => Pin::new(io).poll_flush(cx),
            Stream::Unix(io) => Pin::new(io).poll_flush(cx),
            Stream::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Stream::Unix(io) => Pin::new(io).poll_shutdown(cx),
            Stream::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
