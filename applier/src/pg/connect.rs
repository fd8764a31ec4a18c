//! The way to a server: hosts in order, each with the encryptions that `sslmode` allows, until one lets us in and is
//! the kind of server that `target_session_attrs` wants. Every failure is told with the host it happened on.

use super::conninfo::{Address, Conninfo, Host, SslMode, Target};
use super::stream::{Encryption, Stream};
use crate::error::{Class, Error, Result};
use std::future::Future;

/// What a client does on a fresh stream. Two clients share the rest of this file.
pub(super) trait Startup: Sync {
    /// The client once it is logged in.
    type Connection: Send;

    /// Says the startup message and logs in.
    fn start(&self, stream: Stream, host: &Host) -> impl Future<Output = Result<Self::Connection>> + Send;

    /// Whether the server is in recovery.
    fn in_recovery(&self, connection: &mut Self::Connection) -> impl Future<Output = Result<bool>> + Send;
}

/// Opens a connection by the connection string.
///
/// # Errors
/// The first refusal, as libpq: a server that answers and says no ends the search. If no host could be reached,
/// unreachable with what happened on each.
pub(super) async fn open<S: Startup>(conninfo: &Conninfo, startup: &S) -> Result<S::Connection> {
    match conninfo.target {
        Target::Any | Target::Primary | Target::Standby => first(conninfo, conninfo.target, startup).await,
        Target::PreferStandby => match first(conninfo, Target::Standby, startup).await {
            Err(error) if error.class() == Class::Unreachable => first(conninfo, Target::Any, startup).await,
            other => other,
        },
    }
}

async fn first<S: Startup>(conninfo: &Conninfo, target: Target, startup: &S) -> Result<S::Connection> {
    let mut failures = Vec::new();
    for host in &conninfo.hosts {
        match within_limit(conninfo, host, target, startup).await {
            Ok(connection) => return Ok(connection),
            Err(error) if error.class() == Class::Unreachable => failures.push(error),
            Err(error) => return Err(error),
        }
    }
    Err(merge(failures))
}

/// One failure stays as it is, with its SQLSTATE; several become one sentence.
fn merge(mut failures: Vec<Error>) -> Error {
    match failures.len() {
        1 => failures.remove(0),
        _ => Error::unreachable(failures.iter().map(Error::to_string).collect::<Vec<_>>().join("; ")),
    }
}

async fn within_limit<S: Startup>(
    conninfo: &Conninfo,
    host: &Host,
    target: Target,
    startup: &S,
) -> Result<S::Connection> {
    let attempt = wanted(conninfo, host, target, startup);
    let outcome = match conninfo.connect_timeout {
        None => attempt.await,
        Some(limit) => tokio::time::timeout(limit, attempt).await.unwrap_or_else(|_| {
            let seconds = limit.as_secs();
            Err(Error::unreachable(format!(
                "no answer within {seconds} s; check address and firewall, or raise connect_timeout"
            )))
        }),
    };
    outcome.map_err(|error| error.context(host))
}

async fn wanted<S: Startup>(
    conninfo: &Conninfo,
    host: &Host,
    target: Target,
    startup: &S,
) -> Result<S::Connection> {
    let mut connection = encrypted(conninfo, host, startup).await?;
    let wants_recovery = match target {
        Target::Any | Target::PreferStandby => return Ok(connection),
        Target::Primary => false,
        Target::Standby => true,
    };
    if startup.in_recovery(&mut connection).await? == wants_recovery {
        return Ok(connection);
    }
    Err(Error::unreachable(if wants_recovery {
        "the server is not in recovery, and target_session_attrs wants a standby"
    } else {
        "the server is in recovery (a standby), and target_session_attrs wants one that accepts writes"
    }))
}

