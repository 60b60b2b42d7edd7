//! Renewals and the certificates of outputs: generations, limits, impersonation and the keys that are certified.

use std::time::Duration;

use prost_types::Timestamp;
use tbot_cluster::proto::{GetClusterCaCertResponse, GetRoleRequest, PingRequest, PingResponse, RoleV6};
use tbot_cluster::{Code, Outcome, Role, method};
use x509_cert::der::EncodePem as _;
use x509_cert::der::pem::LineEnding;

use crate::certificates::{parse, x509};
use crate::client::{Bot, Grpc, Key};
use crate::fixture::{Fixture, HOUR, refusal};

#[tokio::test]
async fn separate_keys_of_newer_clients_are_certified_separately() {
    let mut fixture = Fixture::new().await;
    let mut request = fixture.output(&Key::ed25519());
    request.ssh_public_key = std::mem::take(&mut request.public_key);
    // Any other key will do for the X.509 certificate; this is the bot's.
    let spki = parse(&fixture.bot.certs.tls).tbs_certificate.subject_public_key_info;
    request.tls_public_key = spki.to_pem(LineEnding::LF).unwrap().into_bytes();
    let certs = fixture.grpc.user_certs(&request).await.unwrap();
    assert_eq!(parse(&certs.tls).tbs_certificate.subject_public_key_info, spki);
    let line = String::from_utf8(certs.ssh).unwrap();
    assert!(line.starts_with("ssh-ed25519-cert-v01@openssh.com "), "{line}");
}

#[tokio::test]
async fn an_old_generation_locks_the_bot_permanently() {
    let mut fixture = Fixture::new().await;
    let renewal = fixture.renewal(&fixture.bot);
    let renewed = fixture.grpc.user_certs(&renewal).await.unwrap();
    assert_eq!(fixture.cluster.generation("robot"), Some(2));
    assert!(!fixture.cluster.is_locked("robot"));

    insta::assert_snapshot!(
        refusal(fixture.grpc.user_certs(&renewal).await),
        @"PermissionDenied: renewable cert generation mismatch: stored=2, presented=1"
    );
    assert!(fixture.cluster.is_locked("robot"));

    let bot = Bot { key: fixture.bot.key, certs: renewed };
    let mut grpc = Grpc::connect(&fixture.cluster, &bot).await.unwrap();
    let renewal = refusal(grpc.user_certs(&renewal).await);
    insta::assert_snapshot!(renewal, @"PermissionDenied: access denied");
    let ping = refusal(grpc.call::<PingResponse>(method::PING, &PingRequest {}).await);
    assert_eq!(ping, renewal);
    assert_eq!(fixture.cluster.generation("robot"), Some(2));
}

#[tokio::test]
async fn an_expiry_is_required_and_must_be_in_the_future() {
    let mut fixture = Fixture::new().await;
    let mut refusals = Vec::new();
    for mut request in [fixture.renewal(&fixture.bot), fixture.output(&fixture.bot.key)] {
        let past = Timestamp::from(fixture.clock.now() - Duration::from_secs(1));
        for expires in [None, Some(past)] {
            request.expires = expires;
            refusals.push(refusal(fixture.grpc.user_certs(&request).await));
        }
    }
    insta::assert_snapshot!(
        refusals[0],
        @"PermissionDenied: access denied: client credentials have expired, please relogin."
    );
    assert!(refusals.iter().all(|refusal| refusal == &refusals[0]), "{refusals:?}");
    let generation = fixture.cluster.generation("robot");
    assert_eq!(generation, Some(1), "a refused renewal does not change the generation");
}

