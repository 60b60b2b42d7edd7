//! Outputs for workloads: what is written verifies as those verify who are shown it, follows its authority, and what a server
//! says wrongly is written nowhere.

mod bundles;
mod tokens;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};
use tbot::agent::{AgentError, OutputError, SvidError, WorkloadIdentityError};
use tbot_cluster::{Code, Forgery, Phase, Role, WorkloadIdentity, method};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::lab::{Lab, listen, read, until};
use super::outputs::kinds;

/// A version that knows of workload identities.
const VERSION: &str = "18.2.5";
const ID: &str = "spiffe://dev.test/svc/web";

/// A lab with a workload identity.
async fn lab() -> Lab {
    let lab = Lab::of_version(VERSION).await;
    lab.cluster.set_workload_identity(web());
    lab
}

fn web() -> WorkloadIdentity {
    WorkloadIdentity::new("web", "/svc/web").with_label("env", "prod")
}

/// An output of certificates to the folder `out`.
fn x509(lab: &Lab, selector: &Value) -> Value {
    json!({
        "type": "workload-identity-x509",
        "selector": selector,
        "destination": { "type": "directory", "path": lab.path("out") },
    })
}

fn by_name() -> Value {
    json!({ "name": "web" })
}

/// Why the one output cannot be written.
async fn refused(lab: &Lab, output: Value) -> OutputError {
    match lab.run_once(lab.config("20m", &[output])).await.unwrap_err() {
        AgentError::Outputs(mut failures) => failures.remove(0).error,
        other => panic!("{other}"),
    }
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap()
}

/// Whether the certificate in `folder` leads to one of `roots`, by what a TLS server asks of a client.
fn verifies(lab: &Lab, folder: &Path, roots: &str) -> bool {
    let mut store = RootCertStore::empty();
    for root in certificates(roots) {
        store.add(root).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider).build().unwrap();
    let chain = certificates(&read(&folder.join("svid.pem")));
    let now = UnixTime::since_unix_epoch(lab.clock.now().duration_since(std::time::UNIX_EPOCH).unwrap());
    verifier.verify_client_cert(&chain[0], &chain[1..], now).is_ok()
}

