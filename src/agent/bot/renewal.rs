//! The bot's own identity: joins or renews, and saves before anything uses it.
//!
//! A server counts renewals, and locks the bot for ever when an old count is presented. Hence three rules, held here:
//! that a renewal is asked for is noted on disk first; what comes back is on disk before anyone sees it; a renewal
//! whose answer is unknown is never asked for again with the same certificate.
//!
//! Certificates of a join with a proof are not counted: they are renewed by joining again, which may be repeated freely.

mod decision;
mod error;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::agent::bot::join::{self, Proof, Prover};
use crate::agent::bot::join_token::{Token, TokenSetting};
use crate::agent::bot::storage::{Storage, StorageError, Stored};
use crate::agent::credential::identity::Identity;
use crate::agent::credential::keys::KeyPair;
use crate::agent::net::route::Route;
use crate::agent::net::web::WebClient;
use crate::agent::platform::options::Clock;
use crate::agent::platform::tasks::{run_blocking, run_to_completion};
use crate::agent::teleport::auth_client::AuthClient;
use crate::agent::teleport::discovery::{self, AddressField, DiscoveredCluster};
pub use decision::JoinReason;
use decision::{Step, decide};
pub use error::{Cure, RenewalError};

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

    /// Tells the log.
    pub(crate) fn say(&self) {
        let user = &self.identity().user;
        // Absent, and not said, where nothing is counted.
        let generation = user.generation;
        match self {
            Self::Joined(_, reason) => {
                tracing::info!(user = %user.username, cluster = %user.cluster, generation, "joined, because {reason}");
            }
            Self::Renewed(_) => {
                tracing::info!(user = %user.username, cluster = %user.cluster, generation, "renewed the bot's identity");
            }
            Self::HeldBack(_, cure) => {
                tracing::error!(user = %user.username, generation, "a renewal was asked for and its answer is lost: {cure}");
            }
        }
    }
}

/// An identity and the hash of its token.
type Unsaved = (Arc<Identity>, String);

/// How the bot joins.
pub(crate) struct Onboarding {
    pub(crate) web: WebClient,
    pub(crate) setting: AddressField,
    pub(crate) token: Option<TokenSetting>,
    /// None for the method `token`.
    pub(crate) prover: Option<Arc<Prover>>,
    pub(crate) ttl: Duration,
}

