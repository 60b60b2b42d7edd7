//! A direct connection to an auth server: how it is verified before the join, and what works through it.

mod either_kind;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tbot::agent::{AuthServerTrustError, OutputError, RenewalError, error_line};
use tbot_cluster::{Call, Code, Phase, Resource, method};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tracing::Level;

use super::errors::{failed_tests, join_error, output_error, renewal_error, trust_error};
use super::fixture::{BOT, TestCluster, read, run_oneshot, wait_until};
use super::http_proxy::connect_proxy;
use super::joining::{DelegatedJoin, iam};
use super::log_capture::LogCapture;

/// Accepts connections on loopback, and connects each to the current target.
struct Relay {
    address: SocketAddr,
    targets: Arc<Mutex<Targets>>,
}

struct Targets {
    current: SocketAddr,
    /// The target from the next connection on.
    next: Option<SocketAddr>,
}

impl Targets {
    fn take(&mut self) -> SocketAddr {
        let current = self.current;
        self.current = self.next.take().unwrap_or(current);
        current
    }
}

impl Relay {
    async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let targets = Arc::new(Mutex::new(Targets { current: target, next: None }));
        let shared = Arc::clone(&targets);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let target = shared.lock().unwrap().take();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(target).await.unwrap();
                    // Either side may hang up at any time.
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { address, targets }
    }

    fn connect_to(&self, target: SocketAddr) {
        self.targets.lock().unwrap().current = target;
    }

    fn connect_after_the_first_to(&self, target: SocketAddr) {
        self.targets.lock().unwrap().next = Some(target);
    }
}

/// Returns a configuration that joins directly at the auth server, with these keys of `onboarding` in addition.
fn config(fixture: &TestCluster, onboarding: &Value, outputs: &[Value]) -> Value {
    let mut config = fixture.config("20m", outputs);
    config.as_object_mut().unwrap().remove("proxy_server");
    config["auth_server"] = json!(fixture.cluster.auth_addr().to_string());
    for (key, value) in onboarding.as_object().unwrap() {
        config["onboarding"][key] = value.clone();
    }
    config
}

fn pins(fixture: &TestCluster) -> Value {
    json!({ "ca_pins": fixture.cluster.ca_pins().unwrap() })
}

/// The outcomes of the joins that reached the auth server, by method.
fn joins(fixture: &TestCluster) -> Vec<(String, Option<Code>)> {
    let is_join = |call: &Call| call.method.contains("JoinService") || call.method == method::REGISTER_TOKEN;
    let outcome = |call: Call| match call.outcome {
        tbot_cluster::Outcome::Refused(code, _) => (call.method, Some(code)),
        _ => (call.method, None),
    };
    fixture.cluster.requests().into_iter().filter(is_join).map(outcome).collect()
}

fn directory(fixture: &TestCluster, mut service: Value, name: &str) -> Value {
    service["destination"] = json!({ "type": "directory", "path": fixture.path(name) });
    service
}

