//! With an HTTP proxy in the environment, every connection goes through it: web pages, gRPC and REST.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use tbot::agent::error_line;

use super::fixture::{TestCluster, run_oneshot};

/// Request lines and `Proxy-Authorization` headers, in the order of arrival.
pub(super) type RequestHeads = Arc<Mutex<Vec<String>>>;

/// Starts an HTTP proxy on loopback that serves only `CONNECT` and connects every host name to `target`.
pub(super) async fn connect_proxy(target: SocketAddr) -> (SocketAddr, RequestHeads) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads = RequestHeads::default();
    let recorded = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let recorded = Arc::clone(&recorded);
            tokio::spawn(async move {
                let mut client = BufReader::new(client);
                let mut line = String::new();
                while client.read_line(&mut line).await.unwrap() > 2 {
                    if line.starts_with("CONNECT") || line.to_lowercase().starts_with("proxy-authorization") {
                        recorded.lock().unwrap().push(line.trim().to_owned());
                    }
                    line.clear();
                }
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let mut server = TcpStream::connect(target).await.unwrap();
                // Either side may hang up at any time.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, heads)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_is_tunnelled_with_the_http_proxys_credentials() {
    let fixture = TestCluster::new().await;
    let (proxy, heads) = connect_proxy(fixture.cluster.proxy_addr()).await;
    let mut config = fixture.config("20m", &[fixture.output("out")]);
    // Only the HTTP proxy can resolve this name, and the web certificate is not for it.
    config["proxy_server"] = json!("teleport.behind.test:443");
    config["insecure"] = json!(true);
    let url = format!("http://user:pass@{proxy}");
    run_oneshot(&fixture.agent_with_env(config, &[("HTTPS_PROXY", &url)]).unwrap()).await.unwrap();

    assert!(fixture.path("out").join("identity").exists());
    let heads = heads.lock().unwrap();
    let (connects, authorizations): (Vec<&String>, Vec<&String>) =
        heads.iter().partition(|line| line.starts_with("CONNECT"));
    // Web pages, gRPC as the bot, gRPC as the output, and REST as the output.
    assert!(connects.len() >= 4, "{heads:?}");
    assert!(connects.iter().all(|line| line.starts_with("CONNECT teleport.behind.test:443 ")), "{heads:?}");
    assert_eq!(authorizations.len(), connects.len(), "{heads:?}");
    assert!(authorizations.iter().all(|line| line.ends_with("Basic dXNlcjpwYXNz")), "{heads:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_in_the_no_proxy_list_is_reached_directly() {
    let fixture = TestCluster::new().await;
    let (proxy, heads) = connect_proxy(fixture.cluster.proxy_addr()).await;
    let mut config = fixture.config("20m", &[]);
    // A connection to this address reaches this machine, but the address does not count as loopback. The web certificate is not for
    // it.
    let address = format!("0.0.0.0:{}", fixture.cluster.proxy_addr().port());
    config["proxy_server"] = json!(address);
    config["insecure"] = json!(true);
    let url = format!("http://{proxy}");
    for (excluded, is_direct) in
        [(address.as_str(), true), ("*", true), ("0.0.0.0/8", true), ("0.0.0.0:1", false)]
    {
        let variables = [("HTTPS_PROXY", url.as_str()), ("NO_PROXY", excluded)];
        run_oneshot(&fixture.agent_with_env(config.clone(), &variables).unwrap()).await.unwrap();
        assert_eq!(heads.lock().unwrap().is_empty(), is_direct, "{excluded}");
    }
}

/// Starts a server on loopback that responds to every connection with `response`.
async fn server_with_response(response: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                // The client may hang up at any time.
                let _ = client.read(&mut request).await;
                let _ = client.write_all(response).await;
            });
        }
    });
    address
}

/// Runs an agent with this address of the Teleport proxy and returns its error as in the log, without port numbers.
async fn error_of_start(proxy_server: &str, variables: &[(&str, &str)]) -> String {
    let fixture = TestCluster::new().await;
    let mut config = fixture.config("20m", &[fixture.output("out")]);
    config["proxy_server"] = json!(proxy_server);
    let agent = fixture.agent_with_env(config, variables).unwrap();
    let error = run_oneshot(&agent).await.unwrap_err();
    let line = error_line(&error, error.hint().as_ref());
    assert!(!line.contains("hunter2"), "{line}");
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_at_the_http_proxy_names_it_and_its_variable() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let forbids = server_with_response(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
    let wants_password =
        server_with_response(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            .await;
    let is_no_proxy = server_with_response(b"SSH-2.0-Teleport\r\n").await;
    let mut errors = Vec::new();
    for (proxy, variable) in [
        (closed, "HTTPS_PROXY"),
        (forbids, "https_proxy"),
        (wants_password, "ALL_PROXY"),
        (is_no_proxy, "all_proxy"),
    ] {
        let url = format!("http://user:hunter2@{proxy}");
        let error = error_of_start("teleport.behind.test:443", &[(variable, &url)]).await;
        errors.push(error.replace(&proxy.to_string(), "PROXY"));
    }
    insta::assert_snapshot!(errors.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_without_tls_is_recognised() {
    let http = server_with_response(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let error = error_of_start(&http.to_string(), &[]).await;
    insta::assert_snapshot!(error.replace(&http.to_string(), "SERVER"));
    // Many servers respond nothing to a request that they do not understand.
    let silent = server_with_response(b"").await;
    let error = error_of_start(&silent.to_string(), &[]).await;
    insta::assert_snapshot!(error.replace(&silent.to_string(), "SERVER"), @"cannot reach SERVER (proxy_server): the server closed the connection during the TLS handshake; the server on this port may not use TLS (for example, it serves HTTP), or a load balancer reaches no server: check the port");
}
