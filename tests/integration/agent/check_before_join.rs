//! A join with a token uses up the token, so everything that the agent needs afterwards is tested before it. An
//! identity that a join has obtained is never discarded.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::{Value, json};
use tbot::agent::{
    AgentError, DestinationError, HttpProxyError, OutputDestinationError, RenewalError, StorageError,
};
use tbot::config::{AddressError, JoinMethod};
use tbot_cluster::method;

use super::errors::{directory_error, failed_tests};
use super::fixture::{BOT, RunningAgent, SECOND, TestCluster, wait_until};
use super::log_capture::{LogCapture, LogEvent};

/// Outputs that cannot be written: a file in place of the directory, a link in the path, a planted test file, and a link and a directory
/// in place of files.
fn broken_outputs(fixture: &TestCluster) -> [Value; 5] {
    let path = |name: &str| fixture.path(name);
    std::fs::write(path("file"), "").unwrap();
    std::fs::create_dir(path("real")).unwrap();
    symlink(path("real"), path("link")).unwrap();
    std::fs::create_dir_all(path("planted/.write-test")).unwrap();
    std::fs::create_dir(path("linked")).unwrap();
    symlink("/nonexistent", path("linked/identity")).unwrap();
    std::fs::create_dir_all(path("occupied/key")).unwrap();
    ["file", "link/out", "planted", "linked", "occupied"].map(|name| fixture.output(name))
}

/// Repairs what [`broken_outputs`] has broken.
fn repair(fixture: &TestCluster) {
    std::fs::remove_file(fixture.path("file")).unwrap();
    std::fs::remove_file(fixture.path("link")).unwrap();
    std::fs::remove_dir(fixture.path("planted/.write-test")).unwrap();
    std::fs::remove_file(fixture.path("linked/identity")).unwrap();
    std::fs::remove_dir(fixture.path("occupied/key")).unwrap();
}

