//! Hints for refused requests and failed connections. A hint continues the sentence of the error.

/// Returns a hint for a request that the auth server refused, with a leading semicolon, or an empty string.
pub(super) fn for_refusal(message: &str) -> &'static str {
    // The order matters: the most general messages come last.
    const HINTS: [(&str, &str); 10] = [
        (
            "generation mismatch",
            "; the bot is locked now, because its certificate was used twice: remove the lock (tctl get locks), recreate the bot, and configure its new token",
        ),
        (
            "has requested role impersonation",
            "; the bot may impersonate only roles that it was given: give it these (tctl bots update --add-roles), or remove them from the output's roles",
        ),
        (
            "credentials have expired",
            "; by the server's clock, the requested expiry is in the past: check this machine's clock",
        ),
        (
            "on \"host_cert\"",
            "; a role that the output impersonates needs the rule `host_cert: [create]` (resources: [host_cert], verbs: [create])",
        ),
        (
            "on \"workload_identity\"",
            "; a role of the bot needs the rule `workload_identity: [list, read]` (resources: [workload_identity], verbs: [list, read]) and workload_identity_labels",
        ),
        (
            "access denied to perform action",
            "; a role that this bot impersonates needs a rule that allows this",
        ),
        (
            "client version is unsupported",
            "; this server does not accept clients of this version: use a tbot of a matching version",
        ),
        (
            "missing a bot instance ID",
            "; the server was upgraded and no longer accepts this certificate: create a new token (tctl bots instances add) and set onboarding.token",
        ),
        (
            "not allowed to reissue",
            "; this certificate belongs to an output, not to the bot: check the files in the storage directory",
        ),
        (
            "access denied",
            "; check whether the bot or its user is locked (tctl get locks) or was removed (tctl bots ls)",
        ),
    ];
    HINTS.iter().find(|(part, _)| message.contains(part)).map_or("", |(_, hint)| hint)
}

/// Returns a hint for a failed connection to the auth server, with a leading semicolon.
pub(super) fn for_auth_connection(detail: &str) -> &'static str {
    match TlsFailure::from_message(detail) {
        Some(TlsFailure::UnknownIssuer) => {
            "; the auth server's certificate was issued by a CA that this identity does not know: if the cluster's host CA was rotated while this agent was stopped, join with a new token"
        }
        Some(TlsFailure::NotYetValid | TlsFailure::Expired) => {
            "; either the auth server's certificate is not valid at this time, or this machine's clock is wrong: check the clock first"
        }
        Some(TlsFailure::ClientCaUnknown) => {
            "; the auth server no longer knows the CA of this identity: if the cluster's user CA was rotated while this agent was stopped, join with a new token"
        }
        Some(TlsFailure::ClientExpired) => {
            "; by the auth server's clock, this identity has expired: check this machine's clock (the agent joins again when the identity has also expired by that clock)"
        }
        Some(TlsFailure::Closed) => {
            "; the connection was closed without a reason: if this continues while the proxy is up, the auth server no longer accepts this identity (if the cluster's user CA was rotated while this agent was stopped, join with a new token)"
        }
        None => {
            "; check that the proxy is up, that no load balancer in front of it terminates TLS, and that this machine's clock is right"
        }
    }
}

/// Returns a hint for a failed connection to the proxy's web address, if its error is specific enough.
pub(super) fn for_proxy_connection(detail: &str) -> Option<&'static str> {
    match TlsFailure::from_message(detail)? {
        TlsFailure::UnknownIssuer => Some(
            "its certificate was issued by a CA that this machine does not trust: set SSL_CERT_FILE to the CA's certificate, or install it",
        ),
        TlsFailure::NotYetValid | TlsFailure::Expired => Some(
            "either the proxy's certificate is not valid at this time, or this machine's clock is wrong: check the clock first",
        ),
        TlsFailure::ClientCaUnknown | TlsFailure::ClientExpired | TlsFailure::Closed => None,
    }
}

/// Why a TLS connection failed: rustls refused the server's certificate, or the server refused the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TlsFailure {
    UnknownIssuer,
    NotYetValid,
    Expired,
    ClientCaUnknown,
    ClientExpired,
    /// The server closed the connection. In TLS 1.3, it refuses a client certificate after the handshake, and its alert
    /// may get lost.
    Closed,
}

impl TlsFailure {
    /// Recognises the failure in the message of an error.
    fn from_message(message: &str) -> Option<Self> {
        let has = |part: &str| message.contains(part);
        if has("fatal alert") {
            return if has("CertificateExpired") {
                Some(Self::ClientExpired)
            } else if has("UnknownCA") || has("BadCertificate") || has("DecryptError") {
                Some(Self::ClientCaUnknown)
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
    fn the_most_specific_hint_is_chosen() {
        let hints: Vec<&str> = [
            r#"access denied to perform action "create" on "host_cert""#,
            r#"access denied to perform action "read" on "workload_identity""#,
            r#"access denied to perform action "read" on "role""#,
            "access denied: client credentials have expired, please relogin.",
            "access denied",
        ]
        .map(for_refusal)
        .into();
        insta::assert_snapshot!(hints.join("\n"));
        assert_eq!(for_refusal("backend unavailable"), "");
    }

    #[test]
    fn errors_of_rustls_are_recognised() {
        use rustls::{AlertDescription, CertificateError, Error};
        let peer =
            |error: CertificateError| TlsFailure::from_message(&Error::InvalidCertificate(error).to_string());
        assert_eq!(peer(CertificateError::UnknownIssuer), Some(TlsFailure::UnknownIssuer));
        assert_eq!(peer(CertificateError::NotValidYet), Some(TlsFailure::NotYetValid));
        assert_eq!(peer(CertificateError::Expired), Some(TlsFailure::Expired));
        let alert =
            |alert: AlertDescription| TlsFailure::from_message(&Error::AlertReceived(alert).to_string());
        assert_eq!(alert(AlertDescription::UnknownCA), Some(TlsFailure::ClientCaUnknown));
        assert_eq!(alert(AlertDescription::CertificateExpired), Some(TlsFailure::ClientExpired));
        assert_eq!(alert(AlertDescription::InternalError), None);
    }
}
