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
    /// Returns the value that was requested with this identity. Others wait while it is requested. If the request fails, an earlier
    /// value is kept until the next identity, because it hardly ever changes.
    ///
    /// # Errors
    ///
    /// Returns the error of `request` to this caller and those that waited, if there is no earlier value. It is repeated for later ones.
    pub(crate) async fn get(
        &self,
        identity: &Identity,
        request: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.get_until(identity.user.not_after, request).await
    }

    /// Does the same for the identity that expires at `not_after`.
    async fn get_until<R: Future<Output = Result<T, E>>>(
        &self,
        not_after: SystemTime,
        request: R,
    ) -> Result<T, E> {
        let failures = self.failures.load(Ordering::Acquire);
        let mut latest = self.latest.lock().await;
        if let Some((until, value)) = &latest.value
            && *until == not_after
        {
            return Ok(value.clone());
        }
        if let Some(error) = &latest.error
            && failures != self.failures.load(Ordering::Acquire)
        {
            return Err(error.clone());
        }
        let value = match (request.await, latest.value.take()) {
            (Ok(value), _) | (Err(_), Some((_, value))) => value,
            (Err(error), None) => {
                self.failures.fetch_add(1, Ordering::AcqRel);
                latest.error = Some(error.clone());
                return Err(error);
            }
        };
        latest.value = Some((not_after, value.clone()));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::yield_now;

    use super::*;

    async fn fails() -> Result<u32, &'static str> {
        yield_now().await;
        Err("a failure")
    }

    #[tokio::test]
    async fn a_failure_is_shared_with_those_that_waited_and_keeps_an_earlier_value() {
        let (first, second) = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_secs(1));
        let values = OncePerIdentity::default();
        let never = async { panic!("the request is not sent") };
        let results = tokio::join!(values.get_until(first, fails()), values.get_until(first, never));
        assert_eq!(results, (Err("a failure"), Err("a failure")));
        assert_eq!(values.get_until(first, async { Ok(1) }).await, Ok(1), "a later one is another attempt");

        let never = async { panic!("the request is not sent") };
        let results = tokio::join!(values.get_until(second, fails()), values.get_until(second, never));
        assert_eq!(results, (Ok(1), Ok(1)));
        let third = second + Duration::from_secs(1);
        assert_eq!(values.get_until(third, async { Ok(3) }).await, Ok(3));
    }
}
