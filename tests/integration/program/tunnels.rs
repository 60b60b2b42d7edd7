//! A tunnel that a command adds: where it listens is in the log, and it serves more clients than the usual limit of open files
//! permits.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustix::process::Signal;
use tbot_cluster::Resource;

use super::bot_fixture::BotFixture;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_of_a_command_serves_many_clients() {
    let fixture = BotFixture::new().await;
    let app = Resource::tcp_application("app", "app.127.0.0.1").served_by(echo());
    fixture.cluster.add_resource(app);
    let command = ["application-tunnel", "--listen", "tcp://127.0.0.1:0", "--app", "app"];
    let running = fixture.start(&command).with_few_files().spawn();
    let address = || -> Option<SocketAddr> {
        let log = running.stderr();
        let after = log.split_once("listening on tcp://")?.1;
        after.split_once(' ')?.0.parse().ok()
    };
    wait_until("the log names the address", || address().is_some()).await;
    let address = address().unwrap();
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
