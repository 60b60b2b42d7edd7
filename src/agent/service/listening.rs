//! The common part of the services that listen for local programs: their settings, and the credentials that they have been issued,
//! which stay in memory and are replaced before they expire.

use std::time::{Duration, SystemTime};

use super::context::{IssueContext, ServiceSettings};
use super::error::{OutputError, TunnelError};
use super::issue::Issuer;
use crate::agent::credential::identity::Identity;
use crate::agent::net::known_server::ServerKind;
use crate::agent::platform::Rounded;
use crate::agent::teleport::auth_client::AuthClient;
use crate::config::{GoDuration, ListenUri};

/// The settings of a service that listens. Its clients act as the bot.
#[derive(Clone, Debug)]
pub(crate) struct ListenerSettings {
    pub(crate) service: ServiceSettings,
    pub(crate) listen: ListenUri,
    /// How long before its expiry a certificate is replaced. If negative, how long after.
    pub(crate) leeway: GoDuration,
}

impl ListenerSettings {
    /// Returns an issuer for the service.
    ///
    /// # Errors
    ///
    /// Returns an error if the agent is connected to an auth server, because only proxies connect to resources.
    pub(super) fn issuer<'a>(
        &'a self,
        bot_client: &'a AuthClient,
        bot_identity: &'a Identity,
        context: &'a IssueContext<'_>,
    ) -> Result<Issuer<'a>, TunnelError> {
        match context.dialler.kind() {
            ServerKind::Auth => Err(TunnelError::NoProxy),
            ServerKind::Proxy => Ok(Issuer::new(&self.service, None, bot_client, bot_identity, context)),
        }
    }
}

/// How long a certificate that a server refuses is kept: a new one would be refused for the same reason.
const MIN_AGE: Duration = Duration::from_secs(60);

/// A value that was derived from a certificate for clients, such as a connection target. It can be used as long as the certificate is
/// valid.
pub(crate) struct IssuedAccess<T> {
    pub(crate) value: T,
    pub(crate) not_after: SystemTime,
    issued_at: SystemTime,
    /// From this time on, another one is needed.
    replace_at: SystemTime,
}

impl<T> IssuedAccess<T> {
    /// Derives `value` from the certificate of `identity`.
    ///
    /// # Errors
    ///
    /// Returns an error if the certificate has already expired, because this machine's clock is wrong.
    pub(super) fn new(
        value: impl FnOnce(Identity) -> Result<T, OutputError>,
        identity: Identity,
        leeway: GoDuration,
        issuer: &Issuer<'_>,
    ) -> Result<Self, OutputError> {
        let not_after = identity.user.not_after;
        let issued_at = issuer.context.clock.now();
        let lifetime = not_after.duration_since(issued_at).unwrap_or_default();
        if lifetime.is_zero() {
            return Err(OutputError::AlreadyExpired);
        }
        let replace_at = replace_at(not_after, lifetime, leeway).unwrap_or_else(|| {
            issuer.warn(format_args!(
                "leeway is ignored, because it is not shorter than the lifetime of the certificates: set it to less than {}",
                Rounded(lifetime)
            ));
            not_after
        });
        Ok(Self { value: value(identity)?, not_after, issued_at, replace_at })
    }

    /// Returns whether new connections and requests can use it.
    pub(crate) fn is_usable(&self, now: SystemTime) -> bool {
        now < self.replace_at
    }

    /// Returns whether another one may help if this one is refused at `now`.
    pub(crate) fn is_replaceable(&self, now: SystemTime) -> bool {
        // If the clock was set back, the age is unknown.
        now.duration_since(self.issued_at).map_or(true, |age| age >= MIN_AGE)
    }

    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> IssuedAccess<U> {
        let Self { value, not_after, issued_at, replace_at } = self;
        IssuedAccess { value: f(value), not_after, issued_at, replace_at }
    }
}

/// Returns when a certificate must be replaced, or `None` if it must be replaced as soon as it is issued.
fn replace_at(not_after: SystemTime, lifetime: Duration, leeway: GoDuration) -> Option<SystemTime> {
    if leeway.is_negative() {
        return Some(not_after + leeway.unsigned_abs());
    }
    (leeway.to_std() < lifetime).then(|| not_after - leeway.to_std())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_replaced_before_it_expires_unless_the_leeway_is_too_long() {
        let (expiry, minute) = (SystemTime::UNIX_EPOCH + Duration::from_secs(3600), Duration::from_secs(60));
        let at = |leeway| replace_at(expiry, minute, GoDuration::from_secs(leeway));
        assert_eq!(at(10), Some(expiry - Duration::from_secs(10)));
        assert_eq!(at(-10), Some(expiry + Duration::from_secs(10)));
        assert_eq!(at(60), None);
    }
}
