//! The bot's own identity: joins or renews, and saves before anything uses it.
//!
//! A server counts renewals, and locks the bot for ever when an old count is presented. Hence three rules, held here:
//! that a renewal is asked for is noted on disk first; what comes back is on disk before anyone sees it; a renewal
//! whose answer is unknown is never asked for again with the same certificate.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::OnceCell;

use super::address::Address;
use super::api::{ApiError, AuthClient};
use super::discovery::{self, DiscoveryError, Found, Setting};
use super::identity::{Identity, IdentityError};
use super::join::{self, JoinError};
use super::keys::{KeyError, KeyPair};
use super::options::Clock;
use super::route::Route;
use super::storage::{Storage, StorageError, Stored};
use super::task::{blocking, to_its_end};
use super::token::{Token, TokenError, TokenSetting};
use super::web::Web;

/// The bot has no fresh identity.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// Nobody answered as a proxy.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// There is nothing to join with.
    #[error(
        "{0}, so the agent has to join, but onboarding.token is not set: create a token (tctl bots add) and set it"
    )]
    NoToken(JoinReason),
    /// Joining.
    #[error("{reason}, so the agent has to join: {error}")]
    Join {
        /// Why it joins.
        reason: JoinReason,
        /// What came of it.
        error: JoinError,
    },
    /// The storage was written for another cluster.
    #[error(
        "the stored identity is of cluster {stored}, but {proxy} serves {found}: check the address, or use another storage"
    )]
    OtherCluster {
        /// Cluster of the stored identity.
        stored: String,
        /// Cluster that the proxy serves.
        found: String,
        /// The proxy.
        proxy: Address,
    },
    /// The server could not be asked, or said no.
    #[error("cannot renew the bot's identity: {0}")]
    Api(#[from] ApiError),
    /// The answer to a renewal is lost: the count may have gone up.
    #[error("a renewal was asked for, and whether it counted is not known: {error}; {cure}")]
    Lost {
        /// What happened.
        error: ApiError,
        /// What to do.
        cure: Cure,
    },
    /// The server renewed, but what it sent is no identity.
    #[error("the auth server's answer to a renewal is not usable: {error}; {cure}")]
    Answer {
        /// What is wrong with it.
        error: IdentityError,
        /// What to do.
        cure: Cure,
    },
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Why an agent joins instead of renewing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinReason {
    /// The storage holds no identity.
    NothingStored,
    /// The configured token is not the one that the stored identity was joined with.
    OtherToken,
    /// The stored identity has expired.
    Expired,
    /// The stored identity was not joined with a token, and cannot be renewed.
    NotRenewable,
}

impl fmt::Display for JoinReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingStored => "no identity is stored",
            Self::OtherToken => {
                "the configured token is not the one that the stored identity was joined with"
            }
            Self::Expired => "the stored identity has expired",
            Self::NotRenewable => "the stored identity was not joined with a token",
        })
    }
}

/// What mends a lost renewal. One text for the log and for errors.
#[derive(Clone, Debug)]
pub struct Cure(Option<PathBuf>);

impl fmt::Display for Cure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the agent does not renew this certificate again, because the server would lock the bot; it goes on with it \
             until it ends. Create a new token (tctl bots instances add; before Teleport 17 remove the bot and create it \
             anew) and set onboarding.token",
        )?;
        match &self.0 {
            Some(note) => {
                write!(f, "; or, if the request certainly never arrived, remove {} and renew", note.display())
            }
            None => Ok(()),
        }
    }
}

/// An identity that may be used, and how it came.
#[derive(Clone, Debug)]
pub(crate) enum Obtained {
    Joined(Arc<Identity>, JoinReason),
    Renewed(Arc<Identity>),
    /// Not fresh: an earlier renewal's answer is lost.
    HeldBack(Arc<Identity>, Cure),
}

impl Obtained {
    pub(crate) fn identity(&self) -> &Arc<Identity> {
        match self {
            Self::Joined(identity, _) | Self::Renewed(identity) | Self::HeldBack(identity, _) => identity,
        }
    }
}

/// What to do about the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Join(JoinReason),
    Renew,
    HoldBack,
}

