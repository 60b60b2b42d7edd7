//! Tunnels to applications and databases: bytes get through in both directions, however slow either side is, and appear in no
//! log.

mod certificates;
mod listeners;
mod postgres;
mod resources;

use std::sync::Arc;

use serde_json::{Value, json};
use tbot::agent::control;
use tbot_cluster::{Outcome, Resource, method};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::fixture::{RunningAgent, SECOND, TestCluster, poll_until, wait_until};
use super::load_balancer::LoadBalancer;
use super::log_capture::LogCapture;
use resources::{Server, echo, hold, serve_http, slow};

/// A tunnel to the TCP application `app`, on a free port.
fn tcp_tunnel() -> Value {
    json!({ "type": "application-tunnel", "listen": "tcp://127.0.0.1:0", "app_name": "app" })
}

/// A tunnel to the database `orders`, on a free port.
fn database_tunnel() -> Value {
    json!({
        "type": "database-tunnel", "listen": "tcp://127.0.0.1:0",
        "service": "orders", "database": "sales", "username": "reports",
    })
}

/// Starts a cluster with the TCP application `app`, which `server` serves.
async fn cluster_with_app(server: Server) -> TestCluster {
    let fixture = TestCluster::new().await;
    let resource = Resource::tcp_application("app", "app.127.0.0.1").served_by(server.address);
    fixture.cluster.add_resource(resource);
    fixture
}

