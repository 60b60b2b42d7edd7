//! The name of a Teleport cluster, checked before the agent writes it to a file that OpenSSH or kubectl acts on.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use crate::untrusted::escape;

/// The maximum length, in bytes: that of a DNS name.
const MAX_LEN: usize = 253;

/// The name of a Teleport cluster, which is usually a DNS name. It has no special meaning in `ssh_config`,
/// `known_hosts`, a kubeconfig or a shell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterName(String);

/// A string is not a valid name of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cluster name \"{escaped}\" is not valid: it must consist of 1 to {MAX_LEN} ASCII letters, digits, `.`, `-` and \
     `_`, and start with a letter or digit"
)]
pub struct ClusterNameError {
    escaped: String,
}

impl FromStr for ClusterName {
    type Err = ClusterNameError;

    fn from_str(name: &str) -> Result<Self, ClusterNameError> {
        let is_valid = (1..=MAX_LEN).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        if is_valid {
            Ok(Self(name.to_owned()))
        } else {
            Err(ClusterNameError { escaped: escape(name).into() })
        }
    }
}

impl Deref for ClusterName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_that_clusters_have_are_valid() {
        for name in
            ["teleport.example.com", "main", "6c1f2a5e-0b5f-4e0d-9a53-2f1f0a9c6b11", "Prod_1.eu", "10.0.0.1"]
        {
            assert_eq!(name.parse::<ClusterName>().unwrap().to_string(), name);
        }
        assert!("a".repeat(MAX_LEN).parse::<ClusterName>().is_ok());
    }

    #[test]
    fn a_name_that_means_something_to_openssh_kubectl_or_a_shell_is_refused() {
        let special = " \t\r\n\0\u{1b}\u{7f}\u{85}\u{2028}\u{202e}'\"`\\*?!,%/:;@#$&|<>(){}[]~^=+é";
        for character in special.chars() {
            for name in [format!("a{character}b"), format!("{character}a"), format!("a{character}")] {
                assert!(name.parse::<ClusterName>().is_err(), "{name:?}");
            }
        }
        for name in ["", "-oProxyCommand", ".", "..", "_a", &"a".repeat(MAX_LEN + 1)] {
            assert!(name.parse::<ClusterName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_error_shows_the_name_on_one_line_of_limited_length() {
        let error =
            format!("a\n\u{202e}{}", "x".repeat(1 << 20)).parse::<ClusterName>().unwrap_err().to_string();
        assert!(error.len() < 1_000 && !error.contains(['\n', '\u{202e}']), "{error}");
    }
}
