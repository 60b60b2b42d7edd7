//! Joins by challenge (`iam` and `azure`): exchanges that go wrong, and refusals by the cluster.

use serde_json::json;
use tbot::agent::{AgentError, GrpcCode, JoinError, JoinReason, error_line};
use tbot_cluster::{Code, StreamFault, method};

use super::super::errors::join_error;
use super::super::fixture::{BOT, wait_until};
use super::azure::AzureVm;
use super::iam::{VARIABLES, cluster_with_aws_token};

/// Parts of the credentials in [`VARIABLES`].
const SECRETS: [&str; 3] = ["hunter2", "AKIDEXAMPLE", "session+token"];

fn first_join_error(error: AgentError) -> JoinError {
    let (reason, error) = join_error(error);
    assert_eq!(reason, JoinReason::NothingStored);
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_early_or_has_an_unusable_challenge_is_reported() {
    let join = cluster_with_aws_token().await;
    let ended: fn(&JoinError) -> bool = |error| matches!(error, JoinError::NoResponse { .. });
    let malformed: fn(&JoinError) -> bool = |error| matches!(error, JoinError::MalformedResponse(_));
    let challenge = |challenge: &str| StreamFault::Challenge(challenge.to_owned());
    let cases = [
        (StreamFault::EndImmediately, ended, false),
        (StreamFault::EndWithoutCertificates, ended, true),
        (challenge(""), malformed, false),
        (challenge("a\r\nHost: hunter2"), malformed, false),
        (challenge(&"a".repeat(129)), malformed, false),
    ];
    let mut messages = Vec::new();
    for (fault, is_expected, is_signed) in cases {
        join.fixture.cluster.break_next_stream(method::REGISTER_USING_IAM, fault);
        let error = join.run(join.config("iam", json!({})), &VARIABLES).await.unwrap_err();
        let error = first_join_error(error);
        assert!(is_expected(&error), "{error:?}");
        let message = error_line(&error, error.hint().as_ref());
        assert!(SECRETS.iter().all(|secret| !message.contains(secret)), "{message}");
        let calls = join.fixture.cluster.requests();
        assert_eq!(!calls.last().unwrap().request.is_empty(), is_signed, "{message}");
        messages.push(message);
    }
    insta::assert_snapshot!(messages.join("\n"));
    assert!(!join.has_written_output());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_size_limit_is_not_read() {
    let join = cluster_with_aws_token().await;
    let fault = StreamFault::Challenge("a".repeat(2 << 20));
    join.fixture.cluster.break_next_stream(method::REGISTER_USING_IAM, fault);
    let error = join.run(join.config("iam", json!({})), &VARIABLES).await.unwrap_err();
    let JoinError::ServiceRefused { code, message, .. } = first_join_error(error) else {
        panic!("another error")
    };
    let message = message.to_string();
    // The code and wording of tonic for a message over its limit.
    assert_eq!(code, GrpcCode::OutOfRange);
    assert!(message.contains("message length too large") && message.len() < 200, "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_credentials_are_redacted_in_the_clusters_message() {
    let join = cluster_with_aws_token().await;
    let repeating = "session hunter2/AKIDEXAMPLE/session+token== of AKIDEXAMPLE with hunter2/secret+key";
    join.fixture.cluster.fail_next(method::REGISTER_USING_IAM, Code::PermissionDenied, repeating);
    let error = join.run(join.config("iam", json!({})), &VARIABLES).await.unwrap_err();
    assert_eq!(declined(error), (GrpcCode::PermissionDenied, "session ... of ... with ...".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_azure_access_token_is_redacted_in_the_clusters_message() {
    let vm = AzureVm::new().await;
    let token = &vm.access_token;
    let repeating = format!("{token} is not for us: {}", token.split('.').nth(1).unwrap());
    vm.join.fixture.cluster.fail_next(method::REGISTER_USING_AZURE, Code::PermissionDenied, &repeating);
    let error = vm.run(json!({})).await.unwrap_err();
    assert_eq!(declined(error), (GrpcCode::PermissionDenied, "... is not for us: ...".to_owned()));
}

/// The code and message of a join that the cluster declined.
fn declined(error: AgentError) -> (GrpcCode, String) {
    match first_join_error(error) {
        JoinError::ServiceRefused { code, message, .. } => (code, message.to_string()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_code_of_a_refusal_has_its_hint_and_is_not_retried() {
    let join = cluster_with_aws_token().await;
    let mut rendered = Vec::new();
    for (code, message) in [
        (Code::Unimplemented, "unknown service"),
        (Code::PermissionDenied, "access denied"),
        (Code::PermissionDenied, "aws sts api returned status: \"403\""),
        (Code::PermissionDenied, "unknown STS host \"a\""),
        (Code::PermissionDenied, "AWS STS host is for unknown region \"xx-new-1\""),
        (Code::PermissionDenied, "node selected non-FIPS STS endpoint (a) for the IAM join method"),
        (Code::NotFound, "no such token"),
        (Code::ResourceExhausted, "slow down"),
    ] {
        join.fixture.cluster.fail_next(method::REGISTER_USING_IAM, code, message);
        let error = join.run(join.config("iam", json!({})), &VARIABLES).await.unwrap_err();
        rendered.push(error_line(&error, error.hint().as_ref()));
        let (reported, reported_message) = declined(error);
        assert_eq!((format!("{reported:?}"), reported_message), (format!("{code:?}"), message.to_owned()));
    }
    insta::assert_snapshot!(rendered.join("\n"));
    assert_eq!(join.fixture.call_count(method::REGISTER_USING_IAM), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_survives_failed_exchanges_and_joins_again_at_each_renewal() {
    let join = cluster_with_aws_token().await;
    join.fixture.cluster.drop_next_response(method::REGISTER_USING_IAM);
    join.fixture.cluster.fail_next(method::REGISTER_USING_IAM, Code::Unavailable, "auth is unavailable");
    join.fixture.cluster.break_next_stream(method::REGISTER_USING_IAM, StreamFault::EndWithoutCertificates);
    let mut config = join.config("iam", json!({}));
    config["renewal_interval"] = json!("100ms");
    let running = join.start(config, &VARIABLES);
    let joins = || join.fixture.call_count(method::REGISTER_USING_IAM);
    wait_until("it has joined three times after three failures", || joins() >= 6).await;
    running.stop().await.unwrap();
    assert!(join.has_written_output() && !join.fixture.cluster.is_locked(BOT));
}

/// With paused time, tokio advances the clock whenever all tasks wait, so that the timeout expires immediately.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_never_responds_runs_into_a_timeout() {
    let join = cluster_with_aws_token().await;
    let _hold = join.fixture.cluster.hold_next(method::REGISTER_USING_IAM);
    let start = tokio::time::Instant::now();
    let error = join.run(join.config("iam", json!({})), &VARIABLES).await.unwrap_err();
    let waited = start.elapsed().as_secs();
    assert!((20..60).contains(&waited), "{waited}");
    let error = first_join_error(error);
    assert!(matches!(error, JoinError::NoResponse { .. }), "{error:?}");
}
