//! What servers say about workloads: certificates, tokens, bundles of other trust domains, and the messages around them.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::json;

use super::{CASES, assert_telling, damages, lossy, spoilt};
use crate::agent::credential::keys::KeyPair;
use crate::agent::credential::trust_bundle;
use crate::agent::credential::x509;
use crate::agent::service::svid::{JwtSvid, SvidError, X509Svid, sample};
use crate::agent::teleport::auth_client::Federation;
use crate::agent::teleport::messages::CertAuthority;
use crate::agent::teleport::messages::workload_identity::{
    Credential, IssueWorkloadIdentitiesResponse, IssueWorkloadIdentityResponse, JwtSvidCredential,
    ListSpiffeFederationsResponse, SpiffeFederation, SpiffeFederationStatus,
};

/// A signature nobody looks at, to be found again where it must not be.
const SIGNATURE: &[u8] = b"a signature that is a secret";

/// In the times of what rcgen makes.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30)
}

fn audiences() -> Vec<String> {
    vec!["a".to_owned()]
}

fn token(head: &[u8], claims: &[u8]) -> String {
    [head, claims, SIGNATURE].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
}

fn of_token(jwt: String) -> Credential {
    let jwt_svid = Some(JwtSvidCredential { jwt });
    Credential { spiffe_id: sample::ID.to_owned(), jwt_svid, ..Credential::default() }
}

/// What is accepted is for this key, and is certificates through and through.
fn certificate_is_ours_or_refused(credential: Credential, key: &KeyPair) -> Result<(), TestCaseError> {
    let id = credential.spiffe_id.clone();
    match X509Svid::new(credential, key, now()) {
        Err(error) => assert_telling(&error),
        Ok(svid) => {
            let all = x509::certificates(&svid.certificates).unwrap();
            let leaf = x509::certificate(&all[0]).unwrap();
            prop_assert_eq!(leaf.public_key().raw, key.spki_der());
            prop_assert!(id.starts_with("spiffe://") && svid.not_after > now());
            Ok(())
        }
    }
}

/// What is accepted is one line that can be written as it is; what is refused is not repeated.
fn token_is_ours_or_refused(credential: Credential) -> Result<(), TestCaseError> {
    match JwtSvid::new(credential, &audiences(), now()) {
        Ok(svid) => {
            prop_assert!(svid.token.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(svid.token.split('.').count(), 3);
            prop_assert!(svid.not_after > now());
        }
        Err(error) => {
            assert_telling(&error)?;
            let secret = URL_SAFE_NO_PAD.encode(SIGNATURE);
            let said = format!("{error:?}: {error}");
            prop_assert!(!said.contains(&secret));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn a_certificate_for_a_workload_is_ours_or_refused(damages in damages(), in_chain: bool) {
        let (key, mut credential) = sample::x509(&[sample::ID]);
        let svid = credential.x509_svid.as_mut().unwrap();
        let place = if in_chain { &mut svid.chain[0] } else { &mut svid.cert };
        *place = spoilt(place, &damages);
        certificate_is_ours_or_refused(credential, &key)?;
    }

    #[test]
    fn a_token_for_a_workload_is_ours_or_refused(damages in damages(), part in 0..3) {
        let head = json!({ "alg": "ES256", "kid": "k" }).to_string();
        let claims = json!({ "sub": sample::ID, "aud": ["a"], "exp": 1_u64 << 40, "iss": "https://dev.test" }).to_string();
        let spoil = |text: &str, here: bool| {
            if here { spoilt(text.as_bytes(), &damages) } else { text.as_bytes().to_vec() }
        };
        let token = token(&spoil(&head, part == 0), &spoil(&claims, part == 1));
        token_is_ours_or_refused(of_token(lossy(&spoil(&token, part == 2))))?;
    }

    #[test]
    fn an_end_of_a_token_is_in_the_future_or_refused(end in "-?[0-9]{1,25}(\\.[0-9]{1,3})?(e[+-]?[0-9]{1,3})?") {
        let claims = format!(r#"{{"sub":"{}","aud":"a","exp":{end}}}"#, sample::ID);
        token_is_ours_or_refused(of_token(token(br#"{"alg":"ES256"}"#, claims.as_bytes())))?;
    }

    #[test]
    fn a_bundle_of_another_trust_domain_is_read_or_refused(damages in damages(), inside: bool) {
        let der = sample::x509(&[sample::ID]).1.x509_svid.unwrap().cert;
        let der = if inside { spoilt(&der, &damages) } else { der };
        let keys = json!([{ "use": "x509-svid", "kty": "EC", "x5c": [STANDARD.encode(&der)] }]);
        let bundle = json!({ "keys": keys, "spiffe_refresh_hint": 300 }).to_string();
        let bundle = if inside { bundle } else { lossy(&spoilt(bundle.as_bytes(), &damages)) };
        match trust_bundle::x509_authorities(&bundle) {
            Ok(ders) => prop_assert!(ders.iter().all(|der| x509::certificate(der).is_ok())),
            Err(error) => assert_telling(&error)?,
        }
    }

    #[test]
    fn messages_about_workloads_are_decoded_or_refused(damages in damages(), which in 0..4) {
        let (key, credential) = sample::x509(&[sample::ID]);
        let status = Some(SpiffeFederationStatus { current_bundle: "{}".to_owned() });
        let federation = SpiffeFederation { status, ..SpiffeFederation::default() };
        let whole = match which {
            0 => IssueWorkloadIdentityResponse { credential: Some(credential) }.encode_to_vec(),
            1 => IssueWorkloadIdentitiesResponse { credentials: vec![credential; 2] }.encode_to_vec(),
            2 => ListSpiffeFederationsResponse { spiffe_federations: vec![federation], ..Default::default() }.encode_to_vec(),
            _ => of_token(token(b"{}", b"{}")).encode_to_vec(),
        };
        let bytes = spoilt(&whole, &damages);
        let one = IssueWorkloadIdentityResponse::decode(bytes.as_slice()).ok().and_then(|reply| reply.credential);
        let several = IssueWorkloadIdentitiesResponse::decode(bytes.as_slice()).unwrap_or_default().credentials;
        for credential in one.into_iter().chain(several) {
            certificate_is_ours_or_refused(credential.clone(), &key)?;
            token_is_ours_or_refused(credential)?;
        }
        let federations = ListSpiffeFederationsResponse::decode(bytes.as_slice()).unwrap_or_default();
        for federation in federations.spiffe_federations.into_iter().map(Federation::from) {
            prop_assert_ne!(federation.bundle.as_deref(), Some(""));
            let _ = federation.bundle.map(|bundle| trust_bundle::x509_authorities(&bundle));
        }
        let _ = CertAuthority::decode(bytes.as_slice());
    }
}

#[test]
fn what_is_spoilt_here_was_whole() {
    let (key, credential) = sample::x509(&[sample::ID]);
    assert!(X509Svid::new(credential, &key, now()).is_ok());
    let claims = json!({ "sub": sample::ID, "aud": ["a"], "exp": 1_u64 << 40 }).to_string();
    let good = of_token(token(br#"{"alg":"ES256"}"#, claims.as_bytes()));
    assert!(JwtSvid::new(good, &audiences(), now()).is_ok());
    let cut = of_token("a.b.c".to_owned());
    assert!(matches!(JwtSvid::new(cut, &audiences(), now()), Err(SvidError::Token(_))));
}
