//! The join method `iam`: missing or unusable AWS credentials, and signed requests that the cluster refuses.

use serde_json::json;
use tbot::agent::{AgentError, AttestationError, GrpcCode, JoinError, error_line};

use super::super::errors::join_error;
use super::super::fixture::BOT;
use super::super::http_endpoint::{HttpEndpoint, ScriptedResponse};
use super::iam::{
    ACCESS_KEY_ID, EC2_CREDENTIALS, EC2_ROLES, EC2_TOKEN, EC2_URL, NO_EC2, REGION, ROLE, SECRET_ACCESS_KEY,
    SESSION_TOKEN, VARIABLES, cluster_with_aws_token, ec2, user,
};
use super::{AUDIENCE, DelegatedJoin, ErrorCheck};

#[tokio::test(flavor = "multi_thread")]
async fn missing_credentials_are_reported_before_the_cluster_is_contacted() {
    let join = cluster_with_aws_token().await;
    let cases: [(&[(&str, &str)], ErrorCheck); 7] = [
        (&[NO_EC2], |error| matches!(error, AttestationError::Missing { .. })),
        (
            &[ACCESS_KEY_ID, REGION, NO_EC2],
            |error| matches!(error, AttestationError::NotSet { variable, .. } if variable == SECRET_ACCESS_KEY.0),
        ),
        (&[(EC2_URL, "http://hunter2.example")], |error| {
            matches!(error, AttestationError::InvalidAddress { variable: EC2_URL, .. })
        }),
        (
            &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/a"), REGION, NO_EC2],
            |error| matches!(error, AttestationError::NotSet { variable, .. } if variable == ROLE.0),
        ),
        (
            &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/a"), ROLE, REGION, NO_EC2],
            |error| matches!(error, AttestationError::Unreadable { path, .. } if path.as_os_str() == "/nonexistent/a"),
        ),
        (
            &[("AWS_PROFILE", "a"), NO_EC2],
            |error| matches!(error, AttestationError::Malformed { location, .. } if location.contains("'a'")),
        ),
        (&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://hunter2.example"), NO_EC2], |error| {
            matches!(
                error,
                AttestationError::InvalidAddress { variable: "AWS_CONTAINER_CREDENTIALS_FULL_URI", .. }
            )
        }),
    ];
    let mut messages = Vec::new();
    for (variables, is_expected) in cases {
        let error = join.attestation_error(join.config("iam", json!({})), variables).await;
        assert!(is_expected(&error), "{variables:?}: {error:?}");
        assert!(!error_line(&error, error.hint().as_ref()).contains("hunter2"), "{error}");
        messages.push(error_line(&error, error.hint().as_ref()));
    }
    insta::assert_snapshot!(messages.join("\n"));
    assert!(join.fixture.cluster.requests().is_empty());
}

/// One case per request of the exchange. The responses contain `hunter2`, which must not be in the error.
#[tokio::test(flavor = "multi_thread")]
async fn unusable_responses_of_ec2_are_reported_without_their_content() {
    let join = cluster_with_aws_token().await;
    let refused: ErrorCheck = |error| matches!(error, AttestationError::Refused { .. });
    let malformed: ErrorCheck = |error| matches!(error, AttestationError::Malformed { .. });
    let missing: ErrorCheck = |error| matches!(error, AttestationError::Missing { .. });
    let mut messages = Vec::new();
    for (target, status, body, is_expected) in [
        (EC2_TOKEN, 403, "hunter2", refused),
        (EC2_TOKEN, 200, "hun\u{7f}ter2", malformed),
        (EC2_ROLES, 404, "hunter2", refused),
        (EC2_ROLES, 200, "", missing),
        (EC2_ROLES, 302, "hunter2", refused),
        (EC2_CREDENTIALS, 500, "hunter2", refused),
        (EC2_CREDENTIALS, 200, "<html>hunter2", malformed),
        (EC2_CREDENTIALS, 200, r#"{"Code": "Failed", "Message": "hunter2"}"#, malformed),
        (
            EC2_CREDENTIALS,
            200,
            r#"{"AccessKeyId": "hunter2\r\n: a", "SecretAccessKey": "hunter2"}"#,
            malformed,
        ),
    ] {
        let endpoint = HttpEndpoint::start(ScriptedResponse::from_fn(move |request| {
            if request.target == target { (status, body.to_owned()) } else { ec2(request) }
        }));
        let variables = [(EC2_URL, &*endpoint.url(""))];
        let error = join.attestation_error(join.config("iam", json!({})), &variables).await;
        assert!(is_expected(&error), "{target} {status}: {error:?}");
        if let AttestationError::Refused { status: reported, .. } = &error {
            assert_eq!(*reported, status);
        }
        let message = error_line(&error, error.hint().as_ref());
        assert!(!message.contains("hunter2") && !message.contains("canary"), "{message}");
        messages.push(message.replace(&endpoint.address.to_string(), "[ec2]"));
    }
    insta::assert_snapshot!(messages.join("\n"));
    assert!(join.fixture.cluster.requests().is_empty());
}

/// Returns the message of a join that the cluster refused because it did not accept the signed request or the token.
fn declined(error: AgentError) -> String {
    let (_, error) = join_error(error);
    assert!(matches!(error, JoinError::ServiceRefused { code: GrpcCode::PermissionDenied, .. }), "{error:?}");
    error_line(&error, error.hint().as_ref())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_request_that_the_cluster_refuses_is_explained_and_not_repeated() {
    let join = cluster_with_aws_token().await;
    let mut messages = Vec::new();
    for variables in [
        [ACCESS_KEY_ID, ("AWS_SECRET_ACCESS_KEY", "hunter3"), SESSION_TOKEN, REGION],
        [("AWS_ACCESS_KEY_ID", "AKIDOTHER"), SECRET_ACCESS_KEY, SESSION_TOKEN, REGION],
        [ACCESS_KEY_ID, SECRET_ACCESS_KEY, ("AWS_SESSION_TOKEN", "hunter3"), REGION],
        [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, ("AWS_REGION", "nowhere-1")],
    ] {
        let message = declined(join.run(join.config("iam", json!({})), &variables).await.unwrap_err());
        assert!(!message.contains("hunter") && !message.contains("AKID"), "{message}");
        messages.push(message);
    }
    insta::assert_snapshot!(messages.join("\n"));
    assert!(!join.has_written_output());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_token_of_another_method_is_refused() {
    let join = DelegatedJoin::new(AUDIENCE).await;
    let for_id_tokens = declined(join.run(join.config("iam", json!({})), &VARIABLES).await.unwrap_err());
    join.fixture.cluster.add_aws_token(BOT, "ci", user(Some(SESSION_TOKEN.1))).unwrap();
    let variables = [("TBOT_GITLAB_JWT", &*join.id_token())];
    let (_, for_aws) = join_error(join.run(join.config("gitlab", json!({})), &variables).await.unwrap_err());
    assert!(matches!(for_aws, JoinError::Refused { status: 403, .. }), "{for_aws:?}");
    let for_aws = error_line(&for_aws, for_aws.hint().as_ref());
    insta::assert_snapshot!(format!("{for_id_tokens}\n{for_aws}"));
}
