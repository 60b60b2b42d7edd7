//! Everything goes through the HTTP proxy that the environment names: web pages, gRPC, REST.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::lab::Lab;

/// Request lines and Proxy-Authorization headers, in the order in which they came.
type Heads = Arc<Mutex<Vec<String>>>;

/// An HTTP proxy on loopback that knows CONNECT only, and takes every name for `target`.
async fn connect_proxy(target: SocketAddr) -> (SocketAddr, Heads) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Heads::default();
    let seen = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut client = BufReader::new(client);
                let mut line = String::new();
                while client.read_line(&mut line).await.unwrap() > 2 {
                    if line.starts_with("CONNECT") || line.to_lowercase().starts_with("proxy-authorization") {
                        seen.lock().unwrap().push(line.trim().to_owned());
                    }
                    line.clear();
                }
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let mut server = TcpStream::connect(target).await.unwrap();
                // Either side may hang up whenever it likes.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, heads)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_is_tunnelled_with_the_proxys_credentials() {
    let lab = Lab::new().await;
    let (proxy, heads) = connect_proxy(lab.cluster.proxy_addr()).await;
    let mut config = lab.config("20m", &[lab.output("out")]);
    // A name that exists behind the HTTP proxy only. The web certificate does not have it.
    config["proxy_server"] = json!("teleport.behind.test:443");
    config["insecure"] = json!(true);
    let url = format!("http://user:pass@{proxy}");
    let agent = lab.agent_with(config, &[("HTTPS_PROXY", &url)]).unwrap();
    let (_control, signals) = tbot::agent::control();
    agent.run_once(signals).await.unwrap();

    assert!(lab.path("out").join("identity").exists());
    let heads = heads.lock().unwrap();
    let (connects, authorizations): (Vec<&String>, Vec<&String>) =
        heads.iter().partition(|line| line.starts_with("CONNECT"));
    // The web pages, gRPC as the bot, gRPC and REST as the output.
    assert!(connects.len() >= 4, "{heads:?}");
    assert!(connects.iter().all(|line| line.starts_with("CONNECT teleport.behind.test:443 ")), "{heads:?}");
    assert_eq!(authorizations.len(), connects.len(), "{heads:?}");
    assert!(authorizations.iter().all(|line| line.ends_with("Basic dXNlcjpwYXNz")), "{heads:?}");
}
