//! Join methods that request an ID token over HTTP: GitHub, Google and Azure DevOps.

use serde_json::json;
use tbot::agent::{AgentError, AttestationError, error_line};
use tbot_cluster::{ClusterConfig, MovableClock, clock};

use super::super::errors::attestation_error;
use super::super::fixture::{HOUR, RunningAgent, TestCluster, wait_until};
use super::super::http_endpoint::{HttpEndpoint, ScriptedResponse};
use super::super::log_capture::{LogCapture, LogEvent};
use super::{AUDIENCE, DelegatedJoin, ErrorCheck};

/// A join method whose ID token comes from an endpoint.
struct Method {
    name: &'static str,
    /// The environment variables that name the endpoint.
    variables: fn(&HttpEndpoint) -> Vec<(&'static str, String)>,
    /// The body of a response with this ID token.
    response: fn(&str) -> String,
}

const GITHUB: Method = Method {
    name: "github",
    variables: |endpoint| {
        vec![
            ("ACTIONS_ID_TOKEN_REQUEST_URL", endpoint.url("/request?api-version=2.0")),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter2".to_owned()),
        ]
    },
    response: |id_token| json!({ "count": 1, "value": id_token }).to_string(),
};

const GCP: Method = Method {
    name: "gcp",
    variables: |endpoint| vec![("GCE_METADATA_HOST", endpoint.address.to_string())],
    response: str::to_owned,
};

const AZURE_DEVOPS: Method = Method {
    name: "azure_devops",
    variables: |endpoint| {
        vec![
            ("SYSTEM_OIDCREQUESTURI", endpoint.url("/plan/oidctoken")),
            ("SYSTEM_ACCESSTOKEN", "hunter2".to_owned()),
        ]
    },
    response: |id_token| json!({ "oidcToken": id_token }).to_string(),
};

/// Borrows the values of variables.
fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

impl Method {
    /// Runs an agent in oneshot mode that gets its ID token from `endpoint`.
    async fn run(&self, join: &DelegatedJoin, endpoint: &HttpEndpoint) -> Result<(), AgentError> {
        join.run(join.config(self.name, json!({})), &borrowed(&(self.variables)(endpoint))).await
    }

    /// Starts an agent in continuous mode that gets its ID token from `endpoint`.
    fn start(&self, join: &DelegatedJoin, endpoint: &HttpEndpoint) -> RunningAgent {
        join.start(join.config(self.name, json!({})), &borrowed(&(self.variables)(endpoint)))
    }
}

/// Joins with an ID token of an endpoint, and returns the endpoint.
async fn join_once(method: &Method, audience: &'static str) -> HttpEndpoint {
    let join = DelegatedJoin::new(audience).await;
    let id_token = join.id_token();
    let endpoint = HttpEndpoint::start(ScriptedResponse::Fixed(200, (method.response)(&id_token)));
    method.run(&join, &endpoint).await.unwrap();
    assert_eq!(join.presented_id_tokens(), [id_token]);
    endpoint
}

#[tokio::test(flavor = "multi_thread")]
async fn github_issues_an_id_token_for_the_cluster() {
    let request = join_once(&GITHUB, AUDIENCE).await.only_request();
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("GET", "/request?api-version=2.0&audience=teleport.cluster.local")
    );
    assert_eq!(request.header("authorization"), "Bearer hunter2");
    assert_eq!(request.header("accept"), "application/json; api-version=2.0");
    assert_eq!(request.header("content-type"), "application/json");
}

