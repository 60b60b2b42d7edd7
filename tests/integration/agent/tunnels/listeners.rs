//! The listeners of tunnels: Unix sockets, and what prevents the agent from listening.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use tbot::agent::{AgentError, ListenerError, ListenerProblem};
use tbot::config::ListenUriError;
use tbot_cluster::method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};

use super::super::fixture::{TestCluster, wait_until};
use super::{cluster_with_app, tcp_tunnel};
use crate::agent::tunnels::resources::echo;

fn unix_tunnel(path: &Path) -> Value {
    let mut tunnel = tcp_tunnel();
    tunnel["listen"] = json!(format!("unix://{}", path.display()));
    tunnel
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_is_private_and_disappears_at_the_end() {
    let fixture = cluster_with_app(echo().await).await;
    let path = fixture.path("app.sock");
    // A killed agent has left this behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let running = fixture.start(fixture.config("20m", &[unix_tunnel(&path)]));
    wait_until("the identity is stored", || fixture.storage().join("tlscert").exists()).await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    client.shutdown().await.unwrap();
    let mut received = String::new();
    client.read_to_string(&mut received).await.unwrap();
    assert_eq!(received, "hello");
    running.stop().await.unwrap();
    assert!(!path.exists());
}

/// Returns the problems of all listeners with which an agent did not start.
async fn refused(fixture: &TestCluster, services: &[Value]) -> Vec<(String, ListenerProblem)> {
    let error = fixture.start(fixture.config("20m", services)).wait().await.unwrap_err();
    assert!(!error.is_configuration());
    let errors = match error {
        AgentError::Several(errors) => errors,
        error => vec![error],
    };
    let problem = |error| match error {
        AgentError::Listener { service, error } => {
            assert!(error.hint().is_some());
            (service, copy_problem(&error))
        }
        other => panic!("{other:?}"),
    };
    errors.into_iter().map(problem).collect()
}

fn copy_problem(error: &ListenerError) -> ListenerProblem {
    match error.problem() {
        ListenerProblem::Io(error) => ListenerProblem::Io(error.kind().into()),
        ListenerProblem::InUse => ListenerProblem::InUse,
        ListenerProblem::NotASocket => ListenerProblem::NotASocket,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_addresses_that_are_taken_are_reported_together_before_the_join() {
    let fixture = cluster_with_app(echo().await).await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let file = fixture.path("file");
    std::fs::write(&file, "precious").unwrap();
    let used = fixture.path("used.sock");
    let _listener = tokio::net::UnixListener::bind(&used).unwrap();
    let mut tcp = tcp_tunnel();
    tcp["listen"] = json!(format!("tcp://{}", taken.local_addr().unwrap()));
    let services = [tcp, unix_tunnel(&file), unix_tunnel(&used)];
    let refused = refused(&fixture, &services).await;
    assert!(
        matches!(
            refused.as_slice(),
            [(_, ListenerProblem::Io(_)), (_, ListenerProblem::NotASocket), (_, ListenerProblem::InUse)]
        ),
        "{refused:?}"
    );
    assert_eq!(refused[2].0, "application-tunnel-3");
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    UnixStream::connect(&used).await.unwrap();
    assert_eq!(fixture.call_count(method::JOIN), 0, "the token is not used");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_address_is_a_mistake_in_the_configuration() {
    let fixture = TestCluster::new().await;
    let mut tunnel = tcp_tunnel();
    tunnel["listen"] = json!("127.0.0.1:5432");
    let error = fixture.agent(fixture.config("20m", &[tunnel])).err().unwrap();
    assert!(error.is_configuration());
    assert!(matches!(&error, AgentError::Listen { error: ListenUriError::Scheme, .. }), "{error:?}");
}
