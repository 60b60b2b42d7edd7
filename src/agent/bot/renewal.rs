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
mod error;
pub(crate) mod preflight;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use crate::agent::bot::IDENTITY;
use crate::agent::bot::auth_server_trust::TrustSource;
use crate::agent::bot::bound_keypair::BoundKeypairSources;
use crate::agent::bot::bound_keys::BoundKeys;
use crate::agent::bot::join::{Attestation, Attestor, JoinRequest, JoinServer, Joiner};
use crate::agent::bot::join_token::{JoinToken, JoinTokenSource};
use crate::agent::bot::storage::{Storage, StorageError, StoredIdentity};
use crate::agent::credential::cluster_name::ClusterName;
use crate::agent::credential::identity::Identity;
use crate::agent::credential::keys::KeyPair;
use crate::agent::net::dialler::Dialler;
use crate::agent::net::known_server::ServerKind;
use crate::agent::platform::error_text::error_line;
use crate::agent::platform::reminders::RecurringWarnings;
use crate::agent::platform::tasks::{UncutWork, run_to_completion};
use crate::agent::platform::{Clock, Hint, Rounded};
use crate::agent::teleport::auth_client::AuthClient;
use crate::agent::teleport::discovery::{self, AddressField, DiscoveredServer};
use crate::config::{Address, JoinMethod};
use crate::untrusted::escape;
pub use decision::JoinReason;
use decision::{RenewalStep, decide};
pub use error::RenewalError;
use error::lost_renewal_hint;
use preflight::NamedDestination;
use tracing::field::display;

/// A usable identity, and how the agent obtained it.
#[derive(Clone, Debug)]
pub(crate) enum ObtainedIdentity {
    Joined(Arc<Identity>, JoinReason),
    Renewed(Arc<Identity>),
    /// The stored identity, which is not renewed, because the response to an earlier renewal was lost.
    RenewalSuspended(Arc<Identity>, Hint),
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
            Self::RenewalSuspended(_, hint) => Some(format!(
                "renewal suspended, because the response to an earlier renewal was lost; {hint}"
            )),
        }
    }
}

/// The first major version of servers that keep a record of each bot instance.
const FIRST_VERSION_WITH_INSTANCES: u32 = 17;

