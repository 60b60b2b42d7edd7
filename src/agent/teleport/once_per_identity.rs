//! A value that is requested once for each identity of the bot, and not once for each of its services: a proxy limits the rate of
//! requests, and an agent may have a thousand outputs.

use std::time::SystemTime;

use tokio::sync::Mutex;

use crate::agent::credential::identity::Identity;

/// The value, and when the identity expires with which it was requested. That tells identities apart, unless they were issued within
/// the same second.
pub(crate) struct OncePerIdentity<T>(Mutex<Option<(SystemTime, T)>>);

impl<T> Default for OncePerIdentity<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> OncePerIdentity<T> {
    /// Returns the value that was requested with this identity. Others wait while it is requested; a failed request is repeated.
    ///
    /// # Errors
    ///
    /// Returns the error of `request`.
    pub(crate) async fn get<E>(
        &self,
        identity: &Identity,
        request: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut known = self.0.lock().await;
        match &*known {
            Some((not_after, value)) if *not_after == identity.user.not_after => Ok(value.clone()),
            _ => {
                let value = request.await?;
                *known = Some((identity.user.not_after, value.clone()));
                Ok(value)
            }
        }
    }
}
