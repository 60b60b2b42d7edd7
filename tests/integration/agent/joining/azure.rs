//! The join method `azure`: what the agent requests from the metadata service, and joins with its responses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tbot::agent::{AgentError, AttestationError, GrpcCode, JoinError, error_line};
use tbot_cluster::proto::RegisterUsingAzureMethodRequest;
use tbot_cluster::{AzureMachine, SERVER_VERSION, clock, method};
use url::Url;

use super::super::certificate::assert_not_renewable;
use super::super::errors::{attestation_error, join_error};
use super::super::fixture::{BOT, HOUR, wait_until};
use super::super::http_endpoint::{HttpEndpoint, HttpRequest, ScriptedResponse};
use super::{AUDIENCE, DelegatedJoin, ErrorCheck};

/// The variable that names the metadata service.
const METADATA_URL: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
const VERSIONS: &str = "/metadata/versions";
const ATTESTED_DOCUMENT: &str = "/metadata/attested/document";
const ACCESS_TOKEN: &str = "/metadata/identity/oauth2/token";

/// A virtual machine of Azure with a metadata service, and a cluster that lets it join.
pub(in super::super) struct AzureVm {
    pub(in super::super) join: DelegatedJoin,
    metadata: HttpEndpoint,
    pub(in super::super) access_token: String,
}

impl AzureVm {
    pub(in super::super) async fn new() -> Self {
        Self::with_version(SERVER_VERSION).await
    }

    /// Returns a machine and a cluster that reports `version`.
    pub(in super::super) async fn with_version(version: &str) -> Self {
        Self::start(version, |_, response| response).await
    }

    /// Returns a machine whose metadata service passes the correct status and body through `replace`.
    async fn with_responses(
        replace: impl Fn(&HttpRequest, (u16, String)) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        Self::start(SERVER_VERSION, replace).await
    }

    async fn start(
        version: &str,
        replace: impl Fn(&HttpRequest, (u16, String)) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let join = DelegatedJoin::with_version(version, AUDIENCE).await;
        let machine = Arc::new(AzureMachine::new().unwrap());
        join.fixture.cluster.add_azure_token(BOT, "ci", Arc::clone(&machine)).unwrap();
        let expires = join.fixture.clock.now() + HOUR;
        let access_token = machine.access_token(expires).unwrap();
        let served_token = access_token.clone();
        let metadata = HttpEndpoint::start(ScriptedResponse::from_fn(move |request| {
            let query = query(request);
            let path = request.target.split('?').next().unwrap();
            let response = match path {
                _ if request.header("metadata") != "True" => (400, String::new()),
                VERSIONS => {
                    (200, json!({ "apiVersions": ["2017-03-01", "2019-06-04", "2023-07-01"] }).to_string())
                }
                _ if query.get("api-version").map(String::as_str) != Some("2023-07-01") => {
                    (400, String::new())
                }
                ATTESTED_DOCUMENT => (200, machine.attested_document(&query["nonce"], expires).unwrap()),
                ACCESS_TOKEN => {
                    (200, json!({ "access_token": served_token, "token_type": "Bearer" }).to_string())
                }
                _ => (404, String::new()),
            };
            replace(request, response)
        }));
        Self { join, metadata, access_token }
    }

    /// Returns a machine whose metadata service passes the correct attested document through `document`.
    async fn with_document(
        document: impl Fn(&HttpRequest, String) -> String + Send + Sync + 'static,
    ) -> Self {
        Self::with_responses(move |request, response| {
            if request.target.starts_with(ATTESTED_DOCUMENT) {
                (200, document(request, response.1))
            } else {
                response
            }
        })
        .await
    }

    /// Runs an agent in oneshot mode with this value of `onboarding.azure`.
    pub(in super::super) async fn run(&self, azure: Value) -> Result<(), AgentError> {
        let config = self.join.config("azure", json!({ "azure": azure }));
        self.join.run(config, &[(METADATA_URL, &self.metadata.url(""))]).await
    }

    /// The query parameters of each request for `path`.
    fn queries(&self, path: &str) -> Vec<BTreeMap<String, String>> {
        let requests = self.metadata.requests();
        requests.iter().filter(|request| request.target.starts_with(path)).map(query).collect()
    }
}

