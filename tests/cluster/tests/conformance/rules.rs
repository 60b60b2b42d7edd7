//! The rules that were observed on a real server: who may join, renew, impersonate, and in which words it is refused.

use std::time::Duration;

use http::{Request, StatusCode};
use prost_types::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use tbot_cluster::proto::{Empty, GetRoleRequest, PingResponse, Role as RoleMessage, UserCertsRequest};
use tbot_cluster::{Cluster, ClusterConfig, Code, Issuer, MovableClock, Outcome, Role, method};

use crate::certificates::{parse, ssh_signers, x509};
use crate::client::{
    self, Bot, Grpc, Key, connect, connect_auth, get, hex_name, http1, join, join_body, post_join,
};
use crate::recording;

async fn cluster() -> (Cluster, MovableClock) {
    let clock = MovableClock::new(client::frozen_clock());
    let cluster = Cluster::start(ClusterConfig::new(clock.clock())).await.unwrap();
    (cluster, clock)
}

/// A cluster with a bot `robot` that has joined, and a connection as that bot.
async fn joined() -> (Cluster, MovableClock, Bot, Grpc) {
    let (cluster, clock) = cluster().await;
    let token = cluster.add_bot("robot", &["access"]).unwrap();
    let bot = join(&cluster, &token, Key::p256()).await;
    let grpc = Grpc::connect(&cluster, &bot).await.unwrap();
    (cluster, clock, bot, grpc)
}

fn end(clock: &MovableClock, ttl: Duration) -> Option<Timestamp> {
    Some(Timestamp::from(clock.now() + ttl))
}

const HOUR: Duration = Duration::from_secs(60 * 60);

fn renewal(bot: &Bot, clock: &MovableClock) -> UserCertsRequest {
    UserCertsRequest {
        public_key: bot.key.line.clone().into(),
        username: "bot-robot".to_owned(),
        expires: end(clock, HOUR),
        ..UserCertsRequest::default()
    }
}

fn output(key: &Key, clock: &MovableClock) -> UserCertsRequest {
    UserCertsRequest {
        public_key: key.line.clone().into(),
        username: "bot-robot".to_owned(),
        expires: end(clock, HOUR),
        role_requests: vec!["access".to_owned()],
        use_role_requests: true,
        ..UserCertsRequest::default()
    }
}

/// The code and words of a refusal.
fn refused<T>(result: Result<T, tonic::Status>) -> (Code, String) {
    let status = result.err().expect("the call must be refused");
    (status.code(), status.message().to_owned())
}

fn denied(words: &str) -> (Code, String) {
    (Code::PermissionDenied, words.to_owned())
}

#[tokio::test]
async fn a_token_works_once_and_not_for_ever() {
    let (cluster, clock) = cluster().await;
    let token = cluster.add_bot("robot", &["access"]).unwrap();
    join(&cluster, &token, Key::p256()).await;
    let (status, _, text) = post_join(&cluster, &join_body(&token, &Key::p256())).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(text.contains("token expired or not found"), "{text}");

    let late = cluster.add_bot("late", &["access"]).unwrap();
    clock.advance(HOUR);
    let (status, ..) = post_join(&cluster, &join_body(&late, &Key::p256())).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "an hour is over");
}

#[tokio::test]
async fn a_bot_that_has_joined_must_be_recreated_to_join_again() {
    let (cluster, _, _, mut grpc) = joined().await;
    let token = cluster.add_token("robot").unwrap();
    let (status, _, text) = post_join(&cluster, &join_body(&token, &Key::p256())).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.contains("has already been issued a renewable certificate"), "{text}");

    cluster.remove_bot("robot");
    assert_eq!(refused(grpc.call::<PingResponse>(method::PING, &Empty {}).await), denied("access denied"));
    let token = cluster.add_bot("robot", &["access"]).unwrap();
    join(&cluster, &token, Key::p256()).await;
}

