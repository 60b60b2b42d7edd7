//! The list of revoked X.509 SVIDs: written next to the certificate, updated when it changes, and never required.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use serde_json::json;
use tbot_cluster::{Code, method};
use tracing::Level;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::super::fixture::{SECOND, TestCluster, read, wait_until};
use super::super::log_capture::LogCapture;
use super::super::outline::file_names;
use super::{by_name, certificates, cluster_with_workload_identity, since_epoch, web, x509_output};

/// The last version without the list.
const VERSION_WITHOUT_LIST: &str = "17.4.9";

/// Revokes the certificate in a PEM string.
fn revoke(fixture: &TestCluster, certificate: &str) {
    let chain = certificates(certificate);
    let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    fixture.cluster.revoke_x509_svid(leaf.raw_serial()).unwrap();
}

/// Whether a TLS server that uses the bundle and the list in `directory` accepts a certificate from a client.
fn accepts(fixture: &TestCluster, directory: &Path, certificate: &str) -> bool {
    let mut roots = RootCertStore::empty();
    for root in certificates(&read(&directory.join("svid_bundle.pem"))) {
        roots.add(root).unwrap();
    }
    let list = read(&directory.join("svid_crl.pem"));
    let list = CertificateRevocationListDer::from_pem_slice(list.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = builder.with_crls([list]).build().unwrap();
    let leaf = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let now = UnixTime::since_unix_epoch(since_epoch(fixture));
    verifier.verify_client_cert(&leaf, &[], now).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_refuses_a_certificate_in_the_list() {
    let fixture = cluster_with_workload_identity().await;
    let output = x509_output(&fixture, &by_name());
    let out = fixture.path("out");
    fixture.run_oneshot(fixture.config("20m", std::slice::from_ref(&output))).await.unwrap();
    let revoked = read(&out.join("svid.pem"));
    revoke(&fixture, &revoked);
    fixture.run_oneshot(fixture.config("20m", &[output])).await.unwrap();
    assert!(!accepts(&fixture, &out, &revoked));
    assert!(accepts(&fixture, &out, &read(&out.join("svid.pem"))));
}

/// A list that another agent has left is removed, because nobody would update it.
#[tokio::test]
async fn without_a_list_there_is_no_file() {
    for (version, is_served) in [(VERSION_WITHOUT_LIST, false), ("17.5.0", true)] {
        let log = LogCapture::start();
        let fixture = TestCluster::with_version(version).await;
        fixture.cluster.set_workload_identity(web());
        let out = fixture.path("out");
        std::fs::create_dir(&out).unwrap();
        std::fs::write(out.join("svid_crl.pem"), "outdated").unwrap();
        fixture.run_oneshot(fixture.config("20m", &[x509_output(&fixture, &by_name())])).await.unwrap();
        assert_eq!(file_names(&out), ["svid.pem", "svid_bundle.pem", "svid_key.pem"], "{version}");
        let mentions = log.events(|event| event.message.contains("svid_crl.pem"));
        let levels: Vec<_> = mentions.iter().map(|event| event.level).collect();
        assert_eq!(levels, if is_served { vec![] } else { vec![Level::INFO] }, "{}", log.transcript());
    }
}

#[tokio::test]
async fn a_list_that_is_not_available_does_not_prevent_a_renewal_and_the_old_one_stays() {
    let fixture = cluster_with_workload_identity().await;
    let output = x509_output(&fixture, &by_name());
    let out = fixture.path("out");
    fixture.cluster.revoke_x509_svid(&[1]).unwrap();
    fixture.run_oneshot(fixture.config("20m", std::slice::from_ref(&output))).await.unwrap();
    let [certificate, list] = ["svid.pem", "svid_crl.pem"].map(|name| read(&out.join(name)));
    fixture.cluster.revoke_x509_svid(&[2]).unwrap();
    let log = LogCapture::start();
    fixture.cluster.fail_next(method::STREAM_SIGNED_CRL, Code::PermissionDenied, "access denied");
    fixture.run_oneshot(fixture.config("20m", std::slice::from_ref(&output))).await.unwrap();
    assert_ne!(read(&out.join("svid.pem")), certificate);
    assert_eq!(read(&out.join("svid_crl.pem")), list);
    assert_eq!(log.count_level(Level::WARN), 1, "{}", log.transcript());
    fixture.run_oneshot(fixture.config("20m", &[output])).await.unwrap();
    assert_ne!(read(&out.join("svid_crl.pem")), list);
}

/// Starts an agent whose output is not due for half an hour, and waits until it follows revocations.
async fn start_following(fixture: &TestCluster) -> super::super::fixture::RunningAgent {
    let running = fixture.start(fixture.config("30m", &[x509_output(fixture, &by_name())]));
    wait_until("the output is written", || fixture.path("out").join("svid.pem").exists()).await;
    running
}

/// Revokes the written certificate, and waits until the output is written with the new list and a certificate that is not
/// in it.
async fn expect_followed(fixture: &TestCluster) {
    let out = fixture.path("out");
    let revoked = read(&out.join("svid.pem"));
    revoke(fixture, &revoked);
    expect_refused(fixture, &revoked).await;
}

async fn expect_refused(fixture: &TestCluster, revoked: &str) {
    let out = fixture.path("out");
    wait_until("the agent follows", || {
        fixture.clock.advance(Duration::from_millis(100));
        out.join("svid_crl.pem").exists() && !accepts(fixture, &out, revoked)
    })
    .await;
    assert!(accepts(fixture, &out, &read(&out.join("svid.pem"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_writes_the_list_soon_after_a_revocation() {
    let fixture = cluster_with_workload_identity().await;
    let running = start_following(&fixture).await;
    for _ in 0..2 {
        expect_followed(&fixture).await;
    }
    running.stop().await.unwrap();
    assert_eq!(fixture.call_count(method::STREAM_SIGNED_CRL), 1);
    assert_eq!(fixture.call_count(method::ISSUE_WORKLOAD_IDENTITY), 3, "one certificate for each list");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_while_the_stream_is_interrupted_is_noticed_afterwards() {
    let fixture = cluster_with_workload_identity().await;
    let running = start_following(&fixture).await;
    let revoked = read(&fixture.path("out").join("svid.pem"));
    let hold = fixture.cluster.hold_next(method::STREAM_SIGNED_CRL);
    fixture.cluster.end_revocation_streams();
    fixture.clock.advance(SECOND);
    revoke(&fixture, &revoked);
    hold.release();
    expect_refused(&fixture, &revoked).await;
    running.stop().await.unwrap();
    assert_eq!(fixture.call_count(method::STREAM_SIGNED_CRL), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_outputs_of_x509_svids_request_the_list() {
    let fixture = cluster_with_workload_identity().await;
    let jwt = json!({
        "type": "workload-identity-jwt",
        "selector": by_name(),
        "audiences": ["a"],
        "destination": { "type": "directory", "path": fixture.path("token") },
    });
    fixture.run_oneshot(fixture.config("20m", &[jwt, fixture.output("other")])).await.unwrap();
    assert_eq!(fixture.call_count(method::STREAM_SIGNED_CRL), 0);
}
