//! Joins through `teleport.join.v1.JoinService`: exchanges that go wrong, and when the agent uses the legacy join instead.

use serde_json::json;
use tbot::agent::{GrpcCode, JoinError, JoinReason, error_line};
use tbot_cluster::proto::join_v1::{self, join_request::Payload};
use tbot_cluster::{Code, StreamFault, method};

use super::super::errors::join_error;
use super::super::fixture::{BOT, TestCluster, run_oneshot};
use super::{DelegatedJoin, iam};

/// A version that offers both ways to join.
const VERSION: &str = "18.7.0";
/// A version that offers only join v1.
const NEXT_VERSION: &str = "20.0.0";

/// Runs an agent whose join fails, and returns the error.
async fn failed_join(join: &DelegatedJoin) -> JoinError {
    failed_join_with(join, join.id_token()).await
}

/// Like [`failed_join`], with this ID token.
async fn failed_join_with(join: &DelegatedJoin, id_token: String) -> JoinError {
    let error = join.run(join.config("gitlab", json!({})), &[("TBOT_GITLAB_JWT", &id_token)]).await;
    let (reason, error) = join_error(error.unwrap_err());
    assert_eq!(reason, JoinReason::NothingStored);
    let message = error_line(&error, error.hint().as_ref());
    assert!(id_token.split('.').all(|part| !message.contains(part)), "{message}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_before_the_first_response_leads_to_the_legacy_join_unless_the_join_is_denied() {
    for (code, joins_anyway) in [
        (Code::Unimplemented, true),
        (Code::Unavailable, true),
        (Code::Internal, true),
        (Code::PermissionDenied, false),
        (Code::InvalidArgument, false),
    ] {
        let join = DelegatedJoin::with_version(VERSION, "dev.test").await;
        join.fixture.cluster.break_next_stream(method::JOIN_V1, StreamFault::Refuse(code));
        if joins_anyway {
            let id_token = join.id_token();
            let config = join.config("gitlab", json!({}));
            join.run(config, &[("TBOT_GITLAB_JWT", &id_token)]).await.unwrap();
        } else {
            let error = failed_join(&join).await;
            assert!(matches!(error, JoinError::ServiceRefused { .. }), "{error:?}");
        }
        assert_eq!(join.joins().len(), usize::from(joins_anyway), "{code:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_before_the_first_response_leads_to_the_legacy_join() {
    for fault in [StreamFault::EndImmediately, StreamFault::LoseResponse(1)] {
        let join = DelegatedJoin::with_version(VERSION, "dev.test").await;
        join.fixture.cluster.break_next_stream(method::JOIN_V1, fault);
        let id_token = join.id_token();
        join.run(join.config("gitlab", json!({})), &[("TBOT_GITLAB_JWT", &id_token)]).await.unwrap();
        assert_eq!(join.joins().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_after_the_first_response_is_final() {
    let join = DelegatedJoin::with_version(VERSION, "dev.test").await;
    join.fixture.cluster.break_next_stream(method::JOIN_V1, StreamFault::EndWithoutCertificates);
    let error = failed_join(&join).await;
    assert!(matches!(error, JoinError::NoResponse { .. }), "{error:?}");
    join.fixture.cluster.drop_next_response(method::JOIN_V1);
    let error = failed_join(&join).await;
    assert!(matches!(error, JoinError::NoResponse { .. }), "{error:?}");
    let id_token = join.id_token();
    join.fixture.cluster.fail_next(method::JOIN_V1, Code::PermissionDenied, &id_token);
    let error = failed_join_with(&join, id_token).await;
    let JoinError::ServiceRefused { code, message, .. } = error else { panic!("{error:?}") };
    assert_eq!((code, message.to_string().as_str()), (GrpcCode::PermissionDenied, "..."));
    assert!(join.joins().is_empty());
    assert!(!join.has_written_output());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_another_join_method_is_given_up() {
    let join = DelegatedJoin::with_version(VERSION, "dev.test").await;
    join.fixture.cluster.break_next_stream(method::JOIN_V1, StreamFault::JoinMethod("ec2".to_owned()));
    let error = failed_join(&join).await;
    assert!(matches!(&error, JoinError::MalformedResponse(problem) if problem.contains("ec2")), "{error:?}");
    let calls = join.fixture.cluster.wait_for(method::JOIN_V1, 1).await;
    let Some(Payload::GivingUp(giving_up)) = calls[0].decode::<join_v1::JoinRequest>().unwrap().payload
    else {
        panic!("{calls:?}")
    };
    assert_eq!(giving_up.reason(), join_v1::GivingUpReason::UnsupportedJoinMethod);
    assert!(join.joins().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_that_cannot_be_used_is_refused() {
    let join = iam::cluster_of_version(VERSION).await;
    let fault = StreamFault::Challenge("a\r\nHost: hunter2".to_owned());
    join.fixture.cluster.break_next_stream(method::JOIN_V1, fault);
    let (_, error) = join_error(join.run(join.config("iam", json!({})), &iam::VARIABLES).await.unwrap_err());
    assert!(matches!(error, JoinError::MalformedResponse(_)), "{error:?}");
    assert_eq!(join.fixture.call_count(method::REGISTER_USING_IAM), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_spent_on_the_legacy_join_if_the_server_offers_it() {
    for (version, joins) in [(VERSION, [1, 0]), ("19.0.0", [1, 0]), (NEXT_VERSION, [0, 1])] {
        let fixture = TestCluster::with_version(version).await;
        fixture.run_oneshot(fixture.config("20m", &[fixture.output("out")])).await.unwrap();
        let methods = [method::JOIN, method::JOIN_V1];
        assert_eq!(methods.map(|method| fixture.call_count(method)), joins, "{version}");
        assert_eq!(fixture.cluster.generation(BOT), Some(1));
    }
    // A server of version 19 without the legacy join, such as one behind a proxy that does not pass it.
    let fixture = TestCluster::with_version("19.0.0").await;
    fixture.cluster.fail_next(method::JOIN, Code::NotFound, "path not found");
    fixture.run_oneshot(fixture.config("20m", &[fixture.output("out")])).await.unwrap();
    assert_eq!(fixture.call_count(method::JOIN_V1), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_be_used_up_and_one_that_is_refused_have_a_hint() {
    let fixture = TestCluster::with_version(NEXT_VERSION).await;
    let agent = fixture.agent(fixture.config("20m", &[fixture.output("out")])).unwrap();
    fixture.cluster.drop_next_response(method::JOIN_V1);
    let (_, lost) = join_error(run_oneshot(&agent).await.unwrap_err());
    let (_, refused) = join_error(run_oneshot(&agent).await.unwrap_err());
    assert!(matches!(lost, JoinError::NoResponse { .. }), "{lost:?}");
    assert!(
        matches!(refused, JoinError::ServiceRefused { code: GrpcCode::PermissionDenied, .. }),
        "{refused:?}"
    );
    // The rest of the first error depends on how the connection ends.
    insta::assert_snapshot!([lost, refused].map(|error| error.hint().unwrap().to_string()).join("\n"));
}
