//! JWT SVIDs: their audiences and signature, rotations of the signing key, and tokens that are not what was requested.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tbot::agent::{OutputError, SvidError};
use tbot_cluster::{Forgery, Phase};

use super::super::fixture::{HOUR, TestCluster, read, wait_until};
use super::super::log_capture::{LogCapture, LogEvent};
use super::super::outline::file_names;
use super::{
    SPIFFE_ID, WATCHED_AUTHORITIES, by_name, cluster_with_workload_identity, is_nearly, since_epoch, web,
    write_error, x509_output,
};

/// Returns an output of a JWT SVID to the directory `token`.
fn jwt_output(fixture: &TestCluster, selector: &Value, audiences: &[&str]) -> Value {
    json!({
        "type": "workload-identity-jwt",
        "selector": selector,
        "audiences": audiences,
        "destination": { "type": "directory", "path": fixture.path("token") },
    })
}

/// Returns the claims of a token if it was signed with one of the public keys in `pem`.
fn verified_claims(token: &str, pem: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let signature = decode(signature);
    let mut keys = SubjectPublicKeyInfoDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap);
    keys.any(|key| {
        // A P-256 key ends with the 65 bytes of its point.
        let point = &key[key.len() - 65..];
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), &signature).is_ok()
    })
    .then(|| serde_json::from_slice(&decode(signed.split('.').nth(1).unwrap())).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_verifies_and_has_the_configured_audiences() {
    let fixture = cluster_with_workload_identity().await;
    for selector in [by_name(), json!({ "labels": { "env": ["prod"] } })] {
        let output = jwt_output(&fixture, &selector, &["https://a.test", "b"]);
        fixture.run_oneshot(fixture.config("20m", &[output])).await.unwrap();
        let directory = fixture.path("token");
        assert_eq!(file_names(&directory), ["jwt_svid"]);
        let token = read(&directory.join("jwt_svid"));
        let keys = fixture.cluster.spiffe_jwt_keys().unwrap();
        let claims = verified_claims(&token, &keys).expect("signed by the cluster");
        assert_eq!((&claims["sub"], &claims["aud"]), (&json!(SPIFFE_ID), &json!(["https://a.test", "b"])));
        let expires = Duration::from_secs(claims["exp"].as_u64().unwrap());
        let remaining = expires.checked_sub(since_epoch(&fixture)).unwrap();
        assert!(is_nearly(HOUR, remaining), "{remaining:?}");
    }
}

#[tokio::test]
async fn a_token_is_replaced_when_the_signing_key_is_rotated_and_is_never_logged() {
    let log = LogCapture::start();
    let fixture = cluster_with_workload_identity().await;
    let running = fixture.start(fixture.config("30m", &[jwt_output(&fixture, &by_name(), &["a"])]));
    let path = fixture.path("token").join("jwt_svid");
    let states_seen = || log.count(LogEvent::is_authority_state);
    wait_until("the agent watches", || path.exists() && states_seen() == WATCHED_AUTHORITIES).await;
    let (first, old_keys) = (read(&path), fixture.cluster.spiffe_jwt_keys().unwrap());
    assert!(verified_claims(&first, &old_keys).is_some());
    for phase in [Phase::Init, Phase::UpdateClients] {
        fixture.cluster.rotate("spiffe", phase).unwrap();
    }
    wait_until("the token is signed with the new key", || {
        fixture.clock.advance(Duration::from_millis(100));
        verified_claims(&read(&path), &old_keys).is_none()
    })
    .await;
    let second = read(&path);
    assert!(verified_claims(&second, &fixture.cluster.spiffe_jwt_keys().unwrap()).is_some());
    running.stop().await.unwrap();
    let writes = log.events(LogEvent::is_write);
    assert!(
        writes.iter().any(|write| write.field("output") == Some("workload-identity-jwt-1")),
        "{}",
        log.transcript()
    );
    let text = log.text();
    for part in [&first, &second].iter().flat_map(|token| token.split('.').skip(1)) {
        assert!(!text.contains(part), "{part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_token_is_not_written_and_the_old_one_stays() {
    let fixture = cluster_with_workload_identity().await;
    let output = jwt_output(&fixture, &by_name(), &["a"]);
    fixture.run_oneshot(fixture.config("20m", std::slice::from_ref(&output))).await.unwrap();
    let path = fixture.path("token").join("jwt_svid");
    let written = read(&path);
    for forgery in [Forgery::WrongRecipient, Forgery::WrongSpiffeId, Forgery::Expired, Forgery::Garbage] {
        fixture.cluster.set_workload_identity(web().with_forgery(forgery));
        let error = write_error(&fixture, output.clone()).await;
        let is_expected = match forgery {
            Forgery::WrongRecipient => {
                matches!(&error, OutputError::Svid(SvidError::OtherAudience(audience)) if audience == "a")
            }
            Forgery::WrongSpiffeId => matches!(error, OutputError::Svid(SvidError::OtherId)),
            Forgery::Expired => matches!(error, OutputError::Svid(SvidError::Expired)),
            Forgery::Garbage => matches!(error, OutputError::Svid(SvidError::Token(_))),
        };
        assert!(is_expected, "{forgery:?}: {error:?}");
        assert_eq!(read(&path), written, "{forgery:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_and_a_token_may_share_a_directory() {
    let fixture = cluster_with_workload_identity().await;
    let x509 = x509_output(&fixture, &by_name());
    let mut jwt = jwt_output(&fixture, &by_name(), &["a"]);
    jwt["destination"] = x509["destination"].clone();
    fixture.run_oneshot(fixture.config("20m", &[x509, jwt])).await.unwrap();
    assert_eq!(file_names(&fixture.path("out")), ["jwt_svid", "svid.pem", "svid_bundle.pem", "svid_key.pem"]);
}
