//! The REST calls of the auth API that servers up to 16 still need: HTTP/1.1 over a connection of a dialler.

use std::error::Error;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use serde::{Deserialize, Serialize};

use super::error_body::error_message;
use super::server_hints;
use crate::agent::net::connection_error::ConnectionError;
use crate::agent::net::dialler::DialTarget;
use crate::agent::net::http_body::{self, HttpBody};
use crate::agent::net::http1;
use crate::agent::platform::error_text::describe_json_error;
use crate::agent::platform::{Hint, Rounded, ServerMessage};

const CALL_TIMEOUT: Duration = Duration::from_secs(15);
const MAX_BODY: usize = 4 << 20;
const REMOTE_CLUSTERS: &str = "/v2/remoteclusters";
const HOST_CERTS: &str = "/v2/ca/host/certs";
const REGISTER: &str = "/v2/tokens/register";

/// A REST call failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestError {
    /// The connection failed, or the call timed out, before a response.
    #[error("no response from the auth server to the request {path}")]
    NoResponse {
        /// The path of the request.
        path: &'static str,
        /// Why there was no response.
        source: ConnectionError,
    },
    /// The server responded with an error.
    #[error("the request {path} to the auth server failed: {message} (HTTP {status})")]
    ErrorStatus {
        /// The path of the request.
        path: &'static str,
        /// The HTTP status.
        status: u16,
        /// The server's message.
        message: ServerMessage,
    },
    /// The response is not the expected JSON.
    #[error("the response of the auth server to the request {path} is not the expected JSON: {problem}")]
    MalformedResponse {
        /// The path of the request.
        path: &'static str,
        /// How the response differs from what was expected. Contains no value.
        problem: String,
    },
}

impl RestError {
    /// Returns whether a retry may succeed without any change by the operator.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::NoResponse { .. } => true,
            Self::ErrorStatus { status, .. } => *status == 429 || *status >= 500,
            Self::MalformedResponse { .. } => false,
        }
    }

    fn no_response(path: &'static str, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::NoResponse { path, source: ConnectionError::new(error) }
    }

    fn error_status(path: &'static str, status: StatusCode, body: &[u8]) -> Self {
        Self::ErrorStatus { path, status: status.as_u16(), message: error_message(body) }
    }

    fn malformed(path: &'static str, error: &serde_json::Error) -> Self {
        Self::MalformedResponse { path, problem: describe_json_error(error) }
    }

    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::NoResponse { source, .. } => Some(server_hints::for_auth_connection(source)),
            Self::ErrorStatus { message, .. } => server_hints::for_error_status(message.raw()),
            Self::MalformedResponse { .. } => None,
        }
    }
}

/// The parameters of a host certificate.
pub(crate) struct HostCertParams<'a> {
    /// The public key: a line in authorized_keys format, with a newline.
    pub(crate) ssh_line: &'a str,
    pub(crate) principals: &'a [String],
    pub(crate) cluster: &'a str,
    pub(crate) ttl: Duration,
}

#[derive(Serialize)]
struct HostCertRequest<'a> {
    /// The authorized_keys line in base64.
    key: String,
    hostname: &'static str,
    node_name: &'static str,
    principals: &'a [String],
    auth_domain: &'a str,
    roles: [&'static str; 1],
    /// Nanoseconds.
    ttl: u64,
}

#[derive(Deserialize)]
struct RemoteCluster {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

/// Returns the names of the leaf clusters; none if the server does not have this call any more (404).
pub(crate) async fn leaf_clusters(target: &DialTarget) -> Result<Vec<String>, RestError> {
    match exchange(target, Request::get(REMOTE_CLUSTERS), REMOTE_CLUSTERS, Bytes::new()).await? {
        (StatusCode::NOT_FOUND, _) => Ok(Vec::new()),
        (StatusCode::OK, body) => {
            let clusters: Vec<RemoteCluster> = serde_json::from_slice(&body)
                .map_err(|error| RestError::malformed(REMOTE_CLUSTERS, &error))?;
            Ok(clusters.into_iter().map(|cluster| cluster.metadata.name).collect())
        }
        (status, body) => Err(RestError::error_status(REMOTE_CLUSTERS, status, &body)),
    }
}

/// Issues a host certificate: one line with a newline.
pub(crate) async fn host_cert(
    target: &DialTarget,
    parameters: &HostCertParams<'_>,
) -> Result<String, RestError> {
    let request = HostCertRequest {
        key: STANDARD.encode(parameters.ssh_line),
        hostname: "",
        node_name: "",
        principals: parameters.principals,
        auth_domain: parameters.cluster,
        roles: ["Node"],
        ttl: u64::try_from(parameters.ttl.as_nanos()).unwrap_or(u64::MAX),
    };
    let body = serde_json::to_vec(&request).map_err(|error| RestError::no_response(HOST_CERTS, error))?;
    match exchange(target, Request::post(HOST_CERTS), HOST_CERTS, body.into()).await? {
        (StatusCode::OK, body) => {
            serde_json::from_slice(&body).map_err(|error| RestError::malformed(HOST_CERTS, &error))
        }
        (status, body) => Err(RestError::error_status(HOST_CERTS, status, &body)),
    }
}

/// Sends a join request without an identity, waits up to `limit` for the response, and returns it with any status.
pub(crate) async fn register(
    target: &DialTarget,
    body: Vec<u8>,
    limit: Duration,
) -> Result<(StatusCode, Bytes), ConnectionError> {
    let exchanged = exchange_within(limit, target, Request::post(REGISTER), REGISTER, body.into()).await;
    exchanged.map_err(|error| match error {
        RestError::NoResponse { source, .. } => source,
        other => ConnectionError::new(other),
    })
}

async fn exchange(
    target: &DialTarget,
    request: http::request::Builder,
    path: &'static str,
    body: Bytes,
) -> Result<(StatusCode, Bytes), RestError> {
    exchange_within(CALL_TIMEOUT, target, request, path, body).await
}

async fn exchange_within(
    limit: Duration,
    target: &DialTarget,
    request: http::request::Builder,
    path: &'static str,
    body: Bytes,
) -> Result<(StatusCode, Bytes), RestError> {
    let request = request
        .header(header::HOST, "teleport.cluster.local")
        .header(header::CONTENT_TYPE, "application/json")
        .body(http_body::complete(body))
        .map_err(|error| RestError::no_response(path, error))?;
    let response = tokio::time::timeout(limit, send(target, request)).await;
    response
        .map_err(|_| RestError::no_response(path, format!("it did not respond within {}", Rounded(limit))))?
        .map_err(|error| RestError::no_response(path, error))
}

async fn send(
    target: &DialTarget,
    request: Request<HttpBody>,
) -> Result<(StatusCode, Bytes), Box<dyn Error + Send + Sync>> {
    let stream = target.open().await?;
    let (mut sender, connection) = http1::handshake(Box::new(stream.into_inner())).await?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await?;
        Ok((status, body.to_bytes()))
    };
    // The exchange makes progress only while the connection is polled.
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        response = &mut exchange => response,
        closed = connection => match closed {
            Ok(()) => exchange.await,
            Err(error) => Err(error.into()),
        },
    }
}
