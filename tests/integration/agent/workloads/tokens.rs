//! Tokens: for whom they are, whose key has signed them, and that nobody else hears of them.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tbot::agent::{OutputError, SvidError};
use tbot_cluster::{Forgery, Phase};

use super::super::lab::{Lab, listen, read, until};
use super::super::outputs::kinds;
use super::{HOUR, ID, by_name, is_about, lab, refused, web, x509};

/// An output of a token to the folder `token`.
fn jwt(lab: &Lab, selector: &Value, audiences: &[&str]) -> Value {
    json!({
        "type": "workload-identity-jwt",
        "selector": selector,
        "audiences": audiences,
        "destination": { "type": "directory", "path": lab.path("token") },
    })
}

/// What a token claims, if one of these keys (PEM texts joined) has signed it.
fn claims(token: &str, keys: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let signature = decode(signature);
    let mut keys = SubjectPublicKeyInfoDer::pem_slice_iter(keys.as_bytes()).map(Result::unwrap);
    keys.any(|key| {
        // The point stands at the end of a P-256 key.
        let point = &key[key.len() - 65..];
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), &signature).is_ok()
    })
    .then(|| serde_json::from_slice(&decode(signed.split('.').nth(1).unwrap())).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_for_its_audiences_and_verifies() {
    let lab = lab().await;
    for selector in [by_name(), json!({ "labels": { "env": ["prod"] } })] {
        lab.run_once(lab.config("20m", &[jwt(&lab, &selector, &["https://a.test", "b"])])).await.unwrap();
        let folder = lab.path("token");
        assert_eq!(kinds(&folder).into_keys().collect::<Vec<_>>(), ["jwt_svid"]);
        let token = read(&folder.join("jwt_svid"));
        let claims =
            claims(&token, &lab.cluster.spiffe_token_keys().unwrap()).expect("signed by the cluster");
        assert_eq!((&claims["sub"], &claims["aud"]), (&json!(ID), &json!(["https://a.test", "b"])));
        let now = lab.clock.now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let life = Duration::from_secs(claims["exp"].as_u64().unwrap()).checked_sub(now).unwrap();
        assert!(is_about(HOUR, life), "{life:?}");
    }
}

#[tokio::test]
async fn a_token_follows_a_rotation_and_is_in_no_log() {
    let (log, _listening) = listen();
    let lab = lab().await;
    let running = lab.start(lab.config("30m", &[jwt(&lab, &by_name(), &["a"])]));
    let path = lab.path("token").join("jwt_svid");
    let looked_at = || log.text().matches("an authority of the cluster was looked at").count();
    until("the agent watches", || path.exists() && looked_at() == 4).await;
    let (first, old) = (read(&path), lab.cluster.spiffe_token_keys().unwrap());
    assert!(claims(&first, &old).is_some());
    for phase in [Phase::Init, Phase::UpdateClients] {
        lab.cluster.rotate("spiffe", phase).unwrap();
    }
    until("the token is of the new key", || {
        lab.clock.advance(Duration::from_millis(100));
        claims(&read(&path), &old).is_none()
    })
    .await;
    let second = read(&path);
    assert!(claims(&second, &lab.cluster.spiffe_token_keys().unwrap()).is_some());
    running.stop().await.unwrap();
    let text = log.text();
    assert!(text.contains("wrote output=workload-identity-jwt-1"), "{text}");
    for part in [&first, &second].iter().flat_map(|token| token.split('.').skip(1)) {
        assert!(!text.contains(part), "{part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_for_us_leaves_the_old_one_in_place() {
    let lab = lab().await;
    let output = jwt(&lab, &by_name(), &["a"]);
    lab.run_once(lab.config("20m", std::slice::from_ref(&output))).await.unwrap();
    let path = lab.path("token").join("jwt_svid");
    let whole = read(&path);
    for forgery in [Forgery::ForAnother, Forgery::OtherId, Forgery::Ended, Forgery::Garbage] {
        lab.cluster.set_workload_identity(web().forged(forgery));
        let refused = refused(&lab, output.clone()).await;
        let expected = match forgery {
            Forgery::ForAnother => {
                matches!(&refused, OutputError::Svid(SvidError::OtherAudience(a)) if a == "a")
            }
            Forgery::OtherId => matches!(refused, OutputError::Svid(SvidError::OtherId)),
            Forgery::Ended => matches!(refused, OutputError::Svid(SvidError::Expired)),
            Forgery::Garbage => matches!(refused, OutputError::Svid(SvidError::Token(_))),
        };
        assert!(expected, "{forgery:?}: {refused}");
        assert_eq!(read(&path), whole, "{forgery:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_and_token_share_a_folder() {
    let lab = lab().await;
    let mut token = jwt(&lab, &by_name(), &["a"]);
    token["destination"] = x509(&lab, &by_name())["destination"].clone();
    lab.run_once(lab.config("20m", &[x509(&lab, &by_name()), token])).await.unwrap();
    let names: Vec<_> = kinds(&lab.path("out")).into_keys().collect();
    assert_eq!(names, ["jwt_svid", "svid.pem", "svid_bundle.pem", "svid_key.pem"]);
}