/// Keeps the bot's identity fresh.
pub(crate) struct Bot {
    pub(crate) route: Route,
    pub(crate) clock: Clock,
    storage: Storage,
    onboarding: Onboarding,
    found: OnceCell<DiscoveredCluster>,
    /// What the server has issued and the disk has refused: to be saved before anything else is asked.
    unsaved: Mutex<Option<Unsaved>>,
    /// Held while the server is asked and the answer saved.
    busy: Arc<tokio::sync::Mutex<()>>,
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
            busy: Arc::default(),
        }
    }

    /// `host:port` of the proxy: as it advertised itself when it was found, else as it was dialled.
    pub(crate) fn proxy_address(&self) -> String {
        let advertised = self.found.get().and_then(|found| found.proxy_public_addr.clone());
        advertised.unwrap_or_else(|| self.route.address().to_string())
    }

    /// The proxy's web pages.
    pub(crate) fn web(&self) -> &WebClient {
        &self.onboarding.web
    }

    /// Joins or renews, whichever is due. May be dropped at any time: what the server is asked for is finished and saved
    /// all the same, and [`settled`](Self::settled) waits for that.
    pub(crate) async fn obtain(self: &Arc<Self>) -> Result<Obtained, RenewalError> {
        if let Some((identity, hash)) = self.unsaved() {
            let unsaved = Arc::clone(&identity);
            self.finished(|bot| async move { bot.save(unsaved, hash).await }).await?;
            return Ok(Obtained::Renewed(identity));
        }
        let stored = self.with_storage(|storage| {
            storage.test_write()?;
            storage.load()
        });
        let stored = stored.await?;
        let cluster = stored.as_ref().map(|stored| stored.identity.cluster().to_owned());
        let token = self.onboarding.token.as_ref().map(TokenSetting::resolve);
        let hash = token.as_ref().and_then(|token| token.as_ref().ok()).map(Token::hash);
        let step = decide(stored, hash.as_deref(), self.clock.now());
        // Before the cluster is asked anything: whoever has no proof need not bother it.
        let proof = match &step {
            Step::Join(reason) => self.prove(*reason).await?,
            Step::Renew(_) | Step::HoldBack(_) => None,
        };
        let found = self.find().await?;
        if let Some(stored) = cluster.filter(|cluster| *cluster != found.cluster_name) {
            let (found, proxy) = (found.cluster_name.clone(), self.route.address().clone());
            return Err(RenewalError::OtherCluster { stored, found, proxy });
        }
        match step {
            Step::HoldBack(stored) => Ok(Obtained::HeldBack(stored.identity, self.cure())),
            Step::Renew(stored) => self.renew_with(stored).await,
            Step::Join(reason) => {
                let token = token.ok_or(RenewalError::NoToken(reason))??;
                let joined =
                    self.finished(|bot| async move { bot.join(&token, proof, reason).await }).await?;
                Ok(Obtained::Joined(joined, reason))
            }
        }
    }

    /// The stored identity while it is valid, to go on with when a fresh one cannot be had.
    pub(crate) async fn stored(self: &Arc<Self>) -> Option<Arc<Identity>> {
        let stored = self.with_storage(Storage::load).await.ok().flatten()?;
        (!stored.identity.is_expired(self.clock.now())).then_some(stored.identity)
    }

    /// Waits for a join or renewal that is under way. What the disk has refused gets a last chance: it is lost otherwise.
    pub(crate) async fn settled(self: &Arc<Self>) {
        let _busy = self.busy.lock().await;
        if let Some((identity, hash)) = self.unsaved()
            && let Err(error) = self.save(identity, hash).await
        {
            tracing::error!(
                "the bot's new identity is lost, because it cannot be saved: {error}; {}",
                self.cure()
            );
        }
    }

    async fn find(&self) -> Result<&DiscoveredCluster, RenewalError> {
        let Onboarding { web, setting, .. } = &self.onboarding;
        let find = || async {
            let found = discovery::find(web, *setting, self.route.address()).await?;
            if let Some(problem) = found.version_problem() {
                tracing::warn!("{problem}");
            }
            Ok::<_, RenewalError>(found)
        };
        self.found.get_or_try_init(find).await
    }

    /// What joins by its method beside the token.
    async fn prove(&self, reason: JoinReason) -> Result<Option<Proof>, RenewalError> {
        match &self.onboarding.prover {
            None => Ok(None),
            Some(prover) => {
                let proof = prover.prove().await;
                proof.map(Some).map_err(|error| RenewalError::Proof { reason, error })
            }
        }
    }

    /// Runs what must be finished. It counts as under way from before it begins until it has ended.
    async fn finished<F, T>(self: &Arc<Self>, work: impl FnOnce(Arc<Self>) -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let busy = Arc::clone(&self.busy).lock_owned().await;
        let work = work(Arc::clone(self));
        run_to_completion(async move {
            let _busy = busy;
            work.await
        })
        .await
    }

    async fn renew_with(self: &Arc<Self>, stored: Stored) -> Result<Obtained, RenewalError> {
        // Connected and pinged before anything is noted: an unreachable or locked-out server costs nothing.
        let client = AuthClient::connect(&self.route, &stored.identity).await?;
        let renewed = self.finished(|bot| async move { bot.renew(&client, &stored).await }).await?;
        Ok(Obtained::Renewed(renewed))
    }

    async fn join(
        self: &Arc<Self>,
        token: &Token,
        proof: Option<Proof>,
        reason: JoinReason,
    ) -> Result<Arc<Identity>, RenewalError> {
        let Onboarding { web, ttl, .. } = &self.onboarding;
        let joined = join::join(&self.route, web, token, proof.as_ref(), self.clock.now() + *ttl).await;
        let identity = Arc::new(joined.map_err(|error| RenewalError::Join { reason, error })?);
        self.save(Arc::clone(&identity), token.hash()).await?;
        Ok(identity)
    }

    async fn renew(
        self: &Arc<Self>,
        client: &AuthClient,
        stored: &Stored,
    ) -> Result<Arc<Identity>, RenewalError> {
        let old = &stored.identity;
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
            Err(error) if error.was_not_processed() => {
                self.with_storage(Storage::forget_renewal).await?;
                Err(error.into())
            }
            Err(error) if error.is_generation_mismatch() => Err(error.into()),
            Err(error) => Err(RenewalError::Lost { error, cure: self.cure() }),
        }
    }

    async fn save(self: &Arc<Self>, identity: Arc<Identity>, hash: String) -> Result<(), RenewalError> {
        *self.unsaved_here() = Some((Arc::clone(&identity), hash.clone()));
        self.with_storage(move |storage| storage.save(&identity, &hash)).await?;
        *self.unsaved_here() = None;
        Ok(())
    }

    fn unsaved(&self) -> Option<Unsaved> {
        self.unsaved_here().clone()
    }

    fn unsaved_here(&self) -> MutexGuard<'_, Option<Unsaved>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cure(&self) -> Cure {
        Cure(self.storage.pending_note())
    }

    async fn with_storage<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Storage) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let bot = Arc::clone(self);
        run_blocking(move || work(&bot.storage)).await
    }
}
