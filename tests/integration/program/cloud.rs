//! The program on a machine of a cloud: joins by a challenge with what the environment and a metadata service say, and ends with
//! what is missing where they say nothing.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tbot_cluster::{AwsUser, AzureMachine, Cluster, ClusterConfig, clock, method};

use super::run::{Ended, Telemetry, tbot};
use crate::agent::http_endpoint::{HttpEndpoint, Reply};

/// A run of one output with this join method and a token called `cloud`.
fn run(cluster: &Cluster, join_method: &str, variables: &[(&str, &str)]) -> Ended {
    let arguments = ["start", "identity", "--destination", "out", "--oneshot", "--storage", "memory://"];
    let address = cluster.proxy_addr().to_string();
    let joining = ["--join-method", join_method, "--token", "cloud", "--proxy-server", &address];
    let run = tbot(Telemetry::Nowhere, &[&arguments[..], &joining].concat())
        .envs(variables)
        .file("web-ca.pem", cluster.web_ca_pem());
    let roots = run.path().join("web-ca.pem");
    tokio::task::block_in_place(|| run.env("SSL_CERT_FILE", roots).end())
}

async fn cluster() -> Cluster {
    let cluster = Cluster::start(ClusterConfig::new(clock::system())).await.unwrap();
    cluster.add_bot("robot", &["access"]).unwrap();
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_of_ec2_joins_by_its_role() {
    let cluster = cluster().await;
    let user = AwsUser {
        access_key_id: "ASIAEXAMPLE".to_owned(),
        secret_access_key: "hunter2/secret".to_owned(),
        session_token: Some("hunter2/session".to_owned()),
    };
    let keys = json!({ "AccessKeyId": user.access_key_id, "SecretAccessKey": user.secret_access_key,
        "Token": user.session_token });
    cluster.add_aws_token("robot", "cloud", user).unwrap();
    let endpoint = HttpEndpoint::start(Reply::from_fn(move |asked| match asked.target.as_str() {
        "/latest/api/token" => (200, "session".to_owned()),
        "/latest/meta-data/iam/security-credentials/" => (200, "role".to_owned()),
        "/latest/meta-data/iam/security-credentials/role" => (200, keys.to_string()),
        "/latest/meta-data/placement/region" => (200, "eu-central-1".to_owned()),
        _ => (404, String::new()),
    }));
    let url = endpoint.url("");
    let ended = run(&cluster, "iam", &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)]);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(ended.has_left("out/identity") && !ended.stderr.contains("hunter2"), "{}", ended.stderr);

    let ended = run(&cluster, "iam", &[("AWS_EC2_METADATA_DISABLED", "true")]);
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("no AWS credentials found: onboarding.join_method iam needs"),
        "{}",
        ended.stderr
    );
    let calls = cluster.requests();
    assert_eq!(calls.iter().filter(|call| call.method == method::REGISTER_USING_IAM).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_of_azure_joins_by_its_managed_identity() {
    let cluster = cluster().await;
    let machine = Arc::new(AzureMachine::new().unwrap());
    cluster.add_azure_token("robot", "cloud", Arc::clone(&machine)).unwrap();
    let ends = clock::system()() + Duration::from_secs(3600);
    let token = machine.access_token(ends).unwrap();
    let given = token.clone();
    let endpoint = HttpEndpoint::start(Reply::from_fn(move |asked| {
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let nonce = query.split('&').find_map(|pair| pair.strip_prefix("nonce="));
        match (path, nonce) {
            ("/metadata/versions", _) => (200, json!({ "apiVersions": ["2023-07-01"] }).to_string()),
            ("/metadata/identity/oauth2/token", _) => (200, json!({ "access_token": given }).to_string()),
            ("/metadata/attested/document", Some(nonce)) => {
                (200, machine.attested_document(nonce, ends).unwrap())
            }
            _ => (404, String::new()),
        }
    }));
    let url = endpoint.url("");
    let ended = run(&cluster, "azure", &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &url)]);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(ended.has_left("out/identity"));
    assert!(token.split('.').skip(1).all(|part| !ended.stderr.contains(part)), "{}", ended.stderr);

    let gone = HttpEndpoint::start(Reply::Fixed(404, String::new())).url("");
    let ended = run(&cluster, "azure", &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &gone)]);
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("azure works on a virtual machine of Azure"), "{}", ended.stderr);
}