#[tokio::test]
async fn a_proof_works_again_and_again_and_what_it_gives_is_not_renewable() {
    let (cluster, clock) = cluster().await;
    cluster.add_bot("robot", &["access"]).unwrap();
    let issuer = Issuer::new("https://ci").unwrap();
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
        let named: Vec<String> =
            subject.0.iter().flat_map(|rdn| rdn.0.iter().map(|value| value.oid.to_string())).collect();
        // Neither renewable nor counted.
        assert!(!named.iter().any(|id| id == "1.3.9999.1.13" || id == "1.3.9999.1.14"), "{named:?}");
        let mut grpc = Grpc::connect(&cluster, &bot).await.unwrap();
        let renewed = grpc.user_certs(&renewal(&bot, &clock)).await;
        assert_eq!(refused(renewed), denied("access denied"));
        assert_eq!((cluster.generation("robot"), cluster.is_locked("robot")), (Some(0), false));
    }
    for refused in [body(&Key::p256(), "elsewhere"), join_body("ci", &Key::p256())] {
        let (status, _, text) = post_join(&cluster, &refused).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(text.contains("the identity token is "), "{text}");
    }
}

#[tokio::test]
async fn malformed_joins_are_bad_parameters() {
    let (cluster, _) = cluster().await;
    let token = cluster.add_bot("robot", &["access"]).unwrap();
    let good = join_body(&token, &Key::p256());
    let mut bodies = vec![(json!({ "role": "Bot" }), "missing parameter Token")];
    for (key, value, words) in [
        ("public_ssh_key", json!("AAAA"), "failed to parse public key"),
        ("public_ssh_key", json!("!"), "public_ssh_key"),
        ("expires", json!("soon"), "expires"),
    ] {
        let mut body = good.clone();
        body[key] = value;
        bodies.push((body, words));
    }
    for (body, words) in bodies {
        let (status, _, text) = post_join(&cluster, &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
        assert!(text.contains(words), "{text}");
    }
    let post = |content_type: &str, body: String| {
        let request = Request::post("/webapi/host/credentials").header("content-type", content_type);
        client::web(&cluster, request.body(body.into()).unwrap())
    };
    let (status, _, text) = post("text/plain", good.to_string()).await.unwrap();
    assert_eq!((status, text.contains("\"invalid request\"")), (StatusCode::BAD_REQUEST, true), "{text}");
    let (status, _, text) = post("application/json", "{".to_owned()).await.unwrap();
    assert_eq!((status, text.contains("\"request: ")), (StatusCode::BAD_REQUEST, true), "{text}");
    let (status, ..) = post("application/json", " ".repeat(10 * 1024 * 1024 + 1)).await.unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);

    let mut node = good.clone();
    node["role"] = "Node".into();
    assert_eq!(post_join(&cluster, &node).await.0, StatusCode::FORBIDDEN);
    // None of these has used up the token.
    assert_eq!(cluster.generation("robot"), Some(0));
    assert_eq!(post_join(&cluster, &good).await.0, StatusCode::OK);
}

#[tokio::test]
async fn every_kind_of_key_is_certified_twice_and_talks_to_auth() {
    let (cluster, clock) = cluster().await;
    for (name, key) in [("p256", Key::p256()), ("ed25519", Key::ed25519()), ("rsa", Key::recorded_rsa())] {
        let token = cluster.add_bot(name, &["access"]).unwrap();
        let bot = join(&cluster, &token, key).await;
        let mut grpc = Grpc::connect(&cluster, &bot).await.unwrap();
        let ping: PingResponse = grpc.call(method::PING, &Empty {}).await.unwrap();
        assert_eq!(ping.proxy_public_addr, cluster.proxy_addr().to_string());
        let mut request = renewal(&bot, &clock);
        request.username = format!("bot-{name}");
        let certs = grpc.user_certs(&request).await.unwrap();
        assert_eq!(ssh_signers(&certs), [true, false]);
        Grpc::connect(&cluster, &Bot { key: bot.key, certs }).await.unwrap();
    }
}

#[tokio::test]
async fn separate_keys_of_newer_clients_are_certified_each() {
    let (_cluster, clock, bot, mut grpc) = joined().await;
    let mut request = output(&Key::ed25519(), &clock);
    request.ssh_public_key = std::mem::take(&mut request.public_key);
    // The key of the bot's own X.509 certificate does for the other one.
    let spki = parse(&bot.certs.tls).tbs_certificate.subject_public_key_info;
    request.tls_public_key = pem_of(&spki);
    let certs = grpc.user_certs(&request).await.unwrap();
    assert_eq!(parse(&certs.tls).tbs_certificate.subject_public_key_info, spki);
    let line = String::from_utf8(certs.ssh).unwrap();
    assert!(line.starts_with("ssh-ed25519-cert-v01@openssh.com "), "{line}");
}

