//! Whether to join, to renew, or to leave an identity alone. Pure.

use std::fmt;
use std::time::SystemTime;

use crate::agent::bot::storage::Stored;

/// Why an agent joins instead of renewing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinReason {
    /// The storage holds no identity.
    NothingStored,
    /// The configured token is not the one that the stored identity was joined with.
    OtherToken,
    /// The stored identity has expired.
    Expired,
    /// The stored identity was joined with a proof, and cannot be renewed.
    NotRenewable,
}

impl fmt::Display for JoinReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingStored => "no identity is stored",
            Self::OtherToken => {
                "the configured token is not the one that the stored identity was joined with"
            }
            Self::Expired => {
                "the stored identity has expired (if this seems wrong, check this machine's clock)"
            }
            Self::NotRenewable => "the stored identity is of a kind that is renewed by joining again",
        })
    }
}

/// What to do about the identity.
#[derive(Debug)]
pub(super) enum Step {
    Join(JoinReason),
    Renew(Stored),
    /// An earlier renewal's answer is lost: asking again would lock the bot.
    HoldBack(Stored),
}

/// Decides from what is stored, the hash of the configured token (none when it cannot be read), and the time.
pub(super) fn decide(stored: Option<Stored>, token_hash: Option<&str>, now: SystemTime) -> Step {
    let Some(stored) = stored else { return Step::Join(JoinReason::NothingStored) };
    let joined_with_another = token_hash.is_some_and(|hash| hash != stored.token_hash);
    if joined_with_another {
        Step::Join(JoinReason::OtherToken)
    } else if stored.identity.is_expired(now) {
        Step::Join(JoinReason::Expired)
    } else if stored.renewal_pending {
        Step::HoldBack(stored)
    } else if stored.identity.user.renewable {
        Step::Renew(stored)
    } else {
        Step::Join(JoinReason::NotRenewable)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::agent::bot::storage::Storage;
    use crate::agent::destination::writer::Directory;
    use crate::agent::recordings::recorded_folder;

    #[test]
    fn what_is_stored_decides_between_joining_renewing_and_holding_back() {
        let root = recorded_folder("storage");
        let stored = Storage::directory(Directory::at(root.path())).unwrap().load().unwrap().unwrap();
        let end = stored.identity.user.not_after;
        let before = end - Duration::from_secs(1);
        let pending = Stored { renewal_pending: true, ..stored.clone() };
        let decided =
            |stored: Option<&Stored>, hash: Option<&str>, now| match decide(stored.cloned(), hash, now) {
                Step::Join(reason) => Err(reason),
                Step::Renew(_) => Ok("renew"),
                Step::HoldBack(_) => Ok("hold back"),
            };
        let same = Some(stored.token_hash.as_str());

        assert_eq!(decided(None, None, before), Err(JoinReason::NothingStored));
        assert_eq!(decided(Some(&stored), same, before), Ok("renew"));
        assert_eq!(
            decided(Some(&stored), None, before),
            Ok("renew"),
            "a token file that is gone changes nothing"
        );
        assert_eq!(decided(Some(&stored), Some("other"), before), Err(JoinReason::OtherToken));
        assert_eq!(decided(Some(&stored), same, end), Err(JoinReason::Expired));
        assert_eq!(decided(Some(&pending), same, before), Ok("hold back"));
        assert_eq!(decided(Some(&pending), Some("other"), before), Err(JoinReason::OtherToken));
        assert_eq!(decided(Some(&pending), same, end), Err(JoinReason::Expired));
    }
}
