//! A stream of bytes in the binary messages of a WebSocket connection. The boundaries of messages have no meaning.
//!
//! tungstenite masks what is sent, joins fragments, limits the size of messages and answers pings.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures_util::{Sink as _, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

/// The maximum size of a received message. Servers send at most some 16 KiB, the size of a TLS record.
const MAX_MESSAGE: usize = 1 << 20;
/// The maximum size of a sent message.
const MAX_SENT: usize = 32 << 10;
/// The maximum size of what waits to be sent: a message, and the answers to pings. Without a limit, a peer that sends pings and
/// reads nothing could use up the memory.
const MAX_UNSENT: usize = 4 * MAX_SENT;

/// The client's end of a WebSocket connection after the handshake.
pub(super) struct WebSocketIo<S> {
    socket: WebSocketStream<S>,
    /// The rest of the last message.
    received: Bytes,
    /// The peer has sent a closing message.
    is_closed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketIo<S> {
    pub(super) async fn new(stream: S) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE))
            .write_buffer_size(0)
            .max_write_buffer_size(MAX_UNSENT);
        let socket = WebSocketStream::from_raw_socket(stream, Role::Client, Some(config)).await;
        Self { socket, received: Bytes::new(), is_closed: false }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocketIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.received.is_empty() && !self.is_closed {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.received = bytes,
                // Does not wait until the peer closes the connection as well.
                Some(Ok(Message::Close(_))) => self.is_closed = true,
                // Pings are answered already.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Text(_))) => {
                    return Poll::Ready(Err(io::Error::other("a WebSocket message that is not binary")));
                }
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(end_of_stream(error)),
            }
        }
        let length = self.received.len().min(buffer.remaining());
        buffer.put_slice(&self.received[..length]);
        self.received.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocketIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let bytes = &bytes[..bytes.len().min(MAX_SENT)];
        let mut socket = Pin::new(&mut self.socket);
        ready!(socket.as_mut().poll_ready(cx)).map_err(io_error)?;
        socket.start_send(Message::Binary(Bytes::copy_from_slice(bytes))).map_err(io_error)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(io_error)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx).map_err(io_error)
    }
}

