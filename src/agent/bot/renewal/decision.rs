//! Decides whether to join, to renew, or to keep an identity as it is. Pure.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::agent::bot::storage::StoredIdentity;
use crate::agent::credential::identity::Identity;
use crate::agent::platform::Hint;
use crate::config::JoinMethod;

/// Why the agent joins instead of renewing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinReason {
    /// The storage contains no identity.
    NothingStored,
    /// The stored identity was obtained with a different token than the configured one.
    OtherToken,
    /// The stored identity has expired.
    Expired,
    /// The stored identity is renewed by joining again: it was obtained with an attestation or a bound key pair.
    NotRenewable,
}

impl JoinReason {
    /// Returns advice for the operator if the reason may be unexpected.
    #[must_use]
    pub fn hint(self) -> Option<Hint> {
        matches!(self, Self::Expired)
            .then(|| Hint::new("if the expiry is unexpected, check this machine's clock"))
    }

    /// Returns the hint for an error that prevents the join, followed by the hint for the reason of the join.
    pub(super) fn hint_after(self, error: Option<Hint>) -> Option<Hint> {
        match (error, self.hint()) {
            (Some(error), Some(reason)) => Some(format!("{error}; {reason}").into()),
            (error, reason) => error.or(reason),
        }
    }
}

impl fmt::Display for JoinReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingStored => "no stored identity",
            Self::OtherToken => {
                "the stored identity was obtained with a different token than the configured one"
            }
            Self::Expired => "the stored identity has expired",
            Self::NotRenewable => "the stored identity is renewed by joining again",
        })
    }
}

/// The next step to obtain a fresh identity.
#[derive(Debug)]
pub(super) enum RenewalStep {
    Join {
        reason: JoinReason,
        /// The stored identity, if the bot joins to renew it: the server can then keep it as the same bot instance.
        join_as: Option<Arc<Identity>>,
    },
    Renew(StoredIdentity),
    /// Keep the stored identity: the response to an earlier renewal was lost, and another renewal would lock the bot.
    Suspend(StoredIdentity),
}

/// Decides on the next step. `token_hash` is the hash of the configured token, or `None` if the token cannot be read.
///
/// A renewal marker counts only if presenting the identity once more can lock the bot: if it is renewable, or with the join method
/// `bound_keypair`.
pub(super) fn decide(
    stored: Option<StoredIdentity>,
    method: JoinMethod,
    token_hash: Option<&str>,
    now: SystemTime,
) -> RenewalStep {
    let join = |reason| RenewalStep::Join { reason, join_as: None };
    let Some(stored) = stored else { return join(JoinReason::NothingStored) };
    let has_other_token = token_hash.is_some_and(|hash| hash != stored.token_hash);
    if has_other_token {
        join(JoinReason::OtherToken)
    } else if stored.identity.is_expired(now) {
        join(JoinReason::Expired)
    } else if stored.renewal_pending && (stored.identity.user.renewable || method == JoinMethod::BoundKeypair)
    {
        RenewalStep::Suspend(stored)
    } else if stored.identity.user.renewable {
        RenewalStep::Renew(stored)
    } else {
        RenewalStep::Join { reason: JoinReason::NotRenewable, join_as: Some(stored.identity) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::agent::bot::storage::Storage;
    use crate::agent::destination::target::DirectoryTarget;
    use crate::agent::platform::Clock;
    use crate::agent::platform::reminders::RecurringWarnings;
    use crate::agent::recordings::copy_recorded_directory;

    #[test]
    fn the_step_depends_on_the_stored_identity_the_token_and_the_time() {
        let directory = copy_recorded_directory("storage");
        let storage = Storage::open_directory(
            DirectoryTarget::with_defaults(directory.path()),
            RecurringWarnings::new(Clock::system()),
        )
        .unwrap();
        let stored = storage.load().unwrap().unwrap();
        let expiry = stored.identity.user.not_after;
        let before = expiry - Duration::from_secs(1);
        let pending = StoredIdentity { renewal_pending: true, ..stored.clone() };
        let step_with = |method, stored: Option<&StoredIdentity>, hash: Option<&str>, now| match decide(
            stored.cloned(),
            method,
            hash,
            now,
        ) {
            RenewalStep::Join { reason, join_as } => {
                assert_eq!(join_as.is_some(), reason == JoinReason::NotRenewable);
                Err(reason)
            }
            RenewalStep::Renew(_) => Ok("renew"),
            RenewalStep::Suspend(_) => Ok("suspend"),
        };
        let step = |stored, hash, now| step_with(JoinMethod::Token, stored, hash, now);
        let same_token = Some(stored.token_hash.as_str());

        assert_eq!(step(None, None, before), Err(JoinReason::NothingStored));
        assert_eq!(step(Some(&stored), same_token, before), Ok("renew"));
        assert_eq!(step(Some(&stored), None, before), Ok("renew"), "an unreadable token changes nothing");
        assert_eq!(step(Some(&stored), Some("other"), before), Err(JoinReason::OtherToken));
        assert_eq!(step(Some(&stored), same_token, expiry), Err(JoinReason::Expired));
        let mut attested = storage.load().unwrap().unwrap();
        drop(storage);
        Arc::get_mut(&mut attested.identity).unwrap().user.renewable = false;
        assert_eq!(step(Some(&attested), same_token, before), Err(JoinReason::NotRenewable));
        let attested = StoredIdentity { renewal_pending: true, ..attested.clone() };
        for (method, expected) in [
            (JoinMethod::Kubernetes, Err(JoinReason::NotRenewable)),
            (JoinMethod::BoundKeypair, Ok("suspend")),
        ] {
            assert_eq!(step_with(method, Some(&attested), same_token, before), expected, "{method:?}");
        }
        assert_eq!(step(Some(&pending), same_token, before), Ok("suspend"));
        assert_eq!(step(Some(&pending), Some("other"), before), Err(JoinReason::OtherToken));
        assert_eq!(step(Some(&pending), same_token, expiry), Err(JoinReason::Expired));
    }

    #[test]
    fn only_an_expiry_may_be_unexpected() {
        let reasons = [JoinReason::NothingStored, JoinReason::OtherToken, JoinReason::NotRenewable];
        assert_eq!(reasons.map(JoinReason::hint), [const { None }; 3]);
        let clock = JoinReason::Expired.hint().unwrap();
        let error = || Some(Hint::new("advice"));
        assert_eq!(JoinReason::Expired.hint_after(None), Some(clock.clone()));
        assert_eq!(JoinReason::Expired.hint_after(error()), Some(format!("advice; {clock}").into()));
        assert_eq!(JoinReason::OtherToken.hint_after(error()), error());
        assert_eq!(JoinReason::OtherToken.hint_after(None), None);
    }

    #[test]
    fn every_reason_is_described() {
        let reasons = [
            JoinReason::NothingStored,
            JoinReason::OtherToken,
            JoinReason::Expired,
            JoinReason::NotRenewable,
        ];
        insta::assert_snapshot!(reasons.map(|reason| reason.to_string()).join("\n"), @r"
        no stored identity
        the stored identity was obtained with a different token than the configured one
        the stored identity has expired
        the stored identity is renewed by joining again
        ");
    }
}
