//! Joins with a token or an attestation. Decides what each join method needs before it sends anything.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::decision::JoinReason;
use super::error::RenewalError;
use super::{
    Bot, ObtainedIdentity, StepInputs, StorageState, UnsavedIdentity, log_wait, preflight, run_in_flight,
};
use crate::agent::bot::join::{Attestation, Attestor, JoinRequest, JoinServer};
use crate::agent::bot::join_token::{JoinToken, JoinTokenError};
use crate::agent::credential::identity::Identity;
use crate::agent::net::known_server::ServerKind;
use crate::agent::platform::error_text::error_line;
use crate::agent::platform::tasks::run_to_completion;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::auth_client::AuthClient;

/// The first major version of servers that keep a record of each bot instance.
const FIRST_VERSION_WITH_INSTANCES: u32 = 17;

/// A join that is prepared: everything that it needs was obtained.
struct PreparedJoin {
    token: JoinToken,
    attestation: Option<Attestation>,
    reason: JoinReason,
    /// A connection as the stored identity, to join again as the same bot instance.
    as_bot: Option<AuthClient>,
}

impl Bot {
    /// Joins because of `reason`. If `join_as` is an identity, joins as this identity if the server accepts it.
    pub(super) async fn join(
        self: &Arc<Self>,
        reason: JoinReason,
        join_as: Option<Arc<Identity>>,
        inputs: StepInputs,
    ) -> Result<ObtainedIdentity, RenewalError> {
        if let Some(sources) = &self.join_settings.bound_keypair {
            return self.join_with_bound_keypair(sources, reason, join_as, inputs).await;
        }
        match &self.join_settings.attestor {
            Some(attestor) => self.join_with_attestation(attestor, reason, join_as, inputs).await,
            None => self.join_with_token(reason, inputs).await,
        }
    }

    /// Joins with a token that works once, so everything is tested before.
    async fn join_with_token(
        self: &Arc<Self>,
        reason: JoinReason,
        inputs: StepInputs,
    ) -> Result<ObtainedIdentity, RenewalError> {
        let token = require_token(inputs.token, reason);
        let (in_flight, token) = self.test_before_join(inputs.storage, reason, token).await?;
        let join = PreparedJoin { token, attestation: None, reason, as_bot: None };
        run_in_flight(in_flight, Arc::clone(self).send_join(join)).await
    }

    async fn join_with_attestation(
        self: &Arc<Self>,
        attestor: &Attestor,
        reason: JoinReason,
        join_as: Option<Arc<Identity>>,
        inputs: StepInputs,
    ) -> Result<ObtainedIdentity, RenewalError> {
        let StepInputs { token, storage } = inputs;
        storage.test?;
        // Obtained before any request to the cluster, because joining is impossible without it.
        let attestation = attestor.attest().await;
        let attestation = attestation.map_err(|error| RenewalError::Attestation { reason, error })?;
        self.discover_same(storage.cluster).await?;
        let token = require_token(token, reason)?;
        let as_bot = match join_as {
            Some(stored) => self.connect_as_instance(&stored).await?,
            None => None,
        };
        if as_bot.is_none() {
            self.trust_auth_server().await?;
        }
        let join = PreparedJoin { token, attestation: Some(attestation), reason, as_bot };
        run_in_flight(storage.in_flight, Arc::clone(self).send_join(join)).await
    }

    /// Connects as the stored identity, with which the bot joins again as the same instance.
    ///
    /// Returns `None` if the bot must join as a new instance: the server keeps no record of instances, or does not accept the
    /// identity.
    async fn connect_as_instance(&self, stored: &Identity) -> Result<Option<AuthClient>, RenewalError> {
        // Version 0 is unknown, so the server may keep instances.
        let has_no_instances = |version| (1..FIRST_VERSION_WITH_INSTANCES).contains(&version);
        if has_no_instances(self.server_version()) {
            return Ok(None);
        }
        let consequence = "joining as a new bot instance";
        let client = self.connect_as_stored(stored, ApiError::is_refused_identity, consequence).await?;
        Ok(client.filter(|client| !has_no_instances(client.info().server_major)))
    }

