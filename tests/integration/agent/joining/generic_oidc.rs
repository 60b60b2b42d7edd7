//! The join method `generic_oidc`, whose ID token comes from a variable, a command or an HTTP request.

use serde_json::{Value, json};
use tbot::agent::{AgentError, AttestationError, CommandProblem, error_line};
use tbot_cluster::method;

use super::super::errors::join_error;
use super::super::http_endpoint::{HttpEndpoint, ScriptedResponse};
use super::super::log_capture::LogCapture;
use super::{DelegatedJoin, ErrorCheck, signed_parts};

/// Variables that every program needs.
const PATH: (&str, &str) = ("PATH", "/usr/bin:/bin");

fn config(join: &DelegatedJoin, source: &Value) -> Value {
    join.config("generic_oidc", json!({ "generic_oidc": source }))
}

/// Returns a source that requests the ID token from `endpoint` with secrets in the query and in a header.
fn http_request(endpoint: &HttpEndpoint, json_path: &str) -> Value {
    json!({
        "http_request": {
            "request": {
                "method": "post",
                "url": endpoint.url("/token?audience=other&a=b"),
                "query_params": { "audience": "hunter1" },
                "headers": { "Authorization": "Bearer hunter2" },
            },
            "result": { "json_path": json_path },
        },
    })
}

/// Runs an agent in oneshot mode, which joins with this ID token and logs no part of it.
async fn join_with(
    join: &DelegatedJoin,
    source: &Value,
    variables: &[(&str, &str)],
    id_token: &str,
) -> Result<(), AgentError> {
    let log = LogCapture::start();
    let joined = join.run(config(join, source), variables).await;
    for part in signed_parts(id_token) {
        assert!(!log.text().contains(part), "{}", log.transcript());
    }
    joined
}

#[tokio::test]
async fn the_id_token_comes_from_a_variable_a_command_or_a_request() {
    let join = DelegatedJoin::with_version("18.11.0", "dev.test").await;
    let id_token = join.id_token();
    let variable = ("ID_TOKEN", id_token.as_str());
    let endpoint = HttpEndpoint::start(ScriptedResponse::Fixed(200, format!(" {id_token}\n")));
    let document = json!({ "tokens": [{ "id-token": id_token }] });
    let structured = HttpEndpoint::start(ScriptedResponse::Fixed(201, document.to_string()));
    let sources = [
        (json!({ "env": "ID_TOKEN" }), vec![variable]),
        (json!({ "command": ["printenv", "ID_TOKEN"] }), vec![variable, PATH]),
        (http_request(&endpoint, ""), vec![]),
        (http_request(&structured, "$.tokens[0]['id-token']"), vec![]),
    ];
    for (source, variables) in &sources {
        join_with(&join, source, variables, &id_token).await.unwrap();
    }
    assert_eq!(join.fixture.call_count(method::JOIN_V1), sources.len());
    assert_eq!(join.joins().len(), 0, "an older request");
    assert!(join.has_written_output());
}

