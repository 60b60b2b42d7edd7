//! A value that is requested once for each identity of the bot, and not once for each of its services: a proxy limits the rate of
//! requests, and an agent may have a thousand outputs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tokio::sync::Mutex;

use crate::agent::credential::identity::Identity;

/// The value of the latest identity.
pub(crate) struct OncePerIdentity<T, E> {
    /// How many requests have failed.
    failures: AtomicU64,
    latest: Mutex<LatestValue<T, E>>,
}

struct LatestValue<T, E> {
    /// The value, and when the identity expires with which it was requested. That tells identities apart, unless they were issued
    /// within the same second.
    value: Option<(SystemTime, T)>,
    /// The error of the latest request that failed.
    error: Option<E>,
}

impl<T, E> Default for OncePerIdentity<T, E> {
    fn default() -> Self {
        Self { failures: AtomicU64::default(), latest: Mutex::new(LatestValue { value: None, error: None }) }
    }
}

impl<T: Clone, E: Clone> OncePerIdentity<T, E> {
    /// Returns the value that was requested with this identity. Others wait while it is requested. `request` gets the value of an
    /// earlier identity, if there is one. If it fails with an error for which `is_transient` returns true, the earlier value is kept
    /// until the next identity, because it hardly ever changes, and returned with the error.
    ///
    /// # Errors
    ///
    /// Returns any other error of `request` to this caller and those that waited. The request is repeated for later ones.
    pub(crate) async fn get<R: Future<Output = Result<T, E>>>(
        &self,
        identity: &Identity,
        is_transient: fn(&E) -> bool,
        request: impl FnOnce(Option<T>) -> R,
    ) -> Result<(T, Option<E>), E> {
        self.get_for_expiry(identity.user.not_after, is_transient, request).await
    }

    /// Like [`get`](Self::get), for the identity that expires at `not_after`.
    async fn get_for_expiry<R: Future<Output = Result<T, E>>>(
        &self,
        not_after: SystemTime,
        is_transient: fn(&E) -> bool,
        request: impl FnOnce(Option<T>) -> R,
    ) -> Result<(T, Option<E>), E> {
        let failures = self.failures.load(Ordering::Acquire);
        let mut latest = self.latest.lock().await;
        if let Some((until, value)) = &latest.value
            && *until == not_after
        {
            return Ok((value.clone(), None));
        }
        if let Some(error) = &latest.error
            && failures != self.failures.load(Ordering::Acquire)
        {
            return Err(error.clone());
        }
        let earlier = latest.value.as_ref().map(|(_, value)| value.clone());
        let (value, error) = match (request(earlier).await, latest.value.take()) {
            (Ok(value), _) => (value, None),
            (Err(error), Some((_, value))) if is_transient(&error) => (value, Some(error)),
            (Err(error), _) => {
                self.failures.fetch_add(1, Ordering::AcqRel);
                latest.error = Some(error.clone());
                return Err(error);
            }
        };
        latest.value = Some((not_after, value.clone()));
        Ok((value, error))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::yield_now;

    use super::*;

    async fn fails(_earlier: Option<u32>) -> Result<u32, &'static str> {
        yield_now().await;
        Err("a failure")
    }

    fn is_transient(error: &&str) -> bool {
        *error == "a failure"
    }

    #[tokio::test]
    async fn a_failure_is_shared_with_those_that_waited_and_keeps_an_earlier_value() {
        let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let values = OncePerIdentity::default();
        let never = |_| async { panic!("the request is not sent") };
        let results = tokio::join!(
            values.get_for_expiry(time(1), is_transient, fails),
            values.get_for_expiry(time(1), is_transient, never)
        );
        assert_eq!(results, (Err("a failure"), Err("a failure")));
        let again = values.get_for_expiry(time(1), is_transient, |_| async { Ok(1) }).await;
        assert_eq!(again, Ok((1, None)), "a later one is another attempt");

        let never = |_| async { panic!("the request is not sent") };
        let results = tokio::join!(
            values.get_for_expiry(time(2), is_transient, fails),
            values.get_for_expiry(time(2), is_transient, never)
        );
        assert_eq!(results, (Ok((1, Some("a failure"))), Ok((1, None))));
        assert_eq!(
            values
                .get_for_expiry(time(3), is_transient, |earlier| async move { Ok(earlier.unwrap() + 2) })
                .await,
            Ok((3, None))
        );
    }

    #[tokio::test]
    async fn a_refusal_replaces_an_earlier_value() {
        let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let values = OncePerIdentity::default();
        values.get_for_expiry(time(1), is_transient, |_| async { Ok(1) }).await.unwrap();
        let refused = values.get_for_expiry(time(2), is_transient, |_| async { Err("an answer") }).await;
        assert_eq!(refused, Err("an answer"));
        assert_eq!(values.get_for_expiry(time(2), is_transient, fails).await, Err("a failure"));
    }
}
