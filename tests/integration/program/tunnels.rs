//! A tunnel and an application proxy that a command adds: where they listen is in the log, and they serve more clients than the
//! usual limit of open files permits.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustix::process::Signal;
use tbot_cluster::Resource;

use super::bot_fixture::BotFixture;
use super::fixture::Running;
use crate::agent::fixture::wait_until;

/// Sends back one message on each connection.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut connection, _)) = listener.accept() {
            std::thread::spawn(move || {
                let mut message = [0; 5];
                // The client may hang up.
                let _ = connection.read_exact(&mut message).and_then(|()| connection.write_all(&message));
                let _ = connection.read_to_end(&mut Vec::new());
            });
        }
    });
    address
}

/// Returns the address that is in the log.
async fn listen_address(running: &Running) -> SocketAddr {
    let address = || -> Option<SocketAddr> {
        let log = running.stderr();
        let after = log.split_once("listening on tcp://")?.1;
        after.split_once(' ')?.0.parse().ok()
    };
    wait_until("the log names the address", || address().is_some()).await;
    address().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_of_a_command_serves_many_clients() {
    let fixture = BotFixture::new().await;
    let app = Resource::tcp_application("app", "app.127.0.0.1").served_by(echo());
    fixture.cluster.add_resource(app);
    let command = ["application-tunnel", "--listen", "tcp://127.0.0.1:0", "--app", "app"];
    let running = fixture.start(&command).with_few_files().spawn();
    let address = listen_address(&running).await;
    let clients = tokio::task::spawn_blocking(move || {
        let clients = (0..100).map(|_| {
            let mut client = TcpStream::connect(address).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut received = [0; 5];
            client.write_all(b"bytes").unwrap();
            client.read_exact(&mut received).unwrap();
            assert_eq!(&received, b"bytes");
            client
        });
        clients.collect::<Vec<_>>()
    });
    drop(clients.await.unwrap());
    running.signal(Signal::TERM);
    let finished = tokio::task::block_in_place(|| running.wait());
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    assert!(!finished.stderr.contains("bytes"), "{}", finished.stderr);
}

/// Sends back the head of each request.
fn echo_http() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut connection, _)) = listener.accept() {
            std::thread::spawn(move || {
                loop {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let mut byte = [0];
                        // The client may hang up.
                        if !matches!(connection.read(&mut byte), Ok(1)) {
                            return;
                        }
                        head.extend(byte);
                    }
                    let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", head.len());
                    let _ = connection.write_all(&[response.as_bytes(), &head].concat());
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_proxy_of_a_command_serves_many_clients() {
    let fixture = BotFixture::new().await;
    fixture.cluster.add_resource(Resource::application("app", "app.127.0.0.1").served_by(echo_http()));
    let command = ["application-proxy", "--listen", "tcp://:0", "--debug"];
    let running = fixture.start(&command).with_few_files().spawn();
    let address = listen_address(&running).await;
    assert!(address.ip().is_loopback(), "{address}");
    let clients = tokio::task::spawn_blocking(move || {
        let clients = (0..100).map(|_| {
            let mut client = TcpStream::connect(address).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            client.write_all(b"GET http://app/canary HTTP/1.1\r\n\r\n").unwrap();
            let mut received = Vec::new();
            while !received.ends_with(b"\r\n\r\n") || !received.windows(7).any(|bytes| bytes == b"/canary") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                received.extend(byte);
            }
            client
        });
        clients.collect::<Vec<_>>()
    });
    // These stay connected.
    let _clients = clients.await.unwrap();
    running.signal(Signal::TERM);
    let finished = tokio::task::block_in_place(|| running.wait());
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    assert!(!finished.stderr.contains("canary"), "{}", finished.stderr);
}
