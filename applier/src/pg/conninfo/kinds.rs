//! The kinds of values that a connection string holds.

use crate::error::{Error, Result};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// One place to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// A name, an address, or the directory of a Unix socket.
    pub address: Address,
    /// The TCP port, or the number in the socket's file name.
    pub port: u16,
}

/// What kind of place a [`Host`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host name or an IP address.
    Tcp(String),
    /// The directory of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp(name) if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Address::Tcp(name) => write!(f, "{name}:{}", self.port),
            Address::Unix(directory) => write!(f, "{}/.s.PGSQL.{}", directory.display(), self.port),
        }
    }
}

/// libpq's `sslmode`, from the weakest to the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS only if the server insists.
    Allow,
    /// TLS if the server has it (the default).
    Prefer,
    /// TLS, the certificate checked only if a root certificate is there.
    Require,
    /// TLS with a certificate that a trusted root signed.
    VerifyCa,
    /// The same, and the certificate names the host.
    VerifyFull,
}

/// libpq's `target_session_attrs`. Sessions of ours pin `default_transaction_read_only` to off, so `read-write`
/// means what `primary` means: not in recovery; `read-only` likewise is `standby`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The first server that lets us in.
    Any,
    /// A server that accepts writes.
    Primary,
    /// A server in recovery.
    Standby,
    /// A server in recovery if there is one, else any.
    PreferStandby,
}

/// Where the trusted roots come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootCert {
    /// A file that the connection string names: it must exist.
    File(PathBuf),
    /// The machine's own store (`sslrootcert=system`).
    System,
    /// `~/.postgresql/root.crt`, if it is there.
    Home,
}

/// The TLS part of a connection string.
#[derive(Debug, Clone)]
pub struct TlsParameters {
    /// How much is asked of the server.
    pub mode: SslMode,
    /// Whom to trust.
    pub root: RootCert,
    /// The client certificate; default `~/.postgresql/postgresql.crt`, if it is there.
    pub cert: Option<PathBuf>,
    /// Its key; default `~/.postgresql/postgresql.key`.
    pub key: Option<PathBuf>,
}

/// TCP keep-alive; what is absent is the system's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub idle: Option<Duration>,
    /// Time between probes.
    pub interval: Option<Duration>,
    /// Probes without an answer until the connection counts as lost.
    pub count: Option<u32>,
}

impl FromStr for SslMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "disable" => SslMode::Disable,
            "allow" => SslMode::Allow,
            "prefer" => SslMode::Prefer,
            "require" => SslMode::Require,
            "verify-ca" => SslMode::VerifyCa,
            "verify-full" => SslMode::VerifyFull,
            _ => {
                return Err(not_one_of(
                    "sslmode",
                    text,
                    "disable, allow, prefer, require, verify-ca, verify-full",
                ));
            }
        })
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "any" => Target::Any,
            "read-write" | "primary" => Target::Primary,
            "read-only" | "standby" => Target::Standby,
            "prefer-standby" => Target::PreferStandby,
            _ => {
                let known = "any, read-write, read-only, primary, standby, prefer-standby";
                return Err(not_one_of("target_session_attrs", text, known));
            }
        })
    }
}

fn not_one_of(name: &str, value: &str, known: &str) -> Error {
    Error::usage(format!("{name}={value} in the connection string is not known; it may be {known}"))
}