/// The names of the outputs whose tests failed.
fn failed_outputs(failures: &[RenewalError]) -> Vec<&str> {
    fn name(failure: &RenewalError) -> &str {
        match failure {
            RenewalError::Destination(destination) => &destination.output,
            other => panic!("{other:?}"),
        }
    }
    failures.iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_that_cannot_be_written_are_reported_together_and_the_token_is_not_used() {
    let fixture = TestCluster::new().await;
    let mut outputs = broken_outputs(&fixture).to_vec();
    outputs.insert(1, fixture.output("good"));
    let mut config = fixture.config("20m", &outputs);
    config["storage"] = json!({ "type": "memory" });
    let failures = failed_tests(fixture.run_oneshot(config.clone()).await.unwrap_err());
    assert_eq!(
        failed_outputs(&failures),
        ["identity-1", "identity-3", "identity-4", "identity-5", "identity-6"]
    );
    let failures = failed_tests(fixture.start(config.clone()).wait().await.unwrap_err());
    assert_eq!(failures.len(), 5);
    assert_eq!(fixture.call_count(method::JOIN), 0);

    repair(&fixture);
    fixture.run_oneshot(config).await.unwrap();
    for name in ["file", "good", "link/out", "planted", "linked", "occupied"] {
        assert!(fixture.path(name).join("identity").exists(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_is_requested_although_outputs_cannot_be_written() {
    let fixture = TestCluster::joined().await;
    let outputs = broken_outputs(&fixture);
    let error = fixture.run_oneshot(fixture.config("20m", &outputs)).await.unwrap_err();
    let AgentError::Outputs(failures) = error else { panic!("{error:?}") };
    assert_eq!(failures.len(), 5);
    assert_eq!(fixture.stored_generation(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_storage_the_listener_and_outputs_are_reported_together() {
    let fixture = TestCluster::new().await;
    let used = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    std::fs::create_dir_all(fixture.storage().join(".write-test")).unwrap();
    let mut config = fixture.config("20m", &broken_outputs(&fixture));
    config["diag_addr"] = json!(used.local_addr().unwrap().to_string());
    let error = fixture.start(config).wait().await.unwrap_err();
    let AgentError::Several(errors) = &error else { panic!("{error:?}") };
    let [AgentError::HealthServer(_), AgentError::Storage(_), outputs @ ..] = &errors[..] else {
        panic!("{error:?}")
    };
    assert_eq!(outputs.len(), 5, "{outputs:?}");
    assert!(!error.is_configuration());
    assert!(fixture.cluster.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_secrets_without_a_namespace_are_reported_together() {
    let fixture = TestCluster::new().await;
    let secret = |name: &str| json!({ "type": "identity", "destination": { "type": "kubernetes_secret", "name": name } });
    let mut config = fixture.config("20m", &[secret("a"), secret("b")]);
    config["storage"] = json!({ "type": "kubernetes_secret", "name": "c" });
    let error = fixture.agent(config).err().unwrap();
    let AgentError::Several(errors) = &error else { panic!("{error:?}") };
    assert_eq!(errors.len(), 3, "{errors:?}");
}

/// An embedder may pass a configuration that has not been validated.
#[tokio::test(flavor = "multi_thread")]
async fn everything_that_prevents_a_start_is_reported_together() {
    let fixture = TestCluster::new().await;
    let secret = json!({ "type": "identity", "destination": { "type": "kubernetes_secret", "name": "a" } });
    let mut config = fixture.config("20m", &[secret]);
    config["onboarding"] = json!({});
    config["proxy_server"] = json!("user@host:443");
    config["diag_addr"] = json!("3001");
    config["storage"] = json!({ "type": "kubernetes_secret", "name": "c" });
    config["fips"] = json!(true);
    let error = fixture.agent(config.clone()).err().unwrap();
    let AgentError::Several(errors) = &error else { panic!("{error:?}") };
    let [
        AgentError::Unsupported(unsupported),
        AgentError::Address { field: "proxy_server", error: AddressError::UserInformation },
        AgentError::NoJoinMethod,
        AgentError::DiagAddr(AddressError::NoPort),
        AgentError::Storage(StorageError::Destination(DestinationError::Secret(_))),
        AgentError::Destination(OutputDestinationError { error: DestinationError::Secret(_), .. }),
    ] = &errors[..]
    else {
        panic!("{errors:?}")
    };
    assert_eq!(unsupported.parts().len(), 1);
    assert!(error.is_configuration());
    assert!(errors.iter().all(|error| error.hint().is_some()), "{errors:?}");

    config["onboarding"] = json!({ "join_method": "github" });
    let AgentError::Several(errors) = fixture.agent(config).err().unwrap() else { panic!("one error") };
    let is_about_token =
        |error: &AgentError| matches!(error, AgentError::NoTokenName { method: JoinMethod::Github });
    assert!(errors.iter().any(is_about_token) && errors.len() == 6, "{errors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_http_proxy_is_an_error_that_names_the_variable() {
    let fixture = TestCluster::new().await;
    let mut config = fixture.config("20m", &[]);
    config["proxy_server"] = json!("teleport.example.com:443");
    let error = fixture.agent_with_env(config, &[("HTTPS_PROXY", "http//proxy:3128")]).err().unwrap();
    let AgentError::HttpProxy(error) = error else { panic!("{error:?}") };
    assert_eq!(error, HttpProxyError::Malformed("HTTPS_PROXY"));
}

/// Starts an agent whose first join succeeds, and whose identity cannot be saved because of a planted file.
async fn start_with_unsaved_identity(fixture: &TestCluster, log: &LogCapture) -> (RunningAgent, PathBuf) {
    let mut hold = fixture.cluster.hold_next(method::JOIN);
    let running = fixture.start(fixture.config("30m", &[]));
    hold.arrived().await;
    let obstacle = fixture.storage().join(".tbot-commit");
    std::fs::write(&obstacle, "").unwrap();
    hold.release();
    wait_until("saving has failed twice", || {
        fixture.clock.advance(SECOND);
        log.count(|event| event.is_failure_of("identity")) >= 2
    })
    .await;
    (running, obstacle)
}

#[tokio::test]
async fn a_joined_identity_that_cannot_be_saved_is_kept_and_saved_later() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let (running, obstacle) = start_with_unsaved_identity(&fixture, &log).await;
    std::fs::remove_file(&obstacle).unwrap();
    wait_until("the identity is used", || {
        fixture.clock.advance(SECOND);
        log.count(LogEvent::is_new_identity) == 1
    })
    .await;
    let message = &log.events(LogEvent::is_new_identity)[0].message;
    assert!(message.starts_with("joined the cluster"), "{message}");
    assert_eq!(fixture.stored_generation(), 1);
    running.stop().await.unwrap();
    assert_eq!((fixture.call_count(method::JOIN), fixture.cluster.generation(BOT)), (1, Some(1)));
}

#[tokio::test]
async fn a_shutdown_saves_a_joined_identity_that_could_not_be_saved_before() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let (running, obstacle) = start_with_unsaved_identity(&fixture, &log).await;
    std::fs::remove_file(&obstacle).unwrap();
    running.stop().await.unwrap();
    assert_eq!(fixture.stored_generation(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_cannot_be_written_stops_the_join() {
    let fixture = TestCluster::new().await;
    std::fs::create_dir_all(fixture.storage().join(".write-test")).unwrap();
    directory_error(fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap_err());
    assert!(fixture.cluster.requests().is_empty());
}
