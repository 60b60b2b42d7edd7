//! The servers: the public listener that takes events, and, where they are asked for, a listener for the report and one
//! for the metrics. Depends on axum and hyper. TLS is the work of a reverse proxy before it.
//!
//! The public listener answers `SubmitTbotEvent`, `/livez` and `/readyz`, and nothing of what is stored. Metrics are not
//! for everybody who reads the report either: who asks for them again and again sees the second in which a start came.

mod connections;
mod guard;
mod pages;
pub mod upkeep;

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::check::{Checks, SchemaError};
use crate::clock::Clock;
use crate::ingest::Ingest;
use crate::limits::{RateLimit, SourceLimit, TrustedProxies};
use crate::metrics::Metrics;
use crate::store::{StoreError, StoreUrl, Writer};
pub use connections::Connections;
use guard::Guard;
use upkeep::Readiness;

/// Requests a minute that one source may make, unless told otherwise.
pub const RATE_LIMIT: u32 = 600;
/// The fewest starts of a group that a report shows, unless told otherwise.
pub const MIN_GROUP: u64 = 10;

/// What a server does beside taking events.
#[derive(Clone)]
pub struct Options {
    /// The receiver's time.
    pub clock: Clock,
    /// Requests a minute that one source may make; 0 lets all through.
    pub rate_limit: u32,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// Open connections, all together.
    pub connections: usize,
    /// Open connections of one source that is no trusted proxy.
    pub connections_each: u32,
    /// Requests under way, all together.
    pub requests: usize,
    /// Requests under way of one source.
    pub requests_each: u32,
    /// How long a head may take to arrive, and a connection may be idle.
    pub head_timeout: Duration,
    /// How long a request may take, from the end of its head to its answer.
    pub request_timeout: Duration,
    /// For how many days starts are kept; none keeps them for ever.
    pub retain_days: Option<NonZeroU32>,
    /// The fewest starts of a group that the report shows.
    pub min_group: u64,
}

impl Options {
    /// What `prehog serve` does without flags.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            rate_limit: RATE_LIMIT,
            trusted_proxies: TrustedProxies::default(),
            connections: 1024,
            connections_each: 128,
            requests: 512,
            requests_each: 128,
            head_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            retain_days: None,
            min_group: MIN_GROUP,
        }
    }
}

/// A server cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The event's schema asks for what this program does not store.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The file of the store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no thread for the store.
    #[error("cannot begin the store's thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Where to listen.
pub struct Listeners {
    /// For events and health.
    pub events: TcpListener,
    /// For the report.
    pub report: Option<TcpListener>,
    /// For the metrics.
    pub metrics: Option<TcpListener>,
}

/// Serves until `stop` ends; then finishes what is under way, and returns when everything acknowledged is stored.
///
/// A ClickHouse server that does not answer yet is no error: `/readyz` says so, and senders are told to come again.
///
/// # Errors
///
/// Where the server cannot begin.
pub async fn serve(
    listeners: Listeners,
    store: StoreUrl,
    options: Options,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let checks = Checks::new()?;
    let metrics = Arc::new(Metrics::new(checks.reasons()));
    let opened = open(store.clone()).await?;
    let (writer, thread) =
        Writer::begin(store.clone(), opened, Arc::clone(&options.clock), Arc::clone(&metrics))?;
    let ingest = Ingest {
        checks,
        writer: Some(writer.clone()),
        metrics: Arc::clone(&metrics),
        clock: Arc::clone(&options.clock),
    };
    let (stopping, stopped) = watch::channel(());
    let upkeep = tokio::spawn(upkeep::keep(writer.clone(), options.clone(), stopped.clone()));
    // Each with limits of its own: whoever floods one of them does not keep others from the next.
    let mut serving = JoinSet::new();
    let mut listen = |listener: Option<TcpListener>, router: Router| {
        if let Some(listener) = listener {
            let connections = Connections::new(&options, Arc::clone(&metrics));
            serving.spawn(connections.run(listener, router, stopped.clone()));
        }
    };
    listen(Some(listeners.events), events(ingest, Some(writer), &options));
    listen(listeners.report, pages::router(store, &options));
    listen(listeners.metrics, metrics_page(Arc::clone(&metrics)));

    stop.await;
    // Every receiver is told, also where some have ended.
    let _ = stopping.send(());
    // A task that ended early has nothing left to finish.
    while serving.join_next().await.is_some() {}
    upkeep.abort();
    let _ = upkeep.await;
    // With the last writer gone the thread writes what waits, and ends.
    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    Ok(())
}

async fn open(store: StoreUrl) -> Result<Option<Box<dyn crate::store::Store>>, StoreError> {
    let may_come = matches!(store, StoreUrl::ClickHouse(_));
    let opened = tokio::task::spawn_blocking(move || store.open()).await;
    match opened {
        Ok(Ok(store)) => Ok(Some(store)),
        Ok(Err(error)) if !may_come => Err(error),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the store is not available: senders are told to come again");
            Ok(None)
        }
        Err(_) => Ok(None),
    }
}

/// Everything the public listener answers.
pub fn events(ingest: Ingest, writer: Option<Writer>, options: &Options) -> Router {
    let guard = Guard {
        metrics: Arc::clone(&ingest.metrics),
        rate: Arc::new(RateLimit::new(options.rate_limit)),
        proxies: options.trusted_proxies.clone(),
        most: u64::try_from(options.requests).unwrap_or(u64::MAX),
        each: SourceLimit::new(options.requests_each),
        timeout: options.request_timeout,
    };
    let service = ingest.service();
    Router::new()
        .fallback_service(service)
        .layer(axum::middleware::from_fn_with_state(guard, guard::guard))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(Readiness::new(writer))
}

async fn readyz(State(ready): State<Readiness>) -> (StatusCode, &'static str) {
    if ready.is_ready().await {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the store is not available\n")
    }
}

fn metrics_page(metrics: Arc<Metrics>) -> Router {
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Router::new().route("/metrics", get(async move || (content_type, metrics.text())))
}
