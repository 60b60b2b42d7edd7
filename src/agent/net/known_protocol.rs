//! Remembers the protocol by which connections reach a proxy, until a connection fails.

use std::sync::{Mutex, MutexGuard};

use super::connection_upgrade::UpgradeProtocol;
use crate::agent::platform::lock::lock;

/// The protocol by which connections reach the proxy's TLS routing, once it is known.
pub(super) struct KnownProtocol {
    /// Whether connections need the upgrade, if the environment says so.
    pub(super) needs_upgrade: Option<bool>,
    tested: Mutex<TestResult>,
}

#[derive(Default)]
struct TestResult {
    /// `None` until the first connection, and after a connection that failed.
    protocol: Option<Protocol>,
    /// Whether the log says that connections are upgraded.
    is_logged: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Direct,
    Upgraded(UpgradeProtocol),
}

impl KnownProtocol {
    pub(super) fn new(needs_upgrade: Option<bool>) -> Self {
        Self { needs_upgrade, tested: Mutex::default() }
    }

    fn tested(&self) -> MutexGuard<'_, TestResult> {
        lock(&self.tested)
    }

    pub(super) fn get(&self) -> Option<Protocol> {
        self.tested().protocol
    }

    pub(super) fn set(&self, protocol: Protocol) {
        let mut tested = self.tested();
        tested.protocol = Some(protocol);
        if matches!(protocol, Protocol::Upgraded(_)) && !tested.is_logged {
            tested.is_logged = true;
            tracing::info!(
                "TLS is terminated in front of the proxy, so connections to the cluster use the connection upgrade"
            );
        }
    }

    fn forget(&self) {
        self.tested().protocol = None;
    }
}

/// An attempt to connect. When dropped, forgets what is known about the protocol, unless [`succeed`](Self::succeed) was called. This
/// includes an attempt that is cancelled, for example by a timeout, because the caller then drops the future.
pub(super) struct Attempt<'a> {
    known: &'a KnownProtocol,
    has_succeeded: bool,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(known: &'a KnownProtocol) -> Self {
        Self { known, has_succeeded: false }
    }

    pub(super) fn succeed(mut self) {
        self.has_succeeded = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.has_succeeded {
            self.known.forget();
        }
    }
}
