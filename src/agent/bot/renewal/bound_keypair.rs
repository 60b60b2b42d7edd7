//! Joins with a bound key pair, for the first time, as a renewal, or as a recovery.
//!
//! While the stored certificate is valid, the bot joins again with it. The server checks and increments its generation, so the
//! rules for renewals apply: the marker is stored before the server may perform the join, and if the response is lost, the
//! certificate is never presented again.
//! When it has expired, the bot joins without a certificate. This is a recovery, which the server counts and may limit.
//!
//! A recovery can be repeated even if its response was lost. Its join state may then be outdated, and the server may lock the token;
//! but without a valid certificate, the bot has nothing to lose, and the operator can fix this on the server only.

use std::sync::Arc;

use super::decision::JoinReason;
use super::error::RenewalError;
use super::join::require_token;
use super::{Bot, ObtainedIdentity, RenewalOutcome, StepInputs, UnsavedIdentity, log_wait, run_in_flight};
use crate::agent::bot::bound_keypair::{BoundKeypairSources, JoinPurpose};
use crate::agent::bot::bound_keys::BoundKeys;
use crate::agent::bot::join::{BoundKeyStore, BoundKeypairExchange, JoinRequest};
use crate::agent::bot::join_token::JoinToken;
use crate::agent::bot::storage::{Storage, StorageError};
use crate::agent::credential::identity::Identity;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::auth_client::AuthClient;

/// A join that is prepared: everything that it needs was read.
struct PreparedExchange {
    token: JoinToken,
    exchange: BoundKeypairExchange,
    reason: JoinReason,
    /// A connection as the stored identity, if it is still valid, and that identity.
    join_as: Option<(AuthClient, Arc<Identity>)>,
}

impl Bot {
    /// Joins because of `reason`: renews the identity `join_as` if there is one and the server trusts it; otherwise registers or
    /// recovers.
    pub(super) async fn join_with_bound_keypair(
        self: &Arc<Self>,
        sources: &BoundKeypairSources,
        reason: JoinReason,
        join_as: Option<Arc<Identity>>,
        inputs: StepInputs,
    ) -> Result<ObtainedIdentity, RenewalError> {
        let StepInputs { token, storage } = inputs;
        let prepared = match require_token(token, reason) {
            Ok(token) => self.prepare_exchange(sources, reason).await.map(|exchange| (token, exchange)),
            Err(error) => Err(error),
        };
        let (in_flight, (token, exchange), join_as) = match join_as {
            Some(stored) => {
                storage.test?;
                let prepared = prepared?;
                self.discover_same(storage.cluster).await?;
                (storage.in_flight, prepared, self.connect_unless_untrusted(stored).await?)
            }
            None => {
                let (in_flight, prepared) = self.test_before_join(storage, reason, prepared).await?;
                (in_flight, prepared, None)
            }
        };
        let prepared = PreparedExchange { token, exchange, reason, join_as };
        run_in_flight(in_flight, Arc::clone(self).exchange(prepared)).await
    }

    async fn prepare_exchange(
        self: &Arc<Self>,
        sources: &BoundKeypairSources,
        reason: JoinReason,
    ) -> Result<BoundKeypairExchange, RenewalError> {
        let keys = if sources.has_static_key() {
            BoundKeys::default()
        } else {
            self.with_storage(Storage::load_keys).await?
        };
        let has_joined = keys.has_joined();
        let purpose = match reason {
            // Otherwise, the identity was obtained with another join method, or the key pairs are lost.
            JoinReason::NotRenewable if has_joined || sources.has_static_key() => JoinPurpose::Renewal,
            _ if has_joined => JoinPurpose::LaterJoin,
            _ => JoinPurpose::FirstJoin,
        };
        let input = sources.read(purpose, &self.warnings).await;
        let input = input.map_err(|error| RenewalError::BoundKeypair { reason, error })?;
        Ok(BoundKeypairExchange::new(input, keys))
    }

    /// Connects as the stored identity. Returns `None` if no server accepts it any more, because a CA was rotated: then only a
    /// recovery helps.
    async fn connect_unless_untrusted(
        &self,
        stored: Arc<Identity>,
    ) -> Result<Option<(AuthClient, Arc<Identity>)>, RenewalError> {
        let client = self.connect_as_stored(&stored, ApiError::is_untrusted_identity, "recovering").await?;
        if client.is_none() {
            self.trust_auth_server().await?;
        }
        Ok(client.map(|client| (client, stored)))
    }

    async fn exchange(self: Arc<Self>, prepared: PreparedExchange) -> Result<ObtainedIdentity, RenewalError> {
        let PreparedExchange { token, mut exchange, reason, join_as } = prepared;
        let (client, presented) = join_as.unzip();
        let server = self.join_server(client.as_ref());
        let secret = exchange.registration_secret().cloned();
        let request = JoinRequest {
            method: self.join_settings.method,
            token: &token,
            attestation: None,
            registration_secret: secret.as_ref(),
            expires: self.clock.now() + self.join_settings.ttl,
        };
        let is_renewal = presented.is_some();
        let store = ExchangeStore { bot: Arc::clone(&self), presented };
        let join = self.joiner.join_with_bound_keypair(server, request, &mut exchange, &store);
        match log_wait(Box::pin(join)).await {
            Ok(identity) => {
                let (identity, keys) = (Arc::new(identity), exchange.into_keys());
                let issued =
                    UnsavedIdentity { identity, token_hash: token.hash(), keys, join_reason: Some(reason) };
                Arc::clone(&self).save(issued).await
            }
            Err(error) if !is_renewal || error.is_generation_mismatch() => {
                if let Some(presented) = &store.presented {
                    self.record_outcome(presented, RenewalOutcome::Mismatch(error.hint()));
                }
                Err(RenewalError::Join { reason, error })
            }
            Err(error) if exchange.may_have_joined() && !error.is_refused_before_issuing() => {
                Err(RenewalError::JoinResponseLost { error, hint: self.lost_renewal_hint() })
            }
            Err(error) => {
                self.with_storage(Storage::clear_renewal_pending).await?;
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
        self.bot.with_storage(move |storage| storage.mark_renewal_pending(&presented)).await?;
        self.bot.forget_marked_renewal();
        Ok(())
    }

    async fn save_bound_keys(&self, keys: BoundKeys) -> Result<(), StorageError> {
        self.bot.with_storage(move |storage| storage.save_keys(&keys)).await
    }
}
