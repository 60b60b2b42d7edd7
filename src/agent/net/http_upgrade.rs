//! Sends one HTTP/1.1 request that asks the server to use the connection for another protocol afterwards.

use http::{HeaderMap, Method, Request, StatusCode};
use hyper::upgrade::Upgraded;

use super::byte_stream::BoxedByteStream;
use super::http_body::HttpBody;
use super::http1;

/// The server's response.
pub(super) enum UpgradeResponse {
    /// The connection, and the headers of the response.
    Switched(Upgraded, HeaderMap),
    Refused(StatusCode),
}

/// Sends `request` on a new connection. A `CONNECT` succeeds with any 2xx status, and every other request with 101.
pub(super) async fn send(
    stream: BoxedByteStream,
    request: Request<HttpBody>,
) -> hyper::Result<UpgradeResponse> {
    let (mut sender, connection) = http1::handshake(stream).await?;
    let is_connect = request.method() == Method::CONNECT;
    let exchange = async {
        let mut response = sender.send_request(request).await?;
        let is_accepted = match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => true,
            status => is_connect && status.is_success(),
        };
        if !is_accepted {
            return Ok(UpgradeResponse::Refused(response.status()));
        }
        let headers = std::mem::take(response.headers_mut());
        Ok(UpgradeResponse::Switched(hyper::upgrade::on(response).await?, headers))
    };
    // The exchange makes progress only while the connection is polled.
    let connection = async {
        // The exchange reports why a connection ended.
        let _ = connection.with_upgrades().await;
        std::future::pending().await
    };
    tokio::select! {
        biased;
        outcome = exchange => outcome,
        never = connection => never,
    }
}
