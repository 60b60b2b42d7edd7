//! Workload identity outputs: certificates and tokens that verify, follow rotations of their authority, and are not written
//! if the server issues something other than what was requested.

mod bundles;
mod jwt;
mod revocations;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};
use tbot::agent::{
    AgentError, ApiError, GrpcCode, OutputError, SvidError, WorkloadIdentityError, error_line,
};
use tbot_cluster::{Code, Forgery, Phase, Role, WorkloadIdentity, method};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::errors::output_error;
use super::fixture::{HOUR, MINUTE, TestCluster, read, wait_until};
use super::log_capture::{LogCapture, LogEvent};
use super::outline::outlines;

/// A version of Teleport that has workload identities.
const VERSION: &str = "18.2.5";
const SPIFFE_ID: &str = "spiffe://dev.test/svc/web";
/// The certificate authorities that an agent with a workload identity output watches.
const WATCHED_AUTHORITIES: usize = 4;

/// Returns a cluster with the workload identity `web`.
async fn cluster_with_workload_identity() -> TestCluster {
    let fixture = TestCluster::with_version(VERSION).await;
    fixture.cluster.set_workload_identity(web());
    fixture
}

fn web() -> WorkloadIdentity {
    WorkloadIdentity::new("web", "/svc/web").with_label("env", "prod")
}

fn by_name() -> Value {
    json!({ "name": "web" })
}

/// Returns an output of X.509 SVIDs to the directory `out`.
fn x509_output(fixture: &TestCluster, selector: &Value) -> Value {
    json!({
        "type": "workload-identity-x509",
        "selector": selector,
        "destination": { "type": "directory", "path": fixture.path("out") },
    })
}

/// Runs the agent with one output and returns why the output cannot be written.
async fn write_error(fixture: &TestCluster, output: Value) -> OutputError {
    output_error(fixture.run_oneshot(fixture.config("20m", &[output])).await.unwrap_err())
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap()
}

/// The time since the epoch by the cluster's clock.
fn since_epoch(fixture: &TestCluster) -> Duration {
    fixture.clock.now().duration_since(UNIX_EPOCH).unwrap()
}

/// Whether a TLS server that trusts `roots` accepts the certificate in `directory` from a client.
fn verifies(fixture: &TestCluster, directory: &Path, roots: &str) -> bool {
    let mut store = RootCertStore::empty();
    for root in certificates(roots) {
        store.add(root).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider).build().unwrap();
    let chain = certificates(&read(&directory.join("svid.pem")));
    let now = UnixTime::since_unix_epoch(since_epoch(fixture));
    verifier.verify_client_cert(&chain[0], &chain[1..], now).is_ok()
}

/// Fails the test unless the first certificate is for the key.
fn assert_key_matches(certificate_pem: &str, key_pem: &str) {
    let chain = certificates(certificate_pem);
    let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    assert_eq!(&*key.public_key().unwrap(), leaf.public_key().raw);
}

/// The SPIFFE ID of the certificate in `directory`, and the time until it expires.
fn id_and_remaining_time(fixture: &TestCluster, directory: &Path) -> (String, Duration) {
    let certificate = read(&directory.join("svid.pem"));
    assert_key_matches(&certificate, &read(&directory.join("svid_key.pem")));
    let chain = certificates(&certificate);
    let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.clone();
    let [GeneralName::URI(id)] = names.as_slice() else { panic!("{names:?}") };
    let expires = Duration::from_secs(leaf.validity().not_after.timestamp().try_into().unwrap());
    ((*id).to_owned(), expires - since_epoch(fixture))
}

