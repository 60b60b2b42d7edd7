//! Joins with a bound key pair, for the first time, as a renewal, or as a recovery.
//!
//! While the stored certificate is valid, the bot joins again with it. The server checks and increments its generation, so the
//! rules for renewals apply: the marker is stored before the server may perform the join, and if the response is lost, the
//! certificate is never presented again.
//! When it has expired, the bot joins without a certificate. This is a recovery, which the server counts and may limit.
//!
//! A recovery can be repeated even if its response was lost. Its join state may then be outdated, and the server may lock the token;
//! but without a valid certificate, the bot has nothing to lose, and the operator can help at the server alone.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::decision::{JoinReason, RenewalStep};
use super::error::RenewalError;
use super::{Bot, ObtainedIdentity, run_in_flight};
use crate::agent::bot::bound_keypair::BoundKeypairSources;
use crate::agent::bot::bound_keys::BoundKeys;
use crate::agent::bot::join::{BoundKeyStore, BoundKeypairExchange, JoinRequest, JoinServer};
use crate::agent::bot::join_token::JoinToken;
use crate::agent::bot::storage::{Storage, StorageError};
use crate::agent::credential::cluster_name::ClusterName;
use crate::agent::credential::identity::Identity;
use crate::agent::platform::error_text::error_line;
use crate::agent::teleport::auth_client::AuthClient;

/// A join that is prepared: everything that it needs was read.
struct PreparedJoin {
    token: JoinToken,
    exchange: BoundKeypairExchange,
    reason: JoinReason,
    /// A connection as the stored identity, if it is still valid, and that identity.
    again: Option<(AuthClient, Arc<Identity>)>,
}

impl Bot {
    /// Joins because of `step`.
    pub(super) async fn join_with_bound_keypair(
        self: &Arc<Self>,
        in_flight: OwnedMutexGuard<()>,
        (step, reason): (RenewalStep, JoinReason),
        token: Result<JoinToken, RenewalError>,
        storage_test: Result<(), StorageError>,
        stored_cluster: Option<ClusterName>,
    ) -> Result<ObtainedIdentity, RenewalError> {
        let prepared = match token {
            Ok(token) => self.prepare_exchange(reason).await.map(|exchange| (token, exchange)),
            Err(error) => Err(error),
        };
        let join = if let RenewalStep::JoinAgain(stored) = step {
            storage_test?;
            let (token, exchange) = prepared?;
            self.discover_same(stored_cluster).await?;
            let client = self.connect_unless_untrusted(&stored.identity).await?;
            if client.is_none() {
                self.trust_auth_server().await?;
            }
            PreparedJoin { token, exchange, reason, again: client.map(|client| (client, stored.identity)) }
        } else {
            let prepared = self.test_before_join(reason, prepared, storage_test, stored_cluster).await;
            let (token, exchange) = prepared?;
            PreparedJoin { token, exchange, reason, again: None }
        };
        let bot = Arc::clone(self);
        let joined = run_in_flight(in_flight, async move { bot.exchange(join).await });
        Ok(ObtainedIdentity::Joined(joined.await?, reason))
    }

    async fn prepare_exchange(
        self: &Arc<Self>,
        reason: JoinReason,
    ) -> Result<BoundKeypairExchange, RenewalError> {
        let input = match &self.join_settings.bound_keypair {
            Some(sources) => sources.read(&self.warnings).await,
            None => BoundKeypairSources::default().read(&self.warnings).await,
        };
        let input = input.map_err(|error| RenewalError::BoundKeypair { reason, error })?;
        let keys = if input.static_key.is_none() {
            self.with_storage(Storage::load_keys).await?
        } else {
            BoundKeys::default()
        };
        Ok(BoundKeypairExchange::new(input, keys))
    }

    /// Connects as the stored identity. Returns `None` if no server accepts it any more, because a CA was rotated: then only a
    /// recovery helps.
    async fn connect_unless_untrusted(&self, stored: &Identity) -> Result<Option<AuthClient>, RenewalError> {
        match AuthClient::connect(&self.dialler, stored).await {
            Ok(client) => Ok(Some(client)),
            Err(error) if error.is_untrusted_identity() => {
                tracing::info!(
                    "recovering, because the stored identity is not accepted: {}",
                    error_line(&error, None)
                );
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn exchange(self: &Arc<Self>, join: PreparedJoin) -> Result<Arc<Identity>, RenewalError> {
        let PreparedJoin { token, mut exchange, reason, again } = join;
        let (client, presented) = again.unzip();
        let server =
            JoinServer { dialler: &self.dialler, version: self.server_version(), as_bot: client.as_ref() };
        let secret = exchange.registration_secret().cloned();
        let request = JoinRequest {
            method: self.join_settings.method,
            token: &token,
            attestation: None,
            registration_secret: secret.as_ref(),
            expires: self.clock.now() + self.join_settings.ttl,
        };
        let is_renewal = presented.is_some();
        let store = ExchangeStore { bot: Arc::clone(self), presented };
        match self.joiner.join_with_bound_keypair(server, request, &mut exchange, &store).await {
            Ok(identity) => {
                let identity = Arc::new(identity);
                Arc::clone(self).save(Arc::clone(&identity), token.hash(), exchange.into_keys()).await?;
                Ok(identity)
            }
            Err(error) if is_renewal && exchange.may_have_joined() && !error.is_generation_mismatch() => {
                Err(RenewalError::JoinResponseLost { error, hint: self.lost_renewal_hint() })
            }
            Err(error) => {
                if is_renewal && !exchange.may_have_joined() {
                    self.with_storage(Storage::clear_renewal_pending).await?;
                }
                Err(RenewalError::Join { reason, error })
            }
        }
    }
}

/// The storage during a join.
struct ExchangeStore {
    bot: Arc<Bot>,
    /// The identity that the join presents.
    presented: Option<Arc<Identity>>,
}

impl BoundKeyStore for ExchangeStore {
    async fn mark_pending(&self) -> Result<(), StorageError> {
        let Some(presented) = self.presented.clone() else { return Ok(()) };
        self.bot.with_storage(move |storage| storage.mark_renewal_pending(&presented)).await
    }

    async fn save_bound_keys(&self, keys: BoundKeys) -> Result<(), StorageError> {
        self.bot.with_storage(move |storage| storage.save_keys(&keys)).await
    }
}
