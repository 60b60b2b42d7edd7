//! The rules for joining: which tokens are accepted and how often, and what a join request must contain.

use http::{Request, StatusCode};
use serde_json::json;
use tbot_cluster::proto::{PingRequest, PingResponse};
use tbot_cluster::{Code, OidcIssuer, method};

use crate::certificates::{parse, ssh_signers};
use crate::client::{self, Bot, Grpc, Key, join, join_body, post_join};
use crate::fixture::{Fixture, HOUR, error_message, refusal, renewal_request, start_cluster};
use crate::recording;

#[tokio::test]
async fn a_token_works_once_within_an_hour() {
    let (cluster, clock) = start_cluster().await;
    let token = cluster.add_bot("robot", &["access"]).unwrap();
    join(&cluster, &token, Key::p256()).await;
    let (status, _, body) = post_join(&cluster, &join_body(&token, &Key::p256())).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    insta::assert_snapshot!(
        error_message(&body),
        @r#""" can not join the cluster with role "Bot", token expired or not found"#
    );

    let token = cluster.add_bot("late", &["access"]).unwrap();
    clock.advance(HOUR);
    let (status, ..) = post_join(&cluster, &join_body(&token, &Key::p256())).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "the token has expired");
}

#[tokio::test]
async fn a_bot_that_has_joined_must_be_recreated_to_join_again() {
    let Fixture { cluster, mut grpc, .. } = Fixture::new().await;
    let token = cluster.add_token("robot").unwrap();
    let (status, _, body) = post_join(&cluster, &join_body(&token, &Key::p256())).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    insta::assert_snapshot!(
        error_message(&body),
        @r#"user "bot-robot" has already been issued a renewable certificate, recreate the bot"#
    );

    cluster.remove_bot("robot");
    let ping = grpc.call::<PingResponse>(method::PING, &PingRequest {}).await;
    insta::assert_snapshot!(refusal(ping), @r#"
    NotFound: access denied
    	user "bot-robot" not found
    "#);
    let token = cluster.add_bot("robot", &["access"]).unwrap();
    join(&cluster, &token, Key::p256()).await;
}

#[tokio::test]
async fn joins_with_an_id_token_are_repeatable_and_not_renewable() {
    let (cluster, clock) = start_cluster().await;
    cluster.add_bot("robot", &["access"]).unwrap();
    let issuer = OidcIssuer::new("https://ci").unwrap();
    cluster.add_oidc_token("robot", "ci", &issuer, "dev.test").unwrap();
    let body = |key: &Key, audience: &str| {
        let mut body = join_body("ci", key);
        body["id_token"] = issuer.token(audience, clock.now() + HOUR).unwrap().into();
        body
    };
    for _ in 0..2 {
        let key = Key::p256();
        let (status, _, text) = post_join(&cluster, &body(&key, "dev.test")).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        let bot = Bot { key, certs: recording::join_certs(&serde_json::from_str(&text).unwrap()) };
        let subject = parse(&bot.certs.tls).tbs_certificate.subject;
        let attributes: Vec<String> =
            subject.0.iter().flat_map(|rdn| rdn.0.iter().map(|value| value.oid.to_string())).collect();
        let (renewable, generation) = ("1.3.9999.1.13", "1.3.9999.1.14");
        assert!(!attributes.iter().any(|oid| oid == renewable || oid == generation), "{attributes:?}");
        let mut grpc = Grpc::connect(&cluster, &bot).await.unwrap();
        let renewal = renewal_request("bot-robot", &bot.key, clock.now());
        assert_eq!(refusal(grpc.user_certs(&renewal).await).code, Code::PermissionDenied);
        assert_eq!((cluster.generation("robot"), cluster.is_locked("robot")), (Some(0), false));
    }
    let wrong_audience = post_join(&cluster, &body(&Key::p256(), "elsewhere")).await;
    let missing = post_join(&cluster, &join_body("ci", &Key::p256())).await;
    assert_eq!((wrong_audience.0, missing.0), (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN));
    insta::assert_snapshot!(
        error_message(&wrong_audience.2),
        @r#""" can not join the cluster with role "Bot", the identity token is for another audience"#
    );
    insta::assert_snapshot!(
        error_message(&missing.2),
        @r#""" can not join the cluster with role "Bot", the identity token is not a signed token"#
    );
}

#[tokio::test]
async fn malformed_join_requests_are_bad_requests_and_keep_the_token() {
    let (cluster, _) = start_cluster().await;
    let token = cluster.add_bot("robot", &["access"]).unwrap();
    let good = join_body(&token, &Key::p256());
    let with = |key: &str, value: &str| {
        let mut body = good.clone();
        body[key] = value.into();
        body
    };
    let mut messages = Vec::new();
    for body in [
        json!({ "role": "Bot" }),
        with("public_ssh_key", "AAAA"),
        with("public_ssh_key", "!"),
        with("expires", "soon"),
    ] {
        let (status, _, text) = post_join(&cluster, &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
        messages.push(error_message(&text));
    }
    let post = |content_type: &str, body: String| {
        let request = Request::post("/webapi/host/credentials").header("content-type", content_type);
        client::web(&cluster, request.body(body.into()).unwrap())
    };
    for (content_type, body) in [
        ("text/plain", good.to_string()),
        ("application/json", "{".to_owned()),
        ("application/json", " ".repeat(10 * 1024 * 1024 + 1)),
    ] {
        let (status, _, text) = post(content_type, body).await.unwrap();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
        messages.push(error_message(&text));
    }
    // Only the prefixes: what follows is worded by the parsers.
    let subjects: Vec<_> = messages.iter().filter_map(|message| message.split(": ").next()).collect();
    insta::assert_snapshot!(subjects.join("\n"), @"
    missing parameter Token
    failed to parse public key
    public_ssh_key
    expires
    invalid request
    request
    http
    ");

    assert_eq!(post_join(&cluster, &with("role", "Node")).await.0, StatusCode::FORBIDDEN);
    assert_eq!(cluster.generation("robot"), Some(0), "the token has not been used");
    assert_eq!(post_join(&cluster, &good).await.0, StatusCode::OK);
}

#[tokio::test]
async fn every_type_of_key_gets_both_certificates_and_can_call_auth() {
    let (cluster, clock) = start_cluster().await;
    for (name, key) in [("p256", Key::p256()), ("ed25519", Key::ed25519()), ("rsa", Key::recorded_rsa())] {
        let token = cluster.add_bot(name, &["access"]).unwrap();
        let bot = join(&cluster, &token, key).await;
        let mut grpc = Grpc::connect(&cluster, &bot).await.unwrap();
        let ping: PingResponse = grpc.call(method::PING, &PingRequest {}).await.unwrap();
        assert_eq!(ping.proxy_public_addr, cluster.proxy_addr().to_string());
        let request = renewal_request(&format!("bot-{name}"), &bot.key, clock.now());
        let certs = grpc.user_certs(&request).await.unwrap();
        assert_eq!(ssh_signers(&certs), [true, false]);
        Grpc::connect(&cluster, &Bot { key: bot.key, certs }).await.unwrap();
    }
}