/// Whether a remaining time is at most a minute less than `lifetime`, since the test itself takes time.
fn is_nearly(lifetime: Duration, remaining: Duration) -> bool {
    remaining <= lifetime && remaining > lifetime - MINUTE
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_verifies_against_the_bundle_next_to_it() {
    for selector in [by_name(), json!({ "labels": { "env": ["dev", "prod"] } })] {
        let fixture = cluster_with_workload_identity().await;
        fixture.run_oneshot(fixture.config("20m", &[x509_output(&fixture, &selector)])).await.unwrap();
        let out = fixture.path("out");
        let expected = json!({
            "svid.pem": ["CERTIFICATE"],
            "svid_bundle.pem": ["CERTIFICATE"],
            "svid_key.pem": ["PRIVATE KEY"],
        });
        assert_eq!(json!(outlines(&out)), expected);
        assert!(read(&out.join("svid_key.pem")).starts_with("-----BEGIN PRIVATE KEY-----\n"), "PKCS#8");
        let bundle = read(&out.join("svid_bundle.pem"));
        assert_eq!(certificates(&bundle), certificates(&fixture.cluster.authority_pem("spiffe")));
        assert!(verifies(&fixture, &out, &bundle));
        assert!(
            !verifies(&fixture, &out, &fixture.cluster.authority_pem("user")),
            "another authority must not verify it"
        );
        let (id, remaining) = id_and_remaining_time(&fixture, &out);
        assert_eq!(id, SPIFFE_ID);
        assert!(is_nearly(HOUR, remaining), "{remaining:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_may_set_its_lifetime() {
    let fixture = cluster_with_workload_identity().await;
    let mut output = x509_output(&fixture, &by_name());
    output["credential_ttl"] = json!("3h");
    output["renewal_interval"] = json!("1h");
    fixture.run_oneshot(fixture.config("20m", &[output])).await.unwrap();
    let (_, remaining) = id_and_remaining_time(&fixture, &fixture.path("out"));
    assert!(is_nearly(3 * HOUR, remaining), "{remaining:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_and_key_match_at_any_moment_while_the_agent_renews() {
    let fixture = cluster_with_workload_identity().await;
    let running = fixture.start(fixture.config("200ms", &[x509_output(&fixture, &by_name())]));
    let out = fixture.path("out");
    wait_until("the output is written", || out.join("svid.pem").exists()).await;
    let mut seen = BTreeSet::new();
    wait_until("three certificates were seen", || {
        // Resolving the link once yields one generation. If its files are gone, it has been replaced meanwhile.
        let generation = out.join(std::fs::read_link(out.join("..data")).unwrap());
        if let (Ok(certificate), Ok(key)) = (
            std::fs::read_to_string(generation.join("svid.pem")),
            std::fs::read_to_string(generation.join("svid_key.pem")),
        ) {
            assert_key_matches(&certificate, &key);
            seen.insert(certificate);
        }
        seen.len() >= 3
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn every_phase_of_a_rotation_that_changes_the_trusted_keys_is_followed() {
    let log = LogCapture::start();
    let fixture = cluster_with_workload_identity().await;
    let running = fixture.start(fixture.config("30m", &[x509_output(&fixture, &by_name())]));
    let out = fixture.path("out");
    let states_seen = || log.count(LogEvent::is_authority_state);
    wait_until("the agent watches", || out.join("svid.pem").exists() && states_seen() == WATCHED_AUTHORITIES)
        .await;
    let first = read(&out.join("svid_bundle.pem"));
    let mut before = read(&out.join("svid.pem"));
    let mut keys = vec![read(&out.join("svid_key.pem"))];
    for (phase, trusted) in [(Phase::Init, 2), (Phase::UpdateClients, 2), (Phase::Standby, 1)] {
        if phase == Phase::Standby {
            fixture.cluster.rotate("spiffe", Phase::UpdateServers).unwrap();
        }
        fixture.cluster.rotate("spiffe", phase).unwrap();
        let is_up_to_date = || {
            let bundle = read(&out.join("svid_bundle.pem"));
            read(&out.join("svid.pem")) != before
                && certificates(&bundle).len() == trusted
                && certificates(&bundle) == certificates(&fixture.cluster.authority_pem("spiffe"))
        };
        wait_until("the agent follows", || {
            fixture.clock.advance(Duration::from_millis(100));
            is_up_to_date()
        })
        .await;
        before = read(&out.join("svid.pem"));
        keys.push(read(&out.join("svid_key.pem")));
        assert!(verifies(&fixture, &out, &read(&out.join("svid_bundle.pem"))), "{phase:?}");
        // The new key must not sign before verifiers have had time to learn about it.
        assert_eq!(verifies(&fixture, &out, &first), phase == Phase::Init, "{phase:?}");
    }
    running.stop().await.unwrap();
    for key in keys {
        let body = key.lines().nth(1).unwrap();
        assert!(!log.text().contains(body), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_workload_identities_does_not_request_their_authority() {
    let fixture = cluster_with_workload_identity().await;
    let running = fixture.start(fixture.config("30m", &[fixture.output("out")]));
    wait_until("the agent watches", || fixture.call_count(method::WATCH_EVENTS) == 1).await;
    running.stop().await.unwrap();
    let mut calls = fixture.cluster.requests();
    calls.retain(|call| call.method != method::GENERATE_USER_CERTS);
    assert!(calls.iter().all(|call| !call.summary.contains("spiffe")), "{calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selector_must_match_exactly_one_workload_identity() {
    let fixture = cluster_with_workload_identity().await;
    let other = WorkloadIdentity::new("api", "/svc/api").with_label("env", "prod");
    fixture.cluster.set_workload_identity(other);
    let several = ["api:spiffe://dev.test/svc/api".to_owned(), format!("web:{SPIFFE_ID}")];
    for (selector, expected) in [
        (json!({ "name": "nope" }), WorkloadIdentityError::NotFound("nope".to_owned())),
        (
            json!({ "labels": { "env": ["prod"] } }),
            WorkloadIdentityError::Ambiguous(several.iter().collect()),
        ),
        (json!({ "labels": { "env": ["test"] } }), WorkloadIdentityError::NoneSelected),
    ] {
        let error = write_error(&fixture, x509_output(&fixture, &selector)).await;
        assert!(matches!(&error, OutputError::WorkloadIdentity(error) if *error == expected), "{error:?}");
    }
    assert!(!fixture.path("out").join("svid.pem").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_reported_with_the_rule_that_grants_it() {
    let fixture = cluster_with_workload_identity().await;
    for role in ["access", "deploy"] {
        fixture.cluster.set_role(Role { allow_workload_identities: false, ..Role::new(role) });
    }
    let error = write_error(&fixture, x509_output(&fixture, &by_name())).await;
    let OutputError::Api(ApiError::Refused { code, .. }) = &error else { panic!("{error:?}") };
    assert_eq!(*code, GrpcCode::PermissionDenied);
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()));
    assert!(!fixture.path("out").join("svid.pem").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_workload_identities_fails_only_the_outputs_that_need_them() {
    let fixture = TestCluster::new().await;
    let outputs = [x509_output(&fixture, &by_name()), fixture.output("other")];
    let error = fixture.run_oneshot(fixture.config("20m", &outputs)).await.unwrap_err();
    let AgentError::Outputs(failures) = &error else { panic!("{error:?}") };
    let [failure] = &failures[..] else { panic!("{failures:?}") };
    assert_eq!(failure.name, "workload-identity-x509-1");
    let expected = WorkloadIdentityError::NotServed(15);
    assert!(
        matches!(&failure.error, OutputError::WorkloadIdentity(error) if *error == expected),
        "{error:?}"
    );
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()));
    let [other, out] = ["other", "out"].map(|name| fixture.path(name));
    assert!(other.join("identity").exists() && !out.join("svid.pem").exists());

    // A running agent keeps the others fresh.
    let running = fixture.start(fixture.config("200ms", &outputs));
    let key = other.join("key");
    let before = read(&key);
    wait_until("the other output is renewed", || read(&key) != before).await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_certificates_are_not_written_and_the_old_set_stays() {
    let fixture = cluster_with_workload_identity().await;
    let output = x509_output(&fixture, &by_name());
    fixture.run_oneshot(fixture.config("20m", std::slice::from_ref(&output))).await.unwrap();
    let out = fixture.path("out");
    let set = || ["svid.pem", "svid_key.pem", "svid_bundle.pem"].map(|name| read(&out.join(name)));
    let written = set();
    for forgery in [Forgery::WrongRecipient, Forgery::WrongSpiffeId, Forgery::Expired, Forgery::Garbage] {
        fixture.cluster.set_workload_identity(web().with_forgery(forgery));
        let error = write_error(&fixture, output.clone()).await;
        let is_expected = match forgery {
            Forgery::WrongRecipient => matches!(error, OutputError::Svid(SvidError::OtherKey)),
            Forgery::WrongSpiffeId => matches!(error, OutputError::Svid(SvidError::OtherId)),
            Forgery::Expired => matches!(error, OutputError::Svid(SvidError::Expired)),
            Forgery::Garbage => matches!(error, OutputError::Svid(SvidError::X509(_))),
        };
        assert!(is_expected, "{forgery:?}: {error:?}");
        assert_eq!(set(), written, "{forgery:?}");
    }
    fixture.cluster.set_workload_identity(web());
    fixture.cluster.fail_next(method::GET_CERT_AUTHORITY, Code::Unknown, "backend unavailable");
    let error = write_error(&fixture, output).await;
    assert!(
        matches!(error, OutputError::Api(_)),
        "a certificate without its bundle is not written: {error:?}"
    );
    assert_eq!(set(), written);
}