fn query(request: &HttpRequest) -> BTreeMap<String, String> {
    let url = Url::parse(&format!("http://127.0.0.1{}", request.target)).unwrap();
    url.query_pairs().into_owned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_join_presents_an_access_token_and_a_document_for_its_challenge() {
    let vm = AzureVm::new().await;
    vm.run(json!({})).await.unwrap();
    vm.run(json!({ "client_id": "an-identity" })).await.unwrap();
    assert!(vm.join.has_written_output() && vm.join.joins().is_empty(), "joined through the web API");
    assert_not_renewable(&vm.join.fixture.storage().join("tlscert"));
    assert!(!vm.join.fixture.has_renewal_marker());

    let tokens = vm.queries(ACCESS_TOKEN);
    assert!(tokens.iter().all(|query| query["resource"] == "https://management.azure.com/"));
    let ids: Vec<_> = tokens.iter().map(|query| query.get("client_id").map(String::as_str)).collect();
    assert_eq!(ids, [None, Some("an-identity")]);
    let documents = vm.queries(ATTESTED_DOCUMENT);
    assert_ne!(documents[0]["nonce"], documents[1]["nonce"]);
    assert!(documents.iter().all(|query| query["format"] == "json" && query["nonce"].len() == 32));

    let calls = vm.join.fixture.calls(method::REGISTER_USING_AZURE);
    let request: RegisterUsingAzureMethodRequest = calls[0].decode().unwrap();
    let common = request.register_using_token_request.unwrap();
    assert_eq!((common.role.as_str(), common.token.as_str()), ("Bot", "ci"));
    assert_eq!((common.expires, calls.len()), (None, 2), "the Go agent does not request an expiry here");
    assert_eq!(request.access_token, vm.access_token);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_joins_again_at_each_renewal() {
    let vm = AzureVm::new().await;
    let mut config = vm.join.config("azure", json!({}));
    config["renewal_interval"] = json!("100ms");
    let running = vm.join.start(config, &[(METADATA_URL, &vm.metadata.url(""))]);
    let joins = || vm.join.fixture.call_count(method::REGISTER_USING_AZURE);
    wait_until("it has joined three times", || joins() >= 3).await;
    running.stop().await.unwrap();
    assert!(!vm.join.fixture.cluster.is_locked(BOT));
}

/// One case per request of the exchange. The responses contain `hunter2`, which must not be in the error.
#[tokio::test(flavor = "multi_thread")]
async fn unusable_responses_of_the_metadata_service_are_reported_without_their_content() {
    let refused: ErrorCheck = |error| matches!(error, AttestationError::Refused { .. });
    let malformed: ErrorCheck = |error| matches!(error, AttestationError::Malformed { .. });
    let too_large = "x".repeat(70_000);
    let cases = [
        (VERSIONS, 500, "hunter2", refused),
        (VERSIONS, 200, r#"{"apiVersions": ["2019-03-11"]}"#, malformed),
        (VERSIONS, 200, r#"{"apiVersions": []}"#, malformed),
        (VERSIONS, 200, "<html>hunter2", malformed),
        (ACCESS_TOKEN, 400, "hunter2", refused),
        (ACCESS_TOKEN, 200, r#"{"access_token": "hunter2"}"#, malformed),
        (ATTESTED_DOCUMENT, 404, "hunter2", refused),
        (ATTESTED_DOCUMENT, 200, r#"{"encoding": "hunter2"}"#, malformed),
        (ATTESTED_DOCUMENT, 200, &too_large, malformed),
    ];
    let mut messages = Vec::new();
    for (path, status, body, is_expected) in cases {
        let body = body.to_owned();
        let vm = AzureVm::with_responses(move |request, response| {
            if request.target.starts_with(path) { (status, body.clone()) } else { response }
        })
        .await;
        let (_, error) = attestation_error(vm.run(json!({})).await.unwrap_err());
        assert!(is_expected(&error), "{path}: {error:?}");
        if let AttestationError::Refused { status: reported, .. } = &error {
            assert_eq!(*reported, status);
        }
        let message = error_line(&error, error.hint().as_ref());
        assert!(message.contains(&vm.metadata.address.to_string()), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
        assert!(vm.access_token.split('.').all(|part| !message.contains(part)), "{message}");
        messages.push(message.replace(&vm.metadata.address.to_string(), "[metadata]"));
        // Only the document depends on the cluster's challenge.
        let calls = vm.join.fixture.call_count(method::REGISTER_USING_AZURE);
        assert_eq!(calls, usize::from(path == ATTESTED_DOCUMENT), "{path}");
    }
    insta::assert_snapshot!(messages.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_for_an_earlier_challenge_is_refused() {
    let first = Mutex::new(None::<String>);
    let vm = AzureVm::with_document(move |_, document| first.lock().unwrap().get_or_insert(document).clone())
        .await;
    vm.run(json!({})).await.unwrap();
    insta::assert_snapshot!(declined(&vm).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_of_another_machine_is_refused() {
    let other = AzureMachine::new().unwrap();
    let expires = clock::system()() + HOUR;
    let vm = AzureVm::with_document(move |request, _| {
        other.attested_document(&query(request)["nonce"], expires).unwrap()
    })
    .await;
    insta::assert_snapshot!(declined(&vm).await);
}

/// Runs an agent whose join the cluster declines, and returns the message.
async fn declined(vm: &AzureVm) -> String {
    let (_, error) = join_error(vm.run(json!({})).await.unwrap_err());
    assert!(
        matches!(&error, JoinError::ServiceRefused { code: GrpcCode::PermissionDenied, .. }),
        "{error:?}"
    );
    error_line(&error, error.hint().as_ref())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metadata_service_that_is_not_link_local_or_on_loopback_gets_no_request() {
    let join = DelegatedJoin::new(AUDIENCE).await;
    for url in ["http://hunter2.example", "https://127.0.0.1:1", "127.0.0.1:1", "http://127.0.0.1:1/hunter2"]
    {
        let error = join.attestation_error(join.config("azure", json!({})), &[(METADATA_URL, url)]).await;
        assert!(
            matches!(&error, AttestationError::InvalidAddress { variable: METADATA_URL, .. }),
            "{error:?}"
        );
        assert!(!error_line(&error, error.hint().as_ref()).contains("hunter2"), "{error}");
    }
    assert!(join.fixture.cluster.requests().is_empty());
}
