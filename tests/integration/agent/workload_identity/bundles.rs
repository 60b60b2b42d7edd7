//! Trust bundles: federated trust domains, the clients of applications, and a certificate issued under another root.

use serde_json::json;
use tbot::agent::{ApiError, GrpcCode, ListProblem, OutputError};
use tbot_cluster::{Code, Phase, method};
use tracing::Level;

use super::super::fixture::{TestCluster, read};
use super::super::log_capture::LogCapture;
use super::{
    VERSION, by_name, certificates, cluster_with_workload_identity, verifies, web, write_error, x509_output,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_under_another_root_comes_with_its_chain() {
    let fixture = cluster_with_workload_identity().await;
    let root = fixture.cluster.override_spiffe_issuer().unwrap();
    fixture.run_oneshot(fixture.config("20m", &[x509_output(&fixture, &by_name())])).await.unwrap();
    let out = fixture.path("out");
    assert_eq!(certificates(&read(&out.join("svid.pem"))).len(), 2, "the leaf and its issuer");
    assert!(verifies(&fixture, &out, &root));
    let bundle = certificates(&read(&out.join("svid_bundle.pem")));
    assert_eq!(bundle, certificates(&fixture.cluster.authority_pem("spiffe")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bundle_includes_federated_trust_domains_only_if_configured() {
    let fixture = cluster_with_workload_identity().await;
    let other = TestCluster::with_version(VERSION).await;
    other.cluster.rotate("spiffe", Phase::Init).unwrap();
    // Two pages of trust domains. The cluster has the bundle of only one of them, and one is unusable.
    for number in 0..120 {
        fixture.cluster.federate(&format!("d{number}.test"), None);
    }
    fixture.cluster.federate("other.test", Some(other.cluster.spiffe_bundle().unwrap()));
    fixture.cluster.federate("broken.test", Some("{\"keys\":[{\"use\":\"x509-svid\"}]}".to_owned()));
    let mut output = x509_output(&fixture, &by_name());
    fixture.run_oneshot(fixture.config("20m", std::slice::from_ref(&output))).await.unwrap();
    let bundle = || certificates(&read(&fixture.path("out").join("svid_bundle.pem")));
    let own = certificates(&fixture.cluster.authority_pem("spiffe"));
    assert_eq!(bundle(), own);
    assert_eq!(fixture.call_count(method::LIST_SPIFFE_FEDERATIONS), 0);

    output["include_federated_trust_bundles"] = json!(true);
    fixture.run_oneshot(fixture.config("20m", std::slice::from_ref(&output))).await.unwrap();
    let federated = certificates(&other.cluster.authority_pem("spiffe"));
    assert_eq!(federated.len(), 2);
    let complete = [own, federated].concat();
    assert_eq!(bundle(), complete);
    assert_eq!(fixture.call_count(method::LIST_SPIFFE_FEDERATIONS), 2);

    fixture.cluster.fail_next(method::LIST_SPIFFE_FEDERATIONS, Code::Unknown, "backend unavailable");
    let error = write_error(&fixture, output).await;
    assert!(matches!(error, OutputError::Api(ApiError::Failed { code: GrpcCode::Unknown, .. })), "{error:?}");
    assert_eq!(bundle(), complete);
}

#[tokio::test]
async fn an_unusable_federated_bundle_is_omitted_with_a_warning() {
    let log = LogCapture::start();
    let fixture = cluster_with_workload_identity().await;
    fixture.cluster.federate("broken.test", Some("hunter2".to_owned()));
    let mut output = x509_output(&fixture, &by_name());
    output["include_federated_trust_bundles"] = json!(true);
    fixture.run_oneshot(fixture.config("20m", &[output])).await.unwrap();
    let [warning] = &log.events(|event| event.level == Level::WARN)[..] else {
        panic!("{}", log.transcript())
    };
    assert!(warning.message.contains("\"broken.test\""), "{warning:?}");
    assert!(!log.text().contains("hunter2"), "{}", log.transcript());
}

/// The type of authority `app_client` exists from version 19 on. Older clusters cause one warning.
#[tokio::test]
async fn the_bundle_includes_the_clients_of_applications_if_the_cluster_has_them() {
    for (version, is_known) in [(VERSION, false), ("19.0.0", true)] {
        let log = LogCapture::start();
        let fixture = TestCluster::with_version(version).await;
        fixture.cluster.set_workload_identity(web());
        let mut output = x509_output(&fixture, &by_name());
        output["trust_domains"] = json!(["app_client", "app_client"]);
        fixture.run_oneshot(fixture.config("20m", &[output])).await.unwrap();
        let mut expected = certificates(&fixture.cluster.authority_pem("spiffe"));
        if is_known {
            expected.extend(certificates(&fixture.cluster.authority_pem("app_client")));
        }
        assert_eq!(certificates(&read(&fixture.path("out").join("svid_bundle.pem"))), expected);
        let warnings = log.events(|event| event.level == Level::WARN);
        assert_eq!(warnings.len(), usize::from(!is_known), "{}", log.transcript());
        assert!(
            warnings.iter().all(|warning| warning.message.contains("app_client")),
            "{}",
            log.transcript()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_list_of_federations_is_abandoned_after_1000_pages() {
    let fixture = cluster_with_workload_identity().await;
    fixture.cluster.federate("other.test", None);
    fixture.cluster.make_lists_endless();
    let mut output = x509_output(&fixture, &by_name());
    output["include_federated_trust_bundles"] = json!(true);
    let error = write_error(&fixture, output).await;
    assert!(
        matches!(error, OutputError::Api(ApiError::List { problem: ListProblem::Pages(1000), .. })),
        "{error:?}"
    );
    assert_eq!(fixture.call_count(method::LIST_SPIFFE_FEDERATIONS), 1000);
}