/// Returns the result of reading from a connection that has ended. A peer that closes it without a closing message is not an
/// error here: TLS inside the connection notices an end that is too early.
fn end_of_stream(error: Error) -> io::Result<()> {
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ok(()),
        error => Err(io_error(error)),
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

    use super::*;

    /// A client and the server at the other end of its connection.
    async fn connected() -> (WebSocketIo<DuplexStream>, WebSocketStream<DuplexStream>) {
        let (client, server) = tokio::io::duplex(1 << 16);
        let server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
        (WebSocketIo::new(client).await, server)
    }

    fn frame(data: Data, bytes: &'static [u8], is_last: bool) -> Message {
        Message::Frame(Frame::message(Bytes::from_static(bytes), OpCode::Data(data), is_last))
    }

    #[tokio::test]
    async fn bytes_arrive_whatever_the_messages_are() {
        let (mut client, mut server) = connected().await;
        for message in [
            frame(Data::Binary, b"he", false),
            Message::Ping(Bytes::from_static(b"1")),
            frame(Data::Continue, b"l", false),
            frame(Data::Continue, b"", true),
            Message::Binary(Bytes::new()),
            Message::Binary(Bytes::from_static(b"lo")),
            Message::Close(None),
        ] {
            server.send(message).await.unwrap();
        }
        let mut received = String::new();
        client.read_to_string(&mut received).await.unwrap();
        assert_eq!(received, "hello");
        let answer = server.next().await.unwrap().unwrap();
        assert_eq!(answer, Message::Pong(Bytes::from_static(b"1")));
    }

    #[tokio::test]
    async fn bytes_are_sent_in_binary_messages_and_the_end_is_a_closing_message() {
        let (mut client, mut server) = connected().await;
        let sent = vec![7; MAX_SENT + 1];
        let to_send = sent.clone();
        let writer = tokio::spawn(async move {
            client.write_all(&to_send).await.unwrap();
            client.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        loop {
            match server.next().await.unwrap().unwrap() {
                Message::Binary(bytes) => {
                    assert!(bytes.len() <= MAX_SENT);
                    received.extend_from_slice(&bytes);
                }
                Message::Close(_) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(received, sent);
        drop(server);
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn an_abrupt_end_is_the_end_of_the_stream() {
        let (mut client, mut server) = connected().await;
        server.send(Message::Binary(Bytes::from_static(b"a"))).await.unwrap();
        drop(server);
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"a");
    }

    #[tokio::test]
    async fn text_masked_frames_and_messages_that_are_too_large_are_errors() {
        let header_of_2_mib = [0x82, 127, 0, 0, 0, 0, 0, 0x20, 0, 0];
        let masked = [0x82, 0x81, 1, 2, 3, 4, 5];
        let text = [0x81, 1, b'a'];
        for bytes in [&header_of_2_mib[..], &masked, &text, &[0xff; 16]] {
            let (client, mut server) = tokio::io::duplex(64);
            let mut client = WebSocketIo::new(client).await;
            server.write_all(bytes).await.unwrap();
            client.read_u8().await.unwrap_err();
        }
    }

    /// Returns the size of what the client has not sent yet, by letting the peer read all of it.
    async fn unsent(client: &mut WebSocketIo<DuplexStream>, mut server: DuplexStream) -> usize {
        let reading = async {
            let mut received = Vec::new();
            server.read_to_end(&mut received).await.unwrap();
            received.len()
        };
        let shutdown = async {
            client.shutdown().await.unwrap();
            client.socket.get_mut().shutdown().await.unwrap();
        };
        tokio::join!(reading, shutdown).0
    }

    #[tokio::test]
    async fn answers_to_pings_do_not_pile_up_if_the_peer_reads_nothing() {
        let (client, mut server) = tokio::io::duplex(1 << 10);
        let mut client = WebSocketIo::new(client).await;
        let mut ping = vec![0x89, 100];
        ping.resize(102, 7);
        let pings = ping.repeat(10 * MAX_UNSENT / ping.len());
        let mut received = [0; 1];
        tokio::select! {
            biased;
            never = client.read_exact(&mut received) => panic!("{never:?}"),
            sent = server.write_all(&pings) => sent.unwrap(),
        }
        let unsent = unsent(&mut client, server).await;
        assert!(unsent < 2 * MAX_UNSENT, "{unsent}");
    }

    /// A call that is given up, such as one with a timeout, loses no bytes and sends none twice.
    #[tokio::test]
    async fn a_write_that_is_given_up_leaves_the_stream_intact() {
        let (client, server) = tokio::io::duplex(100);
        let mut client = WebSocketIo::new(client).await;
        let mut server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
        assert_eq!(client.write(&[1; 500]).await.unwrap(), 500, "accepted, but not sent");
        for _ in 0..3 {
            let given_up = async {
                client.flush().await.unwrap();
                client.write_all(&[2]).await.unwrap();
            };
            tokio::select! {
                biased;
                () = given_up => panic!("nobody reads"),
                () = std::future::ready(()) => {}
            }
        }
        let writing = async {
            client.write_all(&[3]).await.unwrap();
            client.flush().await.unwrap();
        };
        let reading = async { [server.next().await, server.next().await].map(|m| m.unwrap().unwrap()) };
        let (received, ()) = tokio::join!(reading, writing);
        assert_eq!(received, [vec![1; 500], vec![3]].map(|bytes| Message::Binary(bytes.into())));
    }

    /// A writer waits for a reader instead of collecting bytes.
    #[tokio::test]
    async fn a_peer_that_reads_nothing_stops_the_writer() {
        let (client, _server) = tokio::io::duplex(1 << 10);
        let mut client = WebSocketIo::new(client).await;
        let mut written = 0;
        let writing = std::future::poll_fn(|cx| {
            loop {
                ready!(Pin::new(&mut client).poll_write(cx, &[0; 512])).unwrap();
                written += 512;
                assert!(written < 1 << 20);
            }
        });
        tokio::select! {
            biased;
            never = writing => { let _: () = never; },
            () = std::future::ready(()) => {}
        }
        assert!(written < MAX_SENT, "{written}");
    }
}
