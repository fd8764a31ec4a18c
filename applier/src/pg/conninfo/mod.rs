//! Where a server is and how to speak to it: libpq's connection strings, both forms
//! (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING>). Passwords come in here and
//! leave only to the authentication exchange; nothing prints them.

mod kinds;
mod libpq;
mod passfile;
mod text;

pub use kinds::{Address, Host, Keepalive, RootCert, SslMode, Target, TlsParameters};

use crate::config;
use crate::error::{Error, Result};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The parameters that are understood, by libpq's names.
pub(super) const KNOWN: &[&str] = &[
    "host",
    "port",
    "user",
    "password",
    "dbname",
    "passfile",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "target_session_attrs",
    "connect_timeout",
    "application_name",
    "options",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
];

/// How long one host may take to be reached, spoken to and logged in to, unless `connect_timeout` says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Where Debian's and most other packages put the socket.
const SOCKET_DIRECTORY: &str = "/var/run/postgresql";

/// A parsed and checked connection string.
#[derive(Debug, Clone)]
pub struct Conninfo {
    /// The places to try, in order; at least one.
    pub hosts: Vec<Host>,
    /// The role.
    pub user: String,
    /// The database.
    pub dbname: String,
    /// TLS.
    pub tls: TlsParameters,
    /// Which kind of server is wanted.
    pub target: Target,
    /// The limit for each host; `None` waits for ever.
    pub connect_timeout: Option<Duration>,
    /// Command-line options for the session, set before the pinned ones.
    pub options: Option<String>,
    /// TCP keep-alive, unless switched off.
    pub keepalive: Option<Keepalive>,
    passfile: Option<PathBuf>,
    password: Option<SecretString>,
}

impl Conninfo {
    /// Reads a connection URI or a keyword/value string.
    ///
    /// # Errors
    /// A usage error that names the parameter and what it may be; it never repeats the string, which may hold a
    /// password.
    pub fn parse(url: &str) -> Result<Self> {
        let given = text::Parameters::read(url)?;
        let user = match given.get("user").map(str::to_owned).or_else(own_user) {
            Some(user) => user,
            None => return Err(Error::usage("the connection string names no user; add user=NAME")),
        };
        Ok(Self {
            hosts: hosts(given.get("host"), given.get("port"))?,
            dbname: given.get("dbname").unwrap_or(&user).to_owned(),
            user,
            tls: tls(&given)?,
            target: given.get("target_session_attrs").map_or(Ok(Target::Any), str::parse)?,
            connect_timeout: connect_timeout(&given)?,
            options: given.get("options").map(str::to_owned),
            keepalive: keepalive(&given)?,
            passfile: given.get("passfile").map(PathBuf::from),
            password: given.get("password").map(SecretString::from),
        })
    }

    /// The source's place, by the configuration.
    ///
    /// # Errors
    /// As [`Conninfo::parse`].
    pub fn source(source: &config::Source) -> Result<Self> {
        Self::configured(&source.url, source.password.as_ref()).map_err(|error| error.context("source.url"))
    }

    /// The destination's place, by the configuration.
    ///
    /// # Errors
    /// As [`Conninfo::parse`].
    pub fn destination(destination: &config::Destination) -> Result<Self> {
        let found = Self::configured(&destination.url, destination.password.as_ref());
        found.map_err(|error| error.context("destination.url"))
    }

    fn configured(url: &SecretString, password: Option<&SecretString>) -> Result<Self> {
        let mut conninfo = Self::parse(url.expose_secret())?;
        if let Some(password) = password {
            conninfo.set_password(password.clone());
        }
        Ok(conninfo)
    }

    /// Gives the password from elsewhere (environment, password_file); it wins over the connection string's.
    fn set_password(&mut self, password: SecretString) {
        self.password = Some(password);
    }

