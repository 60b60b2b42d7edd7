//! A store that is opened when it is needed, and again after a failure. Never creates a store: a file that is deleted while
//! the program runs stays missing, instead of being replaced by an empty one. Depends on the URL of the store.

use super::backend::{Store, StoreError};
use super::url::StoreUrl;

/// A store that is opened on demand.
pub(super) struct ReopeningStore {
    url: StoreUrl,
    store: Option<Box<dyn Store>>,
    /// Logged when operations begin to fail, and when they succeed again.
    failure_message: &'static str,
    /// Whether the last operation failed.
    is_down: bool,
}

impl ReopeningStore {
    pub(super) fn new(url: StoreUrl, store: Option<Box<dyn Store>>, failure_message: &'static str) -> Self {
        Self { url, store, failure_message, is_down: false }
    }

    /// Runs an operation on the store, and logs when operations begin to fail and when they succeed again.
    pub(super) fn run_logged<T>(
        &mut self,
        operation: impl FnOnce(&mut dyn Store) -> Result<T, StoreError>,
    ) -> Option<T> {
        match self.run(operation) {
            Ok(value) => {
                if self.is_down {
                    tracing::info!("recovered: {}", self.failure_message);
                }
                self.is_down = false;
                Some(value)
            }
            Err(error) => {
                if !self.is_down {
                    tracing::warn!(%error, "{}", self.failure_message);
                }
                self.is_down = true;
                None
            }
        }
    }

    /// Runs an operation on the store. After a failure, the next call opens the store again.
    pub(super) fn run<T>(
        &mut self,
        operation: impl FnOnce(&mut dyn Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => self.url.open_existing()?,
        };
        let value = operation(&mut *store)?;
        self.store = Some(store);
        Ok(value)
    }
}
