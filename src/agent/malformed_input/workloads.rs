//! Malformed responses about workload identities: certificates, tokens, bundles of other trust domains, and the
//! messages that contain them.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use prost::Message as _;
use rcgen::{
    CertificateParams, CertificateRevocationListParams, Issuer, KeyIdMethod, KeyUsagePurpose,
    RevokedCertParams, date_time_ymd,
};
use serde_json::json;

use super::{CASES, check_error, lossy, mutate, mutations};
use crate::agent::credential::keys::KeyPair;
use crate::agent::credential::pem::pem_encode;
use crate::agent::credential::revocation_list::{NotACrl, RevocationList};
use crate::agent::credential::trust_bundle;
use crate::agent::credential::x509;
use crate::agent::service::svid::{JwtSvid, SvidError, X509Svid, sample};
use crate::agent::teleport::auth_client::Federation;
use crate::agent::teleport::messages::{
    CertAuthorityV2, Credential, IssueWorkloadIdentitiesResponse, IssueWorkloadIdentityResponse,
    JwtSvidCredential, ListSpiffeFederationsResponse, SpiffeFederation, SpiffeFederationStatus,
};

/// A signature that is not verified. It must not appear in errors.
const SIGNATURE: &[u8] = b"a signature that is a secret";

/// A time at which rcgen's default certificates are valid.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30)
}

fn audiences() -> Vec<String> {
    vec!["a".to_owned()]
}

fn token(header: &[u8], claims: &[u8]) -> String {
    [header, claims, SIGNATURE].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
}

pub(super) fn jwt_credential(jwt: String) -> Credential {
    let jwt_svid = Some(JwtSvidCredential { jwt });
    Credential { spiffe_id: sample::ID.to_owned(), jwt_svid, ..Credential::default() }
}

/// Returns a CRL with one entry.
fn sample_crl() -> Vec<u8> {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.key_usages = vec![KeyUsagePurpose::CrlSign];
    let issuer = Issuer::from_params(&params, &key);
    let revoked = RevokedCertParams {
        serial_number: 7.into(),
        revocation_time: date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2026, 1, 2),
        crl_number: 1.into(),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(&issuer).unwrap().der().to_vec()
}

/// Checks that a certificate is refused, or is for this key and can be used.
pub(super) fn check_certificate(credential: Credential, key: &KeyPair) -> Result<(), TestCaseError> {
    let id = credential.spiffe_id.clone();
    match X509Svid::new(credential, key, now()) {
        Err(error) => check_error(&error),
        Ok(svid) => {
            let chain = x509::certificates(&svid.certificates).unwrap();
            let leaf = x509::certificate(&chain[0]).unwrap();
            prop_assert_eq!(leaf.public_key().raw, key.spki_der());
            prop_assert!(id.starts_with("spiffe://") && svid.not_after > now());
            Ok(())
        }
    }
}

