//! `prehog serve`: listens, and serves until a signal.

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
    runtime.context("cannot start the runtime")?.block_on(run(arguments, clock))
}

async fn run(arguments: Serve, clock: Clock) -> anyhow::Result<()> {
    let store = arguments.store.store;
    let events = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    tracing::info!(address = %events.local_addr()?, %store, "receiving events");
    let report = match arguments.report_listen {
        Some(address) => {
            let listener =
                TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
            tracing::info!(address = %listener.local_addr()?, "showing the report");
            Some(listener)
        }
        None => None,
    };
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
    Ok(serve_until(Listeners { events, report }, store, options, stop).await?)
}
