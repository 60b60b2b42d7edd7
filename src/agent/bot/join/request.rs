//! The request to join, for both join protocols.

use std::time::{Duration, SystemTime};

use super::attestation::Attestation;
use super::refusal_context::RefusalContext;
use crate::agent::bot::bound_keypair::RegistrationSecret;
use crate::agent::bot::join_token::JoinToken;
use crate::agent::teleport::grpc::SINGLE_CALL_TIMEOUT;
use crate::config::JoinMethod;

/// The timeout of a join with an attestation, which can be repeated.
const REPEATABLE_TIMEOUT: Duration = Duration::from_secs(25);

/// What a bot asks for when it joins.
pub(crate) struct JoinRequest<'a> {
    pub(crate) method: JoinMethod,
    pub(crate) token: &'a JoinToken,
    /// `None` for the join methods `token` and `bound_keypair`.
    pub(crate) attestation: Option<&'a Attestation>,
    /// For the join method `bound_keypair`, if the bot has one.
    pub(crate) registration_secret: Option<&'a RegistrationSecret>,
    /// The requested expiry of the certificates. The server may choose an earlier one.
    pub(crate) expires: SystemTime,
}

impl JoinRequest<'_> {
    /// Returns how long to wait for the certificates. A server that has accepted a single-use token, or incremented the generation
    /// of a certificate, accepts neither again.
    pub(super) fn timeout(&self) -> Duration {
        if self.attestation.is_some() { REPEATABLE_TIMEOUT } else { SINGLE_CALL_TIMEOUT }
    }

    /// Returns what the errors of the join depend on.
    pub(super) fn context(&self) -> RefusalContext {
        if self.method == JoinMethod::BoundKeypair {
            return RefusalContext::with_bound_keypair(self.registration_secret);
        }
        RefusalContext::new(self.token, self.attestation)
    }
}
