//! What the cluster or the configuration says no to.

use serde_json::{Value, json};
use tbot::agent::AgentError;
use tbot_cluster::{Code, method};

use super::super::lab::BOT;
use super::{Ci, HOUR};

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_the_cluster_does_not_take_is_refused_with_what_to_check() {
    let ci = Ci::new("dev.test").await;
    let now = ci.lab.clock.now();
    let stranger = tbot_cluster::Issuer::new("https://ci.example").unwrap();
    for (proof, says) in [
        (ci.issuer.token("elsewhere", now + HOUR).unwrap(), "the identity token is for another audience"),
        (ci.issuer.token("dev.test", now - HOUR).unwrap(), "the identity token has expired"),
        (stranger.token("dev.test", now + HOUR).unwrap(), "the identity token is not signed by the issuer"),
    ] {
        let refused = ci.refused(ci.config("circleci", json!({})), &[("CIRCLE_OIDC_TOKEN", &proof)]).await;
        assert!(refused.contains(says) && refused.contains("(HTTP 403)"), "{refused}");
        assert!(
            refused.contains("names a token of this join method, whose rules allow where this agent runs")
        );
        assert!(!refused.contains("create a new"), "{refused}");
        assert!(proof.split('.').all(|part| !refused.contains(part)), "{refused}");
    }
    assert!(!ci.has_written());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_repeats_the_proof_is_not_repeated() {
    let ci = Ci::new("dev.test").await;
    let proof = ci.proof();
    let claims = proof.split('.').nth(1).unwrap();
    ci.lab.cluster.fail_next(
        method::JOIN,
        Code::PermissionDenied,
        &format!("{proof} is not for us: {claims}"),
    );
    let refused = ci.refused(ci.config("gitlab", json!({})), &[("TBOT_GITLAB_JWT", &proof)]).await;
    assert!(refused.contains("... is not for us: ... (HTTP 403)"), "{refused}");
    assert!(proof.split('.').all(|part| !refused.contains(part)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_a_name_is_refused_before_anything_is_asked() {
    let ci = Ci::new("dev.test").await;
    for token in [Value::Null, json!("")] {
        let mut config = ci.config("gitlab", json!({}));
        config["onboarding"]["token"] = token;
        let refused = ci.run(config, &[("TBOT_GITLAB_JWT", &ci.proof())]).await.unwrap_err();
        assert!(refused.is_configuration() && matches!(refused, AgentError::NoTokenName { .. }), "{refused}");
        assert!(refused.to_string().contains("gitlab needs the name of a token"), "{refused}");
    }
    assert!(ci.lab.cluster.requests().is_empty() && !ci.lab.storage().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_known_is_not_called_used_up() {
    let ci = Ci::new("dev.test").await;
    let mut config = ci.config("gitlab", json!({}));
    config["onboarding"]["token"] = json!("another");
    let refused = ci.refused(config, &[("TBOT_GITLAB_JWT", &ci.proof())]).await;
    assert!(
        refused.contains("token expired or not found") && refused.contains("tctl get tokens"),
        "{refused}"
    );
    assert!(!refused.contains("works once"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_has_joined_with_a_token_cannot_join_in_another_way() {
    let ci = Ci::new("dev.test").await;
    ci.lab.run_once(ci.lab.config("20m", &[ci.lab.output("first")])).await.unwrap();
    std::fs::remove_dir_all(ci.lab.storage()).unwrap();
    let refused = || async {
        let proof = ci.proof();
        ci.refused(ci.config("circleci", json!({})), &[("CIRCLE_OIDC_TOKEN", &proof)]).await
    };
    let first = refused().await;
    assert!(
        first.contains("generation mismatch: stored=1, presented=0 (HTTP 403); this bot has joined"),
        "{first}"
    );
    assert!(ci.lab.cluster.is_locked(BOT));
    let second = refused().await;
    assert!(
        second.contains("access denied (HTTP 403); check whether the bot or its user is locked"),
        "{second}"
    );
}
