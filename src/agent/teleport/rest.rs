//! The REST calls of the auth API that servers up to 16 still need: HTTP/1.1 over a routed connection.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use serde::{Deserialize, Serialize};

use super::error_body::error_message;
use crate::agent::net::route::TlsRoute;
use crate::agent::platform::error_text::{chain, describe_json_error};

const CALL_TIMEOUT: Duration = Duration::from_secs(15);
const MAX_BODY: usize = 4 << 20;
const REMOTE_CLUSTERS: &str = "/v2/remoteclusters";
const HOST_CERTS: &str = "/v2/ca/host/certs";

/// A REST call failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the request {path} to the auth server failed: {detail}{hint}")]
pub struct RestError {
    path: &'static str,
    detail: String,
    /// What to check, with a leading semicolon, or empty.
    hint: &'static str,
}

impl RestError {
    fn new(path: &'static str, detail: String) -> Self {
        Self { path, detail, hint: "" }
    }
}

/// The parameters of a host certificate.
pub(crate) struct HostCert<'a> {
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
pub(crate) async fn leaf_clusters(route: &TlsRoute) -> Result<Vec<String>, RestError> {
    let failed = |detail| RestError::new(REMOTE_CLUSTERS, detail);
    match exchange(route, Request::get(REMOTE_CLUSTERS), REMOTE_CLUSTERS, Bytes::new()).await? {
        (StatusCode::NOT_FOUND, _) => Ok(Vec::new()),
        (StatusCode::OK, body) => {
            let clusters: Vec<RemoteCluster> = serde_json::from_slice(&body).map_err(|error| {
                failed(format!("the response is not the expected JSON: {}", describe_json_error(&error)))
            })?;
            Ok(clusters.into_iter().map(|cluster| cluster.metadata.name).collect())
        }
        (status, body) => Err(failed(format!("{status}: {}", error_message(&body)))),
    }
}

/// Issues a host certificate: one line with a newline.
pub(crate) async fn host_cert(route: &TlsRoute, parameters: &HostCert<'_>) -> Result<String, RestError> {
    let failed = |detail| RestError::new(HOST_CERTS, detail);
    let request = HostCertRequest {
        key: STANDARD.encode(parameters.ssh_line),
        hostname: "",
        node_name: "",
        principals: parameters.principals,
        auth_domain: parameters.cluster,
        roles: ["Node"],
        ttl: u64::try_from(parameters.ttl.as_nanos()).unwrap_or(u64::MAX),
    };
    let body = serde_json::to_vec(&request).map_err(|error| failed(error.to_string()))?;
    match exchange(route, Request::post(HOST_CERTS), HOST_CERTS, body.into()).await? {
        (StatusCode::OK, body) => serde_json::from_slice(&body).map_err(|error| {
            failed(format!("the response is not the expected JSON: {}", describe_json_error(&error)))
        }),
        (status, body) => {
            let message = error_message(&body);
            let hint = if message.contains("\"host_cert\"") {
                "; give the bot a role with the rule `resources: [host_cert], verbs: [create]`"
            } else {
                ""
            };
            Err(RestError { hint, ..failed(format!("{status}: {message}")) })
        }
    }
}

async fn exchange(
    route: &TlsRoute,
    request: http::request::Builder,
    path: &'static str,
    body: Bytes,
) -> Result<(StatusCode, Bytes), RestError> {
    let failed = |detail| RestError::new(path, detail);
    let request = request
        .header(header::HOST, "teleport.cluster.local")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| failed(chain(&error)))?;
    let response = tokio::time::timeout(CALL_TIMEOUT, send(route, request)).await;
    response.map_err(|_| failed("no response within 15 s".to_owned()))?.map_err(failed)
}

async fn send(route: &TlsRoute, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String> {
    let stream = route.open().await.map_err(|error| chain(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(|error| chain(&error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| chain(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
        Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
    };
    // The exchange makes progress only while the connection is polled.
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        response = &mut exchange => response,
        closed = connection => match closed {
            Ok(()) => exchange.await,
            Err(error) => Err(chain(&error)),
        },
    }
}