/// Tries the encryptions in libpq's order; a server that refuses one may take the next.
async fn encrypted<S: Startup>(conninfo: &Conninfo, host: &Host, startup: &S) -> Result<S::Connection> {
    let attempts = attempts(conninfo.tls.mode, &host.address);
    let mut refusal: Option<Error> = None;
    for encryption in attempts {
        match once(conninfo, host, *encryption, startup).await {
            Ok(connection) => return Ok(connection),
            Err(error) if may_differ(&error) => {
                // The first refusal tells more: what was wanted most.
                refusal.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(refusal.unwrap_or_else(|| Error::unreachable("no way of connecting is allowed by sslmode")))
}

fn attempts(mode: SslMode, address: &Address) -> &'static [Encryption] {
    match (address, mode) {
        (Address::Unix(_), _) | (_, SslMode::Disable) => &[Encryption::Plain],
        (_, SslMode::Allow) => &[Encryption::Plain, Encryption::Tls],
        (_, SslMode::Prefer) => &[Encryption::IfOffered, Encryption::Plain],
        (_, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull) => &[Encryption::Tls],
    }
}

/// A failed handshake, or a `pg_hba.conf` that has no line for this encryption.
fn may_differ(error: &Error) -> bool {
    error.class() == Class::Refused && matches!(error.sqlstate(), None | Some("28000"))
}

async fn once<S: Startup>(
    conninfo: &Conninfo,
    host: &Host,
    encryption: Encryption,
    startup: &S,
) -> Result<S::Connection> {
    let stream = Stream::open(conninfo, host, encryption).await?;
    startup.start(stream, host).await.map_err(|error| advise(error, conninfo))
}

/// What to do about a server's refusal to let us in.
fn advise(error: Error, conninfo: &Conninfo) -> Error {
    let (user, dbname) = (&conninfo.user, &conninfo.dbname);
    let said = error.to_string();
    let advice = match error.sqlstate() {
        // Only what the server said: our own messages about passwords have their advice.
        Some("28P01") if said.contains("(28P01)") => {
            "; check the password (password_file, the environment, or ~/.pgpass)".to_owned()
        }
        Some("28000") if said.contains("pg_hba.conf") => {
            format!(
                "; add a line for database {dbname}, role {user} and this machine's address to pg_hba.conf, then reload"
            )
        }
        Some("28000") if said.contains("client certificate") => {
            "; give sslcert and sslkey in the url".to_owned()
        }
        Some("3D000") => "; create it or correct the url".to_owned(),
        Some("53300") => "; raise max_connections (or max_wal_senders), or end other sessions".to_owned(),
        Some("42501") if said.contains("session_replication_role") => format!(
            "; to write without firing triggers and foreign keys the role needs, from a superuser: \
             GRANT SET ON PARAMETER session_replication_role TO {} (PostgreSQL 15 and later; before, only superusers may)",
            super::quote::ident(user)
        ),
        _ => String::new(),
    };
    error.and(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryptions_follow_sslmode() {
        let tcp = Address::Tcp("h".into());
        assert_eq!(attempts(SslMode::Prefer, &tcp), [Encryption::IfOffered, Encryption::Plain]);
        assert_eq!(attempts(SslMode::Allow, &tcp), [Encryption::Plain, Encryption::Tls]);
        assert_eq!(attempts(SslMode::VerifyFull, &tcp), [Encryption::Tls]);
        assert_eq!(attempts(SslMode::VerifyFull, &Address::Unix("/tmp".into())), [Encryption::Plain]);
    }

    #[test]
    fn only_a_matter_of_encryption_is_tried_again() {
        assert!(may_differ(&Error::refused("handshake")));
        assert!(may_differ(&Error::refused("no pg_hba.conf entry").with_sqlstate("28000")));
        assert!(!may_differ(&Error::refused("password").with_sqlstate("28P01")));
        assert!(!may_differ(&Error::unreachable("down")));
    }

    #[test]
    fn advice_names_the_right() {
        let conninfo = Conninfo::parse("postgresql://ferry@h/d").unwrap();
        let denied = "permission denied to set parameter \"session_replication_role\" (42501)";
        let error = advise(Error::refused(denied).with_sqlstate("42501"), &conninfo).to_string();
        assert!(error.contains("GRANT SET ON PARAMETER session_replication_role TO \"ferry\""), "{error}");
    }
}