/// Checks that a token is refused with an error that does not contain it, or is one printable line.
pub(super) fn check_token(credential: Credential) -> Result<(), TestCaseError> {
    match JwtSvid::new(credential, &audiences(), now()) {
        Ok(svid) => {
            prop_assert!(svid.token.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(svid.token.split('.').count(), 3);
            prop_assert!(svid.not_after > now());
        }
        Err(error) => {
            check_error(&error)?;
            let secret = URL_SAFE_NO_PAD.encode(SIGNATURE);
            let messages = format!("{error:?}: {error}");
            prop_assert!(!messages.contains(&secret));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn an_x509_svid_is_accepted_or_refused(mutations in mutations(), in_chain: bool) {
        let (key, mut credential) = sample::x509(&[sample::ID]);
        let svid = credential.x509_svid.as_mut().unwrap();
        let certificate = if in_chain { &mut svid.chain[0] } else { &mut svid.cert };
        *certificate = mutate(certificate, &mutations);
        check_certificate(credential, &key)?;
    }

    #[test]
    fn a_jwt_svid_is_accepted_or_refused(mutations in mutations(), part in 0..3) {
        let header = json!({ "alg": "ES256", "kid": "k" }).to_string();
        let claims = json!({ "sub": sample::ID, "aud": ["a"], "exp": 1_u64 << 40, "iss": "https://dev.test" }).to_string();
        let mutate_if = |condition: bool, part: &str| {
            if condition { mutate(part.as_bytes(), &mutations) } else { part.as_bytes().to_vec() }
        };
        let token = token(&mutate_if(part == 0, &header), &mutate_if(part == 1, &claims));
        check_token(jwt_credential(lossy(&mutate_if(part == 2, &token))))?;
    }

    #[test]
    fn the_expiry_of_a_jwt_svid_is_in_the_future_or_refused(expiry in "-?[0-9]{1,25}(\\.[0-9]{1,3})?(e[+-]?[0-9]{1,3})?") {
        let claims = format!(r#"{{"sub":"{}","aud":"a","exp":{expiry}}}"#, sample::ID);
        check_token(jwt_credential(token(br#"{"alg":"ES256"}"#, claims.as_bytes())))?;
    }

    #[test]
    fn a_bundle_of_another_trust_domain_is_read_or_refused(mutations in mutations(), in_certificate: bool) {
        let der = sample::x509(&[sample::ID]).1.x509_svid.unwrap().cert;
        let der = if in_certificate { mutate(&der, &mutations) } else { der };
        let keys = json!([{ "use": "x509-svid", "kty": "EC", "x5c": [STANDARD.encode(&der)] }]);
        let bundle = json!({ "keys": keys, "spiffe_refresh_hint": 300 }).to_string();
        let bundle = if in_certificate { bundle } else { lossy(&mutate(bundle.as_bytes(), &mutations)) };
        match trust_bundle::x509_authorities(&bundle) {
            Ok(ders) => prop_assert!(ders.iter().all(|der| x509::certificate(der).is_ok())),
            Err(error) => check_error(&error)?,
        }
    }

    #[test]
    fn a_list_of_revoked_certificates_is_written_or_refused(mutations in mutations()) {
        let der = mutate(&sample_crl(), &mutations);
        match RevocationList::from_der(&der) {
            Ok(RevocationList::Pem(pem)) => prop_assert_eq!(pem, pem_encode("X509 CRL", &der)),
            Ok(list) => prop_assert_eq!((list, der.len()), (RevocationList::Absent, 0)),
            Err(NotACrl) => {}
        }
    }

    #[test]
    fn messages_about_workloads_are_decoded_or_refused(mutations in mutations(), message_type in 0..4) {
        let (key, credential) = sample::x509(&[sample::ID]);
        let status = Some(SpiffeFederationStatus { current_bundle: "{}".to_owned() });
        let federation = SpiffeFederation { status, ..SpiffeFederation::default() };
        let original = match message_type {
            0 => IssueWorkloadIdentityResponse { credential: Some(credential) }.encode_to_vec(),
            1 => IssueWorkloadIdentitiesResponse { credentials: vec![credential; 2] }.encode_to_vec(),
            2 => ListSpiffeFederationsResponse { spiffe_federations: vec![federation], ..Default::default() }.encode_to_vec(),
            _ => jwt_credential(token(b"{}", b"{}")).encode_to_vec(),
        };
        let bytes = mutate(&original, &mutations);
        let single = IssueWorkloadIdentityResponse::decode(bytes.as_slice()).ok().and_then(|response| response.credential);
        let several = IssueWorkloadIdentitiesResponse::decode(bytes.as_slice()).unwrap_or_default().credentials;
        for credential in single.into_iter().chain(several) {
            check_certificate(credential.clone(), &key)?;
            check_token(credential)?;
        }
        let federations = ListSpiffeFederationsResponse::decode(bytes.as_slice()).unwrap_or_default();
        for federation in federations.spiffe_federations.into_iter().map(Federation::from) {
            prop_assert_ne!(federation.bundle.as_deref(), Some(""));
            let _ = federation.bundle.map(|bundle| trust_bundle::x509_authorities(&bundle));
        }
        let _ = CertAuthorityV2::decode(bytes.as_slice());
    }
}

#[test]
fn the_samples_are_accepted_without_mutations() {
    let (key, credential) = sample::x509(&[sample::ID]);
    assert!(X509Svid::new(credential, &key, now()).is_ok());
    let claims = json!({ "sub": sample::ID, "aud": ["a"], "exp": 1_u64 << 40 }).to_string();
    let valid = jwt_credential(token(br#"{"alg":"ES256"}"#, claims.as_bytes()));
    assert!(JwtSvid::new(valid, &audiences(), now()).is_ok());
    assert!(matches!(RevocationList::from_der(&sample_crl()), Ok(RevocationList::Pem(_))));
    let malformed = jwt_credential("a.b.c".to_owned());
    assert!(matches!(JwtSvid::new(malformed, &audiences(), now()), Err(SvidError::Token(_))));
}
