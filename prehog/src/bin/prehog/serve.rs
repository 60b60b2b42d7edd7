//! `prehog serve`: listens, and serves until a signal.

use std::net::SocketAddr;

use anyhow::Context as _;
use prehog::clock::Clock;
use prehog::limits::TrustedProxies;
use prehog::server::Listeners;
use prehog::{Options, serve as serve_until};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Serve;

pub(crate) fn serve(arguments: Serve, clock: Clock) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let served = runtime.block_on(run(arguments, clock));
    // A report that nobody waits for any more: everything acknowledged is stored.
    runtime.shutdown_background();
    served
}

async fn run(arguments: Serve, clock: Clock) -> anyhow::Result<()> {
    let store = arguments.store.store;
    let events = listen(arguments.listen).await?;
    tracing::info!(address = %events.local_addr()?, %store, "receiving events");
    let report = listen_where_asked(arguments.report_listen, "showing the report").await?;
    let metrics = listen_where_asked(arguments.metrics_listen, "showing the metrics").await?;
    let options = Options {
        rate_limit: arguments.rate_limit,
        trusted_proxies: TrustedProxies(arguments.trusted_proxies),
        connections: arguments.max_connections,
        requests: arguments.max_requests,
        retain_days: arguments.retain_days,
        min_group: arguments.min_group,
        ..Options::new(clock)
    };
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    };
    Ok(serve_until(Listeners { events, report, metrics }, store, options, stop).await?)
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Listens where an address is given, and says for what.
async fn listen_where_asked(address: Option<SocketAddr>, what: &str) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let listener = listen(address).await?;
    tracing::info!(address = %listener.local_addr()?, "{what}");
    Ok(Some(listener))
}
