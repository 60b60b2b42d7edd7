//! Serves clients without a certificate at the auth server's own port. Like a real server, it lets them join and ask for the
//! cluster's CA and version, and nothing else. The streams of the join service are served by [`join_stream`](crate::join_stream).

use std::net::SocketAddr;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::Value;
use tonic::Status;
use tonic::body::Body;

use crate::auth_service::{self, unary};
use crate::error::ApiError;
use crate::method;
use crate::proto::PingRequest;
use crate::shared::Shared;

/// Serves a gRPC call.
pub(crate) async fn serve(
    shared: &Shared,
    peer_addr: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Response<Body> {
    match request.uri().path() {
        method::PING => unary(request, |_: PingRequest| Ok(shared.ping(peer_addr))).await,
        method::GET_CLUSTER_CA_CERT => unary(request, |(): ()| Ok(shared.cluster_ca())).await,
        method::REGISTER_USING_TOKEN => auth_service::serve_join(shared, None, request).await,
        _ => Status::from(ApiError::access_denied()).into_http(),
    }
}

/// Serves a REST request.
pub(crate) fn rest(shared: &Shared, method: &str, parts: &Parts, body: &[u8]) -> Result<Value, ApiError> {
    match method {
        _ if !shared.offers(method) => Err(ApiError::not_found("path not found")),
        method::REGISTER_TOKEN => shared.web_join(&parts.headers, body),
        _ => Err(ApiError::access_denied()),
    }
}
