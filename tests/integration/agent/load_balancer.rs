//! A cluster behind a load balancer that terminates TLS and speaks only HTTP/1.1: the connection upgrade.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{CONNECTION, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tbot::agent::{AgentError, AuthRouteError, ConnectionUpgradeVariableError, RenewalError};
use tbot_cluster::{Code, method};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::errors::failed_tests;
use super::every_output;
use super::fixture::{HOUR, MINUTE, RunningAgent, TestCluster, read, run_oneshot, wait_until};
use super::http_proxy::connect_proxy;
use super::joining::iam;
use super::log_capture::{LogCapture, LogEvent};
use crate::program::ssh::{connect_by, node};

/// Says whether the agent uses the connection upgrade.
const VARIABLE: &str = "TELEPORT_TLS_ROUTING_CONN_UPGRADE";

/// The protocol that a test for a load balancer offers.
const TEST_PROTOCOL: &[u8] = b"teleport-reversetunnel";

/// A load balancer in front of a cluster, with its own web certificate.
pub(super) struct LoadBalancer {
    address: SocketAddr,
    passes_upgrades: Arc<AtomicBool>,
    /// Whether connections that test for a load balancer are closed.
    closes_tests: Arc<AtomicBool>,
    /// The file with the CA of its certificate.
    ca_file: String,
}

