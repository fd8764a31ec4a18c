//! TLS as libpq understands it, over rustls: which roots, which client certificate, and what a failed handshake
//! means in words (<https://www.postgresql.org/docs/current/libpq-ssl.html>).

mod verify;

use super::conninfo::{RootCert, SslMode, TlsParameters, home_file};
use crate::error::{Error, Result};
use ring::digest;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use verify::{Roots, Verify};
use x509_parser::oid_registry as oid;
use x509_parser::prelude::{FromDer, X509Certificate};

/// TCP in TLS.
pub(super) type Client = tokio_rustls::client::TlsStream<TcpStream>;

/// Shakes hands with the server on an open connection.
///
/// # Errors
/// Refused, with what is wrong with the certificate; usage, when our own files are missing or broken.
pub(super) async fn handshake(parameters: &TlsParameters, host: &str, tcp: TcpStream) -> Result<Client> {
    let config = config(parameters, host)?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Error::usage(format!("\"{host}\" is not a host name that TLS can be used with")))?;
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(|error| super::stream::lost(&error))
}

fn config(parameters: &TlsParameters, host: &str) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verify::new(&provider, trust(parameters, host)?);
    let wrong = |error: rustls::Error| Error::usage(format!("TLS cannot be set up: {error}"));
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    match client_certificate(parameters)? {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(wrong),
    }
}

/// What the mode demands. `require` and weaker modes check nothing, unless a root certificate is there: then
/// libpq takes `require` as `verify-ca`.
fn trust(parameters: &TlsParameters, host: &str) -> Result<verify::Trust> {
    let roots = roots(&parameters.root)?;
    Ok(match (parameters.mode, roots) {
        (SslMode::Disable | SslMode::Allow | SslMode::Prefer, _) | (SslMode::Require, None) => {
            verify::Trust::Anyone
        }
        (SslMode::Require | SslMode::VerifyCa, Some(roots)) => verify::Trust::Signed(roots),
        (SslMode::VerifyFull, Some(roots)) => verify::Trust::Named(roots, host.to_owned()),
        (SslMode::VerifyCa | SslMode::VerifyFull, None) => {
            return Err(Error::usage(
                "sslmode=verify-ca and verify-full need a root certificate: give sslrootcert=FILE (or system), or put it into ~/.postgresql/root.crt",
            ));
        }
    })
}

fn roots(root: &RootCert) -> Result<Option<Roots>> {
    let certificates = match root {
        RootCert::File(file) => read_certificates(file)?,
        RootCert::Home => match home_file("root.crt").filter(|file| file.exists()) {
            Some(file) => read_certificates(&file)?,
            None => return Ok(None),
        },
        RootCert::System => rustls_native_certs::load_native_certs().certs,
    };
    let mut store = RootCertStore::empty();
    let (taken, _) = store.add_parsable_certificates(certificates.iter().cloned());
    if taken == 0 {
        return Err(Error::usage("no usable root certificate was found; check sslrootcert"));
    }
    Ok(Some(Roots { store, certificates }))
}

fn client_certificate(
    parameters: &TlsParameters,
) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>> {
    let at_home = |name| home_file(name).filter(|file| file.exists());
    let Some(file) = parameters.cert.clone().or_else(|| at_home("postgresql.crt")) else { return Ok(None) };
    let key = parameters.key.clone().or_else(|| at_home("postgresql.key"));
    let key =
        key.ok_or_else(|| Error::usage("there is a client certificate but no key for it; give sslkey=FILE"))?;
    Ok(Some((read_certificates(&file)?, read_key(&key)?)))
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let wrong = |why: String| Error::usage(format!("the certificate file {} {why}", file.display()));
    let pem = fs::read(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| wrong(format!("is not PEM: {error}")))?;
    if certificates.is_empty() {
        Err(wrong("holds no certificate in PEM form".into()))
    } else {
        Ok(certificates)
    }
}

/// libpq's rule: only the owner may read the key, or root's group if root owns it.
fn read_key(file: &PathBuf) -> Result<PrivateKeyDer<'static>> {
    let shown = file.display();
    let wrong = |why: String| Error::usage(format!("the key file {shown} {why}"));
    let metadata = fs::metadata(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.permissions().mode() & forbidden != 0 {
        return Err(wrong(format!("is open to others; run chmod 0600 {shown}")));
    }
    PrivateKeyDer::from_pem_file(file).map_err(|error| wrong(format!("holds no usable private key: {error}")))
}

/// A TLS failure in words.
pub(super) fn explain(error: &rustls::Error) -> Error {
    match error {
        rustls::Error::InvalidCertificate(why) => Error::refused(explain_certificate(why)),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => Error::refused(
            "the server asks for a client certificate (clientcert in its pg_hba.conf); give sslcert and sslkey",
        ),
        rustls::Error::AlertReceived(AlertDescription::UnknownCA) => Error::refused(
            "the server does not trust our client certificate; it must be signed by an authority in its ssl_ca_file",
        ),
        other => Error::refused(format!("no agreement on TLS: {other}")),
    }
}

fn explain_certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => {
            "the server's certificate is not signed by an authority that sslrootcert holds; give the right root certificate".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate does not name this host; connect by a name that it has, or use sslmode=verify-ca".into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired; renew it (and check this machine's clock)".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet; check both machines' clocks".into()
        }
        other => format!("the server's certificate is not accepted: {other}"),
    }
}

/// The hash of the server's certificate by the hash of its signature, SHA-256 in place of MD5 and SHA-1
/// (RFC 5929, section 4.1; `be_tls_get_certificate_hash` of PostgreSQL's be-secure-openssl.c).
pub(super) fn server_end_point(tls: &Client) -> Option<Vec<u8>> {
    let (_, session) = tls.get_ref();
    let der = session.peer_certificates()?.first()?;
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let signature = &certificate.signature_algorithm.algorithm;
    let sha256 =
        [&oid::OID_PKCS1_SHA1WITHRSA, &oid::OID_PKCS1_SHA256WITHRSA, &oid::OID_SIG_ECDSA_WITH_SHA256];
    let sha384 = [&oid::OID_PKCS1_SHA384WITHRSA, &oid::OID_SIG_ECDSA_WITH_SHA384];
    let sha512 = [&oid::OID_PKCS1_SHA512WITHRSA, &oid::OID_SIG_ECDSA_WITH_SHA512];
    let algorithm = if sha256.contains(&signature) {
        &digest::SHA256
    } else if sha384.contains(&signature) {
        &digest::SHA384
    } else if sha512.contains(&signature) {
        &digest::SHA512
    } else {
        return None;
    };
    Some(digest::digest(algorithm, der).as_ref().to_vec())
}