#[tokio::test]
async fn the_validity_of_certificates_is_limited() {
    let mut fixture = Fixture::new().await;
    let validity = |pem: &[u8]| x509(pem).seconds;
    // Certificates start a minute before they are issued.
    let backdated = |limit: Duration| limit.as_secs() + 60;
    assert_eq!(validity(&fixture.bot.certs.tls), backdated(HOUR), "the default of a join");

    let expires = Some(Timestamp::from(fixture.clock.now() + 48 * HOUR));
    let mut renewal = fixture.renewal(&fixture.bot);
    renewal.expires = expires;
    let certs = fixture.grpc.user_certs(&renewal).await.unwrap();
    assert_eq!(validity(&certs.tls), backdated(12 * HOUR), "the limit of the bot's role");

    let mut output = fixture.output(&fixture.bot.key);
    output.expires = expires;
    let certs = fixture.grpc.user_certs(&output).await.unwrap();
    assert_eq!(validity(&certs.tls), backdated(24 * HOUR), "the limit of all certificates");

    fixture.cluster.set_role(Role { max_session_ttl: 2 * HOUR, ..Role::new("access") });
    let certs = fixture.grpc.user_certs(&output).await.unwrap();
    assert_eq!(validity(&certs.tls), backdated(2 * HOUR), "the limit of the role");
}

#[tokio::test]
async fn requests_for_outputs_are_checked() {
    let mut fixture = Fixture::new().await;
    let good = fixture.output(&fixture.bot.key);
    let mut refusals = Vec::new();
    for request in [
        with(&good, |request| request.role_requests.push("editor".to_owned())),
        with(&good, |request| request.role_requests.clear()),
        with(&good, |request| request.route_to_cluster = "leaf".to_owned()),
        with(&good, |request| request.kubernetes_cluster = "kube".to_owned()),
        with(&good, |request| request.username = "bot-other".to_owned()),
    ] {
        refusals.push(refusal(fixture.grpc.user_certs(&request).await).to_string());
    }
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    PermissionDenied: user "bot-robot" has requested role impersonation for ["access" "editor"]
    InvalidArgument: at least one role request is required
    NotFound: remote cluster "leaf" is not found
    InvalidArgument: kubernetes cluster "kube" is not registered in this teleport cluster; registered are {}
    PermissionDenied: access denied
    "#);
    assert_eq!(fixture.cluster.generation("robot"), Some(1));
}

fn with<T: Clone>(value: &T, change: impl FnOnce(&mut T)) -> T {
    let mut value = value.clone();
    change(&mut value);
    value
}

#[tokio::test]
async fn an_output_reads_its_roles_but_cannot_request_certificates() {
    let mut fixture = Fixture::new().await;
    let key = Key::p256();
    let request = fixture.output(&key);
    let certs = fixture.grpc.user_certs(&request).await.unwrap();
    let mut output = Bot { key, certs };
    // The response contains only the user CA. The host CA is known from the join.
    assert_eq!(output.certs.tls_ca_certs.len(), 1);
    let ca: GetClusterCaCertResponse = fixture.grpc.call(method::GET_CLUSTER_CA_CERT, &()).await.unwrap();
    output.certs.tls_ca_certs.push(ca.tls_ca);

    let mut grpc = Grpc::connect(&fixture.cluster, &output).await.unwrap();
    let _: PingResponse = grpc.call(method::PING, &PingRequest {}).await.unwrap();
    let output_refusal = refusal(grpc.user_certs(&fixture.output(&output.key)).await);
    insta::assert_snapshot!(
        output_refusal,
        @"PermissionDenied: identity is not allowed to reissue certificates"
    );
    assert_eq!(refusal(grpc.user_certs(&fixture.renewal(&output)).await), output_refusal);
    let role = |name: &str| GetRoleRequest { name: name.to_owned() };
    let _: RoleV6 = grpc.call(method::GET_ROLE, &role("access")).await.unwrap();
    insta::assert_snapshot!(
        refusal(grpc.call::<RoleV6>(method::GET_ROLE, &role("bot-robot")).await),
        @r#"PermissionDenied: access denied to perform action "read" on "role""#
    );
    let calls = fixture.cluster.requests();
    let last = calls.last().unwrap();
    assert_eq!(last.user.as_deref(), Some("bot-robot"));
    assert_eq!(last.decode::<GetRoleRequest>().unwrap(), role("bot-robot"));
    assert!(matches!(last.outcome, Outcome::Refused(Code::PermissionDenied, _)));
}