/// An identity that the server has issued, and what is to be saved with it.
#[derive(Clone)]
struct UnsavedIdentity {
    identity: Arc<Identity>,
    /// The hash of the token that it was obtained with.
    token_hash: String,
    /// The key pairs that it was obtained with, if any.
    keys: Option<BoundKeys>,
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
    pub(crate) file_work: UncutWork,
    storage: Storage,
    join_settings: JoinSettings,
    joiner: Joiner,
    /// The server as it was discovered last.
    discovered: Mutex<Option<DiscoveredServer>>,
    /// An identity that the server issued and that is not saved yet. It must be saved before the next request.
    unsaved: Mutex<Option<UnsavedIdentity>>,
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
            file_work: UncutWork::default(),
            clock,
            storage,
            join_settings,
            joiner: Joiner::default(),
            discovered: Mutex::new(None),
            unsaved: Mutex::new(None),
            in_flight: Arc::default(),
        }
    }

    /// Returns the address of the proxy: the public address that it advertises, if any, else the configured address. `None` if
    /// the agent is connected to an auth server.
    pub(crate) fn proxy_address(&self) -> Option<Address> {
        if let Some(DiscoveredServer::Proxy(cluster)) = &*self.lock_discovered()
            && let Some(advertised) = &cluster.proxy_public_addr
        {
            return Some(advertised.clone());
        }
        (self.dialler.kind() == ServerKind::Proxy).then(|| self.dialler.address().clone())
    }

    fn lock_discovered(&self) -> MutexGuard<'_, Option<DiscoveredServer>> {
        self.discovered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins or renews, and returns the saved identity.
    ///
    /// The returned future may be dropped at any time. A request that was sent is completed anyway, and its response is
    /// saved; [`flush`](Self::flush) waits for that.
    pub(crate) async fn obtain(self: &Arc<Self>) -> Result<ObtainedIdentity, RenewalError> {
        let in_flight = Arc::clone(&self.in_flight).lock_owned().await;
        let unsaved = self.lock_unsaved().clone();
        if let Some(unsaved) = unsaved {
            let identity = Arc::clone(&unsaved.identity);
            run_in_flight(in_flight, self.clone().save_issued(unsaved)).await?;
            return Ok(ObtainedIdentity::Renewed(identity));
        }
        let stored = self.with_storage(Storage::load).await?;
        let stored_cluster = stored.as_ref().map(|stored| stored.identity.cluster().clone());
        let token = match &self.join_settings.token {
            Some(source) => Some(source.resolve(&self.warnings).await),
            None => None,
        };
        let token_hash = token.as_ref().and_then(|token| token.as_ref().ok()).map(JoinToken::hash);
        let step = decide(stored, token_hash.as_deref(), self.clock.now());
        let bound_keypair = &self.join_settings.bound_keypair;
        let saves_keys = bound_keypair.as_ref().is_some_and(|sources| !sources.has_static_key());
        let storage_test = self.with_storage(move |storage| storage.test_write(saves_keys)).await;
        if let Some(reason) = step.join_reason()
            && self.join_settings.attestor.is_none()
        {
            let token = match token {
                Some(token) => token.map_err(RenewalError::from),
                None => Err(RenewalError::NoToken(reason)),
            };
            if bound_keypair.is_some() {
                let step = (step, reason);
                return self
                    .join_with_bound_keypair(in_flight, step, token, storage_test, stored_cluster)
                    .await;
            }
            let token = self.test_before_join(reason, token, storage_test, stored_cluster).await?;
            return self.join_in_flight(in_flight, token, None, reason, None).await;
        }
        storage_test?;
        // Obtained before any request to the cluster, because joining is impossible without it.
        let attestation = match step.join_reason() {
            Some(reason) => self.attest(reason).await?,
            None => None,
        };
        self.discover_same(stored_cluster).await?;
        match step {
            RenewalStep::Suspend(stored) => {
                Ok(ObtainedIdentity::RenewalSuspended(stored.identity, self.lost_renewal_hint()))
            }
            RenewalStep::Renew(stored) => {
                // Connecting also sends a ping. If the server is unreachable or the bot is locked, this fails before
                // the marker is stored.
                let client = AuthClient::connect(&self.dialler, &stored.identity).await?;
                let bot = Arc::clone(self);
                let renewed = run_in_flight(in_flight, async move { bot.renew(&client, &stored).await });
                Ok(ObtainedIdentity::Renewed(renewed.await?))
            }
            RenewalStep::Join(reason) => {
                let token = token.ok_or(RenewalError::NoToken(reason))??;
                self.trust_auth_server().await?;
                self.join_in_flight(in_flight, token, attestation, reason, None).await
            }
            RenewalStep::JoinAgain(stored) => {
                let reason = JoinReason::NotRenewable;
                let token = token.ok_or(RenewalError::NoToken(reason))??;
                let client = self.connect_to_join_again(&stored.identity).await?;
                if client.is_none() {
                    self.trust_auth_server().await?;
                }
                self.join_in_flight(in_flight, token, attestation, reason, client).await
            }
        }
    }

    async fn join_in_flight(
        self: &Arc<Self>,
        in_flight: OwnedMutexGuard<()>,
        token: JoinToken,
        attestation: Option<Attestation>,
        reason: JoinReason,
        as_bot: Option<AuthClient>,
    ) -> Result<ObtainedIdentity, RenewalError> {
        let bot = Arc::clone(self);
        let join = async move { bot.join(&token, attestation, reason, as_bot).await };
        Ok(ObtainedIdentity::Joined(run_in_flight(in_flight, join).await?, reason))
    }

    /// Connects as the stored identity, with which the bot joins again as the same instance.
    ///
    /// Returns `None` if the bot must join as a new instance: the server keeps no record of instances, or does not accept the
    /// identity.
    async fn connect_to_join_again(&self, stored: &Identity) -> Result<Option<AuthClient>, RenewalError> {
        // 0 if it is unknown.
        let has_no_instances = |version| (1..FIRST_VERSION_WITH_INSTANCES).contains(&version);
        if has_no_instances(self.server_version()) {
            return Ok(None);
        }
        match AuthClient::connect(&self.dialler, stored).await {
            Ok(client) => Ok(Some(client).filter(|client| !has_no_instances(client.info().server_major))),
            Err(error) if error.is_refused_identity() => {
                tracing::info!(
                    "joining as a new bot instance, because the stored identity is not accepted: {}",
                    error_line(&error, None)
                );
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the major version of the servers as they were discovered last, or 0 if it is unknown.
    fn server_version(&self) -> u32 {
        self.lock_discovered().as_ref().map_or(0, DiscoveredServer::major_version)
    }

    /// Tests everything that the agent needs after a join that cannot be repeated, and returns what the join needs, such as the
    /// token. If several tests fail, returns all failures.
    async fn test_before_join<T>(
        &self,
        reason: JoinReason,
        needed: Result<T, RenewalError>,
        storage_test: Result<(), StorageError>,
        stored_cluster: Option<ClusterName>,
    ) -> Result<T, RenewalError> {
        let mut failures: Vec<RenewalError> =
            storage_test.err().map(RenewalError::from).into_iter().collect();
        let unusable = preflight::test_destinations(&self.join_settings.destinations, &self.file_work).await;
        failures.extend(unusable.into_iter().map(RenewalError::from));
        match self.discover_same(stored_cluster).await {
            Ok(cluster) => {
                let tested = async {
                    self.trust_auth_server().await?;
                    Ok(self.dialler.test_to_auth(&cluster).await?)
                };
                failures.extend(tested.await.err());
            }
            Err(error) => failures.push(error),
        }
        match needed {
            Ok(needed) if failures.is_empty() => return Ok(needed),
            Ok(_) => {}
            Err(error) => failures.push(error),
        }
        // A failure that can also stop a renewal is reported as it is then.
        let is_only_before_joins = |error: &RenewalError| {
            matches!(
                error,
                RenewalError::Destination(_) | RenewalError::AuthRoute(_) | RenewalError::AuthServerTrust(_)
            )
        };
        if failures.len() == 1 && !failures.iter().any(is_only_before_joins) {
            return Err(failures.remove(0));
        }
        Err(RenewalError::NotReady { reason, failures })
    }

    /// Returns the stored identity if it has not expired, for use while no fresh one can be obtained.
    pub(crate) async fn stored(self: &Arc<Self>) -> Option<Arc<Identity>> {
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
            && let Err(error) = Arc::clone(self).save_issued(unsaved).await
        {
            tracing::error!(
                "the bot's new identity is lost, because it cannot be saved: {}",
                error_line(&error, Some(&self.lost_renewal_hint()))
            );
        }
    }

    /// Returns true if an identity that the server issued is not saved yet.
    pub(crate) fn has_unsaved(&self) -> bool {
        self.lock_unsaved().is_some()
    }

    /// Discovers the cluster, each time, because an agent runs longer than a cluster's address and version stay the same.
    /// Returns the name of the cluster.
    ///
    /// # Errors
    ///
    /// Returns [`RenewalError::OtherCluster`] if this is not the cluster of the stored identity.
    async fn discover_same(&self, stored: Option<ClusterName>) -> Result<ClusterName, RenewalError> {
        let JoinSettings { address_field, .. } = &self.join_settings;
        if self.dialler.kind() == ServerKind::Proxy
            && let Err(error) = self.dialler.web().reload_roots().await
        {
            self.warnings.warn(
                IDENTITY,
                format_args!(
                    "using the previous root certificates: {}",
                    error_line(&error, error.hint().as_ref())
                ),
            );
        }
        let discovered = discovery::discover(&self.dialler, *address_field).await?;
        for problem in discovered.problems() {
            self.warnings.warn(IDENTITY, problem);
        }
        let served = discovered.cluster_name().clone();
        if let Some(stored) = stored.filter(|stored| *stored != served) {
            let server = self.dialler.address().clone();
            let (stored, served) = (stored.to_string(), served.to_string());
            return Err(RenewalError::OtherCluster { stored, served, server });
        }
        let previous = self.lock_discovered().replace(discovered);
        if previous.is_none() {
            self.log_unexpected_proxy();
        }
        Ok(served)
    }

    /// Logs if the configured auth server is a proxy.
    fn log_unexpected_proxy(&self) {
        let JoinSettings { address_field, trust, .. } = &self.join_settings;
        if *address_field != AddressField::AuthServer || self.dialler.kind() != ServerKind::Proxy {
            return;
        }
        let address = self.dialler.address();
        tracing::info!(%address, "the server in auth_server is a proxy: write its address to proxy_server instead");
        if trust.names_authorities() {
            tracing::warn!(
                "{trust} is ignored, because {address} is a proxy, which is verified with the system's root certificates"
            );
        }
    }

    /// Decides how to verify the auth server in a join, unless there is a proxy.
    async fn trust_auth_server(&self) -> Result<(), RenewalError> {
        let host_cas = match &*self.lock_discovered() {
            Some(DiscoveredServer::Auth(server)) => server.host_cas.clone(),
            Some(DiscoveredServer::Proxy(_)) | None => return Ok(()),
        };
        let trust = self.join_settings.trust.resolve(&host_cas, &self.clock).await?;
        self.dialler.set_trust_before_join(trust);
        Ok(())
    }

    /// Obtains the attestation to join with, if the join method uses one.
    async fn attest(&self, reason: JoinReason) -> Result<Option<Attestation>, RenewalError> {
        let Some(attestor) = &self.join_settings.attestor else { return Ok(None) };
        let attestation = attestor.attest().await;
        attestation.map(Some).map_err(|error| RenewalError::Attestation { reason, error })
    }

    async fn join(
        self: &Arc<Self>,
        token: &JoinToken,
        attestation: Option<Attestation>,
        reason: JoinReason,
        as_bot: Option<AuthClient>,
    ) -> Result<Arc<Identity>, RenewalError> {
        let server =
            JoinServer { dialler: &self.dialler, version: self.server_version(), as_bot: as_bot.as_ref() };
        let request = JoinRequest {
            method: self.join_settings.method,
            token,
            attestation: attestation.as_ref(),
            registration_secret: None,
            expires: self.clock.now() + self.join_settings.ttl,
        };
        let joined = self.joiner.join(server, request).await;
        let identity = Arc::new(joined.map_err(|error| RenewalError::Join { reason, error })?);
        Arc::clone(self).save(Arc::clone(&identity), token.hash(), None).await?;
        Ok(identity)
    }

    async fn renew(
        self: &Arc<Self>,
        client: &AuthClient,
        stored: &StoredIdentity,
    ) -> Result<Arc<Identity>, RenewalError> {
        let old = &stored.identity;
        let key = KeyPair::generate()?;
        let to_mark = Arc::clone(old);
        self.with_storage(move |storage| storage.mark_renewal_pending(&to_mark)).await?;
        match client.renew(&key, &old.user.username, self.clock.now() + self.join_settings.ttl).await {
            Ok(certs) => {
                let renewed = Identity::new(key, certs).map_err(|error| RenewalError::InvalidIdentity {
                    error,
                    hint: self.lost_renewal_hint(),
                })?;
                let renewed = Arc::new(renewed);
                Arc::clone(self).save(Arc::clone(&renewed), stored.token_hash.clone(), None).await?;
                Ok(renewed)
            }
            Err(error) if error.was_not_processed() => {
                self.with_storage(Storage::clear_renewal_pending).await?;
                Err(error.into())
            }
            Err(error) if error.is_generation_mismatch() => Err(error.into()),
            Err(error) => Err(RenewalError::ResponseLost { error, hint: self.lost_renewal_hint() }),
        }
    }

    async fn save(
        self: Arc<Self>,
        identity: Arc<Identity>,
        token_hash: String,
        keys: Option<BoundKeys>,
    ) -> Result<(), RenewalError> {
        self.save_issued(UnsavedIdentity { identity, token_hash, keys }).await
    }

    async fn save_issued(self: Arc<Self>, issued: UnsavedIdentity) -> Result<(), RenewalError> {
        *self.lock_unsaved() = Some(issued.clone());
        let UnsavedIdentity { identity, token_hash, keys } = issued;
        self.with_storage(move |storage| storage.save(&identity, &token_hash, keys.as_ref())).await?;
        *self.lock_unsaved() = None;
        Ok(())
    }

    fn lock_unsaved(&self) -> MutexGuard<'_, Option<UnsavedIdentity>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost_renewal_hint(&self) -> Hint {
        lost_renewal_hint(self.join_settings.method, self.storage.renewal_marker_location())
    }

    async fn with_storage<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Storage) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let bot = Arc::clone(self);
        self.file_work.run_blocking(move || work(&bot.storage)).await
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
