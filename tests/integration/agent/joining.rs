//! Delegated joins: the agent presents an ID token or signs a challenge, and renews its identity by joining again.

pub(super) mod azure;
mod bound_keypair;
mod challenge;
mod generic_oidc;
pub(super) mod iam;
mod iam_failures;
mod id_token_endpoints;
mod join_v1;
mod refused_joins;

use std::io::ErrorKind;

use serde_json::{Value, json};
use tbot::agent::{AgentError, AttestationError, JoinReason, error_line};
use tbot_cluster::{Call, OidcIssuer, SERVER_VERSION, method};

use super::certificate::assert_not_renewable;
use super::errors::attestation_error;
use super::fixture::{BOT, HOUR, RunningAgent, TestCluster, read, run_oneshot, wait_until};

/// The audience of ID tokens that the agent requests for the cluster `dev.test`.
const AUDIENCE: &str = "teleport.cluster.local";

/// Whether an error is the expected one.
type ErrorCheck = fn(&AttestationError) -> bool;

/// A cluster with a join token `ci`, which accepts ID tokens that `issuer` issued for `audience`.
pub(super) struct DelegatedJoin {
    pub(super) fixture: TestCluster,
    pub(super) issuer: OidcIssuer,
    audience: &'static str,
}

impl DelegatedJoin {
    pub(super) async fn new(audience: &'static str) -> Self {
        Self::with_version(SERVER_VERSION, audience).await
    }

    pub(super) async fn with_version(version: &str, audience: &'static str) -> Self {
        Self::at(TestCluster::with_version(version).await, audience)
    }

    fn at(fixture: TestCluster, audience: &'static str) -> Self {
        let issuer = OidcIssuer::new("https://ci.example").unwrap();
        fixture.cluster.add_oidc_token(BOT, "ci", &issuer, audience).unwrap();
        Self { fixture, issuer, audience }
    }

    /// Returns an ID token that the cluster accepts for an hour.
    pub(super) fn id_token(&self) -> String {
        self.issuer.token(self.audience, self.fixture.clock.now() + HOUR).unwrap()
    }

    /// Returns a configuration with one output, which joins with `join_method` and further keys of `onboarding`.
    pub(super) fn config(&self, join_method: &str, onboarding: Value) -> Value {
        let mut config = self.fixture.config("20m", &[self.fixture.output("out")]);
        config["onboarding"] = onboarding;
        config["onboarding"]["join_method"] = json!(join_method);
        config["onboarding"]["token"] = json!("ci");
        config
    }

    /// Runs an agent in oneshot mode with these environment variables.
    pub(super) async fn run(&self, config: Value, variables: &[(&str, &str)]) -> Result<(), AgentError> {
        run_oneshot(&self.fixture.agent_with_env(config, variables)?).await
    }

    /// Starts an agent in continuous mode with these environment variables.
    fn start(&self, config: Value, variables: &[(&str, &str)]) -> RunningAgent {
        RunningAgent::start(self.fixture.agent_with_env(config, variables).unwrap())
    }

    /// Runs an agent that cannot obtain an attestation, and returns the reason.
    async fn attestation_error(&self, config: Value, variables: &[(&str, &str)]) -> AttestationError {
        let is_first = !self.fixture.storage().join("tlscert").exists();
        let (reason, error) = attestation_error(self.run(config, variables).await.unwrap_err());
        let expected = if is_first { JoinReason::NothingStored } else { JoinReason::NotRenewable };
        assert_eq!(reason, expected);
        error
    }

    /// The joins with ID tokens that reached the cluster.
    fn joins(&self) -> Vec<Call> {
        self.fixture.calls(method::JOIN)
    }

    /// The ID tokens that were presented to the cluster.
    fn presented_id_tokens(&self) -> Vec<String> {
        let id_token = |call: Call| {
            let body: Value = serde_json::from_slice(&call.request).unwrap();
            assert_eq!(body["token"], "ci");
            body["id_token"].as_str().unwrap().to_owned()
        };
        self.joins().into_iter().map(id_token).collect()
    }

