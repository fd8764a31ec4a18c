//! The way back: a connection string for programs that use libpq (pg_dump), with the password kept apart.

use super::{Address, Conninfo, Host, RootCert, SslMode, Target};
use crate::error::{Error, Result};
use secrecy::SecretString;
use std::fmt::Write as _;
use std::path::Path;

/// Where distributions keep the public authorities; libpq before 16 does not know `sslrootcert=system`.
const PUBLIC_AUTHORITIES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// What a program needs to connect as we do.
pub struct Libpq {
    /// Keywords and values, without the password: fit for a command line.
    pub keywords: String,
    /// For the environment variable PGPASSWORD; none if libpq is to look in its password file.
    pub password: Option<SecretString>,
}

impl Conninfo {
    /// The same place for a program that uses libpq. `options` are command-line options of the session, set after
    /// the connection string's own.
    ///
    /// # Errors
    /// A usage error for a path that is not UTF-8, or for `sslrootcert=system` where no store is known.
    pub fn libpq(&self, application_name: &str, options: &str) -> Result<Libpq> {
        let hosts: Result<Vec<_>> = self.hosts.iter().map(|host| address(&host.address)).collect();
        let ports: Vec<_> = self.hosts.iter().map(|host: &Host| host.port.to_string()).collect();
        let given = self.options.as_deref().unwrap_or_default();
        let mut keywords = Keywords(String::new());
        keywords.add("host", &hosts?.join(","));
        keywords.add("port", &ports.join(","));
        keywords.add("user", &self.user);
        keywords.add("dbname", &self.dbname);
        keywords.add("application_name", application_name);
        keywords.add("options", format!("{given} {options}").trim());
        keywords.add("target_session_attrs", target(self.target));
        let timeout = self.connect_timeout.map_or(0, |limit| limit.as_secs());
        keywords.add("connect_timeout", &timeout.to_string());
        self.add_tls(&mut keywords)?;
        self.add_keepalive(&mut keywords);
        keywords.add_path("passfile", self.passfile.as_deref())?;
        Ok(Libpq { keywords: keywords.0, password: self.password.clone() })
    }

    fn add_tls(&self, keywords: &mut Keywords) -> Result<()> {
        keywords.add("sslmode", ssl_mode(self.tls.mode));
        match &self.tls.root {
            RootCert::Home => {}
            RootCert::File(file) => keywords.add_path("sslrootcert", Some(file))?,
            RootCert::System => keywords.add_path("sslrootcert", Some(public_authorities()?))?,
        }
        keywords.add_path("sslcert", self.tls.cert.as_deref())?;
        keywords.add_path("sslkey", self.tls.key.as_deref())
    }

    fn add_keepalive(&self, keywords: &mut Keywords) {
        let Some(keepalive) = self.keepalive else { return keywords.add("keepalives", "0") };
        let mut number = |name, value: Option<u64>| {
            if let Some(value) = value {
                keywords.add(name, &value.to_string());
            }
        };
        number("keepalives_idle", keepalive.idle.map(|time| time.as_secs()));
        number("keepalives_interval", keepalive.interval.map(|time| time.as_secs()));
        number("keepalives_count", keepalive.count.map(u64::from));
    }
}

/// `name='value'` pairs as libpq's `conninfo_parse` reads them.
struct Keywords(String);

impl Keywords {
    fn add(&mut self, name: &str, value: &str) {
        let value = value.replace('\\', "\\\\").replace('\'', "\\'");
        let space = if self.0.is_empty() { "" } else { " " };
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{space}{name}='{value}'");
    }

    fn add_path(&mut self, name: &str, path: Option<&Path>) -> Result<()> {
        if let Some(path) = path {
            self.add(name, text(path)?);
        }
        Ok(())
    }
}

fn address(address: &Address) -> Result<String> {
    match address {
        Address::Tcp(name) => Ok(name.clone()),
        Address::Unix(directory) => text(directory).map(str::to_owned),
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::usage(format!(
            "{} in the connection string is not UTF-8; pg_dump cannot be given it",
            path.display()
        ))
    })
}

fn public_authorities() -> Result<&'static Path> {
    let found = PUBLIC_AUTHORITIES.iter().map(Path::new).find(|file| file.exists());
    found.ok_or_else(|| {
        Error::usage(
            "pg_dump needs the public authorities as a file; name it in sslrootcert instead of system",
        )
    })
}

fn ssl_mode(mode: SslMode) -> &'static str {
    match mode {
        SslMode::Disable => "disable",
        SslMode::Allow => "allow",
        SslMode::Prefer => "prefer",
        SslMode::Require => "require",
        SslMode::VerifyCa => "verify-ca",
        SslMode::VerifyFull => "verify-full",
    }
}

/// In words that libpq 13 knows, where it has one for it.
fn target(target: Target) -> &'static str {
    match target {
        Target::Any => "any",
        Target::Primary => "read-write",
        Target::Standby => "standby",
        Target::PreferStandby => "prefer-standby",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn the_way_back_carries_everything_but_the_password() {
        let url = "postgresql://fer%27ry:secret@h1:5433,h2:5434/sh%20op?sslmode=verify-ca&sslrootcert=/etc/ca.pem\
                   &target_session_attrs=primary&connect_timeout=3&options=-c%20jit%3Doff&passfile=/p%5C";
        let libpq = Conninfo::parse(url).unwrap().libpq("walferry: shop", "-c a=b").unwrap();
        assert_eq!(
            libpq.keywords,
            "host='h1,h2' port='5433,5434' user='fer\\'ry' dbname='sh op' application_name='walferry: shop' \
             options='-c jit=off -c a=b' target_session_attrs='read-write' connect_timeout='3' sslmode='verify-ca' \
             sslrootcert='/etc/ca.pem' passfile='/p\\\\'"
        );
        assert_eq!(libpq.password.unwrap().expose_secret(), "secret");
        let again = Conninfo::parse(&libpq.keywords).unwrap();
        assert_eq!((again.user.as_str(), again.dbname.as_str(), again.hosts.len()), ("fer'ry", "sh op", 2));
    }

    #[test]
    fn sockets_are_directories() {
        let libpq =
            Conninfo::parse("postgresql://u@/d?host=/tmp/pg&port=5439").unwrap().libpq("a", "").unwrap();
        assert!(libpq.keywords.starts_with("host='/tmp/pg' port='5439' user='u'"), "{}", libpq.keywords);
        assert!(libpq.password.is_none());
    }
}
