//! Whether a server's certificate is good enough: what libpq with OpenSSL takes, rustls's own verifier takes only
//! in part. PostgreSQL's documentation makes self-signed certificates, certificates of version 1 and certificates
//! that name their host only in the subject, so those count here too.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::verify_tls13_signature_with_raw_key;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::net::IpAddr;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Version};
use x509_parser::time::ASN1Time;

/// Trusted certificates: parsed for rustls, and as they came.
#[derive(Debug)]
pub(super) struct Roots {
    pub(super) store: RootCertStore,
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

/// What is asked of the server.
#[derive(Debug)]
pub(super) enum Trust {
    /// Nothing.
    Anyone,
    /// A certificate that a root signed.
    Signed(Roots),
    /// The same, and it names this host.
    Named(Roots, String),
}

#[derive(Debug)]
pub(super) struct Verify {
    algorithms: WebPkiSupportedAlgorithms,
    trust: Trust,
}

impl Verify {
    pub(super) fn new(provider: &CryptoProvider, trust: Trust) -> Self {
        Self { algorithms: provider.signature_verification_algorithms, trust }
    }

    fn check_chain(
        &self,
        roots: &Roots,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let parsed = parse(certificate)?;
        if roots.certificates.iter().any(|root| root == certificate) {
            return check_dates(&parsed, now);
        }
        if parsed.version == X509Version::V1 {
            return check_version_1(roots, &parsed, now);
        }
        if parsed.issuer() == parsed.subject() {
            // Self-signed and not among the roots; rustls would only say that it may sign others.
            return Err(CertificateError::UnknownIssuer.into());
        }
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots.store, intermediates, now, algorithms)
    }
}

impl ServerCertVerifier for Verify {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.trust {
            Trust::Anyone => {}
            Trust::Signed(roots) => self.check_chain(roots, certificate, intermediates, now)?,
            Trust::Named(roots, host) => {
                self.check_chain(roots, certificate, intermediates, now)?;
                check_name(certificate, server_name, host)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    /// By the key alone, because rustls reads no certificate of version 1.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let parsed = parse(certificate)?;
        let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    let parsed = X509Certificate::from_der(certificate);
    parsed.map(|(_, certificate)| certificate).map_err(|_| CertificateError::BadEncoding.into())
}

fn check_dates(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), Error> {
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let now = ASN1Time::from_timestamp(seconds).map_err(|_| CertificateError::BadEncoding)?;
    let validity = certificate.validity();
    if now < validity.not_before {
        Err(CertificateError::NotValidYet.into())
    } else if now > validity.not_after {
        Err(CertificateError::Expired.into())
    } else {
        Ok(())
    }
}

/// A certificate of version 1 cannot say what it may be used for, so only one that a root itself signed counts.
fn check_version_1(roots: &Roots, certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), Error> {
    let signed_by = |root: &CertificateDer<'_>| {
        parse(root).is_ok_and(|root| {
            root.subject() == certificate.issuer()
                && check_dates(&root, now).is_ok()
                && certificate.verify_signature(Some(root.public_key())).is_ok()
        })
    };
    if roots.certificates.iter().any(signed_by) {
        check_dates(certificate, now)
    } else {
        Err(CertificateError::UnknownIssuer.into())
    }
}

/// Alternative names decide if there are any; only without them the subject's common name does
/// (`pq_verify_peer_name_matches_certificate` of PostgreSQL's fe-secure-common.c).
fn check_name(
    certificate: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    host: &str,
) -> Result<(), Error> {
    if let Ok(parsed) = ParsedCertificate::try_from(certificate)
        && verify_server_name(&parsed, server_name).is_ok()
    {
        return Ok(());
    }
    let parsed = parse(certificate)?;
    if !has_alternative_names(&parsed) && common_name(&parsed).is_some_and(|name| names_host(name, host)) {
        return Ok(());
    }
    Err(CertificateError::NotValidForName.into())
}

fn has_alternative_names(certificate: &X509Certificate<'_>) -> bool {
    let is_host =
        |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_));
    let extension = certificate.subject_alternative_name();
    // One that cannot be read counts as there: the safe way.
    extension.map_or(true, |found| found.is_some_and(|names| names.value.general_names.iter().any(is_host)))
}

fn common_name<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a str> {
    certificate.subject().iter_common_name().last()?.as_str().ok()
}

/// Equal but for case, or a leading `*.` that stands for exactly one label; never a wildcard for an address.
fn names_host(name: &str, host: &str) -> bool {
    let Some(domain) = name.strip_prefix("*.") else { return name.eq_ignore_ascii_case(host) };
    let rest = host.split_once('.').map(|(_, rest)| rest);
    host.parse::<IpAddr>().is_err() && rest.is_some_and(|rest| rest.eq_ignore_ascii_case(domain))
}

#[cfg(test)]
mod tests {
    use super::names_host;

    #[test]
    fn common_names() {
        assert!(names_host("db.example", "DB.example"));
        assert!(names_host("*.example", "db.example"));
        assert!(!names_host("*.example", "a.db.example"));
        assert!(!names_host("*.example", "example"));
        assert!(!names_host("*.0.0.1", "127.0.0.1"));
        assert!(names_host("127.0.0.1", "127.0.0.1"));
        assert!(!names_host("other", "db"));
    }
}
