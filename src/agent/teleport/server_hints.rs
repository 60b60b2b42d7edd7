//! Hints for error responses and failed connections.

use crate::agent::net::connection_error::{ConnectionError, TlsFailure};
use crate::agent::platform::Hint;

/// Returns a hint for the message of an error response from the auth server.
pub(super) fn for_error_status(message: &str) -> Option<Hint> {
    // The order matters: the most general messages come last.
    const HINTS: [(&str, &str); 10] = [
        (
            "generation mismatch",
            "the bot is locked now, because its certificate was used twice: remove the lock (tctl get locks), recreate the bot, and configure its new token",
        ),
        (
            "has requested role impersonation",
            "the bot may impersonate only roles that it was given: give it these (tctl bots update --add-roles), or remove them from the output's roles",
        ),
        (
            "credentials have expired",
            "by the server's clock, the requested expiry is in the past: check this machine's clock",
        ),
        (
            "on \"host_cert\"",
            "a role that the output impersonates needs the rule `host_cert: [create]` (resources: [host_cert], verbs: [create])",
        ),
        (
            "on \"workload_identity\"",
            "a role of the bot needs the rule `workload_identity: [list, read]` (resources: [workload_identity], verbs: [list, read]) and workload_identity_labels",
        ),
        (
            "access denied to perform action",
            "a role that this bot impersonates needs a rule that allows this",
        ),
        (
            "client version is unsupported",
            "this server does not accept clients of this version: use a tbot of a matching version",
        ),
        (
            "missing a bot instance ID",
            "the server was upgraded and no longer accepts this certificate: create a new token (tctl bots instances add) and set onboarding.token",
        ),
        (
            "not allowed to reissue",
            "this certificate belongs to an output, not to the bot: check the files in the storage directory",
        ),
        (
            "access denied",
            "check whether the bot or its user is locked (tctl get locks) or was removed (tctl bots ls)",
        ),
    ];
    HINTS.iter().find(|(part, _)| message.contains(part)).map(|(_, hint)| Hint::new(hint))
}

/// Returns a hint for a failed connection to the auth server.
pub(super) fn for_auth_connection(error: &ConnectionError) -> Hint {
    if let Some(hint) = error.hint() {
        return hint;
    }
    Hint::new(match error.tls_failure() {
        Some(TlsFailure::UnknownIssuer) => {
            "the auth server's certificate was issued by a CA that this identity does not know: if the cluster's host CA was rotated while this agent was stopped, join with a new token"
        }
        Some(TlsFailure::NotYetValid | TlsFailure::Expired) => {
            "either the auth server's certificate is not valid at this time, or this machine's clock is wrong: check the clock first"
        }
        Some(TlsFailure::ClientCaUnknown) => {
            "the auth server no longer knows the CA of this identity: if the cluster's user CA was rotated while this agent was stopped, join with a new token"
        }
        Some(TlsFailure::ClientExpired) => {
            "by the auth server's clock, this identity has expired: check this machine's clock (the agent joins again when the identity has also expired by that clock)"
        }
        Some(TlsFailure::Closed) => {
            "the connection was closed without a reason: if this continues while the server is up, the auth server no longer accepts this identity (if the cluster's user CA was rotated while this agent was stopped, join with a new token)"
        }
        None if error.failed_before_tls() => "check that the server is up and reachable from here",
        Some(TlsFailure::NotTls | TlsFailure::ClosedInHandshake) | None => {
            "check that the server is up, and that this machine's clock is right"
        }
    })
}

/// Returns a hint for a failed connection to the proxy's web address, if its error is specific enough.
pub(super) fn for_proxy_connection(error: &ConnectionError) -> Option<Hint> {
    if let Some(hint) = error.hint() {
        return Some(hint);
    }
    match error.tls_failure()? {
        TlsFailure::UnknownIssuer => Some(Hint::new(
            "its certificate was issued by a CA that this machine does not trust: set SSL_CERT_FILE to the CA's certificate, or install it",
        )),
        TlsFailure::NotYetValid | TlsFailure::Expired => Some(Hint::new(
            "either the proxy's certificate is not valid at this time, or this machine's clock is wrong: check the clock first",
        )),
        TlsFailure::ClientCaUnknown
        | TlsFailure::ClientExpired
        | TlsFailure::NotTls
        | TlsFailure::ClosedInHandshake
        | TlsFailure::Closed => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connection_that_reached_the_server_may_depend_on_the_clock() {
        let mentions_clock = |kind: std::io::ErrorKind| {
            let error = ConnectionError::new(std::io::Error::from(kind));
            for_auth_connection(&error).as_str().contains("clock")
        };
        assert!(!mentions_clock(std::io::ErrorKind::ConnectionRefused));
        assert!(mentions_clock(std::io::ErrorKind::Other));
    }

    #[test]
    fn the_most_specific_hint_is_chosen() {
        let hints: Vec<String> = [
            r#"access denied to perform action "create" on "host_cert""#,
            r#"access denied to perform action "read" on "workload_identity""#,
            r#"access denied to perform action "read" on "role""#,
            "access denied: client credentials have expired, please relogin.",
            "access denied",
        ]
        .map(|message| for_error_status(message).unwrap().to_string())
        .into();
        insta::assert_snapshot!(hints.join("\n"));
        assert_eq!(for_error_status("backend unavailable"), None);
    }
}
