//! Servers at the other end of tunnels.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// A server on a free port of loopback, which runs as long as the test.
pub(super) struct Server {
    pub(super) address: SocketAddr,
}

/// Serves each connection with `serve`, on its own task.
async fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(connection));
        }
    });
    Server { address }
}

/// Sends back what it receives, and ends after the client.
pub(super) async fn echo() -> Server {
    listen(|mut connection| async move {
        let (mut reader, mut writer) = connection.split();
        // Either side may end at any time.
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
        let _ = writer.shutdown().await;
    })
    .await
}

/// Responds to every request with `welcome`.
pub(super) async fn serve_http() -> Server {
    listen(|mut connection| async move {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let Ok(byte) = connection.read_u8().await else { return };
            request.push(byte);
        }
        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\nwelcome";
        let _ = connection.write_all(response).await;
    })
    .await
}

/// Reads nothing until told to. Then reads until the end, and sends as many bytes, all of them 7, as it is told to expect.
pub(super) async fn slow(length: usize) -> (Server, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (release, released) = oneshot::channel();
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        released.await.unwrap();
        let mut received = Vec::new();
        connection.read_to_end(&mut received).await.unwrap();
        assert!(received.len() == length && received.iter().all(|byte| *byte == 7));
        connection.write_all(&received).await.unwrap();
    });
    (Server { address }, release)
}

/// Passes its connections to the test.
pub(super) async fn hold() -> (Server, mpsc::UnboundedReceiver<TcpStream>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = listen(move |connection| {
        let sender = sender.clone();
        async move { sender.send(connection).unwrap() }
    });
    (server.await, receiver)
}