/// Decides from what is stored, the hash of the configured token (none when it cannot be read), and the time.
fn decide(stored: Option<&Stored>, token_hash: Option<&str>, now: SystemTime) -> Step {
    let Some(stored) = stored else { return Step::Join(JoinReason::NothingStored) };
    let joined_with_another = token_hash.is_some_and(|hash| hash != stored.token_hash);
    if joined_with_another {
        Step::Join(JoinReason::OtherToken)
    } else if stored.identity.is_expired(now) {
        Step::Join(JoinReason::Expired)
    } else if stored.renewal_pending {
        Step::HoldBack
    } else if stored.identity.user.renewable {
        Step::Renew
    } else {
        Step::Join(JoinReason::NotRenewable)
    }
}

/// How the bot joins.
pub(crate) struct Onboarding {
    pub(crate) web: Web,
    pub(crate) setting: Setting,
    pub(crate) token: Option<TokenSetting>,
    pub(crate) ttl: Duration,
}

/// Keeps the bot's identity fresh.
pub(crate) struct Bot {
    pub(crate) route: Route,
    pub(crate) clock: Clock,
    storage: Storage,
    onboarding: Onboarding,
    found: OnceCell<Found>,
    /// An identity that the server has issued and the disk has refused, with its token's hash: to be saved before
    /// anything else is asked.
    unsaved: Mutex<Option<(Arc<Identity>, String)>>,
    /// Held while the server is asked and the answer saved.
    busy: tokio::sync::Mutex<()>,
}

impl Bot {
    pub(crate) fn new(storage: Storage, route: Route, onboarding: Onboarding, clock: Clock) -> Self {
        Self {
            route,
            clock,
            storage,
            onboarding,
            found: OnceCell::new(),
            unsaved: Mutex::new(None),
            busy: tokio::sync::Mutex::new(()),
        }
    }

    /// `host:port` of the proxy: as it advertised itself when it was found, else as it was dialled.
    pub(crate) fn proxy_address(&self) -> String {
        let advertised = self.found.get().and_then(|found| found.proxy_public_addr.clone());
        advertised.unwrap_or_else(|| self.route.address().to_string())
    }

    /// Joins or renews, whichever is due. Once begun it ends and saves, even when nobody waits for it any more.
    pub(crate) async fn obtain(self: &Arc<Self>) -> Result<Obtained, RenewalError> {
        let bot = Arc::clone(self);
        to_its_end(async move { bot.obtain_here().await }).await
    }

    /// The stored identity while it is valid, to go on with when a fresh one cannot be had.
    pub(crate) async fn stored(self: &Arc<Self>) -> Option<Arc<Identity>> {
        let bot = Arc::clone(self);
        let stored = blocking(move || bot.storage.load()).await.ok().flatten()?;
        (!stored.identity.is_expired(self.clock.now())).then_some(stored.identity)
    }

    /// Waits for a join or renewal that is under way.
    pub(crate) async fn settled(&self) {
        drop(self.busy.lock().await);
    }

    async fn obtain_here(self: &Arc<Self>) -> Result<Obtained, RenewalError> {
        let _busy = self.busy.lock().await;
        if let Some((identity, hash)) = self.unsaved() {
            self.save(Arc::clone(&identity), hash).await?;
            return Ok(Obtained::Renewed(identity));
        }
        let Onboarding { web, setting, token, ttl } = &self.onboarding;
        let found =
            self.found.get_or_try_init(|| discovery::find(web, *setting, self.route.address())).await?;
        let stored = self.with_storage(|storage| {
            storage.test_write()?;
            storage.load()
        });
        let stored = stored.await?;
        if let Some(stored) = &stored
            && stored.identity.cluster() != found.cluster_name
        {
            return Err(RenewalError::OtherCluster {
                stored: stored.identity.cluster().to_owned(),
                found: found.cluster_name.clone(),
                proxy: self.route.address().clone(),
            });
        }
        let token = token.as_ref().map(TokenSetting::resolve);
        let hash = token.as_ref().and_then(|token| token.as_ref().ok()).map(Token::hash);
        match (decide(stored.as_ref(), hash.as_deref(), self.clock.now()), stored) {
            (Step::Renew, Some(stored)) => self.renew(&stored).await.map(Obtained::Renewed),
            (Step::HoldBack, Some(stored)) => Ok(Obtained::HeldBack(stored.identity, self.cure())),
            (Step::Join(reason), _) => {
                let token = token.ok_or(RenewalError::NoToken(reason))??;
                let joined = join::join(web, &token, self.clock.now() + *ttl).await;
                let identity = Arc::new(joined.map_err(|error| RenewalError::Join { reason, error })?);
                self.save(Arc::clone(&identity), token.hash()).await?;
                Ok(Obtained::Joined(identity, reason))
            }
            // `decide` never says so of nothing.
            (Step::Renew | Step::HoldBack, None) => Err(RenewalError::NoToken(JoinReason::NothingStored)),
        }
    }

