//! Delegated joins that the cluster or the configuration refuses.

use serde_json::{Value, json};
use tbot::agent::{AgentError, JoinError, JoinReason, error_line};
use tbot::config::JoinMethod;
use tbot_cluster::{Code, OidcIssuer, method};

use super::super::errors::join_error;
use super::super::fixture::{BOT, HOUR};
use super::DelegatedJoin;

/// Returns the message of a join that the cluster refused with status 403, and its rendering with the hint.
fn refusal(error: AgentError) -> (String, String) {
    let (reason, error) = join_error(error);
    assert_eq!(reason, JoinReason::NothingStored);
    let rendered = error_line(&error, error.hint().as_ref());
    let JoinError::Refused { status: 403, message, .. } = error else { panic!("{error:?}") };
    (message.to_string(), rendered)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_that_the_cluster_does_not_accept_is_explained_and_not_repeated() {
    let join = DelegatedJoin::new("dev.test").await;
    let now = join.fixture.clock.now();
    let other_issuer = OidcIssuer::new("https://ci.example").unwrap();
    let mut rendered = Vec::new();
    for id_token in [
        join.issuer.token("elsewhere", now + HOUR).unwrap(),
        join.issuer.token("dev.test", now - HOUR).unwrap(),
        other_issuer.token("dev.test", now + HOUR).unwrap(),
    ] {
        let config = join.config("circleci", json!({}));
        let (_, message) = refusal(join.run(config, &[("CIRCLE_OIDC_TOKEN", &id_token)]).await.unwrap_err());
        assert!(id_token.split('.').all(|part| !message.contains(part)), "{message}");
        rendered.push(message);
    }
    insta::assert_snapshot!(rendered.join("\n"));
    assert!(!join.has_written_output());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_is_redacted_in_the_clusters_message() {
    let join = DelegatedJoin::new("dev.test").await;
    let id_token = join.id_token();
    let claims = id_token.split('.').nth(1).unwrap();
    let repeating = format!("{id_token} is not for us: {claims}");
    join.fixture.cluster.fail_next(method::JOIN, Code::PermissionDenied, &repeating);
    let config = join.config("gitlab", json!({}));
    let (message, rendered) = refusal(join.run(config, &[("TBOT_GITLAB_JWT", &id_token)]).await.unwrap_err());
    assert_eq!(message, "... is not for us: ...");
    assert!(id_token.split('.').all(|part| !rendered.contains(part)), "{rendered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_token_name_is_refused_before_the_cluster_is_contacted() {
    let join = DelegatedJoin::new("dev.test").await;
    for token in [Value::Null, json!("")] {
        let mut config = join.config("gitlab", json!({}));
        config["onboarding"]["token"] = token;
        let error = join.run(config, &[("TBOT_GITLAB_JWT", &join.id_token())]).await.unwrap_err();
        assert!(error.is_configuration());
        let AgentError::NoTokenName { method } = &error else { panic!("{error:?}") };
        assert_eq!(*method, JoinMethod::Gitlab);
    }
    assert!(join.fixture.cluster.requests().is_empty() && !join.fixture.storage().exists());
}

/// The hint for a single-use join token would be wrong here.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_token_name_is_not_reported_as_a_used_token() {
    let join = DelegatedJoin::new("dev.test").await;
    let mut config = join.config("gitlab", json!({}));
    config["onboarding"]["token"] = json!("another");
    let id_token = join.id_token();
    let (_, rendered) = refusal(join.run(config, &[("TBOT_GITLAB_JWT", &id_token)]).await.unwrap_err());
    insta::assert_snapshot!(rendered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_joined_with_a_token_is_locked_when_it_joins_by_another_method() {
    let join = DelegatedJoin::new("dev.test").await;
    let first = join.fixture.config("20m", &[join.fixture.output("first")]);
    join.fixture.run_oneshot(first).await.unwrap();
    std::fs::remove_dir_all(join.fixture.storage()).unwrap();
    let refused_join = || async {
        let id_token = join.id_token();
        let config = join.config("circleci", json!({}));
        refusal(join.run(config, &[("CIRCLE_OIDC_TOKEN", &id_token)]).await.unwrap_err()).1
    };
    let mismatch = refused_join().await;
    assert!(join.fixture.cluster.is_locked(BOT));
    let locked = refused_join().await;
    insta::assert_snapshot!(format!("{mismatch}\n{locked}"));
}