impl LoadBalancer {
    pub(super) async fn start(fixture: &TestCluster) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, &ca).unwrap();
        let ca_file = fixture.path("balancer-ca.pem");
        std::fs::write(&ca_file, ca.pem()).unwrap();

        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut front = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        front.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(fixture.cluster.web_ca_pem().as_bytes()).unwrap()).unwrap();
        let mut back = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        back.alpn_protocols = vec![b"http/1.1".to_vec()];

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let passes_upgrades = Arc::new(AtomicBool::new(true));
        let backend = Backend {
            address: fixture.cluster.proxy_addr(),
            tls: TlsConnector::from(Arc::new(back)),
            passes_upgrades: Arc::clone(&passes_upgrades),
        };
        let closes_tests = Arc::new(AtomicBool::new(false));
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(front)), backend, Arc::clone(&closes_tests)));
        Self { address, passes_upgrades, closes_tests, ca_file: ca_file.to_str().unwrap().to_owned() }
    }

    /// Makes `config` connect to the cluster through this.
    pub(super) fn in_front(&self, mut config: Value) -> Value {
        config["proxy_server"] = json!(self.address.to_string());
        config
    }

    /// The variable with which an agent trusts the certificate.
    pub(super) fn roots(&self) -> (&str, &str) {
        ("SSL_CERT_FILE", &self.ca_file)
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Where the load balancer sends requests.
#[derive(Clone)]
struct Backend {
    address: SocketAddr,
    tls: TlsConnector,
    passes_upgrades: Arc<AtomicBool>,
}

async fn serve(listener: TcpListener, front: TlsAcceptor, backend: Backend, closes_tests: Arc<AtomicBool>) {
    while let Ok((client, _)) = listener.accept().await {
        let (front, backend) = (front.clone(), backend.clone());
        let closes_tests = closes_tests.load(Ordering::Relaxed);
        tokio::spawn(async move {
            let mut hello = [0; 4096];
            let length = client.peek(&mut hello).await.unwrap_or_default();
            let is_test = hello[..length].windows(TEST_PROTOCOL.len()).any(|part| part == TEST_PROTOCOL);
            if closes_tests && is_test {
                return;
            }
            // The agent's first connection offers a protocol that is not supported here.
            let Ok(stream) = front.accept(client).await else { return };
            let service = service_fn(|request| forward(request, backend.clone()));
            let server = hyper::server::conn::http1::Builder::new();
            let _ = server.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
        });
    }
}

type Forwarded = Response<BoxBody<Bytes, hyper::Error>>;

/// Sends a request on a new connection to the cluster, and returns its response.
async fn forward(mut request: Request<Incoming>, backend: Backend) -> hyper::Result<Forwarded> {
    if !backend.passes_upgrades.load(Ordering::Relaxed) {
        request.headers_mut().remove(UPGRADE);
        request.headers_mut().remove(CONNECTION);
    }
    let tcp = TcpStream::connect(backend.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = backend.tls.connect(name, tcp).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    let client = hyper::upgrade::on(&mut request);
    let mut response = sender.send_request(request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response.map(BodyExt::boxed));
    }
    let server = hyper::upgrade::on(&mut response);
    tokio::spawn(async move {
        let (Ok(client), Ok(server)) = (client.await, server.await) else { return };
        // Either side may hang up at any time.
        let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(server)).await;
    });
    Ok(response.map(|_| Empty::new().map_err(|never| match never {}).boxed()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_joins_renews_and_writes_all_outputs_through_a_load_balancer() {
    // 15.0 knows only the older form, 19 only WebSocket.
    for version in ["15.0.0-dev", "15.1.0", "18.2.5", "19.0.0"] {
        let fixture = TestCluster::with_version(version).await;
        every_output::add_resources(&fixture);
        let balancer = LoadBalancer::start(&fixture).await;
        let config = balancer.in_front(fixture.config("20m", &every_output::outputs(&fixture)));
        let agent = fixture.agent_with_env(config, &[balancer.roots()]).unwrap();
        let running = RunningAgent::start(agent);
        wait_until("the outputs are written", || every_output::are_written(&fixture)).await;
        fixture.clock.advance(HOUR / 2);
        wait_until("the identity is renewed", || fixture.stored_generation() == 2).await;
        running.stop().await.unwrap();
        assert!(fixture.call_count(method::CONNECTION_UPGRADE) > 2, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_by_challenge_goes_through_a_load_balancer() {
    let join = iam::cluster_with_aws_token().await;
    let balancer = LoadBalancer::start(&join.fixture).await;
    let config = balancer.in_front(join.config("iam", json!({})));
    let variables: Vec<_> = iam::VARIABLES.into_iter().chain([balancer.roots()]).collect();
    join.run(config, &variables).await.unwrap();
    assert_eq!(join.fixture.call_count(method::REGISTER_USING_IAM), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_goes_through_a_load_balancer() {
    // 15.0 knows only the older form of the upgrade.
    for version in ["15.0.0-dev", "19.0.0"] {
        let fixture = TestCluster::with_version(version).await;
        fixture.cluster.add_node(
            "node",
            node(|mut connection| {
                let _ = connection.write_all(b"hello");
            }),
        );
        let balancer = LoadBalancer::start(&fixture).await;
        let config = balancer.in_front(fixture.config("20m", &[fixture.output("out")]));
        let variables = [balancer.roots(), ("TBOT_USE_PROXY_ADDR", "yes")];
        run_oneshot(&fixture.agent_with_env(config, &variables).unwrap()).await.unwrap();
        let ssh_config = fixture.path("out/ssh_config");
        assert!(read(&ssh_config).contains(" --tls-routing --connection-upgrade "), "{version}");
        let finished =
            connect_by(&ssh_config, "node").env("SSL_CERT_FILE", balancer.roots().1).run_blocking();
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("hello", ""), "{version}");
    }
}

/// The agent is connected to the auth server, so it tests the proxy for each of its identities.
#[tokio::test]
async fn an_address_for_ssh_is_used_although_the_test_for_a_load_balancer_fails() {
    let (log, fixture) = (LogCapture::start(), TestCluster::new().await);
    let balancer = LoadBalancer::start(&fixture).await;
    fixture.cluster.name_other_proxy(&balancer.address.to_string());
    let mut config = fixture.config("20m", &[fixture.output("out")]);
    config.as_object_mut().unwrap().remove("proxy_server");
    config["auth_server"] = json!(fixture.cluster.auth_addr().to_string());
    config["onboarding"]["ca_pins"] = json!(fixture.cluster.ca_pins().unwrap());
    let written = |file: &str| std::fs::read_to_string(fixture.path("out").join(file)).unwrap_or_default();

    fixture.cluster.set_tls_routing(false);
    let running = RunningAgent::start(fixture.agent_with_env(config, &[balancer.roots()]).unwrap());
    let is_written = async |flags: &str| {
        wait_until(flags, || written("ssh_config").contains(flags)).await;
    };
    is_written(" --no-tls-routing --no-connection-upgrade ").await;
    let renew = async || {
        fixture.clock.advance(MINUTE);
        // In the first reload, the output may be renewed before the identity.
        for _ in 0..2 {
            let identities = log.count(LogEvent::is_new_identity);
            running.control.reload();
            wait_until("the identity is renewed", || log.count(LogEvent::is_new_identity) > identities).await;
        }
    };

    fixture.cluster.set_tls_routing(true);
    balancer.closes_tests.store(true, Ordering::Relaxed);
    renew().await;
    is_written(" --tls-routing --no-resume ").await;

    balancer.closes_tests.store(false, Ordering::Relaxed);
    renew().await;
    is_written(" --tls-routing --connection-upgrade ").await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_that_passes_no_upgrades_is_found_before_the_join() {
    let fixture = TestCluster::new().await;
    let balancer = LoadBalancer::start(&fixture).await;
    balancer.passes_upgrades.store(false, Ordering::Relaxed);
    let config = balancer.in_front(fixture.config("20m", &[]));
    let agent = fixture.agent_with_env(config, &[balancer.roots()]).unwrap();
    let failures = failed_tests(run_oneshot(&agent).await.unwrap_err());
    let [RenewalError::AuthRoute(AuthRouteError::Connect { cluster, .. })] = &failures[..] else {
        panic!("{failures:?}")
    };
    assert_eq!(cluster, fixture.cluster.name());
    assert_eq!(fixture.call_count(method::JOIN), 0);
    insta::assert_snapshot!(fixture.normalize(&failures[0].hint().unwrap().to_string()));

    // The same agent joins as soon as the load balancer passes upgrades.
    balancer.passes_upgrades.store(true, Ordering::Relaxed);
    run_oneshot(&agent).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_test_for_a_load_balancer_is_made_once_and_again_after_a_failure() {
    let fixture = TestCluster::joined().await;
    let config = fixture.config("20m", &[fixture.output("out")]);
    fixture.run_oneshot(config.clone()).await.unwrap();
    assert_eq!(fixture.cluster.reverse_tunnel_connections(), 2, "once in each of two runs");

    let agent = fixture.agent(config).unwrap();
    fixture.cluster.fail_next(method::GENERATE_USER_CERTS, Code::Unavailable, "try again");
    run_oneshot(&agent).await.unwrap_err();
    assert_eq!(fixture.cluster.reverse_tunnel_connections(), 3, "a refused call is not a failed connection");
    fixture.cluster.set_down(true);
    run_oneshot(&agent).await.unwrap_err();
    fixture.cluster.set_down(false);
    run_oneshot(&agent).await.unwrap();
    assert!(fixture.cluster.reverse_tunnel_connections() <= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_overrides_the_test() {
    let fixture = TestCluster::new().await;
    let balancer = LoadBalancer::start(&fixture).await;
    let config = balancer.in_front(fixture.config("20m", &[]));
    let agent = |value: &str| fixture.agent_with_env(config.clone(), &[balancer.roots(), (VARIABLE, value)]);

    let never = format!("{}=no", balancer.address);
    run_oneshot(&agent(&never).unwrap()).await.unwrap_err();
    assert_eq!(fixture.call_count(method::CONNECTION_UPGRADE), 0);
    run_oneshot(&agent("yes").unwrap()).await.unwrap();
    assert!(fixture.call_count(method::CONNECTION_UPGRADE) > 0);

    let error = agent("sometimes").err().unwrap();
    let AgentError::ConnectionUpgrade(ConnectionUpgradeVariableError::NotBoolean(value)) = error else {
        panic!("{error:?}")
    };
    assert_eq!(value, "sometimes");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upgrade_goes_through_an_http_proxy() {
    let fixture = TestCluster::new().await;
    let balancer = LoadBalancer::start(&fixture).await;
    let (http_proxy, heads) = connect_proxy(balancer.address).await;
    let mut config = fixture.config("20m", &[fixture.output("out")]);
    // Only the HTTP proxy can resolve this name, and the certificate of the load balancer is not for it.
    config["proxy_server"] = json!("teleport.behind.test:443");
    config["insecure"] = json!(true);
    let url = format!("http://{http_proxy}");
    run_oneshot(&fixture.agent_with_env(config, &[("HTTPS_PROXY", &url)]).unwrap()).await.unwrap();
    assert!(fixture.path("out").join("identity").exists());
    let upgrades = fixture.call_count(method::CONNECTION_UPGRADE);
    assert!(upgrades > 0 && heads.lock().unwrap().len() > upgrades);
}

/// A stranger can make the agent use the upgrade, but gets neither the token nor a connection to the cluster.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_without_a_trusted_certificate_gets_nothing() {
    let fixture = TestCluster::new().await;
    let balancer = LoadBalancer::start(&fixture).await;
    let config = balancer.in_front(fixture.config("20m", &[fixture.output("out")]));
    for variables in [&[][..], &[(VARIABLE, "yes")]] {
        run_oneshot(&fixture.agent_with_env(config.clone(), variables).unwrap()).await.unwrap_err();
    }
    assert_eq!(fixture.cluster.requests().len(), 0);
}
