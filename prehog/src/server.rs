//! The servers: the public listener that receives events and, on request, separate listeners for the report and for the
//! metrics. Depends on axum and hyper. TLS is left to a reverse proxy.
//!
//! The public listener serves `SubmitTbotEvent`, `/livez` and `/readyz`, and shows nothing of what is stored. Metrics have
//! their own listener because a client that polls them sees the second in which a start arrives, which readers of the
//! report must not see.

mod admission;
mod connections;
pub mod expiry;
mod options;
mod readiness;
mod report_pages;
mod response_body;

use std::future::Future;
use std::sync::{Arc, Weak};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ingest::Ingest;
use crate::limits::{self, ClientLimit, RateLimit};
use crate::metrics::{self, Metrics};
use crate::report::DEFAULT_MIN_GROUP;
use crate::schema::SchemaError;
use crate::store::{StartWriterError, Store, StoreError, StoreUrl, Writer};
use crate::validation::EventValidator;
use admission::Admission;
pub use connections::Connections;
pub use options::{
    DEFAULT_MAX_CONNECTIONS, DEFAULT_MAX_REQUESTS, DEFAULT_MAX_STORE_MIB, DEFAULT_RATE_LIMIT, Options,
};
use readiness::Readiness;

/// The reason why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// This program does not support the event's schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// [`Options::min_group`] is below [`DEFAULT_MIN_GROUP`].
    #[error("the served report cannot show groups with fewer than {DEFAULT_MIN_GROUP} starts")]
    MinGroupTooSmall,
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store's threads cannot be started.
    #[error(transparent)]
    Writer(#[from] StartWriterError),
}

/// The sockets of a server.
pub struct Listeners {
    /// For events and health checks.
    pub events: TcpListener,
    /// For the report.
    pub report: Option<TcpListener>,
    /// For the metrics, and again for health checks.
    pub metrics: Option<TcpListener>,
}

/// Serves until `stop` completes. Then finishes pending requests, and returns when everything acknowledged is stored.
///
/// A ClickHouse server that does not respond yet is not an error: `/readyz` reports it, and senders are asked to try again
/// later.
///
/// # Errors
///
/// Returns an error if the server cannot start.
pub async fn serve(
    listeners: Listeners,
    store: StoreUrl,
    options: Options,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    if options.min_group < DEFAULT_MIN_GROUP {
        return Err(ServeError::MinGroupTooSmall);
    }
    let validator = EventValidator::new()?;
    let metrics = Arc::new(Metrics::new(validator.reasons(), options.max_store_bytes));
    tokio::pin!(stop);
    // A ClickHouse server may accept the connection and not respond. The files of a SQLite store are complete before a shutdown.
    let opened = tokio::select! {
        opened = open(store.clone()) => opened?,
        () = &mut stop, if matches!(store, StoreUrl::ClickHouse(_)) => return Ok(()),
    };
    let (writer, threads) = Writer::start(
        store.clone(),
        opened,
        options.max_store_bytes,
        Arc::clone(&options.clock),
        Arc::clone(&metrics),
    )?;
    let ingest = Ingest {
        validator,
        writer: Some(writer.clone()),
        metrics: Arc::clone(&metrics),
        clock: Arc::clone(&options.clock),
    };
    let (stopping, stopped) = watch::channel(());
    let expiry = tokio::spawn(expiry::expire_periodically(writer, options.retain_days, stopped.clone()));
    // Each listener has its own limits, so that a flood on one of them does not block the others.
    let mut serving = JoinSet::new();
    let mut listen = |message: &str, listener: Option<TcpListener>, router: Router| {
        let Some(listener) = listener else { return };
        // A socket that listens has an address.
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, %store, "{message}");
        }
        let connections = Connections::new(&options, Arc::clone(&metrics));
        serving.spawn(connections.run(listener, router, stopped.clone()));
    };
    let health = health_routes(ingest.writer.clone());
    listen("receiving events", Some(listeners.events), events(ingest, &options).merge(health.clone()));
    listen("serving the report", listeners.report, report_pages::routes(store.clone(), &options));
    listen("serving metrics", listeners.metrics, metrics_routes(Arc::clone(&metrics)).merge(health));

    stop.await;
    // Fails only if no task listens any more.
    let _ = stopping.send(());
    // A task that panicked has nothing left to finish.
    while serving.join_next().await.is_some() {}
    expiry.abort();
    let _ = expiry.await;
    // All writers are dropped now, so the threads write what is queued and end.
    let _ = tokio::task::spawn_blocking(move || threads.join()).await;
    Ok(())
}

/// Opens the store. Returns `None` if it is on a ClickHouse server that may become available later.
async fn open(store: StoreUrl) -> Result<Option<Box<dyn Store>>, StoreError> {
    let is_remote = matches!(store, StoreUrl::ClickHouse(_));
    let opened = tokio::task::spawn_blocking(move || store.open()).await;
    match opened {
        Ok(Ok(store)) => Ok(Some(store)),
        Ok(Err(error)) if !is_remote || error.is_permanent() => Err(error),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the store is unavailable; senders are asked to try again later");
            Ok(None)
        }
        Err(_) => Ok(None),
    }
}

/// Returns the routes of the public listener. To be called in a tokio runtime.
pub fn event_routes(ingest: Ingest, options: &Options) -> Router {
    let health = health_routes(ingest.writer.clone());
    events(ingest, options).merge(health)
}

fn events(ingest: Ingest, options: &Options) -> Router {
    let rate_limit = Arc::new(RateLimit::new(options.rate_limit));
    tokio::spawn(forget_past_requests(Arc::downgrade(&rate_limit)));
    let admission = Admission {
        metrics: Arc::clone(&ingest.metrics),
        rate_limit,
        trusted_proxies: options.trusted_proxies.clone(),
        max_requests: u64::try_from(options.max_requests).unwrap_or(u64::MAX),
        client_limit: ClientLimit::new(options.max_requests_per_client),
        timeout: options.request_timeout,
    };
    Router::new()
        .fallback_service(ingest.service())
        .layer(axum::middleware::from_fn_with_state(admission, admission::admit))
}

/// Lets a limit forget the requests of past minutes, once a minute as long as the limit is in use.
async fn forget_past_requests(limit: Weak<RateLimit>) {
    loop {
        tokio::time::sleep(limits::WINDOW).await;
        let Some(limit) = limit.upgrade() else { return };
        limit.forget_past();
    }
}

/// Returns the health checks. They are on two listeners, so that a flood of the public one does not make a healthy receiver
/// look broken.
fn health_routes(writer: Option<Writer>) -> Router {
    let routes = Router::new().route("/livez", get(|| async { "ok\n" })).route("/readyz", get(readyz));
    routes.with_state(Readiness::new(writer))
}

async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    if readiness.is_ready().await {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the store is unavailable or full\n")
    }
}

fn metrics_routes(metrics: Arc<Metrics>) -> Router {
    let content_type = [(header::CONTENT_TYPE, metrics::MEDIA_TYPE)];
    Router::new().route("/metrics", get(async move || (content_type, metrics.render())))
}
