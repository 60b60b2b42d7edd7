//! Joining on a cloud machine, with credentials from its metadata service. Without them, the program exits with an error
//! that names what is missing.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tbot_cluster::{AwsUser, AzureMachine, Cluster, ClusterConfig, clock, method};

use super::fixture::{Finished, Telemetry, tbot};
use crate::agent::http_endpoint::{HttpEndpoint, ScriptedResponse};

/// Runs the program with one output, this join method and the join token `cloud`.
fn run(cluster: &Cluster, join_method: &str, variables: &[(&str, &str)]) -> Finished {
    let arguments = ["start", "identity", "--destination", "out", "--oneshot", "--storage", "memory://"];
    let address = cluster.proxy_addr().to_string();
    let joining = ["--join-method", join_method, "--token", "cloud", "--proxy-server", &address];
    let run = tbot(Telemetry::ClosedPort, &[&arguments[..], &joining].concat());
    run.envs(variables).trusting(cluster).run_blocking()
}

async fn start_cluster() -> Cluster {
    let cluster = Cluster::start(ClusterConfig::new(clock::system())).await.unwrap();
    cluster.add_bot("robot", &["access"]).unwrap();
    cluster
}

/// Asserts that a run failed before joining, with one error that names the join method.
fn assert_not_joined(finished: &Finished, join_method: &str) {
    assert_eq!(finished.status, Some(1), "{}", finished.stderr);
    let [error] = finished.log_at("ERROR")[..] else { panic!("{}", finished.stderr) };
    assert!(error.contains(join_method), "{error}");
    assert!(!finished.has_file("out/identity"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ec2_instance_joins_with_its_role() {
    let cluster = start_cluster().await;
    let user = AwsUser {
        access_key_id: "ASIAEXAMPLE".to_owned(),
        secret_access_key: "hunter2/secret".to_owned(),
        session_token: Some("hunter2/session".to_owned()),
    };
    let keys = json!({ "AccessKeyId": user.access_key_id, "SecretAccessKey": user.secret_access_key,
        "Token": user.session_token });
    cluster.add_aws_token("robot", "cloud", user).unwrap();
    let metadata =
        HttpEndpoint::start(ScriptedResponse::from_fn(move |request| match request.target.as_str() {
            "/latest/api/token" => (200, "session".to_owned()),
            "/latest/meta-data/iam/security-credentials/" => (200, "role".to_owned()),
            "/latest/meta-data/iam/security-credentials/role" => (200, keys.to_string()),
            "/latest/meta-data/placement/region" => (200, "eu-central-1".to_owned()),
            _ => (404, String::new()),
        }));
    let url = metadata.url("");
    let finished = run(&cluster, "iam", &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)]);
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    assert!(finished.has_file("out/identity"));
    assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);

    let finished = run(&cluster, "iam", &[("AWS_EC2_METADATA_DISABLED", "true")]);
    assert_not_joined(&finished, "onboarding.join_method iam");
    let joins = cluster.requests().into_iter().filter(|call| call.method == method::REGISTER_USING_IAM);
    assert_eq!(joins.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_azure_virtual_machine_joins_with_its_managed_identity() {
    let cluster = start_cluster().await;
    let machine = Arc::new(AzureMachine::new().unwrap());
    cluster.add_azure_token("robot", "cloud", Arc::clone(&machine)).unwrap();
    let expires = clock::system()() + Duration::from_secs(3600);
    let access_token = machine.access_token(expires).unwrap();
    let served_token = access_token.clone();
    let metadata = HttpEndpoint::start(ScriptedResponse::from_fn(move |request| {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let nonce = query.split('&').find_map(|pair| pair.strip_prefix("nonce="));
        match (path, nonce) {
            ("/metadata/versions", _) => (200, json!({ "apiVersions": ["2023-07-01"] }).to_string()),
            ("/metadata/identity/oauth2/token", _) => {
                (200, json!({ "access_token": served_token }).to_string())
            }
            ("/metadata/attested/document", Some(nonce)) => {
                (200, machine.attested_document(nonce, expires).unwrap())
            }
            _ => (404, String::new()),
        }
    }));
    let url = metadata.url("");
    let finished = run(&cluster, "azure", &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &url)]);
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    assert!(finished.has_file("out/identity"));
    for secret in access_token.split('.').skip(1) {
        assert!(!finished.stderr.contains(secret), "{}", finished.stderr);
    }

    let without_metadata = HttpEndpoint::start(ScriptedResponse::Fixed(404, String::new())).url("");
    let finished = run(&cluster, "azure", &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &without_metadata)]);
    assert_not_joined(&finished, "azure");
}
