//! The authentication exchange: trust, cleartext, MD5 and SCRAM-SHA-256, with channel binding in TLS
//! (<https://www.postgresql.org/docs/current/sasl-authentication.html>).

use super::conninfo::{Conninfo, Host};
use super::frame::{Frame, torn};
use super::raw::Raw;
use crate::error::{Error, Result};
use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::frontend;
use secrecy::{ExposeSecret, SecretString};

/// Answers the server until it says AuthenticationOk.
///
/// # Errors
/// The server's refusal with its SQLSTATE; a refusal of ours when no password is there or the method is not known.
pub(super) async fn authenticate(raw: &mut Raw, conninfo: &Conninfo, host: &Host) -> Result<()> {
    loop {
        let (kind, mut rest) = request(raw.recv().await?)?;
        match kind {
            0 => return Ok(()),
            3 => {
                let password = password(conninfo, host)?;
                send_password(raw, password.expose_secret().as_bytes()).await?;
            }
            5 => {
                let salt = rest.try_get_u32().map_err(|_| torn())?.to_be_bytes();
                let password = password(conninfo, host)?;
                let hash = md5_hash(conninfo.user.as_bytes(), password.expose_secret().as_bytes(), salt);
                send_password(raw, hash.as_bytes()).await?;
            }
            10 => scram(raw, &rest, &password(conninfo, host)?).await?,
            2 | 7 | 8 | 9 => return Err(unsupported("GSSAPI, SSPI or Kerberos")),
            _ => return Err(unsupported("an authentication method that is not known here")),
        }
    }
}

fn unsupported(method: &str) -> Error {
    Error::refused(format!(
        "the server asks for {method}; let pg_hba.conf ask this role for scram-sha-256 or a certificate"
    ))
}

/// The kind of an authentication request, and what follows it.
fn request(frame: Frame) -> Result<(i32, Bytes)> {
    match frame.tag {
        b'R' => {
            let mut body = frame.body;
            let kind = body.try_get_i32().map_err(|_| torn())?;
            Ok((kind, body))
        }
        b'E' => Err(frame.server_error().into()),
        b'v' => Err(Error::protocol("the server does not speak version 3 of PostgreSQL's protocol")),
        _ => Err(frame.unexpected("an authentication request")),
    }
}

fn password(conninfo: &Conninfo, host: &Host) -> Result<SecretString> {
    conninfo.password(host)?.ok_or_else(|| {
        Error::refused(format!(
            "the server asks for the password of role {} and none was given; put it into password_file, the environment, or ~/.pgpass",
            conninfo.user
        ))
        .with_sqlstate("28P01")
    })
}

async fn send_password(raw: &mut Raw, password: &[u8]) -> Result<()> {
    let mut message = BytesMut::new();
    frontend::password_message(password, &mut message).map_err(unsendable)?;
    raw.send(&message).await
}

fn unsendable(error: std::io::Error) -> Error {
    Error::usage(format!("the password or a parameter cannot be sent: {error}"))
}

/// Runs the whole exchange. AuthenticationOk counts only after the server has proved, in its last message, that it
/// knows the password too.
async fn scram(raw: &mut Raw, mechanisms: &Bytes, password: &SecretString) -> Result<()> {
    let (mechanism, binding) = choose(raw, mechanisms)?;
    let mut scram = ScramSha256::new(password.expose_secret().as_bytes(), binding);
    let mut message = BytesMut::new();
    frontend::sasl_initial_response(mechanism, scram.message(), &mut message).map_err(unsendable)?;
    raw.send(&message).await?;

    let challenge = expect(raw.recv().await?, 11)?;
    scram.update(&challenge).map_err(|error| broken(&error))?;
    message.clear();
    frontend::sasl_response(scram.message(), &mut message).map_err(unsendable)?;
    raw.send(&message).await?;

    let proof = expect(raw.recv().await?, 12)?;
    scram.finish(&proof).map_err(|error| broken(&error))
}

fn expect(frame: Frame, wanted: i32) -> Result<Bytes> {
    let (kind, rest) = request(frame)?;
    if kind == wanted { Ok(rest) } else { Err(Error::protocol("the server broke off the SCRAM exchange")) }
}

fn broken(error: &std::io::Error) -> Error {
    Error::refused(format!(
        "the server did not prove that it knows the password ({error}); is it the right server?"
    ))
    .with_sqlstate("28P01")
}

/// The strongest mechanism that both know. Where the connection has no binding to offer, or the server does not
/// offer the PLUS form, the message says which of the two, so that nobody in between can strip it.
fn choose(raw: &Raw, mechanisms: &Bytes) -> Result<(&'static str, ChannelBinding)> {
    let offers = |name: &str| mechanisms.split(|byte| *byte == 0).any(|offered| offered == name.as_bytes());
    match raw.server_end_point() {
        Some(binding) if offers(SCRAM_SHA_256_PLUS) => {
            Ok((SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(binding)))
        }
        _ if !offers(SCRAM_SHA_256) => Err(unsupported("a SASL mechanism that is not known here")),
        Some(_) => Ok((SCRAM_SHA_256, ChannelBinding::unrequested())),
        None => Ok((SCRAM_SHA_256, ChannelBinding::unsupported())),
    }
}
