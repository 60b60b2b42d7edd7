//! The fuzz target `prehog-requests`: any request is accepted or refused with a status that blames the client, exactly the
//! accepted events are stored, and a refusal repeats nothing of the request.

use std::cell::Cell;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::BodyExt as _;
use prehog::Options;
use prehog::ingest::Ingest;
use prehog::metrics::Metrics;
use prehog::server::event_routes;
use prehog::store::Writer;
use prehog::validation::EventValidator;
use tower::ServiceExt as _;

use crate::fixture::{SUBMIT_PATH, fixed_clock, noon, sqlite_in, stored};

/// A value in the inputs of the corpus that no response may repeat.
const CANARY: &str = "hunter2";

/// Builds a request from lines as in HTTP/1.1: the method and the path, headers, an empty line, and the body.
fn request(input: &[u8]) -> Request<Body> {
    let end = input.windows(2).position(|pair| pair == b"\n\n").unwrap_or(input.len());
    let body = input.get(end + 2..).unwrap_or_default().to_vec();
    let mut lines = input[..end].split(|byte| *byte == b'\n');
    let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
    let method = words.next().and_then(|word| axum::http::Method::from_bytes(word).ok()).unwrap_or_default();
    let path = words.next().and_then(|word| axum::http::Uri::try_from(word).ok());
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = path.unwrap_or_else(|| axum::http::Uri::from_static(SUBMIT_PATH));
    for line in lines {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
        let name = axum::http::HeaderName::from_bytes(name);
        if let (Ok(name), Ok(value)) = (name, axum::http::HeaderValue::from_bytes(value.trim_ascii())) {
            request.headers_mut().append(name, value);
        }
    }
    request
}

/// Whether an event was accepted. A response of gRPC has its own status, in a trailer or, without a body, in a header.
fn is_accepted(response: &Response<Body>, trailers: Option<&axum::http::HeaderMap>, body: &[u8]) -> bool {
    let status = response.headers().get("grpc-status").or_else(|| trailers?.get("grpc-status"));
    let in_body = String::from_utf8_lossy(body);
    // gRPC-Web sends its trailers in the body, and a stream of Connect its error.
    let refused_in_body = in_body.contains("\"error\"")
        || (in_body.contains("grpc-status") && !in_body.contains("grpc-status: 0"));
    response.status() == 200 && status.is_none_or(|status| status == "0") && !refused_in_body
}

/// Returns how many events prehog has stored, according to its metrics.
fn stored_events(metrics: &Metrics) -> u64 {
    let metrics = metrics.render();
    let mut values =
        metrics.lines().filter_map(|line| line.strip_prefix("prehog_events_total{result=\"stored\"} "));
    values.next().map_or(0, |value| value.parse().unwrap())
}

#[test]
fn any_request_is_accepted_or_refused_and_only_accepted_events_are_stored() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_in(directory.path());
    let validator = EventValidator::new().unwrap();
    let metrics = Arc::new(Metrics::new(validator.reasons(), 0));
    let clock = fixed_clock(noon());
    let options = Options { rate_limit: 0, ..Options::new(Arc::clone(&clock)) };
    let opened = Some(store.open().unwrap());
    let _entered = runtime.enter();
    let (writer, threads) =
        Writer::start(store.clone(), opened, u64::MAX, Arc::clone(&clock), Arc::clone(&metrics)).unwrap();
    let ingest = Ingest { validator, writer: Some(writer), metrics: Arc::clone(&metrics), clock };
    let routes = event_routes(ingest, &options);
    let accepted = Cell::new(0);
    tbot_fuzz::fuzz("prehog-requests", [], |input| {
        let is_submission = |path: &str| path == SUBMIT_PATH;
        let request = request(input);
        // The client learns which method or encoding is not supported. The event is in the body.
        let may_repeat = format!("{} {:?}", request.uri(), request.headers()).contains(CANARY);
        let is_event = is_submission(request.uri().path()) && request.method() == "POST";
        let response = runtime.block_on(routes.clone().oneshot(request)).unwrap();
        let (parts, body) = response.into_parts();
        let collected = runtime.block_on(body.collect()).unwrap();
        let trailers = collected.trailers().cloned();
        let body = collected.to_bytes();
        let response = Response::from_parts(parts, Body::empty());
        let is_accepted = is_accepted(&response, trailers.as_ref(), &body);
        assert!(may_repeat || !String::from_utf8_lossy(&body).contains(CANARY), "{body:?}");
        // Connect answers with 501 if the client uses what is not implemented.
        assert!(response.status().as_u16() < 500 || response.status() == 501, "{response:?} {body:?}");
        accepted.set(accepted.get() + u64::from(is_event && is_accepted));
        assert_eq!(stored_events(&metrics), accepted.get(), "stored (left) and accepted (right)");
        let is_invalid = response.status() == 400;
        (response.status().as_u16(), is_accepted, (is_event && is_invalid).then(|| body.to_vec()))
    });
    drop(routes);
    threads.join();
    let found: u64 = stored(&store).into_iter().map(|(.., count)| count).sum();
    assert!(found > 0 && found <= accepted.get(), "{found} of {}", accepted.get());
}
