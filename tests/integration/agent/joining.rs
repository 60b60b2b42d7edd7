//! Joining with a proof: where each method has it from, what is asked of whom, every way to have none, and that what comes
//! back is renewed by joining again.

mod azure;
pub(crate) mod endpoint;
mod exchanges;
mod iam;
mod refused;
mod streams;

use std::time::Duration;

use serde_json::{Value, json};
use tbot::agent::{AgentError, control};
use tbot_cluster::{Call, Issuer, method};

use super::lab::{BOT, Lab, attribute, listen, read, until};

const HOUR: Duration = Duration::from_secs(60 * 60);
const RENEWABLE: &str = "1.3.9999.1.13";
const GENERATION: &str = "1.3.9999.1.14";
/// Whom GitHub and Google are asked to issue a token for.
const AUDIENCE: &str = "teleport.cluster.local";

/// A cluster that takes the tokens of an issuer for `audience` as proof that somebody is the bot.
struct Ci {
    lab: Lab,
    issuer: Issuer,
    audience: &'static str,
}

impl Ci {
    async fn new(audience: &'static str) -> Self {
        let lab = Lab::new().await;
        let issuer = Issuer::new("https://ci.example").unwrap();
        lab.cluster.add_oidc_token(BOT, "ci", &issuer, audience).unwrap();
        Self { lab, issuer, audience }
    }

    /// A good proof.
    fn proof(&self) -> String {
        self.issuer.token(self.audience, self.lab.clock.now() + HOUR).unwrap()
    }

    /// One output, joined for by `join_method`, with what else `onboarding` says.
    fn config(&self, join_method: &str, onboarding: Value) -> Value {
        let mut config = self.lab.config("20m", &[self.lab.output("out")]);
        config["onboarding"] = onboarding;
        config["onboarding"]["join_method"] = json!(join_method);
        config["onboarding"]["token"] = json!("ci");
        config
    }

    async fn run(&self, config: Value, variables: &[(&str, &str)]) -> Result<(), AgentError> {
        let (_control, signals) = control();
        self.lab.agent_with(config, variables)?.run_once(signals).await
    }

    async fn refused(&self, config: Value, variables: &[(&str, &str)]) -> String {
        self.run(config, variables).await.unwrap_err().to_string()
    }

    /// The joins that the cluster has got.
    fn joins(&self) -> Vec<Call> {
        let mut calls = self.lab.cluster.requests();
        calls.retain(|call| call.method == method::JOIN);
        calls
    }

    /// The proofs that the cluster has got.
    fn presented(&self) -> Vec<String> {
        let proof = |call: Call| {
            let body: Value = serde_json::from_slice(&call.request).unwrap();
            assert_eq!(body["token"], "ci");
            body["id_token"].as_str().unwrap().to_owned()
        };
        self.joins().into_iter().map(proof).collect()
    }