fn pem_of(spki: &x509_cert::spki::SubjectPublicKeyInfoOwned) -> Vec<u8> {
    use x509_cert::der::EncodePem as _;
    spki.to_pem(x509_cert::der::pem::LineEnding::LF).unwrap().into_bytes()
}

#[tokio::test]
async fn an_old_generation_locks_the_bot_for_ever() {
    let (cluster, clock, bot, mut grpc) = joined().await;
    let renewed = grpc.user_certs(&renewal(&bot, &clock)).await.unwrap();
    assert_eq!(cluster.generation("robot"), Some(2));
    assert!(!cluster.is_locked("robot"));

    let stale = refused(grpc.user_certs(&renewal(&bot, &clock)).await);
    assert_eq!(stale, denied("renewable cert generation mismatch: stored=2, presented=1"));
    assert!(cluster.is_locked("robot"));

    let rightful = Bot { key: bot.key, certs: renewed };
    let mut grpc = Grpc::connect(&cluster, &rightful).await.unwrap();
    assert_eq!(refused(grpc.user_certs(&renewal(&rightful, &clock)).await), denied("access denied"));
    assert_eq!(refused(grpc.call::<PingResponse>(method::PING, &Empty {}).await), denied("access denied"));
    assert_eq!(cluster.generation("robot"), Some(2));
}

#[tokio::test]
async fn an_end_is_mandatory_and_lies_ahead() {
    let (cluster, clock, bot, mut grpc) = joined().await;
    let expired = denied("access denied: client credentials have expired, please relogin.");
    for mut request in [renewal(&bot, &clock), output(&bot.key, &clock)] {
        request.expires = None;
        assert_eq!(refused(grpc.user_certs(&request).await), expired);
        request.expires = Some(Timestamp::from(clock.now() - Duration::from_secs(1)));
        assert_eq!(refused(grpc.user_certs(&request).await), expired);
    }
    assert_eq!(cluster.generation("robot"), Some(1), "a refused renewal counts nothing");
}

#[tokio::test]
async fn no_certificate_outlives_its_limits() {
    let (cluster, clock, bot, mut grpc) = joined().await;
    // A certificate starts a minute early.
    let backdated = |limit: Duration| limit.as_secs() + 60;
    assert_eq!(x509(&bot.certs.tls).seconds, backdated(HOUR), "a join that asks for nothing");
    let mut request = renewal(&bot, &clock);
    request.expires = end(&clock, 48 * HOUR);
    let certs = grpc.user_certs(&request).await.unwrap();
    assert_eq!(x509(&certs.tls).seconds, backdated(12 * HOUR), "the bot's role allows half a day");
    let mut request = output(&bot.key, &clock);
    request.expires = end(&clock, 48 * HOUR);
    let certs = grpc.user_certs(&request).await.unwrap();
    assert_eq!(x509(&certs.tls).seconds, backdated(24 * HOUR), "nobody gets more than a day");
    cluster.set_role(Role { max_session_ttl: 2 * HOUR, ..Role::new("access") });
    let certs = grpc.user_certs(&request).await.unwrap();
    assert_eq!(x509(&certs.tls).seconds, backdated(2 * HOUR), "the role allows two hours");
}

