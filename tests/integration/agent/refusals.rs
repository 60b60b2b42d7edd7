//! The errors that users read when a cluster refuses a request or cannot be reached: the variant, and a snapshot of the whole
//! message with its hint.

use serde_json::{Value, json};
use tbot::agent::{
    Agent, AgentError, AgentOptions, ApiError, Clock, GrpcCode, JoinError, JoinReason, ListProblem,
    OutputError, Randomness, RenewalError, error_line,
};
use tbot::untrusted::is_printable;
use tbot_cluster::{Code, MovableClock, Phase, Resource, clock, method};

use super::errors::{api_error, join_error, output_error, renewal_error};
use super::fixture::{BOT, HOUR, TestCluster, run_oneshot, wait_until};
use super::log_capture::LogCapture;

/// Runs the agent once and returns its error.
async fn failure(fixture: &TestCluster, config: Value) -> AgentError {
    fixture.run_oneshot(config).await.unwrap_err()
}

/// Runs an agent without outputs whose clock differs from the cluster's, and returns its error.
async fn failure_with_clock(fixture: &TestCluster, adjust: impl FnOnce(&MovableClock)) -> AgentError {
    let clock = MovableClock::new(clock::system());
    adjust(&clock);
    let options = AgentOptions {
        environment: [("SSL_CERT_FILE", fixture.path("web-ca.pem").to_str().unwrap())].into_iter().collect(),
        clock: Clock::from_fn(move || clock.now()),
        randomness: Randomness::from_fn(|| 0.0),
        command: "/usr/local/bin/tbot".into(),
    };
    let config = serde_json::from_value(fixture.config("20m", &[])).unwrap();
    run_oneshot(&Agent::new(&config, options).unwrap()).await.unwrap_err()
}

/// Returns the code and message of a refusal by the auth server.
fn refusal(error: ApiError) -> (GrpcCode, String) {
    match error {
        ApiError::Refused { code, message, .. } => (code, message.to_string()),
        other => panic!("not refused: {other:?}"),
    }
}