    fn has_written(&self) -> bool {
        self.lab.path("out").join("identity").exists()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_is_the_proof_of_most_ci_systems() {
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
        let ci = Ci::new("dev.test").await;
        let config = ci.config(join_method, onboarding);
        for empty in [&[][..], &[(variable, "")]] {
            let refused = ci.refused(config.clone(), empty).await;
            assert!(refused.starts_with("no identity is stored, so the agent has to join: "), "{refused}");
            assert!(
                refused.contains(&format!("{variable} is not set in the environment: the ")),
                "{refused}"
            );
        }
        let refused = ci.refused(config.clone(), &[(variable, "hunter2")]).await;
        assert!(refused.contains(&format!("{variable} holds no identity token")), "{refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
        assert!(ci.lab.cluster.requests().is_empty(), "{join_method}: the cluster was asked without a proof");

        let proof = ci.proof();
        ci.run(config, &[(variable, &proof)]).await.unwrap();
        assert_eq!(ci.presented(), [proof], "{join_method}");
        assert!(ci.has_written());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_the_proof_of_a_pod() {
    let ci = Ci::new("dev.test").await;
    let (mounted, configured) = (ci.lab.path("mounted"), ci.lab.path("configured"));
    let in_variable = [("KUBERNETES_TOKEN_PATH", mounted.to_str().unwrap())];
    let plain = ci.config("kubernetes", json!({}));
    let refused = ci.refused(plain.clone(), &in_variable).await;
    assert!(refused.contains(mounted.to_str().unwrap()), "{refused}");
    assert!(refused.contains("the pod needs a service account with its token mounted"), "{refused}");
    for (content, problem) in [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("hunter2\n", "three parts"),
        (&"a".repeat(70_000), "64 KiB"),
    ] {
        std::fs::write(&mounted, content).unwrap();
        let refused = ci.refused(plain.clone(), &in_variable).await;
        assert!(refused.contains(problem) && !refused.contains("hunter2"), "{refused}");
    }
    assert!(ci.lab.cluster.requests().is_empty());

    // Read anew for each join, since somebody else keeps it fresh; what is configured goes before the environment.
    let mut presented = Vec::new();
    for ahead in 1..=2 {
        let proof = ci.issuer.token("dev.test", ci.lab.clock.now() + HOUR * ahead).unwrap();
        std::fs::write(&mounted, format!("{proof}\n")).unwrap();
        ci.run(plain.clone(), &in_variable).await.unwrap();
        presented.push(proof);
    }
    let proof = ci.issuer.token("dev.test", ci.lab.clock.now() + HOUR * 3).unwrap();
    std::fs::write(&configured, &proof).unwrap();
    let config = ci.config("kubernetes", json!({ "kubernetes": { "token_path": configured } }));
    ci.run(config, &in_variable).await.unwrap();
    presented.push(proof);
    assert_eq!(ci.presented(), presented);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_proof_gives_is_renewed_by_joining_again_with_a_new_key() {
    let ci = Ci::new("dev.test").await;
    let config = ci.config("gitlab", json!({}));
    let stored = |name: &str| ci.lab.storage().join(name);
    let mut keys = Vec::new();
    for _ in 0..2 {
        ci.run(config.clone(), &[("TBOT_GITLAB_JWT", &ci.proof())]).await.unwrap();
        keys.push(read(&stored("key")));
        let tls = stored("tlscert");
        assert_eq!((attribute(&tls, RENEWABLE), attribute(&tls, GENERATION)), (None, None));
        assert!(!stored("renewal-pending").exists());
    }
    assert_ne!(keys[0], keys[1]);
    assert_eq!((ci.joins().len(), ci.lab.cluster.generation(BOT)), (2, Some(0)));
}

/// A lost answer locks nobody and uses nothing up, so that the next attempt is made by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_joins_again_at_each_renewal_at_a_reload_and_after_a_lost_answer() {
    let ci = Ci::new("dev.test").await;
    let config = ci.config("kubernetes", json!({ "kubernetes": { "token_path": ci.lab.path("jwt") } }));
    std::fs::write(ci.lab.path("jwt"), ci.proof()).unwrap();
    ci.lab.cluster.drop_reply(method::JOIN);
    let running = ci.lab.start(config.clone());
    until("an output is written", || ci.has_written()).await;
    assert_eq!(ci.joins().len(), 2, "the lost one, and the one after it");

    let before = read(&ci.lab.storage().join("key"));
    running.control.reload();
    until("the identity is new", || read(&ci.lab.storage().join("key")) != before).await;
    assert_eq!(ci.joins().len(), 3);

    // Without a proof it goes on with what it has.
    std::fs::remove_file(ci.lab.path("jwt")).unwrap();
    let written = read(&ci.lab.path("out").join("key"));
    running.control.reload();
    until("an output is new all the same", || read(&ci.lab.path("out").join("key")) != written).await;
    running.stop().await.unwrap();
    assert_eq!(ci.joins().len(), 3);

    std::fs::write(ci.lab.path("jwt"), ci.proof()).unwrap();
    let mut config = config;
    config["renewal_interval"] = json!("100ms");
    let running = ci.lab.start(config);
    until("it has joined three times more", || ci.joins().len() >= 6).await;
    running.stop().await.unwrap();
    assert!(!ci.lab.cluster.is_locked(BOT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_that_starts_without_a_proof_goes_on_with_what_is_stored() {
    let ci = Ci::new("dev.test").await;
    let jwt = ci.lab.path("jwt");
    let config = ci.config("kubernetes", json!({ "kubernetes": { "token_path": jwt } }));
    let refused = ci.lab.start(config.clone()).ended().await.unwrap_err().to_string();
    assert!(refused.contains("cannot read the identity token"), "{refused}");

    std::fs::write(&jwt, ci.proof()).unwrap();
    ci.run(config.clone(), &[]).await.unwrap();
    std::fs::remove_file(&jwt).unwrap();
    std::fs::remove_dir_all(ci.lab.path("out")).unwrap();
    let running = ci.lab.start(config);
    until("an output is written", || ci.has_written()).await;
    running.stop().await.unwrap();
    assert_eq!(ci.joins().len(), 1);
}

#[tokio::test]
async fn no_proof_is_logged_whether_it_is_taken_or_refused() {
    let (log, _listening) = listen();
    let ci = Ci::new("dev.test").await;
    let (good, bad) = (ci.proof(), ci.issuer.token("elsewhere", ci.lab.clock.now() + HOUR).unwrap());
    let config = ci.config("gitlab", json!({}));
    ci.run(config.clone(), &[("TBOT_GITLAB_JWT", &good)]).await.unwrap();
    ci.refused(config.clone(), &[("TBOT_GITLAB_JWT", &bad)]).await;
    ci.refused(config.clone(), &[("TBOT_GITLAB_JWT", "canary")]).await;

    let endpoint =
        endpoint::Endpoint::start(endpoint::Answer::With(200, json!({ "value": good }).to_string()));
    let url = endpoint.url("/canary");
    let github =
        [("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "canary")];
    ci.run(ci.config("github", json!({})), &github).await.unwrap();

    let text = log.text();
    assert!(text.contains("INFO tbot::agent"), "the agent was heard");
    assert_eq!(endpoint.asked().len(), 1);
    for secret in [&good, &bad].into_iter().flat_map(|proof| proof.split('.').skip(1)).chain(["canary"]) {
        assert!(!text.contains(secret), "{secret}");
    }
}
