//! The auth API's REST remains, which servers up to 16 still need: HTTP/1.1 over the routed connection. One I/O edge.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use serde::Deserialize;

use super::error::chain;
use super::route::AuthRoute;

const CALL: Duration = Duration::from_secs(15);
const LARGEST_ANSWER: usize = 4 << 20;
const REMOTE_CLUSTERS: &str = "/v2/remoteclusters";

/// A REST call that did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("GET {path} at the auth server failed: {detail}")]
pub struct RestError {
    path: &'static str,
    detail: String,
}

#[derive(Deserialize)]
struct RemoteCluster {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

/// Names of the leaf clusters. A server that does not know the call any more (404) has none to tell here.
pub(crate) async fn remote_clusters(route: &AuthRoute) -> Result<Vec<String>, RestError> {
    let failed = |detail| RestError { path: REMOTE_CLUSTERS, detail };
    let answered = tokio::time::timeout(CALL, get(route, REMOTE_CLUSTERS)).await;
    let (status, body) = answered.map_err(|_| failed("no answer in time".to_owned()))?.map_err(failed)?;
    match status {
        StatusCode::NOT_FOUND => Ok(Vec::new()),
        StatusCode::OK => {
            let clusters: Vec<RemoteCluster> = serde_json::from_slice(&body)
                .map_err(|error| failed(format!("not the expected JSON: {error}")))?;
            Ok(clusters.into_iter().map(|cluster| cluster.metadata.name).collect())
        }
        other => Err(failed(format!("{other}: {}", super::web::error_message(&body)))),
    }
}

async fn get(route: &AuthRoute, path: &'static str) -> Result<(StatusCode, Bytes), String> {
    let stream = route.open().await.map_err(|error| chain(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(|error| chain(&error))?;
    let request = Request::get(path)
        .header(header::HOST, "teleport.cluster.local")
        .body(Empty::<Bytes>::new())
        .map_err(|error| chain(&error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| chain(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
        Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
    };
    // The connection must be driven for the exchange to go on, and ends with it.
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        answered = &mut exchange => answered,
        ended = connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(chain(&error)),
        },
    }
}
