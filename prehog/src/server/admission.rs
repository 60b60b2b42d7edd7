//! Admission of requests before their body is read: the rate of the client, the number of concurrent requests, and a
//! deadline. Also rejects a body that does not arrive as HTTP requires. Depends on axum and the limits.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::HeaderName;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use connectrpc::ConnectError;
use http_body_util::BodyExt as _;

use crate::ingest::MAX_BODY;
use crate::limits::{ClientLimit, ClientNetwork, RateLimit, TrustedProxies};
use crate::metrics::{Limit, Metrics};
use crate::validation::InvalidEvent;

const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The peer address of a connection. [`admit`] removes it from the request, so that no handler sees it.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// The limits that every request must pass.
#[derive(Clone)]
pub(super) struct Admission {
    pub(super) metrics: Arc<Metrics>,
    pub(super) rate_limit: Arc<RateLimit>,
    pub(super) trusted_proxies: TrustedProxies,
    pub(super) max_requests: u64,
    pub(super) client_limit: Arc<ClientLimit>,
    pub(super) timeout: Duration,
}

/// Middleware that passes on the requests within the limits, and rejects the others.
pub(super) async fn admit(State(admission): State<Admission>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions_mut().remove::<Peer>();
    let mut permit = None;
    if let Some(Peer(peer)) = peer {
        let forwarded = request.headers().get_all(&FORWARDED).iter();
        let forwarded = forwarded.map(|header| header.to_str().unwrap_or_default());
        let client = ClientNetwork::from(admission.trusted_proxies.client_address(peer, forwarded));
        if !admission.rate_limit.allows(client) {
            let message = "too many requests from your address; try again in a minute";
            return admission.reject(Limit::Rate, message, &request);
        }
        permit = admission.client_limit.try_acquire(client);
        if permit.is_none() {
            let message = "too many concurrent requests from your address";
            return admission.reject(Limit::Requests, message, &request);
        }
    }
    let counted = CountedRequest::new(&admission.metrics);
    if admission.metrics.requests.get() > admission.max_requests {
        let message = "too many concurrent requests; try again later";
        return admission.reject(Limit::Requests, message, &request);
    }
    let headers = request.headers().clone();
    let is_broken = Arc::new(AtomicBool::new(false));
    let request = observe_body(request, Arc::clone(&is_broken), Arc::clone(&admission.metrics));
    let response = tokio::time::timeout(admission.timeout, next.run(request)).await;
    drop((counted, permit));
    let error = match response {
        // The service reports an internal error, although the client is at fault.
        Ok(_) if is_broken.load(Ordering::Relaxed) => {
            let error = InvalidEvent::malformed("must be complete, and its chunks valid");
            admission.metrics.count_invalid(&error.reason);
            ConnectError::invalid_argument(error.to_string())
        }
        Ok(response) => return response,
        Err(_) => {
            admission.metrics.count_rejected(Limit::Timeout);
            ConnectError::unavailable("the request did not arrive or could not be stored in time")
        }
    };
    error.into_http_response(&headers).into_response()
}

/// Sets `is_broken` if the body of a request cannot be read, such as because of a malformed chunk. Counts a body that is too large, which the
/// service rejects.
fn observe_body(request: Request, is_broken: Arc<AtomicBool>, metrics: Arc<Metrics>) -> Request {
    let mut len = 0;
    request.map(|body| {
        let body = body.map_frame(move |frame| {
            let before = len;
            len += frame.data_ref().map_or(0, Bytes::len);
            if before <= MAX_BODY && len > MAX_BODY {
                metrics.count_rejected(Limit::Size);
            }
            frame
        });
        Body::new(body.map_err(move |error| {
            is_broken.store(true, Ordering::Relaxed);
            error
        }))
    })
}

impl Admission {
    fn reject(&self, limit: Limit, message: &str, request: &Request) -> Response {
        self.metrics.count_rejected(limit);
        ConnectError::resource_exhausted(message).into_http_response(request.headers()).into_response()
    }
}

/// Counts a request as in progress until it is dropped, which also happens if the client disconnects.
struct CountedRequest(Arc<Metrics>);

impl CountedRequest {
    fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.requests.inc();
        Self(Arc::clone(metrics))
    }
}

impl Drop for CountedRequest {
    fn drop(&mut self) {
        self.0.requests.dec();
    }
}