fn all_outputs(fixture: &TestCluster) -> [Value; 5] {
    fixture.cluster.add_resource(Resource::application("dumper", "dumper.127.0.0.1"));
    fixture.cluster.add_resource(Resource::database("pg", "postgres"));
    fixture.cluster.add_resource(Resource::kubernetes("dev-kube"));
    fixture.cluster.add_leaf_cluster("leaf.test").unwrap();
    [
        ("identity", json!({ "type": "identity" })),
        ("app", json!({ "type": "application", "app_name": "dumper" })),
        ("db", json!({ "type": "database", "service": "pg", "username": "u", "database": "d" })),
        ("kube", json!({ "type": "kubernetes", "kubernetes_cluster": "dev-kube" })),
        ("ssh_host", json!({ "type": "ssh_host", "principals": ["node.example"] })),
    ]
    .map(|(name, service)| directory(fixture, service, name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_auth_server_serves_the_join_renewals_and_all_outputs() {
    let token_call = method::REGISTER_USING_TOKEN.to_owned();
    let rest = method::REGISTER_TOKEN.to_owned();
    for (version, expected) in [
        ("15.0.0-dev", vec![(token_call.clone(), Some(Code::Unimplemented)), (rest, None)]),
        ("17.2.0", vec![(token_call, None)]),
    ] {
        let fixture = TestCluster::with_version(version).await;
        let mut outputs = all_outputs(&fixture).to_vec();
        if version.starts_with("17") {
            // The development cluster has only the REST request, which newer servers do not serve.
            outputs.pop();
        }
        let config = config(&fixture, &pins(&fixture), &outputs);
        fixture.run_oneshot(config.clone()).await.unwrap();
        assert_eq!(joins(&fixture), expected, "{version}");
        fixture.run_oneshot(config).await.unwrap();
        assert_eq!(fixture.stored_generation(), 2);

        let web_requests = fixture.cluster.requests().into_iter().filter(|call| call.path.contains("webapi"));
        let web_requests: Vec<String> = web_requests.map(|call| call.method).collect();
        assert_eq!(web_requests, [method::WEB_PING; 4], "only ssh_config and the kubeconfig need the proxy");
        let proxy = fixture.cluster.proxy_addr();
        assert!(read(&fixture.path("identity/ssh_config")).contains(&format!("--proxy-server='{proxy}' ")));
        assert!(read(&fixture.path("kube/kubeconfig.yaml")).contains(&format!("https://{proxy}")));
        assert!(fixture.path("app/tlscert").exists() && fixture.path("db/tlscert").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_identity_is_renewed_without_pins() {
    let fixture = TestCluster::new().await;
    fixture.run_oneshot(config(&fixture, &pins(&fixture), &[])).await.unwrap();
    let running = fixture.start(config(&fixture, &json!({}), &[fixture.output("out")]));
    wait_until("the output is written", || fixture.path("out").join("identity").exists()).await;
    running.control.reload();
    wait_until("the identity is renewed", || fixture.stored_generation() == 3).await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_authority_of_a_rotation_must_be_pinned() {
    let fixture = TestCluster::new().await;
    let before = pins(&fixture);
    fixture.cluster.rotate("host", Phase::Init).unwrap();
    let error = fixture.run_oneshot(config(&fixture, &before, &[])).await.unwrap_err();
    assert!(matches!(trust_error(error), AuthServerTrustError::OtherAuthority { .. }));
    assert_eq!(fixture.cluster.ca_pins().unwrap().len(), 2);
    fixture.run_oneshot(config(&fixture, &pins(&fixture), &[])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_ca_file_is_reported_although_the_server_cannot_be_reached() {
    let fixture = TestCluster::new().await;
    let mut config = config(&fixture, &json!({ "ca_path": fixture.path("missing.pem") }), &[]);
    config["auth_server"] = json!("127.0.0.1:1");
    let failures = failed_tests(fixture.run_oneshot(config).await.unwrap_err());
    assert!(
        matches!(failures[..], [RenewalError::Discovery(_), RenewalError::AuthServerTrust(_)]),
        "{failures:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_in_the_middle_is_refused_before_the_token_is_sent() {
    let fixture = TestCluster::new().await;
    let ca_file = fixture.path("host-ca.pem");
    std::fs::write(&ca_file, fixture.cluster.authority_pem("host")).unwrap();
    // It claims to be the same cluster, and has another CA.
    let other = TestCluster::new().await;
    let at_other = |onboarding: &Value| {
        let mut config = config(&fixture, onboarding, &[]);
        config["auth_server"] = json!(other.cluster.auth_addr().to_string());
        config
    };
    let error = fixture.run_oneshot(at_other(&pins(&fixture))).await.unwrap_err();
    assert!(!error.is_configuration());
    let [found] = &other.cluster.ca_pins().unwrap()[..] else { panic!("not one pin") };
    let line = error_line(&error, error.hint().as_ref()).replace(found, "[pin]");
    insta::assert_snapshot!(line);
    assert!(!line.contains(&fixture.token));
    assert!(matches!(trust_error(error), AuthServerTrustError::OtherAuthority { pin } if pin == *found));

    let error = fixture.run_oneshot(at_other(&json!({ "ca_path": ca_file }))).await.unwrap_err();
    let failures = failed_tests(error);
    assert!(matches!(failures[..], [RenewalError::AuthRoute(_)]), "{failures:?}");
    assert_eq!(joins(&other), []);
}

/// The CA of a cluster is public, so another server can present it, but has no certificate of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_presents_the_pinned_authority_is_refused() {
    let (fixture, other) = (TestCluster::new().await, TestCluster::new().await);
    let relay = Relay::start(fixture.cluster.auth_addr()).await;
    relay.connect_after_the_first_to(other.cluster.auth_addr());
    let mut config = config(&fixture, &pins(&fixture), &[]);
    config["auth_server"] = json!(relay.address.to_string());
    let error = fixture.run_oneshot(config).await.unwrap_err();
    let line = error_line(&error, error.hint().as_ref());
    insta::assert_snapshot!(line.replace(&relay.address.to_string(), "[auth]"));
    let failures = failed_tests(error);
    assert!(matches!(failures[..], [RenewalError::AuthRoute(_)]), "{failures:?}");
    assert_eq!((joins(&fixture), joins(&other)), (vec![], vec![]));
}

/// A container without root certificates.
#[tokio::test(flavor = "multi_thread")]
async fn root_certificates_are_needed_only_for_a_proxy() {
    let fixture = TestCluster::new().await;
    let output = json!({ "type": "identity", "ssh_config": "off" });
    let mut config = config(&fixture, &pins(&fixture), &[directory(&fixture, output, "out")]);
    let missing = [("SSL_CERT_FILE", "/nonexistent/roots.pem")];
    let mut agent = fixture.agent_with_env(config.clone(), &missing).unwrap();
    run_oneshot(&agent).await.unwrap();
    config["auth_server"] = json!(fixture.cluster.proxy_addr().to_string());
    agent = fixture.agent_with_env(config, &missing).unwrap();
    let error = renewal_error(run_oneshot(&agent).await.unwrap_err());
    assert!(matches!(error, RenewalError::Discovery(_)), "{error:?}");
    assert!(error.hint().unwrap().as_str().contains("SSL_CERT_FILE"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_the_authority_may_be_in_a_file() {
    let fixture = TestCluster::new().await;
    let ca_file = fixture.path("host-ca.pem");
    let config = config(&fixture, &json!({ "ca_path": ca_file }), &[]);
    let error = fixture.run_oneshot(config.clone()).await.unwrap_err();
    assert!(matches!(trust_error(error), AuthServerTrustError::Unreadable { path, .. } if path == ca_file));
    std::fs::write(&ca_file, "\n").unwrap();
    let error = fixture.run_oneshot(config.clone()).await.unwrap_err();
    assert!(matches!(trust_error(error), AuthServerTrustError::NoCertificates { path } if path == ca_file));
    assert_eq!(joins(&fixture), []);
    std::fs::write(&ca_file, fixture.cluster.authority_pem("host")).unwrap();
    fixture.run_oneshot(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_pins_only_insecure_joins() {
    let fixture = TestCluster::new().await;
    let mut config = config(&fixture, &json!({}), &[fixture.output("out")]);
    let error = fixture.run_oneshot(config.clone()).await.unwrap_err();
    assert!(error.is_configuration());
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()));
    assert!(matches!(trust_error(error), AuthServerTrustError::NotConfigured));
    let error = fixture.start(config.clone()).wait().await.unwrap_err();
    assert!(matches!(trust_error(error), AuthServerTrustError::NotConfigured));
    assert_eq!(joins(&fixture), []);
    config["insecure"] = json!(true);
    fixture.run_oneshot(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attestation_is_sent_only_to_a_verified_auth_server() {
    let join = iam::cluster_with_aws_token().await;
    let at_auth_server = |onboarding: &Value| {
        let mut config = config(&join.fixture, onboarding, &[]);
        config["onboarding"]["join_method"] = json!("iam");
        config["onboarding"]["token"] = json!("ci");
        config
    };
    let error = join.run(at_auth_server(&json!({})), &iam::VARIABLES).await.unwrap_err();
    assert!(matches!(trust_error(error), AuthServerTrustError::NotConfigured));
    join.run(at_auth_server(&pins(&join.fixture)), &iam::VARIABLES).await.unwrap();
    assert_eq!(joins(&join.fixture), [(method::REGISTER_USING_IAM.to_owned(), None)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_is_sent_in_the_same_request_as_a_token() {
    for version in ["15.0.0-dev", "17.2.0"] {
        let fixture = TestCluster::with_version(version).await;
        let issuer = tbot_cluster::OidcIssuer::new("https://ci.example").unwrap();
        fixture.cluster.add_oidc_token(BOT, "ci", &issuer, "dev.test").unwrap();
        let id_token = issuer.token("dev.test", fixture.clock.now() + super::fixture::HOUR).unwrap();
        let mut config = config(&fixture, &pins(&fixture), &[]);
        config["onboarding"]["join_method"] = json!("circleci");
        config["onboarding"]["token"] = json!("ci");
        for _ in 0..2 {
            let variables = [("CIRCLE_OIDC_TOKEN", id_token.as_str())];
            run_oneshot(&fixture.agent_with_env(config.clone(), &variables).unwrap()).await.unwrap();
        }
        let accepted = joins(&fixture).into_iter().filter(|(_, refused)| refused.is_none()).count();
        assert_eq!(accepted, 2, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_join_has_the_same_hint_as_at_a_proxy() {
    for version in ["15.0.0-dev", "17.2.0"] {
        let fixture = TestCluster::with_version(version).await;
        let mut config = config(&fixture, &pins(&fixture), &[]);
        config["onboarding"]["token"] = json!("unknown-token");
        let error = fixture.run_oneshot(config).await.unwrap_err();
        let line = error_line(&error, error.hint().as_ref());
        assert!(!line.contains("unknown-token"), "{line}");
        let (_, error) = join_error(error);
        assert!(error.hint().unwrap().as_str().contains("works only once"), "{error:?}");
    }
}

#[tokio::test]
async fn the_version_of_the_auth_server_matters_only_for_a_warning() {
    let fixture = TestCluster::with_version("14.3.1").await;
    let log = LogCapture::start();
    fixture.run_oneshot(config(&fixture, &pins(&fixture), &[])).await.unwrap();
    let warnings = |part: &str| log.count(|event| event.level == Level::WARN && event.message.contains(part));
    assert_eq!(warnings("14.3.1"), 1);
    // A server may tell its version only to clients with an identity.
    let fixture = TestCluster::with_version("14.3.2").await;
    fixture.cluster.fail_next(method::PING, Code::PermissionDenied, "access denied");
    fixture.run_oneshot(config(&fixture, &pins(&fixture), &[])).await.unwrap();
    assert_eq!(warnings("14.3.2"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_joins_again_as_the_same_instance_at_a_server_whose_version_is_unknown_before() {
    for (version, instances) in [("16.4.0", vec![]), ("17.7.0", vec![2]), ("18.2.5", vec![2])] {
        let join = DelegatedJoin::with_version(version, "dev.test").await;
        let pins = pins(&join.fixture);
        let mut config = join.config("gitlab", pins);
        config.as_object_mut().unwrap().remove("proxy_server");
        config["auth_server"] = json!(join.fixture.cluster.auth_addr().to_string());
        for _ in 0..2 {
            join.fixture.cluster.fail_next(method::PING, Code::PermissionDenied, "access denied");
            join.run(config.clone(), &[("TBOT_GITLAB_JWT", &join.id_token())]).await.unwrap();
        }
        assert_eq!(join.fixture.cluster.instances(BOT), instances, "{version}");
    }
}

/// As at a server that has neither of the two requests.
#[tokio::test(flavor = "multi_thread")]
async fn an_unsupported_join_does_not_use_up_the_token() {
    let fixture = TestCluster::with_version("16.4.0").await;
    fixture.cluster.fail_next(method::REGISTER_TOKEN, Code::NotFound, "path not found");
    let config = config(&fixture, &pins(&fixture), &[]);
    let error = fixture.run_oneshot(config.clone()).await.unwrap_err();
    let (_, error) = join_error(error);
    assert!(error.hint().unwrap().as_str().contains("does not support the protocol"), "{error:?}");
    fixture.run_oneshot(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_proxy_address_only_the_outputs_that_need_it_fail() {
    let fixture = TestCluster::new().await;
    fixture.cluster.advertise_proxy_at("");
    fixture.cluster.add_resource(Resource::kubernetes("dev-kube"));
    let without_ssh = json!({ "type": "identity", "ssh_config": "off" });
    let kubernetes = json!({ "type": "kubernetes", "kubernetes_cluster": "dev-kube" });
    let outputs = [
        fixture.output("identity"),
        directory(&fixture, without_ssh, "without-ssh"),
        directory(&fixture, kubernetes, "kube"),
    ];
    let error = fixture.run_oneshot(config(&fixture, &pins(&fixture), &outputs)).await.unwrap_err();
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()));
    assert!(fixture.path("without-ssh/identity").exists());
    assert!(matches!(output_error(error), OutputError::NoProxyAddress));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_the_auth_server_go_through_the_http_proxy() {
    let fixture = TestCluster::new().await;
    let (proxy, heads) = connect_proxy(fixture.cluster.auth_addr()).await;
    let output = json!({ "type": "identity", "ssh_config": "off" });
    let mut config = config(&fixture, &pins(&fixture), &[directory(&fixture, output, "out")]);
    // Only the HTTP proxy can resolve this name.
    config["auth_server"] = json!("auth.behind.test:3025");
    let url = format!("http://{proxy}");
    // The upgrade is for a proxy behind a load balancer.
    let variables = [("HTTPS_PROXY", url.as_str()), ("TELEPORT_TLS_ROUTING_CONN_UPGRADE", "yes")];
    run_oneshot(&fixture.agent_with_env(config, &variables).unwrap()).await.unwrap();
    let heads = heads.lock().unwrap();
    assert!(heads.iter().all(|line| line.starts_with("CONNECT auth.behind.test:3025 ")), "{heads:?}");
    assert!(fixture.path("out/identity").exists());
}