    /// The password for one host: given, else PGPASSWORD, else the password file's.
    ///
    /// # Errors
    /// A usage error when the password file is there and not private to its owner.
    pub(super) fn password(&self, host: &Host) -> Result<Option<SecretString>> {
        if let Some(password) = &self.password {
            return Ok(Some(password.clone()));
        }
        if let Some(password) = std::env::var("PGPASSWORD").ok().filter(|text| !text.is_empty()) {
            return Ok(Some(SecretString::from(password)));
        }
        passfile::look_up(self.passfile.as_deref(), host, &self.dbname, &self.user)
    }
}

/// Hosts, database and role; never the password.
impl fmt::Display for Conninfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.hosts.iter().map(Host::to_string).collect();
        write!(f, "{}@{}/{}", self.user, hosts.join(","), self.dbname)
    }
}

fn own_user() -> Option<String> {
    ["PGUSER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()))
}

/// `~/.postgresql/NAME`, whether or not it is there.
pub(super) fn home_file(name: &str) -> Option<PathBuf> {
    std::env::home_dir().map(|home| home.join(".postgresql").join(name))
}

fn hosts(names: Option<&str>, ports: Option<&str>) -> Result<Vec<Host>> {
    let names: Vec<_> = names.unwrap_or_default().split(',').collect();
    let ports: Vec<_> = ports.unwrap_or_default().split(',').collect();
    if ports.len() != 1 && ports.len() != names.len() {
        return Err(Error::usage(format!(
            "the connection string has {} ports for {} hosts; give one for all, or one each",
            ports.len(),
            names.len()
        )));
    }
    let port_of = |at: usize| if ports.len() == 1 { ports[0] } else { ports[at] };
    names
        .iter()
        .enumerate()
        .map(|(at, name)| Ok(Host { address: address(name), port: port(port_of(at))? }))
        .collect()
}

fn address(name: &str) -> Address {
    match name {
        "" => Address::Unix(PathBuf::from(SOCKET_DIRECTORY)),
        directory if directory.starts_with('/') => Address::Unix(PathBuf::from(directory)),
        name => Address::Tcp(name.to_owned()),
    }
}

/// The text is not repeated: in a URI whose password has a bare `/` it is a piece of the password.
fn port(text: &str) -> Result<u16> {
    let wrong = "a port in the connection string is not a number from 1 to 65535 \
                 (in a URI, write special characters of user and password as %XX)";
    match text {
        "" => Ok(5432),
        text => text.parse().ok().filter(|port| *port > 0).ok_or_else(|| Error::usage(wrong)),
    }
}

fn tls(given: &text::Parameters) -> Result<TlsParameters> {
    let root = match given.get("sslrootcert") {
        None => RootCert::Home,
        Some("system") => RootCert::System,
        Some(file) => RootCert::File(PathBuf::from(file)),
    };
    let default = if root == RootCert::System { SslMode::VerifyFull } else { SslMode::Prefer };
    let mode = given.get("sslmode").map_or(Ok(default), str::parse)?;
    if root == RootCert::System && mode < SslMode::VerifyFull {
        return Err(Error::usage(
            "sslrootcert=system trusts every public authority, so it needs sslmode=verify-full",
        ));
    }
    let path = |name| given.get(name).map(PathBuf::from);
    Ok(TlsParameters { mode, root, cert: path("sslcert"), key: path("sslkey") })
}

fn connect_timeout(given: &text::Parameters) -> Result<Option<Duration>> {
    Ok(match given.number("connect_timeout")? {
        None => Some(CONNECT_TIMEOUT),
        Some(0) => None,
        // libpq: less than two seconds would fail on a busy name server.
        Some(seconds) => Some(Duration::from_secs(u64::from(seconds.max(2)))),
    })
}

fn keepalive(given: &text::Parameters) -> Result<Option<Keepalive>> {
    let seconds =
        |name| Ok::<_, Error>(given.number(name)?.filter(|n| *n > 0).map(|n| Duration::from_secs(n.into())));
    let keepalive = Keepalive {
        idle: seconds("keepalives_idle")?,
        interval: seconds("keepalives_interval")?,
        count: given.number("keepalives_count")?.filter(|n| *n > 0),
    };
    Ok((given.number("keepalives")? != Some(0)).then_some(keepalive))
}

#[cfg(test)]
mod tests;