/// What the leaf says: its only URI, and how long it lives from now on.
fn leaf(lab: &Lab, folder: &Path) -> (String, Duration) {
    let chain = certificates(&read(&folder.join("svid.pem")));
    let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    let key = PrivateKeyDer::from_pem_slice(read(&folder.join("svid_key.pem")).as_bytes()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    assert_eq!(&*key.public_key().unwrap(), leaf.public_key().raw, "the key is the certificate's");
    let names = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.clone();
    let [GeneralName::URI(id)] = names.as_slice() else { panic!("{names:?}") };
    let ends = Duration::from_secs(leaf.validity().not_after.timestamp().try_into().unwrap());
    let now = lab.clock.now().duration_since(std::time::UNIX_EPOCH).unwrap();
    ((*id).to_owned(), ends - now)
}

/// Whether a duration is about an hour: tests take their time.
fn is_about(expected: Duration, found: Duration) -> bool {
    found <= expected && found > expected - Duration::from_secs(60)
}

const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_verifies_against_the_bundle_beside_it() {
    for selector in [by_name(), json!({ "labels": { "env": ["dev", "prod"] } })] {
        let lab = lab().await;
        lab.run_once(lab.config("20m", &[x509(&lab, &selector)])).await.unwrap();
        let out = lab.path("out");
        let expected = json!({
            "svid.pem": ["CERTIFICATE"],
            "svid_bundle.pem": ["CERTIFICATE"],
            "svid_key.pem": ["PRIVATE KEY"],
        });
        assert_eq!(json!(kinds(&out)), expected);
        assert!(read(&out.join("svid_key.pem")).starts_with("-----BEGIN PRIVATE KEY-----\n"), "PKCS#8");
        let bundle = read(&out.join("svid_bundle.pem"));
        assert_eq!(certificates(&bundle), certificates(&lab.cluster.authority_pem("spiffe")));
        assert!(verifies(&lab, &out, &bundle));
        assert!(!verifies(&lab, &out, &lab.cluster.authority_pem("user")), "whoever verifies, verifies");
        let (id, life) = leaf(&lab, &out);
        assert_eq!(id, ID);
        assert!(is_about(HOUR, life), "{life:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_has_its_own_lifetime() {
    let lab = lab().await;
    let mut output = x509(&lab, &by_name());
    output["credential_ttl"] = json!("3h");
    output["renewal_interval"] = json!("1h");
    lab.run_once(lab.config("20m", &[output])).await.unwrap();
    let (_, life) = leaf(&lab, &lab.path("out"));
    assert!(is_about(3 * HOUR, life), "{life:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_renews_and_the_set_fits_at_any_moment() {
    let lab = lab().await;
    let running = lab.start(lab.config("200ms", &[x509(&lab, &by_name())]));
    let out = lab.path("out");
    until("the output is written", || out.join("svid.pem").exists()).await;
    let mut seen = std::collections::BTreeSet::new();
    until("three certificates have been there", || {
        // Whoever resolves the set once sees one generation; one that is gone means that a new one has come.
        let generation = out.join(std::fs::read_link(out.join("..data")).unwrap());
        if let (Ok(certificate), Ok(key)) = (
            std::fs::read_to_string(generation.join("svid.pem")),
            std::fs::read_to_string(generation.join("svid_key.pem")),
        ) {
            let chain = certificates(&certificate);
            let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
            assert_eq!(&*key.public_key().unwrap(), leaf.public_key().raw);
            seen.insert(certificate);
        }
        seen.len() >= 3
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_rotation_of_the_workloads_authority_is_followed_from_its_announcement_on() {
    let (log, _listening) = listen();
    let lab = lab().await;
    let running = lab.start(lab.config("30m", &[x509(&lab, &by_name())]));
    let out = lab.path("out");
    let looked_at = || log.text().matches("an authority of the cluster was looked at").count();
    until("the agent watches", || out.join("svid.pem").exists() && looked_at() == 4).await;
    let first = read(&out.join("svid_bundle.pem"));
    let mut before = read(&out.join("svid.pem"));
    let mut keys = vec![read(&out.join("svid_key.pem"))];
    for (phase, trusted) in [(Phase::Init, 2), (Phase::UpdateClients, 2), (Phase::Standby, 1)] {
        if phase == Phase::Standby {
            lab.cluster.rotate("spiffe", Phase::UpdateServers).unwrap();
        }
        lab.cluster.rotate("spiffe", phase).unwrap();
        let followed = || {
            let bundle = read(&out.join("svid_bundle.pem"));
            read(&out.join("svid.pem")) != before
                && certificates(&bundle).len() == trusted
                && certificates(&bundle) == certificates(&lab.cluster.authority_pem("spiffe"))
        };
        until("the agent follows", || {
            lab.clock.advance(Duration::from_millis(100));
            followed()
        })
        .await;
        before = read(&out.join("svid.pem"));
        keys.push(read(&out.join("svid_key.pem")));
        assert!(verifies(&lab, &out, &read(&out.join("svid_bundle.pem"))), "{phase:?}");
        // Those who have not heard of the new key yet are shown nothing of it.
        assert_eq!(verifies(&lab, &out, &first), phase == Phase::Init, "{phase:?}");
    }
    running.stop().await.unwrap();
    for key in keys {
        let body = key.lines().nth(1).unwrap();
        assert!(!log.text().contains(body), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_without_workloads_do_not_ask_about_their_authority() {
    let lab = lab().await;
    let running = lab.start(lab.config("30m", &[lab.output("out")]));
    until("the agent watches", || lab.calls(method::WATCH_EVENTS) == 1).await;
    running.stop().await.unwrap();
    let asked = lab.cluster.requests().into_iter().filter(|call| call.method != method::GENERATE_USER_CERTS);
    assert!(asked.into_iter().all(|call| !call.summary.contains("spiffe")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_not_one_is_said_by_name() {
    let lab = lab().await;
    let unknown = refused(&lab, x509(&lab, &json!({ "name": "nope" }))).await;
    assert!(
        matches!(&unknown, OutputError::WorkloadIdentity(WorkloadIdentityError::NotFound(name)) if name == "nope")
    );

    lab.cluster.set_workload_identity(WorkloadIdentity::new("api", "/svc/api").with_label("env", "prod"));
    let several = refused(&lab, x509(&lab, &json!({ "labels": { "env": ["prod"] } }))).await.to_string();
    assert!(
        several.ends_with(&format!("select one of api:spiffe://dev.test/svc/api, web:{ID}")),
        "{several}"
    );

    let none = refused(&lab, x509(&lab, &json!({ "labels": { "env": ["test"] } }))).await;
    assert!(matches!(none, OutputError::WorkloadIdentity(WorkloadIdentityError::NoneSelected)), "{none}");

    for role in ["access", "deploy"] {
        lab.cluster.set_role(Role { workload_identities: false, ..Role::new(role) });
    }
    let denied = refused(&lab, x509(&lab, &by_name())).await.to_string();
    assert!(denied.contains("needs the rule `workload_identity: [list, read]`"), "{denied}");
    assert!(!lab.path("out").join("svid.pem").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_cluster_is_named_and_the_other_outputs_are_written() {
    let lab = Lab::new().await;
    let outputs = [x509(&lab, &by_name()), lab.output("other")];
    let refused = lab.run_once(lab.config("20m", &outputs)).await.unwrap_err().to_string();
    assert!(refused.contains("output workload-identity-x509-1: this cluster (Teleport 15)"), "{refused}");
    assert!(refused.contains("17.2.7 or newer"), "{refused}");
    assert!(lab.path("other").join("identity").exists() && !lab.path("out").join("svid.pem").exists());

    // A running agent goes on with the others.
    let running = lab.start(lab.config("200ms", &outputs));
    let key = lab.path("other").join("key");
    let before = read(&key);
    until("the other one is renewed", || read(&key) != before).await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_says_wrongly_leaves_the_old_set_in_place() {
    let lab = lab().await;
    let output = x509(&lab, &by_name());
    lab.run_once(lab.config("20m", std::slice::from_ref(&output))).await.unwrap();
    let out = lab.path("out");
    let set = || ["svid.pem", "svid_key.pem", "svid_bundle.pem"].map(|name| read(&out.join(name)));
    let whole = set();
    for forgery in [Forgery::ForAnother, Forgery::OtherId, Forgery::Ended, Forgery::Garbage] {
        lab.cluster.set_workload_identity(web().forged(forgery));
        let refused = refused(&lab, output.clone()).await;
        let expected = match forgery {
            Forgery::ForAnother => matches!(refused, OutputError::Svid(SvidError::OtherKey)),
            Forgery::OtherId => matches!(refused, OutputError::Svid(SvidError::OtherId)),
            Forgery::Ended => matches!(refused, OutputError::Svid(SvidError::Expired)),
            Forgery::Garbage => matches!(refused, OutputError::Svid(SvidError::X509(_))),
        };
        assert!(expected, "{forgery:?}: {refused}");
        assert_eq!(set(), whole, "{forgery:?}");
    }
    lab.cluster.set_workload_identity(web());
    lab.cluster.fail_next(method::GET_CERT_AUTHORITY, Code::Unknown, "backend is away");
    assert!(matches!(refused(&lab, output).await, OutputError::Api(_)), "a bundle is never left out");
    assert_eq!(set(), whole);
}
