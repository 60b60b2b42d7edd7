//! Obtains the bot's own identity: joins or renews, and saves the identity before anything uses it.
//!
//! A server increments the generation at each renewal, and locks the bot forever if an old generation is presented.
//! Three rules prevent that:
//!
//! 1. Before it requests a renewal, the agent stores the renewal marker.
//! 2. A new identity is saved before anything uses it.
//! 3. If the response to a renewal is lost, the agent never requests another renewal with the same certificate.
//!
//! Certificates of a join with an attestation are renewed by joining again, which can be repeated without risk. While the
//! stored certificate is valid, the bot joins again as itself, so that it stays the same bot instance.
//!
//! Certificates of a join with a bound key pair are renewed by joining again, too, but have a generation, so the three rules apply
//! (see [`bound_keypair`]).
//!
//! An auth server is verified before a join by what the configuration says (see
//! [`auth_server_trust`](super::auth_server_trust)), and later by the CAs in the identity.
//!
//! A join with the method `token` uses up the token, so everything that the agent needs afterwards is tested first (see
//! [`preflight`]).

mod bound_keypair;
mod decision;
mod discovered;
mod error;
mod join;
pub(crate) mod preflight;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use crate::agent::bot::auth_server_trust::TrustSource;
use crate::agent::bot::bound_keypair::BoundKeypairSources;
use crate::agent::bot::bound_keys::BoundKeys;
use crate::agent::bot::join::{Attestor, Joiner};
use crate::agent::bot::join_token::{JoinToken, JoinTokenError, JoinTokenSource};
use crate::agent::bot::storage::{Storage, StorageError, StoredIdentity};
use crate::agent::credential::cluster_name::ClusterName;
use crate::agent::credential::identity::Identity;
use crate::agent::credential::keys::KeyPair;
use crate::agent::net::dialler::Dialler;
use crate::agent::platform::error_text::error_line;
use crate::agent::platform::lock::lock;
use crate::agent::platform::reminders::RecurringWarnings;
use crate::agent::platform::tasks::{UninterruptibleWork, run_to_completion};
use crate::agent::platform::{Clock, Hint, Rounded};
use crate::agent::teleport::auth_client::AuthClient;
use crate::agent::teleport::discovery::{AddressField, DiscoveredServer};
use crate::config::JoinMethod;
use crate::untrusted::escape;
pub use decision::JoinReason;
use decision::{RenewalStep, decide};
pub use error::RenewalError;
use error::lost_renewal_hint;
use preflight::NamedDestination;
use tracing::field::display;

/// How long to wait for a response before the log says so.
const LONG_WAIT: Duration = Duration::from_secs(20);

/// A usable identity, and how the agent obtained it.
#[derive(Clone, Debug)]
pub(crate) enum ObtainedIdentity {
    Joined(Arc<Identity>, JoinReason),
    Renewed(Arc<Identity>),
    /// The stored identity, which is not renewed, and the reason with advice for the operator.
    RenewalSuspended(Arc<Identity>, String),
}

impl ObtainedIdentity {
    pub(crate) fn identity(&self) -> &Arc<Identity> {
        match self {
            Self::Joined(identity, _) | Self::Renewed(identity) | Self::RenewalSuspended(identity, _) => {
                identity
            }
        }
    }

    /// Logs how the identity was obtained, and when it will be renewed. A suspended renewal is a failure, which the
    /// caller logs.
    pub(crate) fn log(&self, next_renewal: Option<Duration>) {
        let message = match self {
            Self::Joined(_, reason) => {
                let hint = reason.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
                format!("joined the cluster ({reason}){hint}")
            }
            Self::Renewed(_) => "renewed the bot's identity".to_owned(),
            Self::RenewalSuspended(..) => return,
        };
        let user = &self.identity().user;
        // Fields that are `None` are not logged. Some certificates have no generation.
        let (generation, next_renewal) = (user.generation, next_renewal.map(Rounded).map(display));
        tracing::info!(user = %escape(&user.username), cluster = %user.cluster, generation, next_renewal, "{message}");
    }

    /// Returns why renewals are suspended and what the operator can do, or `None` if they are not.
    pub(crate) fn suspension(&self) -> Option<String> {
        match self {
            Self::Joined(..) | Self::Renewed(_) => None,
            Self::RenewalSuspended(_, reason) => Some(format!("renewal suspended, because {reason}")),
        }
    }
}

