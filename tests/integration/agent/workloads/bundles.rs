//! Bundles: whom else a workload trusts, and what leads to somebody else's root.

use serde_json::json;
use tbot_cluster::{Code, Phase, method};

use super::super::lab::{Lab, listen, read};
use super::{VERSION, by_name, certificates, lab, refused, verifies, web, x509};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_somebody_elses_root_comes_with_its_chain() {
    let lab = lab().await;
    let root = lab.cluster.override_spiffe_issuer().unwrap();
    lab.run_once(lab.config("20m", &[x509(&lab, &by_name())])).await.unwrap();
    let out = lab.path("out");
    assert_eq!(certificates(&read(&out.join("svid.pem"))).len(), 2, "the leaf and the issuer");
    assert!(verifies(&lab, &out, &root));
    let bundle = certificates(&read(&out.join("svid_bundle.pem")));
    assert_eq!(
        bundle,
        certificates(&lab.cluster.authority_pem("spiffe")),
        "the bundle is the cluster's all the same"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bundle_holds_those_of_other_trust_domains_where_that_is_wanted() {
    let (lab, other) = (lab().await, Lab::of_version(VERSION).await);
    other.cluster.rotate("spiffe", Phase::Init).unwrap();
    // More than a page of those that the cluster has no bundle of yet, and one that it has.
    for number in 0..120 {
        lab.cluster.federate(&format!("d{number}.test"), None);
    }
    lab.cluster.federate("other.test", Some(other.cluster.spiffe_bundle().unwrap()));
    lab.cluster.federate("broken.test", Some("{\"keys\":[{\"use\":\"x509-svid\"}]}".to_owned()));
    let mut output = x509(&lab, &by_name());
    lab.run_once(lab.config("20m", std::slice::from_ref(&output))).await.unwrap();
    let bundle = || certificates(&read(&lab.path("out").join("svid_bundle.pem")));
    let own = certificates(&lab.cluster.authority_pem("spiffe"));
    assert_eq!((bundle(), lab.calls(method::LIST_SPIFFE_FEDERATIONS)), (own.clone(), 0));

    output["include_federated_trust_bundles"] = json!(true);
    lab.run_once(lab.config("20m", std::slice::from_ref(&output))).await.unwrap();
    let others = certificates(&other.cluster.authority_pem("spiffe"));
    assert_eq!(others.len(), 2);
    assert_eq!((bundle(), lab.calls(method::LIST_SPIFFE_FEDERATIONS)), ([own, others].concat(), 2));

    lab.cluster.fail_next(method::LIST_SPIFFE_FEDERATIONS, Code::Unknown, "backend is away");
    let before = bundle();
    refused(&lab, output).await;
    assert_eq!(bundle(), before);
}

#[tokio::test]
async fn a_federation_that_cannot_be_read_is_named_and_left_out() {
    let (log, _listening) = listen();
    let lab = lab().await;
    lab.cluster.federate("broken.test", Some("hunter2".to_owned()));
    let mut output = x509(&lab, &by_name());
    output["include_federated_trust_bundles"] = json!(true);
    lab.run_once(lab.config("20m", &[output])).await.unwrap();
    let text = log.text();
    assert!(text.contains("trust_domain=\"broken.test\"") && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn the_bundle_holds_those_of_applications_where_the_cluster_has_them() {
    let (log, _listening) = listen();
    for (version, known) in [(VERSION, false), ("19.0.0", true)] {
        let lab = Lab::of_version(version).await;
        lab.cluster.set_workload_identity(web());
        let mut output = x509(&lab, &by_name());
        output["trust_domains"] = json!(["app_client", "app_client"]);
        lab.run_once(lab.config("20m", &[output])).await.unwrap();
        let mut expected = certificates(&lab.cluster.authority_pem("spiffe"));
        if known {
            expected.extend(certificates(&lab.cluster.authority_pem("app_client")));
        }
        assert_eq!(certificates(&read(&lab.path("out").join("svid_bundle.pem"))), expected);
        let said = log.text().matches("no authority for clients of applications").count();
        assert_eq!(said, 1, "by the older one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_end_is_not_followed_for_ever() {
    let lab = lab().await;
    lab.cluster.federate("other.test", None);
    lab.cluster.never_end_lists();
    let mut output = x509(&lab, &by_name());
    output["include_federated_trust_bundles"] = json!(true);
    let refused = refused(&lab, output).await.to_string();
    assert!(refused.contains("its list does not end after 1000 pages"), "{refused}");
    assert_eq!(lab.calls(method::LIST_SPIFFE_FEDERATIONS), 1000);
}
