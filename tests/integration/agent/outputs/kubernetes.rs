//! The output types `kubernetes` and `kubernetes/v2`: the contexts and credentials in their kubeconfig.

use std::path::Path;

use serde_json::{Value, json};
use tbot::agent::{LookupError, OutputError, error_line};
use tbot::yaml;
use tbot_cluster::{Code, method};

use super::super::certificate::{attribute, subject_attribute};
use super::super::fixture::{MINUTE, TestCluster, read, wait_until};
use super::super::log_capture::{LogCapture, LogEvent};
use super::super::outline::file_names;
use super::{add_resources, cluster_with_resources, with_directory, write, write_error, write_to_memory};

fn kubeconfig(directory: &Path) -> Value {
    yaml::parse(&read(&directory.join("kubeconfig.yaml"))).unwrap().value
}

/// Fails the test unless the kubeconfig contains the client certificate and key.
fn assert_embeds_credentials(kubeconfig: &Value) {
    let user = &kubeconfig["users"][0]["user"];
    assert!(user["client-certificate-data"].is_string() && user["client-key-data"].is_string(), "{user}");
    assert!(user.get("exec").is_none(), "{user}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_runs_tbot_to_get_credentials() {
    let fixture = cluster_with_resources().await;
    let service = json!({ "type": "kubernetes", "kubernetes_cluster": "prod-eu" });
    let out = write(&fixture, &service).await;
    let cluster = subject_attribute(&out.join("tlscert"), attribute::KUBERNETES_CLUSTER);
    assert_eq!(cluster.as_deref(), Some("prod-eu"));
    let config = kubeconfig(&out);
    let exec = &config["users"][0]["user"]["exec"];
    assert_eq!(exec["command"], "/usr/local/bin/tbot");
    let directory = format!("--destination-dir={}", out.display());
    assert_eq!(exec["args"], json!(["kube", "credentials", directory]));
    let server = format!("https://{}", fixture.cluster.proxy_addr());
    assert_eq!(config["clusters"][0]["cluster"]["server"], server);
    assert_eq!(config["current-context"], "dev.test-prod-eu");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_embeds_credentials_without_the_exec_plugin_and_in_memory() {
    let fixture = cluster_with_resources().await;
    let mut service = json!({ "type": "kubernetes", "kubernetes_cluster": "prod-eu" });
    let in_memory = write_to_memory(&fixture, &service).await;
    assert_embeds_credentials(&yaml::parse(&in_memory("kubeconfig.yaml")).unwrap().value);

    service["disable_exec_plugin"] = json!(true);
    assert_embeds_credentials(&kubeconfig(&write(&fixture, &service).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_selected_kubernetes_cluster_gets_a_context() {
    let fixture = TestCluster::with_version("18.2.5").await;
    add_resources(&fixture);
    let service = json!({
        "type": "kubernetes/v2",
        "selectors": [
            { "name": "dev-kube", "default_namespace": "apps" },
            { "labels": { "env": "prod" } },
            { "labels": { "env": "nowhere" } },
        ],
        "context_name_template": "{{.KubeName}}@{{.ClusterName}}",
    });
    let out = write(&fixture, &service).await;
    assert_eq!(
        file_names(&out),
        ["identity", "key", "key-cert.pub", "key.pub", "kubeconfig.yaml", "teleport-host-ca.crt", "tlscert"]
    );
    let config = kubeconfig(&out);
    let contexts = config["contexts"].as_array().unwrap();
    let names: Vec<_> = contexts.iter().map(|context| context["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["dev-kube@dev.test", "prod-eu@dev.test", "prod-us@dev.test"]);
    assert_eq!(contexts[0]["context"]["namespace"], "apps");
    assert_eq!(contexts[1]["context"].get("namespace"), None);
    assert_eq!(config["users"].as_array().unwrap().len(), 1);
    let server = config["clusters"][1]["cluster"]["server"].as_str().unwrap();
    assert!(server.ends_with("/v1/teleport/ZGV2LnRlc3Q/cHJvZC1ldQ"), "{server}");

    let missing = json!({ "type": "kubernetes/v2", "selectors": [{ "name": "nope" }] });
    let error = write_error(&fixture, &missing).await;
    let OutputError::Lookup(LookupError::NotFound { kind, name, .. }) = &error else { panic!("{error:?}") };
    assert_eq!((*kind, name.as_str()), ("kubernetes cluster", "nope"));
}

/// Before version 17.2.7, a proxy sends requests of every context to the same Kubernetes cluster.
#[tokio::test(flavor = "multi_thread")]
async fn several_contexts_are_refused_if_the_cluster_cannot_tell_them_apart() {
    let service = json!({ "type": "kubernetes/v2", "selectors": [{ "name": "dev-kube" }] });
    for (server_version, is_served) in
        [("15.0.0-dev", false), ("16.4.7", false), ("17.2.1", false), ("17.2.7", true), ("18.0.0", true)]
    {
        let fixture = TestCluster::with_version(server_version).await;
        add_resources(&fixture);
        if is_served {
            write(&fixture, &service).await;
            continue;
        }
        let error = write_error(&fixture, &service).await;
        let OutputError::NoPathRouting(version) = &error else { panic!("{server_version}: {error:?}") };
        assert_eq!(version, server_version);
        assert!(!fixture.path("out").join("kubeconfig.yaml").exists());
        if server_version == "17.2.1" {
            insta::assert_snapshot!(error_line(&error, error.hint().as_ref()));
        }
    }
}

/// If the proxy refuses the request, the address that it advertised earlier is not used.
#[tokio::test]
async fn an_output_fails_if_the_proxy_refuses_to_name_its_address() {
    let (log, fixture) = (LogCapture::start(), cluster_with_resources().await);
    let service = json!({ "type": "kubernetes", "kubernetes_cluster": "prod-eu" });
    let running = fixture.start(fixture.config("20m", &[with_directory(&fixture, &service, "out")]));
    wait_until("the output is written", || log.count(LogEvent::is_write) == 1).await;
    for _ in 0..10 {
        fixture.cluster.fail_next(method::WEB_PING, Code::PermissionDenied, "forbidden");
    }
    fixture.clock.advance(20 * MINUTE);
    // An output that is renewed before the identity does not ask the proxy.
    wait_until("the identity is renewed", || log.count(LogEvent::is_new_identity) == 2).await;
    running.control.reload();
    wait_until("the output fails", || log.count(|event| event.is_failure_of("kubernetes-1")) > 0).await;
    running.stop().await.unwrap();
}