/// An identity that the server has issued, and what is to be saved with it.
#[derive(Clone)]
struct UnsavedIdentity {
    identity: Arc<Identity>,
    /// The hash of the token that it was obtained with.
    token_hash: String,
    /// The key pairs that it was obtained with, if any.
    keys: Option<BoundKeys>,
    /// Why the bot has joined for it. `None` if it was renewed.
    join_reason: Option<JoinReason>,
}

/// A renewal of this process that leaves a renewal marker.
struct MarkedRenewal {
    /// The certificate that was presented, in DER.
    presented: Vec<u8>,
    outcome: RenewalOutcome,
}

/// The outcome of the renewal that a marker was stored for, as far as this process knows it.
#[derive(Clone, Debug)]
enum RenewalOutcome {
    /// The response was lost, perhaps by an earlier process.
    Unknown,
    /// The server has renewed the identity, and its response cannot be used.
    Unusable,
    /// The server refused it, because another process has renewed the identity before. The hint says what to do.
    Mismatch(Option<Hint>),
}

/// The inputs of a step, read before any request to the cluster.
struct StepInputs {
    /// `None` if no token is configured.
    token: Option<Result<JoinToken, JoinTokenError>>,
    storage: StorageState,
}

/// The state of the storage at the beginning of a step.
struct StorageState {
    /// While it is held, no other step begins. It is held until the response is saved.
    in_flight: OwnedMutexGuard<()>,
    /// The result of testing whether the storage can be written.
    test: Result<(), StorageError>,
    /// The cluster of the stored identity, if there is one.
    cluster: Option<ClusterName>,
}

/// The settings that a join needs.
pub(crate) struct JoinSettings {
    /// The configuration key of the server's address.
    pub(crate) address_field: AddressField,
    pub(crate) method: JoinMethod,
    /// How an auth server is verified.
    pub(crate) trust: TrustSource,
    pub(crate) token: Option<JoinTokenSource>,
    /// `None` for the join methods `token` and `bound_keypair`.
    pub(crate) attestor: Option<Arc<Attestor>>,
    /// Only for the join method `bound_keypair`.
    pub(crate) bound_keypair: Option<BoundKeypairSources>,
    /// The requested lifetime of certificates.
    pub(crate) ttl: Duration,
    /// Everything that is written with the identity, to be tested before a join that uses up the token.
    pub(crate) destinations: Vec<NamedDestination>,
}

/// Obtains the bot's identity, and saves it in the storage.
pub(crate) struct Bot {
    pub(crate) dialler: Dialler,
    pub(crate) clock: Clock,
    pub(crate) warnings: RecurringWarnings,
    /// Work on the storage and on the destinations, which the end of the process must not cut off: a set of files would
    /// be incomplete, or a lock would outlive the run.
    pub(crate) file_work: UninterruptibleWork,
    storage: Storage,
    join_settings: JoinSettings,
    joiner: Joiner,
    /// The server as it was discovered last.
    discovered: Mutex<Option<DiscoveredServer>>,
    /// An identity that the server issued and that is not saved yet. It must be saved before the next request.
    unsaved: Mutex<Option<UnsavedIdentity>>,
    /// The last renewal, if its outcome is known and the marker stays.
    marked_renewal: Mutex<Option<MarkedRenewal>>,
    /// Locked from before the stored identity is read until the response to the request for a new one is saved.
    in_flight: Arc<tokio::sync::Mutex<()>>,
}

impl Bot {
    pub(crate) fn new(
        storage: Storage,
        dialler: Dialler,
        join_settings: JoinSettings,
        clock: Clock,
        warnings: RecurringWarnings,
    ) -> Self {
        Self {
            dialler,
            warnings,
            file_work: UninterruptibleWork::default(),
            clock,
            storage,
            join_settings,
            joiner: Joiner::default(),
            discovered: Mutex::new(None),
            unsaved: Mutex::new(None),
            marked_renewal: Mutex::default(),
            in_flight: Arc::default(),
        }
    }

