//! The connections of a proxy: those of clients, and those to applications, which requests share.

use std::os::unix::fs::PermissionsExt as _;

use ::http::Request;
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::super::fixture::{SECOND, poll_until, wait_until};
use super::super::health::metric;
use super::super::log_capture::LogCapture;
use super::http::{Client, streamed};
use super::{app_certificates, cluster_with_app, is_echoed, proxy, start, start_with, web_socket};

#[tokio::test(flavor = "multi_thread")]
async fn requests_one_after_the_other_share_a_connection_and_those_at_the_same_time_do_not() {
    let (fixture, app) = cluster_with_app("web").await;
    let (running, address) = start(&fixture).await;
    for _ in 0..10 {
        assert_eq!(Client::connect(address).await.get("http://web/").await.status, 200);
    }
    assert_eq!(app.connections(), 1);
    let mut open = Vec::new();
    for _ in 0..3 {
        let (sender, body) = streamed();
        let request = Request::post("http://web/echo").body(body).unwrap();
        open.push((Client::connect(address).await.send(request).await.unwrap(), sender));
    }
    assert_eq!(app.connections(), 3);
    assert_eq!(app_certificates(&fixture), 1);
    drop(open);
    running.stop().await.unwrap();
}

/// An application that closes its connection after each response without saying so.
async fn closing_app() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(client.read_u8().await.unwrap());
            }
            client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_closed_is_replaced() {
    let (fixture, _app) = cluster_with_app("web").await;
    let resource = tbot_cluster::Resource::application("closing", "closing.127.0.0.1");
    fixture.cluster.add_resource(resource.served_by(closing_app().await));
    let (running, address) = start(&fixture).await;
    let mut client = Client::connect(address).await;
    for _ in 0..50 {
        assert_eq!(client.get("http://closing/").await.status, 200);
    }
    drop(client);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_clients_are_connected_at_once_and_share_one_certificate() {
    let (fixture, _app) = cluster_with_app("web").await;
    let (running, address) = start(&fixture).await;
    let mut clients = Vec::new();
    for _ in 0..1000 {
        clients.push(Client::connect(address).await);
    }
    for round in 0..2 {
        for client in &mut clients {
            let response = client.get(&format!("http://web/{round}")).await;
            assert!(response.body.starts_with(&format!("web: GET /{round}\n")), "{}", response.body);
        }
    }
    assert_eq!(app_certificates(&fixture), 1);
    // Clients that stay connected do not delay a stop.
    let stopped = tokio::time::timeout(5 * SECOND, running.stop()).await;
    stopped.expect("idle connections are closed").unwrap();
    assert!(clients[0].try_get("http://web/").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_are_open_at_once() {
    let (fixture, app) = cluster_with_app("web").await;
    let (running, address) = start(&fixture).await;
    let mut open = Vec::new();
    for _ in 0..1000 {
        let (sender, body) = streamed();
        let request = Request::post("http://web/echo").body(body).unwrap();
        open.push((Client::connect(address).await.send(request).await.unwrap().into_body(), sender));
    }
    assert_eq!(app.connections(), 1000);
    for (index, (echoed, sender)) in open.iter_mut().enumerate() {
        sender.send(index.to_string().into()).await.unwrap();
        assert_eq!(echoed.frame().await.unwrap().unwrap().into_data().unwrap(), index.to_string());
    }
    assert_eq!(app_certificates(&fixture), 1);
    drop(open);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_waits_for_running_requests_and_upgraded_connections() {
    let (fixture, _app) = cluster_with_app("web").await;
    let (running, address) = start(&fixture).await;
    let mut upgraded = web_socket(address).await;
    let (sender, body) = streamed();
    let mut client = Client::connect(address).await;
    let response = client.send(Request::post("http://web/echo").body(body).unwrap()).await.unwrap();
    let mut echoed = response.into_body();
    // This client has not sent anything yet.
    let mut silent = TcpStream::connect(address).await.unwrap();
    let stopping = tokio::spawn(running.stop());
    poll_until("the listener is closed", || async { TcpStream::connect(address).await.is_err() }).await;
    assert_eq!(silent.read(&mut [0]).await.unwrap_or_default(), 0);
    sender.send("during".into()).await.unwrap();
    assert_eq!(echoed.frame().await.unwrap().unwrap().into_data().unwrap(), "during");
    assert!(is_echoed(&mut upgraded, "during").await);
    assert!(!stopping.is_finished());
    drop(sender);
    assert!(echoed.frame().await.is_none());
    assert!(!stopping.is_finished());
    drop(upgraded);
    stopping.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_ends_its_request() {
    let (fixture, _app) = cluster_with_app("web").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let resource = tbot_cluster::Resource::application("held", "held.127.0.0.1");
    fixture.cluster.add_resource(resource.served_by(listener.local_addr().unwrap()));
    let (running, address) = start(&fixture).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET http://held/ HTTP/1.1\r\n\r\n").await.unwrap();
    let (mut request, _) = listener.accept().await.unwrap();
    assert_ne!(request.read(&mut [0; 1024]).await.unwrap(), 0);
    drop(client);
    let mut received = Vec::new();
    request.read_to_end(&mut received).await.unwrap();
    drop(request);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_counted_and_those_of_a_unix_socket_name_the_application_in_a_header() {
    let (fixture, app) = cluster_with_app("web").await;
    let path = fixture.path("proxy.sock");
    let service = json!({ "type": "application-proxy", "listen": format!("unix://{}", path.display()) });
    let mut config = fixture.config("20m", &[service]);
    config["diag_addr"] = json!("127.0.0.1:0");
    let running = fixture.start(config);
    wait_until("the agent listens", || running.agent.diag_addr().is_some()).await;
    let health = running.agent.diag_addr().unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for (name, status) in [("web", "200"), ("missing", "404")] {
        let mut client = UnixStream::connect(&path).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        assert_eq!(&response[9..12], status);
    }
    assert_eq!(app.connections(), 1);
    let open = UnixStream::connect(&path).await.unwrap();
    for (name, expected) in
        [("tbot_connections_total", 3), ("tbot_connection_failures_total", 0), ("tbot_open_connections", 1)]
    {
        poll_until(name, || async { metric(health, name, "application-proxy-1").await == Some(expected) })
            .await;
    }
    drop(open);
    running.stop().await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn oneshot_mode_skips_a_proxy_and_says_so() {
    let log = LogCapture::start();
    let (fixture, _app) = cluster_with_app("web").await;
    // A listener on this address would fail.
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut service = proxy();
    service["listen"] = json!(format!("tcp://{}", taken.local_addr().unwrap()));
    fixture.run_oneshot(fixture.config("20m", &[service, fixture.output("out")])).await.unwrap();
    assert!(fixture.path("out/identity").exists());
    let skipped = log.events(|event| event.field("service") == Some("application-proxy-1"));
    assert!(skipped.len() == 1 && skipped[0].level == tracing::Level::INFO, "{}", log.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_ends_early_is_reported_to_its_client_only() {
    let (fixture, _app) = cluster_with_app("web").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let resource = tbot_cluster::Resource::application("ends", "ends.127.0.0.1");
    fixture.cluster.add_resource(resource.served_by(listener.local_addr().unwrap()));
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let mut config = fixture.config("20m", &[proxy()]);
    config["diag_addr"] = json!("127.0.0.1:0");
    let (running, address) = start_with(&fixture, config).await;
    let health = running.agent.diag_addr().unwrap();
    let mut client = Client::connect(address).await;
    let response = client.get("http://ends/").await;
    assert_eq!(response.status, 502);
    assert!(response.body.contains("ends"), "{}", response.body);
    assert_eq!(client.get("http://web/").await.status, 200);
    assert_eq!(metric(health, "tbot_connection_failures_total", "application-proxy-1").await, Some(1));
    drop(client);
    running.stop().await.unwrap();
}
