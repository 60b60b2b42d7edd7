//! Connects to SSH servers through a proxy: `teleport.transport.v1.TransportService`, which all supported servers offer.

use std::error::Error as _;
use std::future::ready;
use std::io;
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt as _};
use http::uri::PathAndQuery;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::api_error::connection_error;
use super::grpc::{Connector, endpoint};
use super::grpc_code::GrpcCode;
use super::messages::transport_v1::proxy_ssh_request::Frame as ToServer;
use super::messages::transport_v1::proxy_ssh_response::Frame as FromServer;
use super::messages::transport_v1::{Frame, ProxySshRequest, ProxySshResponse, TargetHost};
use crate::agent::net::connection_error::ConnectionError;
use crate::agent::net::dialler::DialTarget;
use crate::agent::platform::ServerMessage;

const PROXY_SSH: &str = "/teleport.transport.v1.TransportService/ProxySSH";
/// The largest number of bytes in one message. Programs of Teleport send as many.
const MAX_FRAME: usize = 16 * 1024;
/// The number of bytes that the proxy may send before they are read. Half of the window that OpenSSH gives a channel, so that a
/// high latency does not make a connection slow.
const WINDOW: u32 = 1 << 20;
/// The timeout until the proxy is connected to the host, for which it has 30 s itself.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the connection stays open after the end of the input without a message of the host. Proxies of version 15, and maybe
/// newer ones, do not tell the host about the end.
const LINGER: Duration = Duration::from_secs(5);

/// A connection through a proxy failed.
#[derive(Debug)]
pub(crate) enum SshServiceError {
    /// The proxy cannot be reached.
    Connect(ConnectionError),
    /// The proxy does not offer the service.
    NotServed,
    /// The proxy did not connect to the host.
    Refused { code: GrpcCode, message: ServerMessage },
    /// The connection ended early.
    Lost(ConnectionError),
    /// The bytes that the host has sent cannot be written.
    Output(io::Error),
}

/// Connects to `host`, and copies bytes in both directions until the host ends the connection, or for a short time after the end of
/// the input.
pub(crate) async fn forward(
    proxy: DialTarget,
    host: TargetHost,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: &mut (impl AsyncWrite + Unpin),
) -> Result<(), SshServiceError> {
    // Dropping the sender signals the end of the input.
    let (input_open, mut input_end) = watch::channel(());
    let opening = async {
        let channel = ssh_endpoint()
            .connect_with_connector(Connector(proxy))
            .await
            .map_err(|error| SshServiceError::Connect(ConnectionError::new(error)))?;
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await.map_err(|error| SshServiceError::Connect(ConnectionError::new(error)))?;
        let first = ProxySshRequest { dial_target: Some(host), frame: None };
        let requests = stream::once(ready(first)).chain(frames(input, input_open));
        let (path, codec) = (PathAndQuery::from_static(PROXY_SSH), ProstCodec::default());
        let opened = grpc.streaming(Request::new(requests), path, codec).await;
        let mut responses = opened.map_err(refused)?.into_inner();
        // The first message contains no bytes: it says that the proxy is connected to the host.
        let first: Option<ProxySshResponse> = responses.message().await.map_err(refused)?;
        Ok(first.map(|first| (first, responses)))
    };
    let timed_out = |_| Err(SshServiceError::Lost(ConnectionError::new("the proxy did not respond in time")));
    // The host may have ended the connection already.
    let opened = timeout(OPEN_TIMEOUT, opening).await.unwrap_or_else(timed_out)?;
    let Some((mut response, mut responses)) = opened else { return Ok(()) };
    loop {
        if let Some(FromServer::Ssh(Frame { payload })) = response.frame {
            output.write_all(&payload).await.map_err(SshServiceError::Output)?;
        }
        let linger = async {
            while input_end.changed().await.is_ok() {}
            sleep(LINGER).await;
        };
        let next = tokio::select! {
            next = responses.message() => next,
            () = linger => Ok(None),
        };
        match next {
            Ok(Some(next)) => response = next,
            Err(status) if !is_end(&status) => return Err(SshServiceError::Lost(connection_error(status))),
            Ok(None) | Err(_) => return output.flush().await.map_err(SshServiceError::Output),
        }
    }
}

/// Returns the endpoint of connections to the proxy's service for SSH.
fn ssh_endpoint() -> Endpoint {
    endpoint().initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW)
}

/// Returns the messages with the bytes of `input`, which is read only as fast as they are sent. An error ends it like its end, when
/// `open` is dropped.
fn frames(
    input: impl AsyncRead + Send + Unpin + 'static,
    open: watch::Sender<()>,
) -> impl Stream<Item = ProxySshRequest> + Send {
    stream::unfold((input, vec![0; MAX_FRAME], open), |(mut input, mut buffer, open)| async {
        let length = input.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
        let payload = buffer[..length].to_vec();
        let request = ProxySshRequest { dial_target: None, frame: Some(ToServer::Ssh(Frame { payload })) };
        Some((request, (input, buffer, open)))
    })
}

/// Whether a status reports that the host has closed the connection.
fn is_end(status: &Status) -> bool {
    status.code() == Code::Unknown && status.source().is_none() && status.message() == "EOF"
}

/// Returns why there is no connection to the host. A status with a source was created by the connection to the proxy.
fn refused(status: Status) -> SshServiceError {
    match GrpcCode::new(status.code()) {
        _ if status.source().is_some() => SshServiceError::Connect(connection_error(status)),
        GrpcCode::Unimplemented => SshServiceError::NotServed,
        code => {
            // A cause is on a separate line.
            let message = status.message().replace("\n\t", ": ");
            SshServiceError::Refused { code, message: ServerMessage::from(message) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::grpc::tests::pings;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_quiet_connection_sends_no_pings_which_would_end_it() {
        assert_eq!(pings(ssh_endpoint()).await, []);
    }

    #[test]
    fn only_a_status_of_the_server_says_that_the_host_has_ended_the_connection() {
        assert!(is_end(&Status::unknown("EOF")));
        assert!(!is_end(&Status::unknown("backend")));
        assert!(!is_end(&Status::unavailable("EOF")));
        assert!(!is_end(&Status::from_error(io::Error::other("EOF").into())));
    }
}
