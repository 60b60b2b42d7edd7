//! The telemetry receiver of the demo: prehog's server, run in this process on a free port.

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
pub(super) struct Receiver {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), ServeError>>,
}

impl Receiver {
    pub(super) async fn start(database: &Path) -> Result<Self> {
        let events = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on loopback")?;
        let address = events.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let store = StoreUrl::Sqlite(database.to_owned());
        let server = tokio::spawn(async move {
            let stop = async { drop(stopped.await) };
            let listeners = Listeners { events, report: None, metrics: None };
            serve(listeners, store, Options::new(prehog::clock::system()), stop).await
        });
        Ok(Self { address, stop, server })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops the server, and waits until all acknowledged events are stored.
    ///
    /// # Errors
    ///
    /// Returns the error that ended the server, if any.
    pub(super) async fn stop(self) -> Result<()> {
        // Fails only if the server has already ended; its result is returned below.
        let _ = self.stop.send(());
        Ok(self.server.await.context("the task of the receiver panicked")??)
    }
}
