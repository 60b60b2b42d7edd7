//! Before a request's body is read: its source's rate, the work under way, and a deadline for all of it. Depends on
//! axum and the limits.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderName;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use connectrpc::ConnectError;

use crate::limits::{RateLimit, Source, SourceLimit, TrustedProxies};
use crate::metrics::{Metrics, Turned};

const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the other end of a connection; it goes no further than the guard.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

#[derive(Clone)]
pub(super) struct Guard {
    pub(super) metrics: Arc<Metrics>,
    pub(super) rate: Arc<RateLimit>,
    pub(super) proxies: TrustedProxies,
    pub(super) most: u64,
    pub(super) each: Arc<SourceLimit>,
    pub(super) timeout: Duration,
}

pub(super) async fn guard(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions_mut().remove::<Peer>();
    let mut held = None;
    if let Some(Peer(peer)) = peer {
        let forwarded = request.headers().get_all(&FORWARDED).iter();
        let origin = guard.proxies.origin(peer, forwarded.map(|header| header.to_str().unwrap_or_default()));
        let source = Source::from(origin);
        if !guard.rate.allows(source) {
            return guard.turn(
                Turned::Rate,
                "too many requests from your address; try again in a minute",
                &request,
            );
        }
        held = guard.each.take(source);
        if held.is_none() {
            return guard.turn(
                Turned::Work,
                "too many requests at the same time from your address",
                &request,
            );
        }
    }
    let under_way = UnderWay::begin(&guard.metrics);
    if guard.metrics.requests.get() > guard.most {
        return guard.turn(Turned::Work, "too many requests at the same time; try again later", &request);
    }
    let headers = request.headers().clone();
    let answered = tokio::time::timeout(guard.timeout, next.run(request)).await;
    drop((under_way, held));
    answered.unwrap_or_else(|_| {
        guard.metrics.turn(Turned::Time);
        let error = ConnectError::unavailable("the request did not arrive, or could not be stored, in time");
        error.into_http_response(&headers).into_response()
    })
}

impl Guard {
    fn turn(&self, turned: Turned, why: &str, request: &Request) -> Response {
        self.metrics.turn(turned);
        ConnectError::resource_exhausted(why).into_http_response(request.headers()).into_response()
    }
}

/// A request under way, until it is dropped: also where its sender goes away.
struct UnderWay(Arc<Metrics>);

impl UnderWay {
    fn begin(metrics: &Arc<Metrics>) -> Self {
        metrics.requests.up();
        Self(Arc::clone(metrics))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.requests.down();
    }
}
