//! `prehog serve`: receives events until a signal arrives.

use std::net::SocketAddr;

use anyhow::Context as _;
use prehog::clock::Clock;
use prehog::limits::TrustedProxies;
use prehog::server::{Listeners, ServeError};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ServeArgs;
use crate::commands::cannot_open;

/// Runs the server, and returns when it has stopped.
pub(crate) fn serve(args: ServeArgs, clock: Clock) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let served = runtime.block_on(run(args, clock));
    // Everything acknowledged is stored. Only a report that no reader waits for may still be running.
    runtime.shutdown_background();
    served
}

async fn run(args: ServeArgs, clock: Clock) -> anyhow::Result<()> {
    let listeners = Listeners {
        events: listen(args.listen).await?,
        report: listen_if_set(args.report_listen).await?,
        metrics: listen_if_set(args.metrics_listen).await?,
    };
    let options = prehog::Options {
        rate_limit: args.rate_limit,
        trusted_proxies: TrustedProxies(args.trusted_proxies),
        max_connections: args.max_connections,
        max_requests: args.max_requests,
        max_store_bytes: u64::from(args.max_store_mib) << 20,
        retain_days: args.retain_days,
        min_group: args.min_group,
        ..prehog::Options::new(clock)
    };
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("shutting down");
    };
    let store = args.store.store;
    prehog::serve(listeners, store.clone(), options, stop).await.map_err(|error| match error {
        ServeError::Store(error) => cannot_open(&store, error),
        error => error.into(),
    })
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

async fn listen_if_set(address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    match address {
        Some(address) => listen(address).await.map(Some),
        None => Ok(None),
    }
}
