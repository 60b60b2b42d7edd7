//! The program writes credentials for workloads, says nothing of them, and goes on where a cluster knows of none.

use serde_json::json;
use tbot_cluster::{Cluster, ClusterConfig, WorkloadIdentity, clock};

use super::run::{Ended, Telemetry, tbot};

/// What a verbose run to its end leaves with a cluster of this version.
async fn run(version: &str) -> Ended {
    let config = ClusterConfig { server_version: version.to_owned(), ..ClusterConfig::new(clock::system()) };
    let cluster = Cluster::start(config).await.unwrap();
    cluster.set_workload_identity(WorkloadIdentity::new("web", "/svc/web"));
    let to = |path: &str| json!({ "type": "directory", "path": path });
    let config = json!({
        "version": "v2",
        "proxy_server": cluster.proxy_addr().to_string(),
        "onboarding": { "join_method": "token", "token": cluster.add_bot("robot", &["access"]).unwrap() },
        "storage": to("storage"),
        "services": [
            { "type": "workload-identity-x509", "selector": { "name": "web" }, "destination": to("svid") },
            {
                "type": "workload-identity-jwt",
                "selector": { "name": "web" },
                "audiences": ["a"],
                "destination": to("token"),
            },
            { "type": "identity", "destination": to("out") },
        ],
    });
    let run = tbot(Telemetry::Nowhere, &["start", "-c", "tbot.yaml", "--oneshot", "--debug"])
        .file("tbot.yaml", config.to_string())
        .file("web-ca.pem", cluster.web_ca_pem());
    let roots = run.path().join("web-ca.pem");
    let run = run.env("SSL_CERT_FILE", roots);
    tokio::task::block_in_place(|| run.end())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_writes_certificate_and_token_and_repeats_neither() {
    let ended = run("18.2.5").await;
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    let [key, token] = ["svid/svid_key.pem", "token/jwt_svid"].map(|name| ended.left(name));
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----\n") && token.split('.').count() == 3);
    for name in ["svid/svid.pem", "svid/svid_bundle.pem"] {
        assert!(ended.left(name).starts_with("-----BEGIN CERTIFICATE-----\n"), "{name}");
    }
    for secret in key.lines().skip(1).take(1).chain(token.split('.').skip(1)) {
        assert!(!ended.stderr.contains(secret) && !ended.stdout.contains(secret), "{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_cluster_fails_these_services_by_name_and_no_other() {
    let ended = run("15.4.0").await;
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    for service in ["workload-identity-x509-1", "workload-identity-jwt-2"] {
        let said = format!(
            "output {service}: this cluster (Teleport 15) does not issue workload identities: upgrade it to 17.2.7 or newer"
        );
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    }
    assert!(ended.has_left("out/identity"));
    assert!(!ended.has_left("svid/svid.pem") && !ended.has_left("token/jwt_svid"));
}
