//! A store that is opened when it is needed, and again after a failure. Never creates a store: a file that is deleted while
//! the program runs stays missing, instead of being replaced by an empty one. Depends on the URL of the store.

use super::backend::{Store, StoreError};
use super::url::StoreUrl;

/// Opens a store.
pub(super) type Open = fn(&StoreUrl) -> Result<Box<dyn Store>, StoreError>;

/// A store that is opened on demand.
pub(super) struct ReopeningStore {
    url: StoreUrl,
    open: Open,
    store: Option<Box<dyn Store>>,
}

impl ReopeningStore {
    pub(super) fn new(url: StoreUrl, open: Open, store: Option<Box<dyn Store>>) -> Self {
        Self { url, open, store }
    }

    /// Closes the store. The next operation opens it again.
    pub(super) fn close(&mut self) {
        self.store = None;
    }

    /// Runs an operation on the store. After a failure, the next call opens the store again.
    pub(super) fn run<T>(
        &mut self,
        operation: impl FnOnce(&mut dyn Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => (self.open)(&self.url)?,
        };
        let value = operation(&mut *store)?;
        self.store = Some(store);
        Ok(value)
    }
}

/// The log messages about an operation.
pub(super) struct Messages {
    /// When it begins to fail.
    pub(super) failure: &'static str,
    /// When it succeeds again.
    pub(super) recovery: &'static str,
}

/// The result of the last attempt at an operation. Each operation has its own, so that one that succeeds does not hide that
/// another one fails.
pub(super) struct LastAttempt {
    messages: Messages,
    is_failure: bool,
}

impl LastAttempt {
    /// Returns the state of an operation that has not been attempted yet, which is not a failure.
    pub(super) fn new(messages: Messages) -> Self {
        Self { messages, is_failure: false }
    }

    pub(super) fn is_failure(&self) -> bool {
        self.is_failure
    }

    /// Records the result of an attempt, and logs if the operation begins to fail or succeeds again.
    pub(super) fn record<T>(&mut self, result: Result<T, StoreError>) -> Option<T> {
        match (&result, self.is_failure) {
            (Ok(_), true) => tracing::info!("{}", self.messages.recovery),
            (Err(error), false) => tracing::warn!(%error, "{}", self.messages.failure),
            (Ok(_), false) | (Err(_), true) => {}
        }
        self.is_failure = result.is_err();
        result.ok()
    }
}