/// Starts an agent, and waits until it listens.
async fn start(fixture: &TestCluster, config: Value) -> RunningAgent {
    let running = fixture.start(config);
    wait_until("the agent listens", || running.agent.listen_addr(0).is_some()).await;
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_reports_its_own_addresses() {
    let fixture = cluster_with_app(echo().await).await;
    let mut config = fixture.config("20m", &[tcp_tunnel()]);
    config["diag_addr"] = json!("127.0.0.1:0");
    let running = start(&fixture, config).await;
    let agent = Arc::clone(&running.agent);
    running.stop().await.unwrap();
    let (control, signals) = control();
    let again = Arc::clone(&agent);
    let run = tokio::spawn(async move { again.run(signals).await });
    let serves = || async {
        let diag = TcpStream::connect(agent.diag_addr().unwrap()).await;
        let client = TcpStream::connect(agent.listen_addr(0).unwrap()).await;
        let (Ok(_), Ok(mut client)) = (diag, client) else { return false };
        is_echoed(&mut client, "again").await
    };
    poll_until("the second run serves", serves).await;
    control.shutdown();
    run.await.unwrap().unwrap();
}

/// Connects to a tunnel, the index of which is `service`.
async fn connect(running: &RunningAgent, service: usize) -> TcpStream {
    TcpStream::connect(running.agent.listen_addr(service).unwrap()).await.unwrap()
}

/// Sends `message` on an open connection, and returns whether it comes back.
async fn is_echoed(client: &mut TcpStream, message: &str) -> bool {
    let mut received = vec![0; message.len()];
    client.write_all(message.as_bytes()).await.is_ok()
        && client.read_exact(&mut received).await.is_ok()
        && received == message.as_bytes()
}

/// Returns the number of issued certificates that are for a resource.
fn routed_certificates(fixture: &TestCluster) -> usize {
    let routed = |call: &&tbot_cluster::Call| {
        let request = call.decode::<tbot_cluster::proto::UserCertsRequest>().unwrap();
        let has_app = request.route_to_app.is_some_and(|app| !app.name.is_empty());
        (has_app || request.route_to_database.is_some()) && call.outcome == Outcome::Succeeded
    };
    fixture.calls(method::GENERATE_USER_CERTS).iter().filter(routed).count()
}

/// Returns what each connection through the proxy was for.
fn tunnels(fixture: &TestCluster) -> Vec<String> {
    fixture.calls(method::TUNNEL).into_iter().map(|call| call.summary).collect()
}

#[tokio::test]
async fn bytes_and_their_end_get_through_in_both_directions_and_are_not_logged() {
    const CANARY: &str = "select canary from secrets";
    let log = LogCapture::start();
    let fixture = cluster_with_app(echo().await).await;
    let running = start(&fixture, fixture.config("20m", &[tcp_tunnel()])).await;
    let mut client = connect(&running, 0).await;
    assert!(is_echoed(&mut client, CANARY).await);
    // The server responds after the end of what the client sends.
    client.write_all(b"the end").await.unwrap();
    client.shutdown().await.unwrap();
    let mut received = String::new();
    client.read_to_string(&mut received).await.unwrap();
    assert_eq!(received, "the end");
    running.stop().await.unwrap();
    assert_eq!(tunnels(&fixture), ["teleport-tcp app"]);
    assert!(log.text().contains("application-tunnel-1"));
    assert!(!log.text().contains("canary"), "{}", log.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_and_databases_are_reached_on_all_versions() {
    for version in ["15.0.0-dev", "16.5.0", "17.3.0", "18.2.5", "19.0.0"] {
        let fixture = TestCluster::with_version(version).await;
        let (tcp, http) = (echo().await, serve_http().await);
        fixture
            .cluster
            .add_resource(Resource::tcp_application("app", "app.127.0.0.1").served_by(tcp.address));
        fixture.cluster.add_resource(Resource::database("orders", "mysql").served_by(tcp.address));
        fixture.cluster.add_resource(Resource::application("web", "web.127.0.0.1").served_by(http.address));
        let web = json!({ "type": "application-tunnel", "listen": "tcp://127.0.0.1:0", "app_name": "web" });
        let config = fixture.config("20m", &[tcp_tunnel(), database_tunnel(), web]);
        let running = start(&fixture, config).await;
        for service in 0..2 {
            assert!(is_echoed(&mut connect(&running, service).await, "hello").await, "{version}");
        }
        let mut client = connect(&running, 2).await;
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        assert!(response.ends_with("welcome"), "{version}: {response}");
        drop(client);
        running.stop().await.unwrap();
        let database = "teleport-mysql orders user=reports database=sales";
        assert_eq!(tunnels(&fixture), ["teleport-tcp app", database, "http/1.1 web"], "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_goes_through_a_load_balancer() {
    // 15.0 knows only the older form of the upgrade.
    for version in ["15.0.0-dev", "18.2.5"] {
        let fixture = TestCluster::with_version(version).await;
        let (tcp, http) = (echo().await, serve_http().await);
        fixture
            .cluster
            .add_resource(Resource::tcp_application("app", "app.127.0.0.1").served_by(tcp.address));
        fixture.cluster.add_resource(Resource::application("web", "web.127.0.0.1").served_by(http.address));
        let web = json!({ "type": "application-tunnel", "listen": "tcp://127.0.0.1:0", "app_name": "web" });
        let balancer = LoadBalancer::start(&fixture).await;
        let config = balancer.in_front(fixture.config("20m", &[tcp_tunnel(), web]));
        let running = RunningAgent::start(fixture.agent_with_env(config, &[balancer.roots()]).unwrap());
        wait_until("the agent listens", || running.agent.listen_addr(1).is_some()).await;
        assert!(is_echoed(&mut connect(&running, 0).await, "hello").await, "{version}");
        let mut client = connect(&running, 1).await;
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        assert!(response.ends_with("welcome"), "{version}: {response}");
        drop(client);
        running.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_side_stops_only_the_other_side_of_its_connection() {
    /// More than all buffers on the way.
    const LENGTH: usize = 64 << 20;
    let (server, released) = slow(LENGTH).await;
    let fixture = cluster_with_app(server).await;
    fixture.cluster.add_resource(Resource::database("orders", "mysql").served_by(echo().await.address));
    let running = start(&fixture, fixture.config("20m", &[tcp_tunnel(), database_tunnel()])).await;
    let mut other = connect(&running, 1).await;
    let (mut reader, mut writer) = connect(&running, 0).await.into_split();
    let sent = vec![7; LENGTH];
    let mut writing = Box::pin(writer.write_all(&sent));
    // The server reads nothing yet.
    for _ in 0..1000 {
        tokio::select! {
            biased;
            _ = &mut writing => panic!("the bytes are buffered somewhere"),
            echoed = is_echoed(&mut other, "hello") => assert!(echoed),
        }
    }
    released.send(()).unwrap();
    writing.await.unwrap();
    writer.shutdown().await.unwrap();
    // Now the server sends the same amount, and the client reads nothing yet.
    for _ in 0..1000 {
        assert!(is_echoed(&mut other, "hello").await);
    }
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await.unwrap();
    assert_eq!(received.len(), LENGTH);
    assert!(received.iter().all(|byte| *byte == 7));
    drop(other);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_connections_are_open_at_once_and_share_one_certificate() {
    let fixture = cluster_with_app(echo().await).await;
    let running = start(&fixture, fixture.config("20m", &[tcp_tunnel()])).await;
    let mut clients = Vec::new();
    for _ in 0..1000 {
        clients.push(connect(&running, 0).await);
    }
    for round in 0..2 {
        for (index, client) in clients.iter_mut().enumerate() {
            assert!(is_echoed(client, &format!("{round}-{index}")).await, "{round}-{index}");
        }
    }
    assert_eq!(tunnels(&fixture).len(), 1000);
    assert_eq!(routed_certificates(&fixture), 1);
    drop(clients);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_refuses_new_clients_and_waits_for_those_that_are_connected() {
    let fixture = cluster_with_app(echo().await).await;
    let running = start(&fixture, fixture.config("20m", &[tcp_tunnel()])).await;
    let address = running.agent.listen_addr(0).unwrap();
    let mut client = connect(&running, 0).await;
    assert!(is_echoed(&mut client, "before").await);
    let stopping = tokio::spawn(running.stop());
    super::fixture::poll_until("the listener is closed", || async {
        TcpStream::connect(address).await.is_err()
    })
    .await;
    assert!(is_echoed(&mut client, "during").await);
    assert!(!stopping.is_finished());
    drop(client);
    stopping.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_dropped_closes_its_connections() {
    let fixture = cluster_with_app(echo().await).await;
    let agent = fixture.agent(fixture.config("20m", &[tcp_tunnel()])).unwrap();
    let (_control, signals) = control();
    let mut run = Box::pin(agent.run(signals));
    let mut client = tokio::select! {
        ended = &mut run => panic!("{ended:?}"),
        client = async {
            wait_until("the agent listens", || agent.listen_addr(0).is_some()).await;
            let mut client = TcpStream::connect(agent.listen_addr(0).unwrap()).await.unwrap();
            assert!(is_echoed(&mut client, "hello").await);
            client
        } => client,
    };
    drop(run);
    // The connection ends on another thread.
    let is_closed = async { while is_echoed(&mut client, "hello").await {} };
    tokio::time::timeout(20 * SECOND, is_closed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_closes_the_connection_to_the_resource() {
    let (server, mut held) = hold().await;
    let fixture = cluster_with_app(server).await;
    let running = start(&fixture, fixture.config("20m", &[tcp_tunnel()])).await;
    drop(connect(&running, 0).await);
    let mut connection = held.recv().await.unwrap();
    let mut received = Vec::new();
    connection.read_to_end(&mut received).await.unwrap();
    assert!(received.is_empty());
    drop(connection);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn oneshot_mode_skips_a_tunnel_and_says_so() {
    let log = LogCapture::start();
    let fixture = cluster_with_app(echo().await).await;
    // A listener on this address would fail.
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut tunnel = tcp_tunnel();
    tunnel["listen"] = json!(format!("tcp://{}", taken.local_addr().unwrap()));
    fixture.run_oneshot(fixture.config("20m", &[tunnel, fixture.output("out")])).await.unwrap();
    assert!(fixture.path("out/identity").exists());
    let skipped = log.events(|event| event.field("service") == Some("application-tunnel-1"));
    assert!(skipped.len() == 1 && skipped[0].level == tracing::Level::INFO, "{}", log.transcript());
    assert_eq!(routed_certificates(&fixture), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_and_tunnels_keep_their_indexes_in_the_configuration() {
    let fixture = cluster_with_app(echo().await).await;
    let in_memory = json!({ "type": "identity", "destination": { "type": "memory" } });
    let running = fixture.start(fixture.config("20m", &[tcp_tunnel(), in_memory]));
    wait_until("the output is written", || running.agent.files_in_memory(1).contains_key("identity")).await;
    assert!(running.agent.listen_addr(0).is_some() && running.agent.listen_addr(1).is_none());
    assert!(running.agent.files_in_memory(0).is_empty());
    running.stop().await.unwrap();
}
