//! The method `azure`: what the metadata service is asked, and that what it says is taken.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tbot_cluster::proto::RegisterUsingAzureMethodRequest;
use tbot_cluster::{AzureMachine, method};
use url::Url;

use super::endpoint::{Answer, Asked, Endpoint};
use super::{AUDIENCE, BOT, Ci, GENERATION, HOUR, RENEWABLE, attribute, until};

const METADATA: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";

/// A machine of Azure with a metadata service.
pub(super) struct Machine {
    pub(super) ci: Ci,
    pub(super) endpoint: Endpoint,
    pub(super) access_token: String,
}

impl Machine {
    pub(super) async fn new() -> Self {
        Self::spoilt(|_, answer| answer).await
    }

    /// A machine whose metadata service answers something else.
    async fn spoilt(spoil: impl Fn(&Asked, (u16, String)) -> (u16, String) + Send + Sync + 'static) -> Self {
        let ci = Ci::new(AUDIENCE).await;
        let machine = Arc::new(AzureMachine::new().unwrap());
        ci.lab.cluster.add_azure_token(BOT, "ci", Arc::clone(&machine)).unwrap();
        let ends = ci.lab.clock.now() + HOUR;
        let access_token = machine.access_token(ends).unwrap();
        let given = access_token.clone();
        let endpoint = Endpoint::start(Answer::by(move |asked| {
            let query = query(asked);
            let path = asked.target.split('?').next().unwrap();
            let answer = match path {
                _ if asked.header("metadata") != "True" => (400, String::new()),
                "/metadata/versions" => {
                    (200, json!({ "apiVersions": ["2017-03-01", "2019-06-04", "2023-07-01"] }).to_string())
                }
                _ if query.get("api-version").map(String::as_str) != Some("2023-07-01") => {
                    (400, String::new())
                }
                "/metadata/attested/document" => (200, machine.document(&query["nonce"], ends).unwrap()),
                "/metadata/identity/oauth2/token" => {
                    (200, json!({ "access_token": given, "token_type": "Bearer" }).to_string())
                }
                _ => (404, String::new()),
            };
            spoil(asked, answer)
        }));
        Self { ci, endpoint, access_token }
    }

    /// One run, with what `onboarding.azure` says.
    pub(super) async fn run(&self, azure: serde_json::Value) -> Result<(), String> {
        let config = self.ci.config("azure", json!({ "azure": azure }));
        let ran = self.ci.run(config, &[(METADATA, &self.endpoint.url(""))]).await;
        ran.map_err(|error| error.to_string())
    }

    fn asked_for(&self, path: &str) -> Vec<BTreeMap<String, String>> {
        let asked = self.endpoint.asked();
        asked.iter().filter(|asked| asked.target.starts_with(path)).map(query).collect()
    }
}