#[tokio::test]
async fn impersonation_takes_a_role_that_the_bot_may_have() {
    let (cluster, clock, bot, mut grpc) = joined().await;
    let mut request = output(&bot.key, &clock);
    request.role_requests = vec!["access".to_owned(), "editor".to_owned()];
    let words = r#"user "bot-robot" has requested role impersonation for ["access" "editor"]"#;
    assert_eq!(refused(grpc.user_certs(&request).await), denied(words));
    request.role_requests.clear();
    let words = "at least one role request is required".to_owned();
    assert_eq!(refused(grpc.user_certs(&request).await), (Code::InvalidArgument, words));

    let mut request = output(&bot.key, &clock);
    request.route_to_cluster = "leaf".to_owned();
    let words = r#"remote cluster "leaf" is not found"#.to_owned();
    assert_eq!(refused(grpc.user_certs(&request).await), (Code::NotFound, words));
    let mut request = output(&bot.key, &clock);
    request.kubernetes_cluster = "kube".to_owned();
    let (code, words) = refused(grpc.user_certs(&request).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(
        words.starts_with(r#"kubernetes cluster "kube" is not registered in this teleport cluster; "#),
        "{words}"
    );
    let mut request = output(&bot.key, &clock);
    request.username = "bot-other".to_owned();
    assert_eq!(refused(grpc.user_certs(&request).await), denied("access denied"));
    assert_eq!(cluster.generation("robot"), Some(1));
}

#[tokio::test]
async fn an_output_reads_its_roles_and_gets_no_further_certificates() {
    let (cluster, clock, _, mut grpc) = joined().await;
    let key = Key::p256();
    let certs = grpc.user_certs(&output(&key, &clock)).await.unwrap();
    let mut impersonated = Bot { key, certs };
    // The reply has the user CA alone; the host CA is known from the join.
    assert_eq!(impersonated.certs.tls_ca_certs.len(), 1);
    let ca: tbot_cluster::proto::ClusterCaCert =
        grpc.call(method::GET_CLUSTER_CA_CERT, &Empty {}).await.unwrap();
    impersonated.certs.tls_ca_certs.push(ca.tls_ca);

    let mut grpc = Grpc::connect(&cluster, &impersonated).await.unwrap();
    let _: PingResponse = grpc.call(method::PING, &Empty {}).await.unwrap();
    let words = "identity is not allowed to reissue certificates";
    for request in [output(&impersonated.key, &clock), renewal(&impersonated, &clock)] {
        assert_eq!(refused(grpc.user_certs(&request).await), denied(words));
    }
    let role = |name: &str| GetRoleRequest { name: name.to_owned() };
    let _: RoleMessage = grpc.call(method::GET_ROLE, &role("access")).await.unwrap();
    let others = refused(grpc.call::<RoleMessage>(method::GET_ROLE, &role("bot-robot")).await);
    assert_eq!(others, denied(r#"access denied to perform action "read" on "role""#));
    let calls = cluster.requests();
    let last = calls.last().unwrap();
    assert_eq!(last.user.as_deref(), Some("bot-robot"));
    assert_eq!(last.decode::<GetRoleRequest>().unwrap(), role("bot-robot"));
    assert!(matches!(last.outcome, Outcome::Refused(Code::PermissionDenied, _)));
}

#[tokio::test]
async fn authorities_are_known_by_kind() {
    use tbot_cluster::proto::{CertAuthority, GetCertAuthoritiesRequest, GetCertAuthoritiesResponse};
    let (cluster, _, _, mut grpc) = joined().await;
    let ask = |kind: &str| GetCertAuthoritiesRequest { r#type: kind.to_owned(), include_key: false };
    for (kind, code) in [("nonsense", Code::InvalidArgument), ("jwt", Code::Unimplemented)] {
        let answer = grpc.call::<GetCertAuthoritiesResponse>(method::GET_CERT_AUTHORITIES, &ask(kind)).await;
        assert_eq!(refused(answer).0, code, "{kind}");
    }
    let secret = GetCertAuthoritiesRequest { include_key: true, ..ask("user") };
    let answer = grpc.call::<GetCertAuthoritiesResponse>(method::GET_CERT_AUTHORITIES, &secret).await;
    assert_eq!(refused(answer).0, Code::PermissionDenied);
    let elsewhere = tbot_cluster::proto::GetCertAuthorityRequest {
        r#type: "host".to_owned(),
        domain: "elsewhere".to_owned(),
        include_key: false,
    };
    let answer = grpc.call::<CertAuthority>(method::GET_CERT_AUTHORITY, &elsewhere).await;
    assert_eq!(refused(answer).0, Code::NotFound);
    let answer = grpc.call::<Empty>("/proto.AuthService/GetUser", &Empty {}).await;
    assert_eq!(refused(answer).0, Code::Unimplemented);
    assert_eq!(cluster.requests().last().unwrap().method, "/proto.AuthService/GetUser");
}

#[tokio::test]
async fn auth_wants_a_living_leaf_and_nothing_else() {
    let (cluster, clock, bot, _) = joined().await;
    let name = hex_name(cluster.name());
    let alpn = format!("teleport-auth@{name}");
    let alpn = [alpn.as_bytes(), b"h2"];

    let anonymous = connect(&cluster, &name, &bot.certs.tls_ca_certs, None, &alpn).await.unwrap();
    // TLS 1.3 tells a client of a missing certificate only after the handshake.
    let mut grpc = Grpc::over(anonymous).await.unwrap();
    assert_eq!(refused(grpc.call::<PingResponse>(method::PING, &Empty {}).await).0, Code::Unavailable);

    let chain = connect_auth(&cluster, &bot, &bot.certs.tls_ca_certs[..1], b"h2").await.unwrap();
    let mut grpc = Grpc::over(chain).await.unwrap();
    let words = "access denied: intermediaries are not supported";
    assert_eq!(refused(grpc.call::<PingResponse>(method::PING, &Empty {}).await), denied(words));

    let other = format!("teleport-auth@{}", hex_name("other.test"));
    let other = connect(&cluster, &name, &bot.certs.tls_ca_certs, None, &[other.as_bytes(), b"h2"]).await;
    assert!(other.is_err(), "another cluster's auth server is not here");

    clock.advance(HOUR + Duration::from_secs(1));
    let mut grpc = Grpc::connect(&cluster, &bot).await.unwrap();
    assert_eq!(refused(grpc.call::<PingResponse>(method::PING, &Empty {}).await).0, Code::Unavailable);
}

#[tokio::test]
async fn grpc_at_the_web_server_is_forbidden_as_plain_text() {
    let (cluster, _) = cluster().await;
    let request = Request::post(method::PING).header("content-type", "application/grpc");
    let (status, headers, _) =
        client::web(&cluster, request.body(Default::default()).unwrap()).await.unwrap();
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(get(&cluster, "/webapi/nothing").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn rest_is_served_without_a_negotiated_protocol() {
    let (cluster, _, bot, _) = joined().await;
    let tls = connect_auth(&cluster, &bot, &[], b"http/1.1").await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), None);
    let request = Request::get("/v2/remoteclusters").body(Default::default()).unwrap();
    let (status, headers, body) = http1(tls, request).await.unwrap();
    assert_eq!((status, body.as_str()), (StatusCode::OK, "[]"));
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(cluster.requests().last().unwrap().method, method::REMOTE_CLUSTERS);
}

#[tokio::test]
async fn a_version_is_semver_or_nothing() {
    let (_cluster, _, _, mut grpc) = joined().await;
    grpc.version = "fifteen";
    let request = GetRoleRequest { name: "bot-robot".to_owned() };
    let words = "unrecognized client version: fifteen is not a valid semver".to_owned();
    let answer = grpc.call::<RoleMessage>(method::GET_ROLE, &request).await;
    assert_eq!(refused(answer), (Code::InvalidArgument, words));
    let _: PingResponse = grpc.call(method::PING, &Empty {}).await.unwrap();
}

#[tokio::test]
async fn a_long_cluster_name_is_no_server_name_and_works_all_the_same() {
    let mut config = ClusterConfig::new(client::frozen_clock());
    config.cluster_name = "a-name-of-more-than-thirty-one-bytes.test".to_owned();
    let cluster = Cluster::start(config).await.unwrap();
    let token = cluster.add_bot("robot", &["access"]).unwrap();
    let bot = join(&cluster, &token, Key::p256()).await;
    let alpn = format!("teleport-auth@{}", hex_name(cluster.name()));
    let leaf = CertificateDer::from_pem_slice(&bot.certs.tls).unwrap();
    let identity = Some((vec![leaf], bot.key.private.clone_key()));
    let alpn = [alpn.as_bytes(), b"h2"];
    let roots = &bot.certs.tls_ca_certs;
    let tls = connect(&cluster, "teleport.cluster.local", roots, identity, &alpn).await.unwrap();
    let ping: PingResponse = Grpc::over(tls).await.unwrap().call(method::PING, &Empty {}).await.unwrap();
    assert_eq!(ping.cluster_name, cluster.name());
}