#[tokio::test]
async fn a_cluster_without_join_v1_gets_no_id_token() {
    for version in ["17.9.0", "18.2.5"] {
        let join = DelegatedJoin::with_version(version, "dev.test").await;
        let id_token = join.id_token();
        let joined =
            join_with(&join, &json!({ "env": "ID_TOKEN" }), &[("ID_TOKEN", &id_token)], &id_token).await;
        let (_, error) = join_error(joined.unwrap_err());
        assert!(error.hint().is_some(), "{error:?}");
        assert_eq!(join.joins().len(), 0, "an older request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_sent_as_configured() {
    let join = DelegatedJoin::new("dev.test").await;
    let endpoint = HttpEndpoint::start(ScriptedResponse::Fixed(403, String::new()));
    join.attestation_error(config(&join, &http_request(&endpoint, "")), &[]).await;
    let request = endpoint.only_request();
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/token?a=b&audience=hunter1"));
    assert_eq!(request.header("authorization"), "Bearer hunter2");
    assert_eq!((request.header("content-length"), request.body.as_str()), ("0", ""));
}

#[tokio::test]
async fn a_response_without_an_id_token_is_an_error_without_secrets() {
    let join = DelegatedJoin::new("dev.test").await;
    let endpoint = HttpEndpoint::start(ScriptedResponse::Never);
    let malformed: ErrorCheck = |error| matches!(error, AttestationError::Malformed { .. });
    let refused: ErrorCheck = |error| matches!(error, AttestationError::Refused { .. });
    for (status, body, json_path, is_expected) in [
        (302, "a.hunter3.hunter3", "", refused),
        (404, "a.hunter3.hunter3", "", refused),
        (503, "", "", refused),
        (200, "", "", malformed),
        (200, "hunter3", "", malformed),
        (200, "a.hunter3.hunter3", "$.token", malformed),
        (200, r#"{"other":"a.hunter3.hunter3"}"#, "$.token", malformed),
        (200, r#"{"token":["a.hunter3.hunter3"]}"#, "$.token", malformed),
        (200, r#"{"token":"hunter3"}"#, "$.token", malformed),
    ] {
        let log = LogCapture::start();
        endpoint.set_response(ScriptedResponse::Fixed(status, body.to_owned()));
        let error = join.attestation_error(config(&join, &http_request(&endpoint, json_path)), &[]).await;
        let message = format!("{} {error:?}", error_line(&error, error.hint().as_ref()));
        assert!(is_expected(&error), "{status} {body} {json_path}: {message}");
        assert!(!message.contains("hunter"), "{message}");
        assert!(!log.text().contains("hunter"), "{}", log.text());
    }
    assert!(join.fixture.cluster.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_takes_too_long_is_given_up() {
    let join = DelegatedJoin::new("dev.test").await;
    let endpoint = HttpEndpoint::start(ScriptedResponse::Never);
    let mut request = http_request(&endpoint, "");
    request["timeout"] = json!("200ms");
    let error = join.attestation_error(config(&join, &request), &[]).await;
    assert!(matches!(error, AttestationError::NoResponse { .. }), "{error:?}");
    let command = json!({ "command": ["sleep", "20"], "timeout": "200ms" });
    let error = join.attestation_error(config(&join, &command), &[PATH]).await;
    assert!(
        matches!(error, AttestationError::Command { problem: CommandProblem::TimedOut(_), .. }),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_missing_or_ambiguous_is_an_error_before_the_cluster_is_contacted() {
    let join = DelegatedJoin::new("dev.test").await;
    for source in [json!({}), json!({ "env": "" }), json!({ "env": "ID_TOKEN", "command": ["true"] })] {
        let error = join.attestation_error(config(&join, &source), &[("ID_TOKEN", "a.b.c")]).await;
        assert!(matches!(error, AttestationError::Missing { .. }), "{error:?}");
    }
    let error =
        join.attestation_error(config(&join, &json!({ "env": "ID_TOKEN" })), &[("ID_TOKEN", "")]).await;
    assert!(
        matches!(&error, AttestationError::NotSet { variable, .. } if variable == "ID_TOKEN"),
        "{error:?}"
    );
    let command = json!({ "command": ["sh", "-c", "echo hunter2; exit 1"] });
    let error = join.attestation_error(config(&join, &command), &[PATH]).await;
    assert!(
        matches!(&error, AttestationError::Command { program, problem: CommandProblem::Failed(_), .. } if program == "sh"),
        "{error:?}"
    );
    assert!(!error_line(&error, error.hint().as_ref()).contains("hunter2"));
    let url = json!({ "http_request": { "request": { "url": "http://issuer.example.com/hunter2" } } });
    let error = join.attestation_error(config(&join, &url), &[]).await;
    assert!(matches!(&error, AttestationError::InvalidAddress { .. }), "{error:?}");
    assert!(join.fixture.cluster.requests().is_empty());
}
