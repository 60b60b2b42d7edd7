//! No crate logs a credential, even at the most verbose level.

use serde_json::json;
use tbot_cluster::{BoundKeypairToken, Code, method};
use tracing::Level;

use super::fixture::{BOT, HOUR, TestCluster, read};
use super::http_endpoint::{HttpEndpoint, ScriptedResponse};
use super::joining::azure::AzureVm;
use super::joining::iam::{SECRET_ACCESS_KEY, VARIABLES, cluster_with_aws_token};
use super::joining::{DelegatedJoin, signed_parts};
use super::log_capture::LogCapture;

/// Fails the test if one of `secrets` was logged, or if the agent logged nothing.
fn assert_not_logged<'a>(log: &LogCapture, secrets: impl IntoIterator<Item = &'a str>) {
    let text = log.text();
    assert!(text.contains("INFO tbot::agent"), "nothing was captured");
    for secret in secrets {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn join_tokens_and_private_keys_are_not_logged() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let config = || fixture.config("20m", &[fixture.output("out")]);
    fixture.run_oneshot(config()).await.unwrap();
    let mut keys = vec![read(&fixture.storage().join("key")), read(&fixture.path("out").join("key"))];
    fixture.cluster.drop_next_response(method::GENERATE_USER_CERTS);
    fixture.run_oneshot(config()).await.unwrap_err();
    fixture.run_oneshot(config()).await.unwrap();
    keys.push(read(&fixture.path("out").join("key")));

    assert_ne!(log.count_level(Level::ERROR), 0, "the lost renewal was not logged");
    // The second line of a PEM file is the first full line of the key.
    let keys = keys.iter().map(|key| key.lines().nth(1).unwrap());
    assert_not_logged(&log, keys.chain([fixture.token.as_str()]));
}

#[tokio::test]
async fn id_tokens_are_not_logged_whether_the_cluster_accepts_them_or_not() {
    let log = LogCapture::start();
    let join = DelegatedJoin::new("dev.test").await;
    let expires = join.fixture.clock.now() + HOUR;
    let (accepted, refused) = (join.id_token(), join.issuer.token("elsewhere", expires).unwrap());
    let config = join.config("gitlab", json!({}));
    join.run(config.clone(), &[("TBOT_GITLAB_JWT", &accepted)]).await.unwrap();
    join.run(config.clone(), &[("TBOT_GITLAB_JWT", &refused)]).await.unwrap_err();
    join.run(config, &[("TBOT_GITLAB_JWT", "canary")]).await.unwrap_err();

    let endpoint =
        HttpEndpoint::start(ScriptedResponse::Fixed(200, json!({ "value": accepted }).to_string()));
    let url = endpoint.url("/canary");
    let github =
        [("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "canary")];
    join.run(join.config("github", json!({})), &github).await.unwrap();

    assert_eq!(endpoint.requests().len(), 1);
    assert_not_logged(
        &log,
        [&accepted, &refused].into_iter().flat_map(|jwt| signed_parts(jwt)).chain(["canary"]),
    );
}

#[tokio::test]
async fn cloud_credentials_are_not_logged() {
    let log = LogCapture::start();
    let join = cluster_with_aws_token().await;
    let config = || join.config("iam", json!({}));
    join.run(config(), &VARIABLES).await.unwrap();
    let repeated = SECRET_ACCESS_KEY.1;
    join.fixture.cluster.fail_next(method::REGISTER_USING_IAM, Code::PermissionDenied, repeated);
    join.run(config(), &VARIABLES).await.unwrap_err();
    let vm = AzureVm::new().await;
    vm.run(json!({})).await.unwrap();

    // The second is the part of the session token that no other variable contains.
    let aws = [SECRET_ACCESS_KEY.1, "session+token"];
    assert_not_logged(&log, aws.into_iter().chain(signed_parts(&vm.access_token)));
}

#[tokio::test]
async fn bound_key_pairs_registration_secrets_and_join_states_are_not_logged() {
    let log = LogCapture::start();
    let fixture = TestCluster::with_version("19.0.0").await;
    let token = BoundKeypairToken::with_secret("hunter2-registration");
    fixture.cluster.add_bound_keypair_token(BOT, "bound", token).unwrap();
    let mut config = fixture.config("20m", &[]);
    config["onboarding"] = json!({
        "join_method": "bound_keypair",
        "token": "bound",
        "bound_keypair": { "registration_secret": "hunter2-registration" },
    });
    fixture.cluster.fail_next(method::JOIN_V1, Code::PermissionDenied, "hunter2-registration");
    fixture.run_oneshot(config.clone()).await.unwrap_err();
    fixture.run_oneshot(config.clone()).await.unwrap();
    let mut private = vec![read(&fixture.storage().join("id_bkp"))];
    let now = fixture.clock.now();
    fixture.cluster.edit_bound_keypair_token("bound", |token| token.rotate_after = Some(now));
    fixture.cluster.drop_next_response(method::JOIN_V1);
    fixture.run_oneshot(config).await.unwrap_err();
    private.push(read(&fixture.storage().join("id_bkp")));

    let keys = private.iter().map(|key| key.lines().nth(1).unwrap());
    assert_not_logged(&log, keys.chain(["hunter2-registration", "recovery_sequence"]));
}