    /// Joins or renews, and returns the saved identity.
    ///
    /// The returned future may be dropped at any time. A request that was sent is completed anyway, and its response is
    /// saved; [`flush`](Self::flush) waits for that.
    pub(crate) async fn obtain_identity(self: &Arc<Self>) -> Result<ObtainedIdentity, RenewalError> {
        let in_flight = Arc::clone(&self.in_flight).lock_owned().await;
        let unsaved = self.lock_unsaved().clone();
        if let Some(unsaved) = unsaved {
            return run_in_flight(in_flight, Arc::clone(self).save(unsaved)).await;
        }
        let (step, inputs) = self.decide_step(in_flight).await?;
        match step {
            RenewalStep::Join { reason, join_as } => self.join(reason, join_as, inputs).await,
            RenewalStep::Renew(stored) => self.renew(stored, inputs.storage).await,
            RenewalStep::Suspend(stored) => {
                inputs.storage.test?;
                self.discover_same(inputs.storage.cluster).await?;
                Ok(ObtainedIdentity::RenewalSuspended(
                    Arc::clone(&stored.identity),
                    self.reason_of_suspension(&stored),
                ))
            }
        }
    }

    /// Reads the storage and the token, tests the storage, and decides on the next step.
    async fn decide_step(
        self: &Arc<Self>,
        in_flight: OwnedMutexGuard<()>,
    ) -> Result<(RenewalStep, StepInputs), RenewalError> {
        let stored = self.with_storage(Storage::load).await?;
        let cluster = stored.as_ref().map(|stored| stored.identity.cluster().clone());
        let token = match &self.join_settings.token {
            Some(source) => Some(source.resolve(&self.warnings).await),
            None => None,
        };
        let token_hash = token.as_ref().and_then(|token| token.as_ref().ok()).map(JoinToken::hash);
        let step = decide(stored, self.join_settings.method, token_hash.as_deref(), self.clock.now());
        let bound_keypair = &self.join_settings.bound_keypair;
        let saves_keys = bound_keypair.as_ref().is_some_and(|sources| !sources.has_static_key());
        let test = self.with_storage(move |storage| storage.test_write(saves_keys)).await;
        Ok((step, StepInputs { token, storage: StorageState { in_flight, test, cluster } }))
    }

    async fn renew(
        self: &Arc<Self>,
        stored: StoredIdentity,
        storage: StorageState,
    ) -> Result<ObtainedIdentity, RenewalError> {
        storage.test?;
        self.discover_same(storage.cluster).await?;
        // Connecting also sends a ping. If the server is unreachable or the bot is locked, this fails before the marker is
        // stored.
        let client = AuthClient::connect(&self.dialler, &stored.identity).await?;
        let bot = Arc::clone(self);
        run_in_flight(storage.in_flight, async move { bot.request_renewal(&client, stored).await }).await
    }

    async fn request_renewal(
        self: Arc<Self>,
        client: &AuthClient,
        stored: StoredIdentity,
    ) -> Result<ObtainedIdentity, RenewalError> {
        let StoredIdentity { identity: old, token_hash, .. } = stored;
        let key = KeyPair::generate()?;
        let to_mark = Arc::clone(&old);
        self.with_storage(move |storage| storage.mark_renewal_pending(&to_mark)).await?;
        self.forget_marked_renewal();
        let renewal = client.renew(&key, &old.user.username, self.clock.now() + self.join_settings.ttl);
        match log_wait(Box::pin(renewal)).await {
            Ok(certs) => {
                let renewed = Identity::new(key, certs).map_err(|error| {
                    self.record_outcome(&old, RenewalOutcome::Unusable);
                    RenewalError::InvalidIdentity { error, hint: self.performed_renewal_hint() }
                })?;
                let identity = Arc::new(renewed);
                self.save(UnsavedIdentity { identity, token_hash, keys: None, join_reason: None }).await
            }
            Err(error) if error.was_not_processed() => {
                self.with_storage(Storage::clear_renewal_pending).await?;
                Err(error.into())
            }
            Err(error) if error.is_generation_mismatch() => {
                self.record_outcome(&old, RenewalOutcome::Mismatch(error.hint()));
                Err(error.into())
            }
            Err(error) => Err(RenewalError::ResponseLost { error, hint: self.lost_renewal_hint() }),
        }
    }

    /// Saves an identity. If that fails, keeps it for the next attempt.
    async fn save(self: Arc<Self>, issued: UnsavedIdentity) -> Result<ObtainedIdentity, RenewalError> {
        *self.lock_unsaved() = Some(issued.clone());
        let UnsavedIdentity { identity, token_hash, keys, join_reason } = issued;
        let to_save = Arc::clone(&identity);
        self.with_storage(move |storage| storage.save(&to_save, &token_hash, keys.as_ref())).await?;
        *self.lock_unsaved() = None;
        self.forget_marked_renewal();
        Ok(match join_reason {
            Some(reason) => ObtainedIdentity::Joined(identity, reason),
            None => ObtainedIdentity::Renewed(identity),
        })
    }

