//! The receiver of the demo: prehog's own server in this process, on a port of its own.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use prehog::server::{Listeners, ServeError};
use prehog::store::StoreUrl;
use prehog::{Options, serve};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A receiver that stores to a file.
pub(super) struct Receiver {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Receiver {
    pub(super) async fn start(file: &Path) -> Result<Self> {
        let events = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on loopback")?;
        let address = events.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let store = StoreUrl::Sqlite(file.to_owned());
        let served = tokio::spawn(async move {
            let stop = async { drop(stopped.await) };
            let listeners = Listeners { events, report: None, metrics: None };
            serve(listeners, store, Options::new(prehog::clock::system()), stop).await
        });
        Ok(Self { address, stop, served })
    }

    pub(super) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns when everything that was acknowledged is stored.
    pub(super) async fn stop(self) -> Result<()> {
        // It has failed already, and says so below, or it ends now.
        let _ = self.stop.send(());
        Ok(self.served.await.context("the receiver's task failed")??)
    }
}
