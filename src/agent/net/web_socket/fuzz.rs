//! The fuzz target `web-socket`: what arrives does not depend on how the network splits it, and what one end sends is what the
//! other end receives.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::task::Waker;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::*;

/// A connection on which these parts arrive, one per read, and everything can be sent.
#[derive(Default)]
struct Scripted {
    parts: VecDeque<Vec<u8>>,
    sent: Vec<u8>,
}

impl Scripted {
    /// Splits `bytes` into parts of these lengths in turn, each at least 1.
    fn new(mut bytes: &[u8], lengths: &[u8]) -> Self {
        let mut parts = VecDeque::new();
        let mut lengths = lengths.iter().cycle();
        while !bytes.is_empty() {
            let length = usize::from(*lengths.next().unwrap_or(&u8::MAX)).clamp(1, bytes.len());
            let (part, rest) = bytes.split_at(length);
            parts.push_back(part.to_vec());
            bytes = rest;
        }
        Self { parts, sent: Vec::new() }
    }
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(mut part) = self.parts.pop_front() {
            let rest = part.split_off(part.len().min(buffer.remaining()));
            buffer.put_slice(&part);
            if !rest.is_empty() {
                self.parts.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.sent.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Returns the output of a future that never has to wait, because a [`Scripted`] connection is always ready.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("waits although the connection is ready"),
    }
}

/// Returns what a client receives from a connection, whether it ends without an error, and what it sends in return.
fn receive(connection: Scripted) -> (Vec<u8>, bool, Vec<u8>) {
    ready(async {
        let mut client = WebSocketIo::new(connection).await;
        let mut received = Vec::new();
        let result = client.read_to_end(&mut received).await;
        let sent = std::mem::take(&mut client.socket.get_mut().sent);
        (received, result.is_ok(), sent)
    })
}

/// Sends bytes as a server does, in fragments of these lengths with pings between them, and returns what is on the wire.
fn serve(payload: &[u8], lengths: &[u8]) -> Vec<u8> {
    let parts = Scripted::new(payload, lengths).parts;
    ready(async {
        let mut server = WebSocketStream::from_raw_socket(Scripted::default(), Role::Server, None).await;
        let count = parts.len();
        for (number, part) in parts.into_iter().enumerate() {
            let data = if number % 3 == 0 { Data::Binary } else { Data::Continue };
            let is_last = number % 3 == 2 || number + 1 == count;
            let frame = Frame::message(Bytes::from(part), OpCode::Data(data), is_last);
            server.send(Message::Frame(frame)).await.unwrap();
            server.send(Message::Ping(Bytes::from_static(b"p"))).await.unwrap();
        }
        std::mem::take(&mut server.get_mut().sent)
    })
}

/// Returns what a server receives if a client sends these bytes.
fn send(payload: &[u8]) -> Vec<u8> {
    ready(async {
        let mut client = WebSocketIo::new(Scripted::default()).await;
        client.write_all(payload).await.unwrap();
        client.flush().await.unwrap();
        let wire = std::mem::take(&mut client.socket.get_mut().sent);
        let connection = Scripted::new(&wire, &[7, 200]);
        let mut server = WebSocketStream::from_raw_socket(connection, Role::Server, None).await;
        let mut received = Vec::new();
        while let Some(Ok(message)) = server.next().await {
            received.extend_from_slice(&message.into_data());
        }
        received
    })
}

#[test]
fn any_bytes_arrive_however_they_are_split() {
    // The first four bytes of an input are lengths of parts.
    let seeds =
        [&b"hello"[..], &[7; 300]].map(|payload| [&[1, 2, 3, 200], &serve(payload, &[2, 90])[..]].concat());
    tbot_fuzz::fuzz("web-socket", seeds, |input| {
        let (lengths, bytes) = input.split_at(input.len().min(4));
        let whole = receive(Scripted::new(bytes, &[]));
        for lengths in [lengths, &[1]] {
            let (received, is_ok, _) = receive(Scripted::new(bytes, lengths));
            assert_eq!((&received, is_ok), (&whole.0, whole.1), "split into {lengths:?}");
        }
        let served = receive(Scripted::new(&serve(bytes, lengths), lengths));
        assert_eq!((&*served.0, served.1), (bytes, true));
        assert_eq!(send(bytes), bytes);
        (whole.0.len().min(8), whole.1, whole.2.len().min(64))
    });
}
