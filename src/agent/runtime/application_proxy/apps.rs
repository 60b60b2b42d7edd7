//! The applications that clients have asked for, each with the certificate and the connections that all of their requests share.
//!
//! A failure is not kept: the requests that wait for it get it, and the next one is another attempt.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use http::StatusCode;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::agent::net::http_pool::HttpPool;
use crate::agent::platform::lock::lock;
use crate::agent::service::listening::IssuedAccess;

/// The number of applications that are kept. To keep another one, the least recently used one is forgotten.
const MAX_APPS: usize = 256;

/// An application that can be reached.
pub(super) type ReachableApp = IssuedAccess<HttpPool>;

/// The reason why an application cannot be reached.
#[derive(Clone, Debug)]
pub(super) struct UnreachableReason {
    pub(super) status: StatusCode,
    pub(super) reason: Arc<str>,
}

/// The applications that were looked up with the same roles.
#[derive(Default)]
pub(super) struct Apps(Mutex<HashMap<String, App>>);

struct App {
    attempt: Attempt,
    used: Instant,
}

/// The only attempt to reach an application, or its result.
type Attempt = Arc<OnceCell<Result<Arc<ReachableApp>, UnreachableReason>>>;

impl Apps {
    /// Returns an application. Calls `issue` unless it has a certificate that can be used at `now`, or another request waits
    /// for one.
    pub(super) async fn get<F>(
        &self,
        name: &str,
        now: SystemTime,
        issue: impl FnOnce() -> F,
    ) -> Result<Arc<ReachableApp>, UnreachableReason>
    where
        F: Future<Output = Result<ReachableApp, UnreachableReason>>,
    {
        let attempt = self.attempt(name, now);
        // If the client that makes the attempt disconnects, another one begins again.
        let result = attempt.get_or_init(|| async { issue().await.map(Arc::new) }).await;
        if result.is_err() {
            self.forget(name, &attempt);
        }
        result.clone()
    }

    fn attempt(&self, name: &str, now: SystemTime) -> Attempt {
        let mut apps = self.lock();
        let is_usable = |app: &App| match app.attempt.get() {
            Some(Ok(app)) => app.is_usable(now),
            Some(Err(_)) => false,
            None => true,
        };
        if let Some(app) = apps.get_mut(name).filter(|app| is_usable(app)) {
            app.used = Instant::now();
            return Arc::clone(&app.attempt);
        }
        if apps.len() >= MAX_APPS {
            let oldest = apps.iter().min_by_key(|(_, app)| app.used).map(|(name, _)| name.clone());
            oldest.and_then(|name| apps.remove(&name));
        }
        let attempt = Attempt::default();
        apps.insert(name.to_owned(), App { attempt: Arc::clone(&attempt), used: Instant::now() });
        attempt
    }

    fn forget(&self, name: &str, attempt: &Attempt) {
        let mut apps = self.lock();
        if apps.get(name).is_some_and(|app| Arc::ptr_eq(&app.attempt, attempt)) {
            apps.remove(name);
        }
    }

    /// Forgets the certificate of an application, if `app` is still the current one.
    pub(super) fn replace(&self, name: &str, app: &Arc<ReachableApp>) {
        let attempt = self.lock().get(name).map(|app| Arc::clone(&app.attempt));
        if let Some(attempt) = attempt
            && let Some(Ok(current)) = attempt.get()
            && Arc::ptr_eq(current, app)
        {
            self.forget(name, &attempt);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, App>> {
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn failure(reason: &str) -> UnreachableReason {
        UnreachableReason { status: StatusCode::BAD_GATEWAY, reason: reason.into() }
    }

    async fn fail(apps: &Apps, name: &str, reason: &str) -> String {
        let result = apps.get(name, NOW, || async { Err(failure(reason)) }).await;
        result.err().unwrap().reason.to_string()
    }

    #[tokio::test]
    async fn requests_that_wait_share_a_failure_and_the_next_one_is_another_attempt() {
        let apps = Apps::default();
        let (release, released) = tokio::sync::oneshot::channel();
        let first = apps.get("a", NOW, || async {
            released.await.unwrap();
            Err(failure("the first"))
        });
        let (first, second, ()) = tokio::join!(first, fail(&apps, "a", "the second"), async {
            release.send(()).unwrap();
        });
        assert_eq!((&*first.err().unwrap().reason, second.as_str()), ("the first", "the first"));
        assert_eq!(fail(&apps, "a", "the third").await, "the third");
        assert!(apps.lock().is_empty());
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_leaves_the_attempt_to_another_one() {
        let apps = Apps::default();
        let given_up = apps.get("a", NOW, std::future::pending);
        tokio::select! {
            biased;
            _ = given_up => unreachable!(),
            () = std::future::ready(()) => {}
        }
        assert_eq!(fail(&apps, "a", "the second").await, "the second");
    }

    #[tokio::test(start_paused = true)]
    async fn the_application_that_was_not_used_for_the_longest_time_is_forgotten() {
        let apps = Apps::default();
        let second = || tokio::time::advance(std::time::Duration::from_secs(1));
        for index in 0..MAX_APPS {
            apps.attempt(&index.to_string(), NOW);
            second().await;
        }
        apps.attempt("0", NOW);
        apps.attempt("another", NOW);
        let apps = apps.lock();
        assert_eq!(apps.len(), MAX_APPS);
        assert!(apps.contains_key("0") && apps.contains_key("another") && !apps.contains_key("1"));
    }
}
