//! A receiver of telemetry: prehog's server, run in this process on free ports of loopback.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use prehog::server::{Listeners, ServeError};
use prehog::store::StoreUrl;
use prehog::{Options, serve};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A receiver that stores events in a SQLite file.
pub(crate) struct Receiver {
    events: SocketAddr,
    report: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), ServeError>>,
}

impl Receiver {
    pub(crate) async fn start(database: &Path) -> Result<Self> {
        let listen = async || TcpListener::bind("127.0.0.1:0").await.context("cannot listen on loopback");
        let (events_listener, report_listener) = (listen().await?, listen().await?);
        let (events, report) = (events_listener.local_addr()?, report_listener.local_addr()?);
        let (stop, stopped) = oneshot::channel();
        let store = StoreUrl::Sqlite(database.to_owned());
        let server = tokio::spawn(async move {
            let stop = async { drop(stopped.await) };
            let listeners =
                Listeners { events: events_listener, report: Some(report_listener), metrics: None };
            serve(listeners, store, Options::new(prehog::clock::system()), stop).await
        });
        Ok(Self { events, report, stop, server })
    }

    /// Returns the address that agents send events to.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.events)
    }

    /// Returns the address of the report.
    pub(crate) fn report_url(&self) -> String {
        format!("http://{}", self.report)
    }

    /// Stops the server, and waits until all acknowledged events are stored.
    ///
    /// # Errors
    ///
    /// Returns the error that ended the server, if any.
    pub(crate) async fn stop(self) -> Result<()> {
        // Fails only if the server has already ended; its result is returned below.
        let _ = self.stop.send(());
        Ok(self.server.await.context("the task of the receiver panicked")??)
    }
}