    /// Connects as the stored identity. If this fails with an error for which `is_refusal` returns true, logs `consequence` and
    /// returns `None`.
    pub(super) async fn connect_as_stored(
        &self,
        stored: &Identity,
        is_refusal: fn(&ApiError) -> bool,
        consequence: &str,
    ) -> Result<Option<AuthClient>, RenewalError> {
        match AuthClient::connect(&self.dialler, stored).await {
            Ok(client) => Ok(Some(client)),
            Err(error) if is_refusal(&error) => {
                let error = error_line(&error, None);
                tracing::info!("{consequence}, because the stored identity is not accepted: {error}");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tests everything that the agent needs after a join that cannot be repeated, and returns what the join needs, such as the
    /// token. If several tests fail, returns all failures.
    ///
    /// If the returned future is dropped, `storage.in_flight` is held until the files of the tests are removed.
    pub(super) async fn test_before_join<T>(
        self: &Arc<Self>,
        storage: StorageState,
        reason: JoinReason,
        needed: Result<T, RenewalError>,
    ) -> Result<(OwnedMutexGuard<()>, T), RenewalError> {
        let StorageState { in_flight, test, cluster } = storage;
        let mut failures: Vec<RenewalError> = test.err().map(RenewalError::from).into_iter().collect();
        let bot = Arc::clone(self);
        let (in_flight, unusable) = run_to_completion(async move {
            let destinations = &bot.join_settings.destinations;
            (in_flight, preflight::test_destinations(destinations, &bot.file_work).await)
        })
        .await;
        failures.extend(unusable.into_iter().map(RenewalError::from));
        match self.discover_same(cluster).await {
            Ok(cluster) => {
                let tested = async {
                    self.trust_auth_server().await?;
                    Ok(self.dialler.test_to_auth(&cluster).await?)
                };
                failures.extend(tested.await.err());
            }
            Err(error) => {
                failures.push(error);
                if self.dialler.kind() == ServerKind::Auth {
                    failures.extend(self.join_settings.trust.test().await.err().map(RenewalError::from));
                }
            }
        }
        match needed {
            Ok(needed) if failures.is_empty() => return Ok((in_flight, needed)),
            Ok(_) => {}
            Err(error) => failures.push(error),
        }
        Err(not_ready(reason, failures))
    }

    /// Returns the server to join at: as the bot if there is a connection as its identity.
    pub(super) fn join_server<'a>(&'a self, as_bot: Option<&'a AuthClient>) -> JoinServer<'a> {
        JoinServer { dialler: &self.dialler, version: self.server_version(), as_bot }
    }

    async fn send_join(self: Arc<Self>, join: PreparedJoin) -> Result<ObtainedIdentity, RenewalError> {
        let PreparedJoin { token, attestation, reason, as_bot } = join;
        let request = JoinRequest {
            method: self.join_settings.method,
            token: &token,
            attestation: attestation.as_ref(),
            registration_secret: None,
            expires: self.clock.now() + self.join_settings.ttl,
        };
        let server = self.join_server(as_bot.as_ref());
        let joined = log_wait(Box::pin(self.joiner.join(server, request))).await;
        let identity = Arc::new(joined.map_err(|error| RenewalError::Join { reason, error })?);
        let issued =
            UnsavedIdentity { identity, token_hash: token.hash(), keys: None, join_reason: Some(reason) };
        Arc::clone(&self).save(issued).await
    }
}

/// Returns the error of a join that the failed tests prevent. There must be at least one failure. A single one that can also stop a
/// renewal is returned as it is.
fn not_ready(reason: JoinReason, mut failures: Vec<RenewalError>) -> RenewalError {
    let is_only_before_joins = |error: &RenewalError| {
        matches!(
            error,
            RenewalError::Destination(_) | RenewalError::AuthRoute(_) | RenewalError::AuthServerTrust(_)
        )
    };
    if failures.len() == 1 && !failures.iter().any(is_only_before_joins) {
        return failures.remove(0);
    }
    RenewalError::NotReady { reason, failures }
}

/// Returns the token to join with.
///
/// # Errors
///
/// Returns an error if no token is configured, or if it cannot be read.
pub(super) fn require_token(
    token: Option<Result<JoinToken, JoinTokenError>>,
    reason: JoinReason,
) -> Result<JoinToken, RenewalError> {
    Ok(token.ok_or(RenewalError::NoToken(reason))??)
}