fn rotate_completely(fixture: &TestCluster, authority: &str) {
    for phase in [Phase::Init, Phase::UpdateClients, Phase::UpdateServers, Phase::Standby] {
        fixture.cluster.rotate(authority, phase).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_bot_is_refused() {
    let fixture = TestCluster::joined().await;
    fixture.cluster.remove_bot(BOT);
    let error = failure(&fixture, fixture.config("20m", &[])).await;
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()));
    assert_eq!(refusal(api_error(error)).0, GrpcCode::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_token_is_refused() {
    let fixture = TestCluster::joined().await;
    std::fs::remove_dir_all(fixture.storage()).unwrap();
    let error = failure(&fixture, fixture.config("20m", &[])).await;
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()));
    assert!(!error_line(&error, error.hint().as_ref()).contains(&fixture.token), "{error}");
    let (reason, error) = join_error(error);
    assert_eq!(reason, JoinReason::NothingStored);
    assert!(matches!(error, JoinError::Refused { status: 403, .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_the_bot_may_not_impersonate_is_refused() {
    let fixture = TestCluster::joined().await;
    let mut output = fixture.output("out");
    output["roles"] = json!(["editor"]);
    let error = failure(&fixture, fixture.config("20m", &[output])).await;
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()));
    let OutputError::Api(error) = output_error(error) else { panic!("not an API error") };
    assert_eq!(refusal(error).0, GrpcCode::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_no_role_allows_is_refused() {
    let fixture = TestCluster::joined().await;
    let denied = r#"access denied to perform action "list" on "cert_authority""#;
    fixture.cluster.fail_next(method::GET_CERT_AUTHORITIES, Code::PermissionDenied, denied);
    let error = failure(&fixture, fixture.config("20m", &[fixture.output("out")])).await;
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()));
    let OutputError::Api(error) = output_error(error) else { panic!("not an API error") };
    assert_eq!(refusal(error), (GrpcCode::PermissionDenied, denied.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_does_not_listen_is_unreachable() {
    let fixture = TestCluster::joined().await;
    let mut config = fixture.config("20m", &[]);
    // The port was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    config["proxy_server"] = json!(free);
    let error = failure(&fixture, config).await;
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()).replace(&free, "[free]"));
    assert!(matches!(renewal_error(error), RenewalError::Discovery(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_server_address_without_a_proxy_is_unreachable() {
    let fixture = TestCluster::joined().await;
    let mut config = fixture.config("20m", &[]);
    config.as_object_mut().unwrap().remove("proxy_server");
    // The port was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    config["auth_server"] = json!(free);
    let error = failure(&fixture, config).await;
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()).replace(&free, "[free]"));
    assert!(matches!(renewal_error(error), RenewalError::Discovery(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_certificate_of_an_untrusted_authority_is_refused() {
    let fixture = TestCluster::joined().await;
    let other = TestCluster::new().await;
    std::fs::copy(other.path("web-ca.pem"), fixture.path("web-ca.pem")).unwrap();
    let error = failure(&fixture, fixture.config("20m", &[])).await;
    insta::assert_snapshot!(fixture.normalize(&error_line(&error, error.hint().as_ref())));
    assert!(matches!(renewal_error(error), RenewalError::Discovery(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_missed_a_rotation_of_the_host_authority_does_not_trust_the_auth_server() {
    let fixture = TestCluster::joined().await;
    rotate_completely(&fixture, "host");
    let error = failure(&fixture, fixture.config("20m", &[])).await;
    insta::assert_snapshot!(fixture.normalize(&error_line(&error, error.hint().as_ref())));
    assert!(matches!(api_error(error), ApiError::Connect { .. }));
}

/// TLS 1.3 reports a refused client certificate only after the handshake, and the alert may be lost when the server closes
/// the connection, so there is no single message to compare.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_missed_a_rotation_of_the_user_authority_is_not_trusted_by_the_auth_server() {
    let fixture = TestCluster::joined().await;
    rotate_completely(&fixture, "user");
    let error = failure(&fixture, fixture.config("20m", &[])).await;
    let error = api_error(error);
    assert!(matches!(error, ApiError::Connect { .. } | ApiError::NoResponse { .. }), "{error:?}");
    assert!(error_line(&error, error.hint().as_ref()).contains("user CA"), "{error}");
    assert!(!fixture.has_renewal_marker(), "a renewal was requested");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_identity_needs_a_new_token() {
    let fixture = TestCluster::joined().await;
    fixture.clock.advance(2 * HOUR);
    let error = failure(&fixture, fixture.config("20m", &[])).await;
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()));
    let (reason, error) = join_error(error);
    assert_eq!(reason, JoinReason::Expired);
    assert!(matches!(error, JoinError::Refused { status: 403, .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_behind_is_suspected_when_the_web_certificate_is_not_valid_yet() {
    let fixture = TestCluster::joined().await;
    let error = failure_with_clock(&fixture, |clock| clock.set_back(HOUR)).await;
    let message = fixture.normalize(&error_line(&error, error.hint().as_ref()));
    // rustls's message has the times of the certificate and of the check, and the seconds between them.
    let seconds = regex::Regex::new(r"\d{4,}").unwrap();
    insta::assert_snapshot!(seconds.replace_all(&message, "[seconds]"));
    assert!(matches!(renewal_error(error), RenewalError::Discovery(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ahead_is_suspected_when_the_identity_seems_to_have_expired() {
    let fixture = TestCluster::joined().await;
    let error = failure_with_clock(&fixture, |clock| clock.advance(2 * HOUR)).await;
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()));
    assert_eq!(join_error(error).0, JoinReason::Expired);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_behind_is_suspected_when_the_requested_certificate_has_expired() {
    let fixture = TestCluster::joined().await;
    let expired = "access denied: client credentials have expired, please relogin.";
    fixture.cluster.fail_next(method::GENERATE_USER_CERTS, Code::PermissionDenied, expired);
    let error = failure(&fixture, fixture.config("20m", &[])).await;
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()));
    assert_eq!(refusal(api_error(error)), (GrpcCode::PermissionDenied, expired.to_owned()));
    assert!(!fixture.has_renewal_marker(), "the server has not counted this renewal");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_list_is_abandoned_after_1000_pages() {
    let fixture = TestCluster::new().await;
    fixture.cluster.add_resource(Resource::application("dumper", "dumper.127.0.0.1"));
    fixture.cluster.make_lists_endless();
    let mut service = fixture.output("out");
    service["type"] = json!("application");
    service["app_name"] = json!("dumper");
    let error = failure(&fixture, fixture.config("20m", &[service])).await;
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()));
    let OutputError::Api(ApiError::List { problem, .. }) = output_error(error) else {
        panic!("another error")
    };
    assert_eq!(problem, ListProblem::Pages(1000));
    assert_eq!(fixture.call_count(method::LIST_RESOURCES), 1000);
    assert!(!fixture.path("out").join("tlscert").exists());
}

/// Text with line breaks, escape sequences and a change of direction, which is also long.
fn hostile_text(length: usize) -> String {
    format!("no\n::error::forged\r\u{1b}[2J\u{202e}{}", "x".repeat(length))
}

fn assert_harmless(line: &str) {
    assert!(line.contains("no\\n::error::forged\\r\\u{1b}[2J\\u{202e}xxx"), "{line}");
    assert!(line.chars().all(is_printable) && line.chars().count() < 1_500, "{line}");
}

#[tokio::test]
async fn a_message_of_the_cluster_is_reported_on_one_line_of_limited_length() {
    let fixture = TestCluster::new().await;
    for method in [method::FIND, method::JOIN] {
        fixture.cluster.fail_next(method, Code::PermissionDenied, &hostile_text(1 << 19));
        let error = failure(&fixture, fixture.config("20m", &[])).await;
        assert_harmless(&error_line(&error, error.hint().as_ref()));
    }

    let log = LogCapture::start();
    fixture.cluster.fail_next(method::GENERATE_USER_CERTS, Code::PermissionDenied, &hostile_text(5_000));
    let agent = fixture.start(fixture.config("20m", &[fixture.output("out")]));
    wait_until("the failure is logged", || log.count(|event| event.is_failure_of("identity-1")) > 0).await;
    agent.stop().await.unwrap();
    for event in log.events(|event| event.is_failure_of("identity-1")) {
        assert_harmless(&event.message);
    }
}