#[tokio::test(flavor = "multi_thread")]
async fn googles_metadata_server_issues_a_full_id_token() {
    let request = join_once(&GCP, AUDIENCE).await.only_request();
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        (
            "GET",
            "/computeMetadata/v1/instance/service-accounts/default/identity?audience=teleport.cluster.local&format=full&licenses=FALSE"
        )
    );
    assert_eq!((request.header("metadata-flavor"), request.header("authorization")), ("Google", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_devops_issues_an_id_token_for_a_post_request() {
    let request = join_once(&AZURE_DEVOPS, "api://AzureADTokenExchange").await.only_request();
    assert_eq!(
        (request.method.as_str(), request.target.as_str(), request.body.as_str()),
        ("POST", "/plan/oidctoken?api-version=7.1", "")
    );
    assert_eq!((request.header("authorization"), request.header("content-length")), ("Bearer hunter2", "0"));
    assert_eq!(request.header("content-type"), "application/json");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_variable_is_reported_with_what_the_job_needs() {
    let join = DelegatedJoin::new(AUDIENCE).await;
    let endpoint = HttpEndpoint::start(ScriptedResponse::Never);
    for (method, setting) in [
        (GITHUB, "`permissions: id-token: write`"),
        (AZURE_DEVOPS, "`env: SYSTEM_ACCESSTOKEN: $(System.AccessToken)`"),
    ] {
        let variables = (method.variables)(&endpoint);
        for (missing, _) in &variables {
            let mut others = borrowed(&variables);
            others.retain(|(name, _)| name != missing);
            let error = join.attestation_error(join.config(method.name, json!({})), &others).await;
            let AttestationError::NotSet { variable, hint } = &error else { panic!("{error:?}") };
            assert!(variable == missing && hint.as_str().contains(setting), "{error:?}");
        }
    }
    assert!(endpoint.requests().is_empty() && join.fixture.cluster.requests().is_empty());
}

/// The responses contain `hunter2`, which must not be in the error.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_without_an_id_token_is_reported_without_its_content() {
    let join = DelegatedJoin::new(AUDIENCE).await;
    let refused: ErrorCheck = |error| matches!(error, AttestationError::Refused { .. });
    let malformed: ErrorCheck = |error| matches!(error, AttestationError::Malformed { .. });
    let no_response: ErrorCheck = |error| matches!(error, AttestationError::NoResponse { .. });
    let mut messages = Vec::new();
    for (status, body, is_expected) in [
        (401, "hunter2", refused),
        (500, "hunter2", refused),
        (302, "hunter2", refused),
        (200, "", malformed),
        (200, "<html>hunter2</html>", malformed),
        (200, r#"{"value": 7, "oidcToken": ["hunter2"]}"#, malformed),
        (200, r#"{"value": "hunter2", "oidcToken": "hunter2"}"#, malformed),
        (200, &"x".repeat(5 << 20), no_response),
    ] {
        for method in [GITHUB, GCP, AZURE_DEVOPS] {
            let endpoint = HttpEndpoint::start(ScriptedResponse::Fixed(status, body.to_owned()));
            let (_, error) = attestation_error(method.run(&join, &endpoint).await.unwrap_err());
            assert!(is_expected(&error), "{}: {error:?}", method.name);
            if let AttestationError::Refused { status: reported, .. } = &error {
                assert_eq!(*reported, status, "{}", method.name);
            }
            let message = error_line(&error, error.hint().as_ref());
            assert!(message.contains(&endpoint.address.to_string()), "{message}");
            assert!(!message.contains("hunter2") && !message.contains("/plan"), "{message}");
            assert_eq!(endpoint.requests().len(), 1, "{}", method.name);
            messages.push(format!(
                "{}: {}",
                method.name,
                message.replace(&endpoint.address.to_string(), "[endpoint]")
            ));
        }
    }
    insta::assert_snapshot!(messages.join("\n"));
    assert!(join.fixture.cluster.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_sent_in_clear_text_to_another_machine() {
    let join = DelegatedJoin::new(AUDIENCE).await;
    for (join_method, variables) in [
        (
            "github",
            [
                ("ACTIONS_ID_TOKEN_REQUEST_URL", "http://ci.example/hunter2"),
                ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter2"),
            ],
        ),
        ("azure_devops", [("SYSTEM_OIDCREQUESTURI", "hunter2"), ("SYSTEM_ACCESSTOKEN", "hunter2")]),
        ("gcp", [("GCE_METADATA_HOST", "hunter2.example"), ("UNUSED", "")]),
    ] {
        let error = join.attestation_error(join.config(join_method, json!({})), &variables).await;
        assert!(
            matches!(&error, AttestationError::InvalidAddress { variable, .. } if *variable == variables[0].0),
            "{error:?}"
        );
        assert!(!error_line(&error, error.hint().as_ref()).contains("hunter2"), "{error}");
    }
    assert!(join.fixture.cluster.requests().is_empty());
}

/// With paused time, tokio advances the clock whenever all tasks wait, so that the timeout expires immediately.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_never_responds_runs_into_a_timeout() {
    let join = DelegatedJoin::new(AUDIENCE).await;
    for method in [GITHUB, GCP, AZURE_DEVOPS] {
        let endpoint = HttpEndpoint::start(ScriptedResponse::Never);
        let start = tokio::time::Instant::now();
        let (_, error) = attestation_error(method.run(&join, &endpoint).await.unwrap_err());
        let waited = start.elapsed().as_secs();
        assert!((5..60).contains(&waited), "{waited}");
        let AttestationError::NoResponse { host, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*host, endpoint.address.to_string());
    }
    assert!(join.fixture.cluster.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_retries_after_an_outage_of_the_endpoint() {
    let join = DelegatedJoin::new(AUDIENCE).await;
    let endpoint = HttpEndpoint::start(ScriptedResponse::Fixed(503, String::new()));
    let running = GITHUB.start(&join, &endpoint);
    wait_until("a request has failed", || !endpoint.requests().is_empty()).await;
    endpoint.set_response(ScriptedResponse::Fixed(200, (GITHUB.response)(&join.id_token())));
    wait_until("the output is written", || join.has_written_output()).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_identity_that_has_expired_by_this_machines_clock_is_a_failure() {
    let log = LogCapture::start();
    let config = ClusterConfig::new(clock::system());
    let fixture = TestCluster::with_config(config, MovableClock::new(clock::system())).await;
    let join = DelegatedJoin::at(fixture, AUDIENCE);
    // The agent's clock is ahead of the cluster's by more than the longest lifetime of a bot's identity.
    join.fixture.clock.advance(13 * HOUR);
    let endpoint = HttpEndpoint::start(ScriptedResponse::Fixed(200, (GITHUB.response)(&join.id_token())));
    let running = GITHUB.start(&join, &endpoint);
    let names_cause = |event: &LogEvent| event.message.contains("already expired");
    wait_until("the failure is logged", || log.count(names_cause) > 0).await;
    running.stop().await.unwrap();
    assert!(!join.has_written_output());
    assert_eq!(join.joins().len(), 1, "the next attempt waits: {}", log.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_ends_if_the_endpoint_refuses_its_first_request() {
    let join = DelegatedJoin::new(AUDIENCE).await;
    let endpoint = HttpEndpoint::start(ScriptedResponse::Fixed(403, String::new()));
    let (_, error) = attestation_error(GITHUB.start(&join, &endpoint).wait().await.unwrap_err());
    let AttestationError::Refused { status, hint, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*status, 403);
    assert!(hint.as_str().contains("`permissions: id-token: write`"), "{hint}");
}

/// The HTTP proxy sees only a `CONNECT` request. The bearer token is for the server at the end of the tunnel.
#[tokio::test(flavor = "multi_thread")]
async fn https_requests_are_tunnelled_through_the_environments_http_proxy() {
    let join = DelegatedJoin::new(AUDIENCE).await;
    let proxy = HttpEndpoint::start(ScriptedResponse::Fixed(407, String::new()));
    let variables = [
        ("HTTPS_PROXY", &*proxy.url("")),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://ci.example.test/hunter2"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter2"),
    ];
    let error = join.attestation_error(join.config("github", json!({})), &variables).await;
    assert!(
        matches!(&error, AttestationError::NoResponse { host, .. } if host == "ci.example.test:443"),
        "{error:?}"
    );
    assert!(!error_line(&error, error.hint().as_ref()).contains("hunter2"), "{error}");
    // One request to reach the server, and one to explain why that failed.
    let requests = proxy.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!((request.method.as_str(), request.target.as_str()), ("CONNECT", "ci.example.test:443"));
        assert!(!format!("{request:?}").contains("hunter2"), "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_an_id_token() {
    let join = DelegatedJoin::new(AUDIENCE).await;
    let endpoint = HttpEndpoint::start(ScriptedResponse::Never);
    let running = GCP.start(&join, &endpoint);
    wait_until("the metadata server has a request", || !endpoint.requests().is_empty()).await;
    running.stop().await.unwrap();
}
