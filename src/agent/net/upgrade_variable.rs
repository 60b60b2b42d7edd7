//! The environment variable that says whether connections need the connection upgrade, instead of the agent's test.

use crate::agent::platform::{Environment, Hint, NotUtf8};
use crate::config::Address;
use crate::untrusted::escape;

const VARIABLE: &str = "TELEPORT_TLS_ROUTING_CONN_UPGRADE";

/// `TELEPORT_TLS_ROUTING_CONN_UPGRADE` is neither a boolean nor a list of addresses. This is reported before the first request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionUpgradeVariableError {
    /// The variable is not UTF-8.
    #[error(transparent)]
    NotUtf8(#[from] NotUtf8),
    /// A part of the variable is not a boolean.
    #[error("environment variable {VARIABLE} is not valid: `{0}` is not a boolean")]
    NotBoolean(String),
}

impl ConnectionUpgradeVariableError {
    /// Returns advice for the operator.
    #[must_use]
    pub fn hint(&self) -> Hint {
        match self {
            Self::NotUtf8(error) => error.hint(),
            Self::NotBoolean(_) => Hint::new(
                "set it to `yes` or `no`, or to a list such as `proxy.example.com:443=yes`; or unset it to let the agent test it",
            ),
        }
    }
}

/// Returns whether the environment says that connections to `address` need the upgrade: a boolean for all addresses, or a
/// list of `ADDRESS=BOOLEAN`, separated by commas or semicolons. What it says about one address takes precedence.
pub(crate) fn needs_upgrade(
    environment: &Environment,
    address: &Address,
) -> Result<Option<bool>, ConnectionUpgradeVariableError> {
    let Some(value) = environment.get_utf8(VARIABLE)? else { return Ok(None) };
    let address = address.to_string();
    let (mut for_all, mut for_address) = (None, None);
    for part in value.split([',', ';']).map(str::trim).filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some((of, value)) if of.trim() == address => {
                for_address = Some(parse_upgrade_bool(value.trim())?);
            }
            Some((_, value)) => {
                parse_upgrade_bool(value.trim())?;
            }
            None => for_all = Some(parse_upgrade_bool(part)?),
        }
    }
    Ok(for_address.or(for_all))
}

/// Parses a boolean as the Go agent does for this variable.
fn parse_upgrade_bool(text: &str) -> Result<bool, ConnectionUpgradeVariableError> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "yeah" | "y" | "true" | "t" | "1" | "on" => Ok(true),
        "no" | "nope" | "n" | "false" | "f" | "0" | "off" => Ok(false),
        _ => Err(ConnectionUpgradeVariableError::NotBoolean(escape(text).into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs_upgrade_with(value: &str) -> Result<Option<bool>, ConnectionUpgradeVariableError> {
        let environment = [(VARIABLE, value)].into_iter().collect();
        needs_upgrade(&environment, &"a.example:443".parse().unwrap())
    }

    #[test]
    fn the_variable_is_a_boolean_or_a_list_of_addresses() {
        for (value, expected) in [
            ("", None),
            ("yes", Some(true)),
            ("False", Some(false)),
            ("a.example:443=yes", Some(true)),
            ("b.example:443=yes", None),
            ("b.example:443=yes;a.example:443=0", Some(false)),
            ("no, a.example:443=1", Some(true)),
            ("a.example:443=1,no", Some(true)),
            ("b.example:443=no;yes", Some(true)),
        ] {
            assert_eq!(needs_upgrade_with(value), Ok(expected), "{value}");
        }
        for value in ["maybe", "a.example:443=", "b.example:443=x", "a.example:443"] {
            let error = needs_upgrade_with(value).unwrap_err();
            assert!(matches!(error, ConnectionUpgradeVariableError::NotBoolean(_)), "{value}: {error}");
        }
    }
}
