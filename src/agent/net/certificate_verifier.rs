//! Verifies the certificates that servers present. Pure: the trusted certificates and the time are arguments.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use x509_parser::prelude::X509Certificate;

use crate::agent::credential::x509;

/// Decides which certificates of servers are accepted. In any case, the server must prove that it has the key of its
/// certificate.
#[derive(Debug)]
pub(crate) struct CertificateVerifier {
    accepted: AcceptedCertificates,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum AcceptedCertificates {
    Any,
    /// A valid certificate with this name, from any issuer. The name in the handshake may be a different one.
    AnyFor(ServerName<'static>),
    Trusted(TrustedCertificates),
}

/// Accepts a certificate that a trusted CA issued, and a certificate that is itself one of the trusted certificates.
///
/// The second case is Teleport's default: a proxy without a configured certificate creates a self-signed one that is
/// also a CA. WebPKI refuses a CA's certificate as a server's, even if exactly this certificate is trusted. The
/// certificate's names, validity and purpose are checked as usual.
#[derive(Debug)]
struct TrustedCertificates {
    webpki: Arc<WebPkiServerVerifier>,
    /// The trusted certificates that can be a server's own.
    server_certificates: Vec<CertificateDer<'static>>,
}

impl CertificateVerifier {
    /// Trusts these certificates and what they issue. Ignores those that cannot be parsed, as system stores contain some.
    ///
    /// # Errors
    ///
    /// Returns an error if none of the certificates is usable.
    pub(crate) fn trusting(
        trusted: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted.iter().cloned());
        let webpki =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
        let server_certificates = trusted.into_iter().filter(|der| is_server_certificate(der)).collect();
        Ok(Self {
            accepted: AcceptedCertificates::Trusted(TrustedCertificates { webpki, server_certificates }),
            provider,
        })
    }

    /// Accepts any certificate (`insecure: true`).
    pub(crate) fn accepting_any(provider: Arc<CryptoProvider>) -> Self {
        Self { accepted: AcceptedCertificates::Any, provider }
    }

    /// Accepts any certificate that is valid now and contains `name`, from any issuer.
    pub(crate) fn accepting_any_for(name: ServerName<'static>, provider: Arc<CryptoProvider>) -> Self {
        Self { accepted: AcceptedCertificates::AnyFor(name), provider }
    }
}

/// Returns true if a certificate contains the names of a server and allows TLS servers.
fn is_server_certificate(der: &CertificateDer<'_>) -> bool {
    x509::certificate(der).is_ok_and(|certificate| {
        matches!(certificate.subject_alternative_name(), Ok(Some(_)))
            && match certificate.extended_key_usage() {
                Ok(None) => true,
                Ok(Some(usage)) => usage.value.server_auth || usage.value.any,
                Err(_) => false,
            }
    })
}

/// Checks that `now` is within the certificate's validity.
fn check_validity(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let validity = certificate.validity();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < validity.not_before.timestamp() {
        return Err(CertificateError::NotValidYet);
    }
    if now > validity.not_after.timestamp() {
        return Err(CertificateError::Expired);
    }
    Ok(())
}

/// Checks the validity and the name of a certificate, but not its issuer.
fn verify_without_issuer(
    end_entity: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, rustls::Error> {
    let certificate = x509::certificate(end_entity).map_err(|_| CertificateError::BadEncoding)?;
    check_validity(&certificate, now)?;
    verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
    Ok(ServerCertVerified::assertion())
}

impl TrustedCertificates {
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.server_certificates.iter().any(|trusted| trusted == end_entity) {
            let verified =
                self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
            // WebPKI has a separate error for the certificate of a CA, although only trust is missing.
            let is_ca = || x509::certificate(end_entity).is_ok_and(|certificate| certificate.is_ca());
            return verified
                .map_err(|error| if is_ca() { CertificateError::UnknownIssuer.into() } else { error });
        }
        verify_without_issuer(end_entity, server_name, now)
    }
}

impl ServerCertVerifier for CertificateVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.accepted {
            AcceptedCertificates::Any => Ok(ServerCertVerified::assertion()),
            AcceptedCertificates::AnyFor(name) => verify_without_issuer(end_entity, name, now),
            AcceptedCertificates::Trusted(trusted) => {
                trusted.verify(end_entity, intermediates, server_name, ocsp_response, now)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
        KeyUsagePurpose, date_time_ymd,
    };

    use super::*;

    /// Returns the parameters of the certificate that a Teleport proxy makes for itself.
    fn teleport_web() -> CertificateParams {
        let names = ["proxy.example", "localhost", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::KeyCertSign,
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2028, 1, 1);
        params
    }

    fn self_signed(params: &CertificateParams) -> CertificateDer<'static> {
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    /// Verifies `presented` in the middle of 2027.
    fn verify(
        trusted: &CertificateDer<'static>,
        presented: &CertificateDer<'static>,
        name: &str,
    ) -> Result<(), rustls::Error> {
        verify_at(trusted, presented, name, 1_814_400_000)
    }

    fn verify_at(
        trusted: &CertificateDer<'static>,
        presented: &CertificateDer<'static>,
        name: &str,
        now: u64,
    ) -> Result<(), rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = CertificateVerifier::trusting(vec![trusted.clone()], provider).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        verifier.verify_server_cert(presented, &[], &name, &[], now).map(|_| ())
    }

    #[test]
    fn the_self_signed_certificate_of_a_proxy_is_accepted_if_it_is_trusted() {
        let certificate = self_signed(&teleport_web());
        for name in ["proxy.example", "localhost", "127.0.0.1"] {
            assert_eq!(verify(&certificate, &certificate, name), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_trusted_server_certificate_must_match_the_name_and_be_valid() {
        let certificate = self_signed(&teleport_web());
        for name in ["other.example", "sub.proxy.example", "127.0.0.2"] {
            let error = verify(&certificate, &certificate, name).unwrap_err();
            let is_name_error = matches!(
                error,
                rustls::Error::InvalidCertificate(
                    CertificateError::NotValidForNameContext { .. } | CertificateError::NotValidForName
                )
            );
            assert!(is_name_error, "{name}: {error:?}");
        }
        for (now, expected) in
            [(1_700_000_000, CertificateError::NotValidYet), (1_900_000_000, CertificateError::Expired)]
        {
            let error = verify_at(&certificate, &certificate, "localhost", now).unwrap_err();
            assert_eq!(error, rustls::Error::InvalidCertificate(expected));
        }
    }

    #[test]
    fn another_certificate_with_the_same_names_is_refused() {
        let (trusted, presented) = (self_signed(&teleport_web()), self_signed(&teleport_web()));
        let error = verify(&trusted, &presented, "localhost").unwrap_err();
        assert_eq!(error, rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
    }

    #[test]
    fn a_trusted_certificate_for_another_purpose_is_refused() {
        let mut clients_only = teleport_web();
        clients_only.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let mut without_names = teleport_web();
        without_names.subject_alt_names.clear();
        for params in [clients_only, without_names] {
            let certificate = self_signed(&params);
            assert!(verify(&certificate, &certificate, "localhost").is_err());
        }
    }

    #[test]
    fn a_certificate_that_a_trusted_ca_issued_is_accepted() {
        let ca = CertifiedIssuer::self_signed(teleport_web(), KeyPair::generate().unwrap()).unwrap();
        let mut leaf = teleport_web();
        leaf.is_ca = IsCa::NoCa;
        let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &ca).unwrap();
        assert_eq!(verify(ca.der(), leaf.der(), "localhost"), Ok(()));
        assert!(verify(ca.der(), leaf.der(), "other.example").is_err());
    }
}
