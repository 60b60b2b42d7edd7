//! Joins the cluster. Each call makes one attempt and never repeats it.
//!
//! With the join method `token`, the token is a single-use secret, and the certificates can be renewed (see `renewal`). With every
//! other method, the token is only a name, and the certificates are not renewable: for each renewal, the bot joins again with a
//! new key.
//!
//! With `bound_keypair`, the bot signs challenges with its own key pair (see [`bound_keypair`]). With every other method, an
//! [`attestation`] accompanies the join. The agent obtains a new one for each join, and stores no renewal marker, because repeating
//! such a join cannot lock the bot. The exception is a bot that joined with the method `token` before: servers of version 15 then
//! treat it as a stolen copy.
//!
//! There are two join protocols (see [`order`]): *join v1* ([`join_v1`]), and the *legacy join*, which servers offer up to version
//! 19. The legacy join is [`http_join`] at a proxy, or [`legacy_service`] for methods with a challenge, with a client certificate,
//! and at an auth server.
//!
//! Servers from version 17 on keep a record of each bot instance. A bot that joins again while its certificate is valid does so
//! as itself, over a connection with that certificate, and stays the same instance.

pub(crate) mod attestation;
mod bound_keypair;
mod challenge_response;
mod error;
mod exchange;
mod http_join;
mod join_v1;
mod legacy_service;
mod order;
mod refusal_context;
mod request;

use std::sync::atomic::{AtomicBool, Ordering};

use tonic::transport::Channel;

use crate::agent::credential::identity::{Identity, SignedCerts};
use crate::agent::credential::keys::KeyPair;
use crate::agent::net::dialler::Dialler;
use crate::agent::net::known_server::ServerKind;
use crate::agent::teleport::auth_client::AuthClient;
pub(crate) use attestation::{Attestation, Attestor};
pub(crate) use bound_keypair::{BoundKeyStore, BoundKeypairExchange};
use error::JOIN_MAY_BE_COUNTED;
pub use error::JoinError;
use exchange::{OPEN_TIMEOUT, TIMED_OUT, with_timeout};
#[cfg(test)]
pub(crate) use http_join::parse_response;
use join_v1::JoinStream;
use order::JoinOrder;
pub(crate) use request::JoinRequest;

/// The server to join at.
pub(crate) struct JoinServer<'a> {
    pub(crate) dialler: &'a Dialler,
    /// The major version, or 0 if it is unknown.
    pub(crate) version: u32,
    /// A connection as the stored identity, with which the bot joins again.
    pub(crate) as_bot: Option<&'a AuthClient>,
}

impl JoinServer<'_> {
    async fn channel(&self) -> Result<Channel, JoinError> {
        match self.as_bot {
            Some(client) => Ok(client.channel()),
            None => exchange::connect(self.dialler).await,
        }
    }

    async fn open_v1(&self, request: &JoinRequest<'_>) -> Result<JoinStream, JoinError> {
        let open = async { JoinStream::open(self.channel().await?, request, self.dialler.clock()).await };
        // Nothing was spent yet.
        tokio::time::timeout(OPEN_TIMEOUT, open).await.unwrap_or_else(|_| Err(exchange::lost(TIMED_OUT)))
    }

    /// Joins as at servers before version 18.
    async fn join_legacy(&self, request: &JoinRequest<'_>, key: &KeyPair) -> Result<SignedCerts, JoinError> {
        let id_token = match request.attestation {
            Some(Attestation::Cloud(cloud)) => {
                let join = async {
                    let (channel, clock) = (self.channel().await?, self.dialler.clock());
                    legacy_service::join_with_challenge(channel, cloud, request, key, clock).await
                };
                return with_timeout(request, join).await;
            }
            Some(Attestation::IdToken(id_token)) => Some(id_token),
            None => None,
        };
        let kind = self.dialler.kind();
        if self.as_bot.is_some() || kind == ServerKind::Auth {
            let join = async { legacy_service::join(&self.channel().await?, id_token, request, key).await };
            match with_timeout(request, join).await {
                // Servers before version 17 lack this call, and the first releases of version 17 may.
                Err(error) if error.is_not_offered() => {}
                certs => return certs,
            }
        }
        match kind {
            ServerKind::Proxy => http_join::join(self.dialler.web(), id_token, request, key).await,
            ServerKind::Auth => http_join::join_at_auth_server(self.dialler, id_token, request, key).await,
        }
    }
}

/// Joins, and remembers, until the process ends, whether the cluster lacks join v1.
#[derive(Default)]
pub(crate) struct Joiner {
    lacks_join_v1: AtomicBool,
}

impl Joiner {
    /// Joins with a fresh key. Without an attestation, this uses up the token.
    pub(crate) async fn join(
        &self,
        server: JoinServer<'_>,
        request: JoinRequest<'_>,
    ) -> Result<Identity, JoinError> {
        let key = KeyPair::generate()?;
        let lacks_v1 = self.lacks_join_v1.load(Ordering::Relaxed);
        let certs = match order::order(request.method, server.version, lacks_v1) {
            JoinOrder::LegacyOnly => server.join_legacy(&request, &key).await?,
            JoinOrder::V1Only => server.open_v1(&request).await?.join(&request, &key).await?,
            JoinOrder::V1First => match server.open_v1(&request).await {
                Ok(stream) => stream.join(&request, &key).await?,
                Err(error) if error.may_not_be_offered() => {
                    tracing::debug!(%error, "joining as at servers before version 18");
                    let certs = server.join_legacy(&request, &key).await?;
                    self.lacks_join_v1.store(true, Ordering::Relaxed);
                    certs
                }
                Err(error) => return Err(error),
            },
            JoinOrder::LegacyFirst => match server.join_legacy(&request, &key).await {
                Err(error) if error.is_not_offered() => {
                    let stream = server.open_v1(&request).await;
                    let stream =
                        stream.map_err(|other| if other.is_not_offered() { error } else { other })?;
                    stream.join(&request, &key).await?
                }
                certs => certs?,
            },
        };
        Ok(Identity::new(key, certs)?)
    }

    /// Joins with a bound key pair, which only join v1 supports. The caller must then save the key pairs in `exchange` together with
    /// the identity.
    pub(crate) async fn join_with_bound_keypair(
        &self,
        server: JoinServer<'_>,
        request: JoinRequest<'_>,
        exchange: &mut BoundKeypairExchange,
        store: &impl BoundKeyStore,
    ) -> Result<Identity, JoinError> {
        let missing = || JoinError::NoJoinService { method: request.method, version: server.version };
        if (1..=17).contains(&server.version) {
            return Err(missing());
        }
        let key = KeyPair::generate()?;
        let opened = server.open_v1(&request).await;
        let stream = opened.map_err(|error| if error.is_not_offered() { missing() } else { error })?;
        let joined = stream.join_with_bound_keypair(&request, &key, exchange, store).await;
        let certs = joined.map_err(|error| match error {
            JoinError::NoResponse { error, .. } => {
                let hint = exchange.may_have_joined().then_some(JOIN_MAY_BE_COUNTED);
                JoinError::NoResponse { error, hint }
            }
            error => error,
        })?;
        Ok(Identity::new(key, certs)?)
    }
}