    async fn renew(self: &Arc<Self>, stored: &Stored) -> Result<Arc<Identity>, RenewalError> {
        let old = &stored.identity;
        // Connected and pinged before anything is noted: an unreachable or locked-out server costs nothing.
        let client = AuthClient::connect(&self.route, old).await?;
        let key = KeyPair::generate()?;
        let presented = Arc::clone(old);
        self.with_storage(move |storage| storage.note_renewal(&presented)).await?;
        match client.renew(&key, &old.user.username, self.clock.now() + self.onboarding.ttl).await {
            Ok(certs) => {
                let fresh = Identity::new(key, certs)
                    .map_err(|error| RenewalError::Answer { error, cure: self.cure() })?;
                let fresh = Arc::new(fresh);
                self.save(Arc::clone(&fresh), stored.token_hash.clone()).await?;
                Ok(fresh)
            }
            Err(error) if error.was_not_acted_on() => {
                self.with_storage(Storage::forget_renewal).await?;
                Err(error.into())
            }
            Err(error) if error.is_generation_mismatch() => Err(error.into()),
            Err(error) => Err(RenewalError::Lost { error, cure: self.cure() }),
        }
    }

    async fn save(self: &Arc<Self>, identity: Arc<Identity>, hash: String) -> Result<(), RenewalError> {
        *self.unsaved.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Arc::clone(&identity), hash.clone()));
        self.with_storage(move |storage| storage.save(&identity, &hash)).await?;
        *self.unsaved.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    fn unsaved(&self) -> Option<(Arc<Identity>, String)> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn cure(&self) -> Cure {
        Cure(self.storage.pending_path())
    }

    async fn with_storage<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Storage) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let bot = Arc::clone(self);
        blocking(move || work(&bot.storage)).await
    }
}

impl RenewalError {
    /// True when trying again may help by itself: an outage, not a refusal.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Discovery(error) => error.transient,
            Self::Join { error, .. } => error.is_transient(),
            Self::Api(ApiError::Connect { .. } | ApiError::NoAnswer { .. }) => true,
            Self::Api(error) => error.was_not_acted_on(),
            Self::Storage(_)
            | Self::Token(_)
            | Self::NoToken(_)
            | Self::OtherCluster { .. }
            | Self::Lost { .. }
            | Self::Answer { .. }
            | Self::Key(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded_folder;
    use crate::config::SymlinkMode;

    #[test]
    fn what_is_stored_decides_between_joining_renewing_and_holding_back() {
        let root = recorded_folder("storage");
        let stored =
            Storage::directory(root.path(), SymlinkMode::TrySecure).unwrap().load().unwrap().unwrap();
        let end = stored.identity.user.not_after;
        let before = end - Duration::from_secs(1);
        let same = Some(stored.token_hash.as_str());
        let pending = Stored { renewal_pending: true, ..stored.clone() };

        assert_eq!(decide(None, None, before), Step::Join(JoinReason::NothingStored));
        assert_eq!(decide(Some(&stored), same, before), Step::Renew);
        assert_eq!(
            decide(Some(&stored), None, before),
            Step::Renew,
            "a token file that is gone changes nothing"
        );
        assert_eq!(decide(Some(&stored), Some("other"), before), Step::Join(JoinReason::OtherToken));
        assert_eq!(decide(Some(&stored), same, end), Step::Join(JoinReason::Expired));
        assert_eq!(decide(Some(&pending), same, before), Step::HoldBack);
        assert_eq!(decide(Some(&pending), Some("other"), before), Step::Join(JoinReason::OtherToken));
        assert_eq!(decide(Some(&pending), same, end), Step::Join(JoinReason::Expired));
    }
}
