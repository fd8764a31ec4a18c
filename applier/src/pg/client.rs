//! tokio-postgres over our own streams: for catalogs, checks and our state, where a query is a query.

use super::connect::{self, Startup};
use super::conninfo::{Conninfo, Host};
use super::server_error::ServerError;
use super::session::Session;
use super::stream::{Stream, lost};
use crate::error::{Error, Result};
use secrecy::ExposeSecret;
use std::error::Error as _;
use std::io;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};

/// Connects and logs in; a task of its own carries the connection until the client is dropped.
///
/// # Errors
/// As for [`Raw::open`](super::Raw::open).
pub async fn client(conninfo: &Conninfo, session: Session) -> Result<Client> {
    connect::open(conninfo, &Login { conninfo, session }).await
}

/// A tokio-postgres error as ours, by the same table from SQLSTATE to class; for `map_err`.
pub fn error(error: tokio_postgres::Error) -> Error {
    if let Some(server) = error.as_db_error() {
        return ServerError::from(server).into();
    }
    let cause = error.source();
    match cause.and_then(|cause| cause.downcast_ref::<io::Error>()) {
        Some(cause) => lost(cause),
        None if error.is_closed() => {
            Error::unreachable("the server closed the connection; its log may say why")
        }
        // "error serializing parameter 0" and the like, with the reason behind it; values are never part of it.
        None => Error::protocol(match cause {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        }),
    }
}

struct Login<'a> {
    conninfo: &'a Conninfo,
    session: Session,
}

impl Login<'_> {
    fn config(&self, host: &Host) -> Result<Config> {
        let given = self.conninfo.options.as_deref().unwrap_or_default();
        let mut config = Config::new();
        config
            .user(&self.conninfo.user)
            .dbname(&self.conninfo.dbname)
            .options(format!("{given} {}", self.session.options()))
            // The stream is in TLS already, or is not meant to be.
            .ssl_mode(SslMode::Disable);
        if let Some(password) = self.conninfo.password(host)? {
            config.password(password.expose_secret());
        }
        Ok(config)
    }
}

impl Startup for Login<'_> {
    type Connection = Client;

    async fn start(&self, stream: Stream, host: &Host) -> Result<Client> {
        let (client, connection) =
            self.config(host)?.connect_raw(stream, NoTls).await.map_err(login_error)?;
        let later = connection.parameter("server_version").and_then(Session::later);
        // Its end reaches whoever uses the client.
        tokio::spawn(connection);
        if let Some(sql) = later {
            client.batch_execute(&sql).await.map_err(error)?;
        }
        Ok(client)
    }

    async fn in_recovery(&self, client: &mut Client) -> Result<bool> {
        let row = client.query_one("SELECT pg_catalog.pg_is_in_recovery()", &[]).await.map_err(error)?;
        row.try_get(0).map_err(error)
    }
}

/// "invalid configuration: password missing" is all that tokio-postgres says when none was given.
fn login_error(failure: tokio_postgres::Error) -> Error {
    let text = failure.source().map(ToString::to_string).unwrap_or_default();
    if text.contains("password missing") {
        let message = "the server asks for a password and none was given; put it into password_file, the environment, or ~/.pgpass";
        return Error::refused(message).with_sqlstate("28P01");
    }
    error(failure)
}