fn query(asked: &Asked) -> BTreeMap<String, String> {
    let url = Url::parse(&format!("http://127.0.0.1{}", asked.target)).unwrap();
    url.query_pairs().into_owned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_says_which_it_is_with_the_challenge_and_again_for_each_join() {
    let machine = Machine::new().await;
    machine.run(json!({})).await.unwrap();
    machine.run(json!({ "client_id": "an-identity" })).await.unwrap();
    assert!(machine.ci.has_written() && machine.ci.joins().is_empty(), "nothing was posted");
    let tls = machine.ci.lab.storage().join("tlscert");
    assert_eq!((attribute(&tls, RENEWABLE), attribute(&tls, GENERATION)), (None, None));
    assert!(!machine.ci.lab.storage().join("renewal-pending").exists());

    let tokens = machine.asked_for("/metadata/identity/oauth2/token");
    assert!(tokens.iter().all(|query| query["resource"] == "https://management.azure.com/"));
    let ids: Vec<_> = tokens.iter().map(|query| query.get("client_id").map(String::as_str)).collect();
    assert_eq!(ids, [None, Some("an-identity")]);
    let nonces = machine.asked_for("/metadata/attested/document");
    assert_ne!(nonces[0]["nonce"], nonces[1]["nonce"]);
    assert!(nonces.iter().all(|query| query["format"] == "json" && query["nonce"].len() == 32));

    let mut calls = machine.ci.lab.cluster.requests();
    calls.retain(|call| call.method == method::REGISTER_USING_AZURE);
    let request: RegisterUsingAzureMethodRequest = calls[0].decode().unwrap();
    let common = request.register_using_token_request.unwrap();
    assert_eq!((common.role.as_str(), common.token.as_str()), ("Bot", "ci"));
    assert_eq!((common.expires, calls.len()), (None, 2), "the Go agent asks for no end");
    assert_eq!(request.access_token, machine.access_token);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_joins_again_at_each_renewal() {
    let machine = Machine::new().await;
    let mut config = machine.ci.config("azure", json!({}));
    config["renewal_interval"] = json!("100ms");
    let url = machine.endpoint.url("");
    let agent = machine.ci.lab.agent_with(config, &[(METADATA, &url)]).unwrap();
    let (control, signals) = tbot::agent::control();
    let running = tokio::spawn(async move { agent.run(signals).await });
    until("it has joined three times", || machine.ci.lab.calls(method::REGISTER_USING_AZURE) >= 3).await;
    control.shutdown();
    running.await.unwrap().unwrap();
    assert!(!machine.ci.lab.cluster.is_locked(BOT));
}

/// The step that goes wrong; what it answers is not repeated.
#[tokio::test(flavor = "multi_thread")]
async fn a_metadata_service_that_does_not_answer_well_is_named_and_not_repeated() {
    for (path, status, body, says) in [
        ("versions", 500, "hunter2", "no version of Azure's metadata service from "),
        (
            "versions",
            200,
            r#"{"apiVersions": ["2019-03-11"]}"#,
            "the newest has to be of 2019-06-04 or later",
        ),
        ("versions", 200, r#"{"apiVersions": []}"#, "the newest has to be of 2019-06-04 or later"),
        ("versions", 200, "<html>hunter2", "it is not JSON"),
        (
            "identity",
            400,
            "hunter2",
            "400 Bad Request; onboarding.join_method azure needs a machine with a managed",
        ),
        ("identity", 200, r#"{"access_token": "hunter2"}"#, "holds no access token: a JWT has three parts"),
        ("attested", 404, "hunter2", "no attested document from "),
        ("attested", 200, r#"{"encoding": "hunter2"}"#, "holds no attested document: it is not signed"),
        ("attested", 200, &"x".repeat(70_000), "it is longer than 64 KiB"),
    ] {
        let body = body.to_owned();
        let machine = Machine::spoilt(move |asked, answer| {
            let is_it = asked.target.starts_with(&format!("/metadata/{path}"));
            if is_it { (status, body.clone()) } else { answer }
        })
        .await;
        let refused = machine.run(json!({})).await.unwrap_err();
        assert!(refused.contains(says), "{path}: {refused}");
        assert!(refused.contains(&machine.endpoint.address.to_string()), "{refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
        assert!(machine.access_token.split('.').all(|part| !refused.contains(part)), "{refused}");
        // Only the document is asked for when the cluster has spoken.
        let asked_the_cluster = machine.ci.lab.calls(method::REGISTER_USING_AZURE);
        assert_eq!(asked_the_cluster, usize::from(path == "attested"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_for_another_challenge_or_of_another_machine_is_refused() {
    let stranger = AzureMachine::new().unwrap();
    let ends = tbot_cluster::clock::system()() + HOUR;
    let old = Mutex::new(None::<String>);
    let replaying = Machine::spoilt(move |asked, answer| {
        if !asked.target.starts_with("/metadata/attested") {
            return answer;
        }
        (200, old.lock().unwrap().get_or_insert(answer.1).clone())
    })
    .await;
    replaying.run(json!({})).await.unwrap();
    let refused = replaying.run(json!({})).await.unwrap_err();
    assert!(refused.contains("with the challenge for an audience, is for another audience"), "{refused}");

    let foreign = Machine::spoilt(move |asked, answer| {
        if !asked.target.starts_with("/metadata/attested") {
            return answer;
        }
        (200, stranger.document(&query(asked)["nonce"], ends).unwrap())
    })
    .await;
    let refused = foreign.run(json!({})).await.unwrap_err();
    assert!(refused.contains("is not signed by the issuer (PermissionDenied); check"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_machine_s_own_link_is_asked() {
    let ci = Ci::new(AUDIENCE).await;
    for host in ["http://hunter2.example", "https://127.0.0.1:1", "127.0.0.1:1", "http://127.0.0.1:1/hunter2"]
    {
        let refused = ci.refused(ci.config("azure", json!({})), &[(METADATA, host)]).await;
        assert!(refused.contains("AUTHORITY_HOST holds no address that can be asked"), "{refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
    }
    assert!(ci.lab.cluster.requests().is_empty());
}
