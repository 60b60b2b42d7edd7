//! Credentials for workloads: written but never logged. A cluster without workload identities fails only these outputs.

use serde_json::json;
use tbot_cluster::{Cluster, ClusterConfig, WorkloadIdentity, clock};

use super::fixture::{Finished, Telemetry, tbot};

/// Runs the program in oneshot mode, with debug logging, against a cluster of this version.
async fn run(version: &str) -> Finished {
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
    tbot(Telemetry::ClosedPort, &["start", "-c", "tbot.yaml", "--oneshot", "--debug"])
        .file("tbot.yaml", config.to_string())
        .trusting(&cluster)
        .run_blocking()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_and_token_are_written_but_never_logged() {
    let finished = run("18.2.5").await;
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    let [key, token] = ["svid/svid_key.pem", "token/jwt_svid"].map(|name| finished.read_file(name));
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----\n") && token.split('.').count() == 3);
    for name in ["svid/svid.pem", "svid/svid_bundle.pem"] {
        assert!(finished.read_file(name).starts_with("-----BEGIN CERTIFICATE-----\n"), "{name}");
    }
    for secret in key.lines().skip(1).take(1).chain(token.split('.').skip(1)) {
        assert!(
            !finished.stderr.contains(secret) && !finished.stdout.contains(secret),
            "{}",
            finished.stderr
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_cluster_fails_only_these_outputs_and_the_log_names_the_version_to_upgrade_to() {
    let finished = run("15.4.0").await;
    assert_eq!(finished.status, Some(1), "{}", finished.stderr);
    for service in ["workload-identity-x509-1", "workload-identity-jwt-1"] {
        let names_cause =
            |line: &&str| [service, "Teleport 15", "17.2.7"].iter().all(|expected| line.contains(expected));
        assert!(finished.log().iter().any(names_cause), "{service}: {}", finished.stderr);
    }
    assert!(finished.has_file("out/identity"));
    assert!(!finished.has_file("svid/svid.pem") && !finished.has_file("token/jwt_svid"));
}