    fn has_written_output(&self) -> bool {
        self.fixture.path("out").join("identity").exists()
    }
}

/// The parts of a JWT that are secret: its claims and its signature. The header is the same in all tokens.
pub(super) fn signed_parts(jwt: &str) -> impl Iterator<Item = &str> {
    jwt.split('.').skip(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn most_ci_systems_provide_the_id_token_in_a_variable() {
    for (join_method, onboarding, variable) in [
        ("gitlab", json!({}), "TBOT_GITLAB_JWT"),
        ("gitlab", json!({ "gitlab": { "token_env_var_name": "OTHER_JWT" } }), "OTHER_JWT"),
        ("circleci", json!({}), "CIRCLE_OIDC_TOKEN"),
        ("spacelift", json!({}), "SPACELIFT_OIDC_TOKEN"),
        ("env0", json!({}), "ENV0_OIDC_TOKEN"),
        ("bitbucket", json!({}), "BITBUCKET_STEP_OIDC_TOKEN"),
        ("terraform_cloud", json!({}), "TFC_WORKLOAD_IDENTITY_TOKEN"),
        (
            "terraform_cloud",
            json!({ "terraform": { "audience_tag": "teleport" } }),
            "TFC_WORKLOAD_IDENTITY_TOKEN_TELEPORT",
        ),
    ] {
        let join = DelegatedJoin::new("dev.test").await;
        let config = join.config(join_method, onboarding);
        for unset in [&[][..], &[(variable, "")]] {
            let error = join.attestation_error(config.clone(), unset).await;
            assert!(
                matches!(&error, AttestationError::NotSet { variable: missing, .. } if missing == variable),
                "{error:?}"
            );
        }
        let error = join.attestation_error(config.clone(), &[(variable, "hunter2")]).await;
        assert!(
            matches!(&error, AttestationError::Malformed { location, .. } if location == variable),
            "{error:?}"
        );
        assert!(!error_line(&error, error.hint().as_ref()).contains("hunter2"), "{error}");
        assert!(join.fixture.cluster.requests().is_empty(), "{join_method}: a request without an ID token");

        let id_token = join.id_token();
        join.run(config, &[(variable, &id_token)]).await.unwrap();
        assert_eq!(join.presented_id_tokens(), [id_token], "{join_method}");
        assert!(join.has_written_output());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_without_a_usable_service_account_token_is_refused_before_the_cluster_is_contacted() {
    let join = DelegatedJoin::new("dev.test").await;
    let mounted = join.fixture.path("mounted");
    let variables = [("KUBERNETES_TOKEN_PATH", mounted.to_str().unwrap())];
    let config = join.config("kubernetes", json!({}));
    let error = join.attestation_error(config.clone(), &variables).await;
    let AttestationError::Unreadable { path, error, hint, .. } = &error else { panic!("{error:?}") };
    assert_eq!((path, error.kind()), (&mounted, ErrorKind::NotFound));
    let mut messages = vec![hint.to_string()];
    for content in ["", " \n", "hunter2\n", &"a".repeat(70_000)] {
        std::fs::write(&mounted, content).unwrap();
        let error = join.attestation_error(config.clone(), &variables).await;
        let AttestationError::Malformed { location, problem, .. } = &error else { panic!("{error:?}") };
        assert_eq!(location, mounted.to_str().unwrap());
        assert!(!error_line(&error, error.hint().as_ref()).contains("hunter2"), "{error}");
        messages.push((*problem).to_owned());
    }
    insta::assert_snapshot!(messages.join("\n"));
    assert!(join.fixture.cluster.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_token_is_read_again_for_each_join() {
    let join = DelegatedJoin::new("dev.test").await;
    let (mounted, configured) = (join.fixture.path("mounted"), join.fixture.path("configured"));
    let variables = [("KUBERNETES_TOKEN_PATH", mounted.to_str().unwrap())];
    let expiring_in = |hours| join.issuer.token("dev.test", join.fixture.clock.now() + HOUR * hours).unwrap();
    let mut presented = Vec::new();
    for hours in 1..=2 {
        let id_token = expiring_in(hours);
        std::fs::write(&mounted, format!("{id_token}\n")).unwrap();
        join.run(join.config("kubernetes", json!({})), &variables).await.unwrap();
        presented.push(id_token);
    }
    // The configuration takes precedence over the environment.
    let id_token = expiring_in(3);
    std::fs::write(&configured, &id_token).unwrap();
    let config = join.config("kubernetes", json!({ "kubernetes": { "token_path": configured } }));
    join.run(config, &variables).await.unwrap();
    presented.push(id_token);
    assert_eq!(join.presented_id_tokens(), presented);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_joins_again_with_a_new_key() {
    let join = DelegatedJoin::new("dev.test").await;
    let config = join.config("gitlab", json!({}));
    let mut keys = Vec::new();
    for _ in 0..2 {
        join.run(config.clone(), &[("TBOT_GITLAB_JWT", &join.id_token())]).await.unwrap();
        keys.push(read(&join.fixture.storage().join("key")));
        assert_not_renewable(&join.fixture.storage().join("tlscert"));
        assert!(!join.fixture.has_renewal_marker());
    }
    assert_ne!(keys[0], keys[1]);
    assert_eq!((join.joins().len(), join.fixture.cluster.generation(BOT)), (2, Some(0)));
}

/// A lost response neither locks the bot nor uses up the join token, so the agent retries by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_joins_again_after_a_lost_response_at_a_reload_and_at_each_renewal() {
    let join = DelegatedJoin::new("dev.test").await;
    let jwt = join.fixture.path("jwt");
    let mut config = join.config("kubernetes", json!({ "kubernetes": { "token_path": jwt } }));
    std::fs::write(&jwt, join.id_token()).unwrap();
    join.fixture.cluster.drop_next_response(method::JOIN);
    let running = join.fixture.start(config.clone());
    wait_until("the output is written", || join.has_written_output()).await;
    assert_eq!(join.joins().len(), 2, "the lost join and the one after it");

    let identity_key = join.fixture.storage().join("key");
    let before = read(&identity_key);
    running.control.reload();
    wait_until("the identity is new", || read(&identity_key) != before).await;
    assert_eq!(join.joins().len(), 3);

    // Without an ID token the agent continues with the identity that it has.
    std::fs::remove_file(&jwt).unwrap();
    let output_key = join.fixture.path("out").join("key");
    let before = read(&output_key);
    running.control.reload();
    wait_until("the output is renewed anyway", || read(&output_key) != before).await;
    running.stop().await.unwrap();
    assert_eq!(join.joins().len(), 3);

    std::fs::write(&jwt, join.id_token()).unwrap();
    config["renewal_interval"] = json!("100ms");
    let running = join.fixture.start(config);
    wait_until("it has joined three more times", || join.joins().len() >= 6).await;
    running.stop().await.unwrap();
    assert!(!join.fixture.cluster.is_locked(BOT));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_started_without_an_id_token_needs_a_stored_identity() {
    let join = DelegatedJoin::new("dev.test").await;
    let jwt = join.fixture.path("jwt");
    let config = join.config("kubernetes", json!({ "kubernetes": { "token_path": jwt } }));
    let (_, error) = attestation_error(join.fixture.start(config.clone()).wait().await.unwrap_err());
    assert!(matches!(&error, AttestationError::Unreadable { path, .. } if *path == jwt), "{error:?}");

    std::fs::write(&jwt, join.id_token()).unwrap();
    join.run(config.clone(), &[]).await.unwrap();
    std::fs::remove_file(&jwt).unwrap();
    std::fs::remove_dir_all(join.fixture.path("out")).unwrap();
    let running = join.fixture.start(config);
    wait_until("the output is written", || join.has_written_output()).await;
    running.stop().await.unwrap();
    assert_eq!(join.joins().len(), 1);
}