    /// Returns the stored identity if it has not expired, for use while no fresh one can be obtained.
    pub(crate) async fn stored_identity(self: &Arc<Self>) -> Option<Arc<Identity>> {
        let _in_flight = self.in_flight.lock().await;
        let stored = self.with_storage(Storage::load).await.ok().flatten()?;
        (!stored.identity.is_expired(self.clock.now())).then_some(stored.identity)
    }

    /// Waits until a join or renewal in progress has ended, and no longer uses the storage and its lock. Then makes a
    /// last attempt to save an identity that could not be saved before: if it fails, the identity is lost.
    pub(crate) async fn flush(self: &Arc<Self>) {
        let _in_flight = self.in_flight.lock().await;
        let unsaved = self.lock_unsaved().clone();
        if let Some(unsaved) = unsaved
            && let Err(error) = Arc::clone(self).save(unsaved).await
        {
            tracing::error!(
                "the bot's new identity is lost, because it cannot be saved: {}",
                error_line(&error, Some(&self.performed_renewal_hint()))
            );
        }
    }

    /// Returns true if an identity that the server issued is not saved yet.
    pub(crate) fn has_unsaved(&self) -> bool {
        self.lock_unsaved().is_some()
    }

    fn lock_unsaved(&self) -> MutexGuard<'_, Option<UnsavedIdentity>> {
        lock(&self.unsaved)
    }

    /// Forgets the outcome of an earlier renewal, because another one begins or an identity is saved.
    fn forget_marked_renewal(&self) {
        *lock(&self.marked_renewal) = None;
    }

    fn record_outcome(&self, presented: &Identity, outcome: RenewalOutcome) {
        let presented = presented.user.der.to_vec();
        *lock(&self.marked_renewal) = Some(MarkedRenewal { presented, outcome });
    }

    /// Returns the outcome of the renewal that a marker was stored for, which presented `identity`.
    fn outcome_for(&self, identity: &Identity) -> RenewalOutcome {
        match &*lock(&self.marked_renewal) {
            Some(renewal) if renewal.presented[..] == identity.user.der[..] => renewal.outcome.clone(),
            _ => RenewalOutcome::Unknown,
        }
    }

    /// Returns why the stored identity is not renewed, and what the operator can do.
    fn reason_of_suspension(&self, stored: &StoredIdentity) -> String {
        if stored.used_elsewhere {
            return format!(
                "the storage directory was moved while an agent used it, and that agent may have renewed this identity in the directory \
                 at the previous path; use that directory; if it is lost, {}",
                self.performed_renewal_hint()
            );
        }
        match self.outcome_for(&stored.identity) {
            RenewalOutcome::Unknown => {
                format!("the response to an earlier renewal was lost; {}", self.lost_renewal_hint())
            }
            RenewalOutcome::Unusable => format!(
                "the response to an earlier renewal does not contain a usable identity; {}",
                self.performed_renewal_hint()
            ),
            RenewalOutcome::Mismatch(hint) => {
                let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                format!("another process has renewed this identity{hint}")
            }
        }
    }

    /// Returns what to do if it is unknown whether the server has performed a renewal.
    fn lost_renewal_hint(&self) -> Hint {
        lost_renewal_hint(self.join_settings.method, self.storage.renewal_marker_location())
    }

    /// Returns what to do if the server has certainly performed a renewal.
    fn performed_renewal_hint(&self) -> Hint {
        lost_renewal_hint(self.join_settings.method, None)
    }

    async fn with_storage<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Storage) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let bot = Arc::clone(self);
        self.file_work.run_blocking(move || work(&bot.storage)).await
    }
}

/// Waits for the response to a request for an identity, which may take minutes. Says so after [`LONG_WAIT`].
async fn log_wait<T>(mut response: impl Future<Output = T> + Unpin) -> T {
    match tokio::time::timeout(LONG_WAIT, &mut response).await {
        Ok(response) => response,
        Err(_) => {
            tracing::info!("still waiting for the cluster's response to the request for the bot's identity");
            response.await
        }
    }
}

/// Runs `work` to completion, even if the returned future is dropped. Holds the lock meanwhile.
async fn run_in_flight<T: Send + 'static>(
    in_flight: OwnedMutexGuard<()>,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    run_to_completion(async move {
        let _in_flight = in_flight;
        work.await
    })
    .await
}

#[cfg(test)]
mod tests;
