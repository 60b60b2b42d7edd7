//! What to check when a server refuses, or a connection cannot be made: from the words of the one who refused, to advice
//! that continues the sentence. Pure.

/// Advice on a refusal of the auth server, with its leading semicolon; empty when there is none.
pub(super) fn refused(message: &str) -> &'static str {
    // The order matters: the general words come last.
    const ADVICE: [(&str, &str); 10] = [
        (
            "generation mismatch",
            "; the bot is locked now, because its certificate was used twice: remove the lock (tctl get locks), recreate the bot and configure its new token",
        ),
        (
            "has requested role impersonation",
            "; the bot may act with the roles it was given only: give it these (tctl bots update --add-roles), or take them out of the output's roles",
        ),
        (
            "credentials have expired",
            "; the server takes what was asked for to be over already: check that this machine's clock is right",
        ),
        (
            "on \"host_cert\"",
            "; a role that the output acts with needs the rule `host_cert: [create]` (resources: [host_cert], verbs: [create])",
        ),
        (
            "on \"workload_identity\"",
            "; a role of the bot needs the rule `workload_identity: [list, read]` (resources: [workload_identity], verbs: [list, read]) and workload_identity_labels",
        ),
        ("access denied to perform action", "; a role that this bot acts with needs a rule that allows this"),
        (
            "client version is unsupported",
            "; this server does not serve clients of this version: use a tbot that is made for it",
        ),
        (
            "missing a bot instance ID",
            "; the server was upgraded past what this certificate was made for: create a new token (tctl bots instances add) and set onboarding.token",
        ),
        (
            "not allowed to reissue",
            "; this is an output's certificate, which is no bot's: check what stands in the storage folder",
        ),
        (
            "access denied",
            "; check whether the bot or its user is locked (tctl get locks) or was removed (tctl bots ls)",
        ),
    ];
    ADVICE.iter().find(|(words, _)| message.contains(words)).map_or("", |(_, advice)| advice)
}

/// Advice on a connection to auth that failed, with its leading semicolon.
pub(super) fn to_auth(detail: &str) -> &'static str {
    match Cause::of(detail) {
        Some(Cause::UnknownIssuer) => {
            "; the auth server's certificate is of an authority that this identity does not know: where the cluster's host CA was rotated while this agent was away, join with a new token"
        }
        Some(Cause::NotYetValid | Cause::Expired) => {
            "; either the auth server's certificate is not valid now, or this machine's clock is wrong: check the clock first"
        }
        Some(Cause::OursUnknown) => {
            "; the auth server does not know the authority of this identity any more: where the cluster's user CA was rotated while this agent was away, join with a new token"
        }
        Some(Cause::OursExpired) => {
            "; the auth server takes this identity to have expired: check this machine's clock, else the agent joins again when it sees so itself"
        }
        Some(Cause::Closed) => {
            "; the connection was closed without a word: if this stays so while the proxy is up, the auth server does not take this identity any more (where the cluster's user CA was rotated while this agent was away, join with a new token)"
        }
        None => {
            "; check that the proxy is up, that it is reached without a load balancer that ends TLS, and that this machine's clock is right"
        }
    }
}

/// Advice on a connection to the proxy's web address that failed, where its words tell enough.
pub(super) fn to_proxy(detail: &str) -> Option<&'static str> {
    match Cause::of(detail)? {
        Cause::UnknownIssuer => Some(
            "its certificate is of an authority that this machine does not trust: name that authority's certificate in SSL_CERT_FILE, or install it",
        ),
        Cause::NotYetValid | Cause::Expired => Some(
            "either the proxy's certificate is not valid now, or this machine's clock is wrong: check the clock first",
        ),
        Cause::OursUnknown | Cause::OursExpired | Cause::Closed => None,
    }
}

/// What rustls's words mean: it speaks of the other side's certificate, and passes on what the other side says of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    UnknownIssuer,
    NotYetValid,
    Expired,
    OursUnknown,
    OursExpired,
    /// TLS 1.3 tells a client that its certificate is refused after the handshake, and the word may get lost.
    Closed,
}

impl Cause {
    fn of(detail: &str) -> Option<Self> {
        let has = |words: &str| detail.contains(words);
        if has("fatal alert") {
            return if has("CertificateExpired") {
                Some(Self::OursExpired)
            } else if has("UnknownCA") || has("BadCertificate") || has("DecryptError") {
                Some(Self::OursUnknown)
            } else {
                None
            };
        }
        if !has("invalid peer certificate") {
            has("connection closed").then_some(Self::Closed)
        } else if has("UnknownIssuer") || has("BadSignature") {
            Some(Self::UnknownIssuer)
        } else if has("not valid yet") || has("NotValidYet") {
            Some(Self::NotYetValid)
        } else if has("expired") || has("Expired") {
            Some(Self::Expired)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_telling_words_decide() {
        assert!(
            refused(r#"access denied to perform action "create" on "host_cert""#)
                .contains("host_cert: [create]")
        );
        assert!(
            refused(r#"access denied to perform action "read" on "workload_identity""#)
                .contains("workload_identity_labels")
        );
        assert!(refused(r#"access denied to perform action "read" on "role""#).contains("needs a rule"));
        assert!(refused("access denied: client credentials have expired, please relogin.").contains("clock"));
        assert!(refused("access denied").contains("locked"));
        assert_eq!(refused("backend is away"), "");
    }

    #[test]
    fn the_words_of_rustls_are_those_that_are_looked_for() {
        use rustls::{AlertDescription, CertificateError, Error};
        let peer = |error: CertificateError| Cause::of(&Error::InvalidCertificate(error).to_string());
        assert_eq!(peer(CertificateError::UnknownIssuer), Some(Cause::UnknownIssuer));
        assert_eq!(peer(CertificateError::NotValidYet), Some(Cause::NotYetValid));
        assert_eq!(peer(CertificateError::Expired), Some(Cause::Expired));
        let alert = |alert: AlertDescription| Cause::of(&Error::AlertReceived(alert).to_string());
        assert_eq!(alert(AlertDescription::UnknownCA), Some(Cause::OursUnknown));
        assert_eq!(alert(AlertDescription::CertificateExpired), Some(Cause::OursExpired));
        assert_eq!(alert(AlertDescription::InternalError), None);
    }
}
