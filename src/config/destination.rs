//! Destinations: where credentials are written. Depends on the scalar types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::closed_types::{self, string_enum, tagged_union};
use super::scalar::{Identifier, Location, Principal};
use super::variables::{EnvironmentVariables, variables};

/// Declares `Destination` from the table of destination types. A row that lacks one of the facts does not compile. Neither
/// does the agent if it cannot write to one of the types.
macro_rules! destinations {
    ($(
        $name:literal => $variant:ident($body:ty) {
            variables: $variables:expr,
        }
    )+) => {
        tagged_union! {
            /// Where credentials are written. `type` is required.
            pub enum Destination {
                $($name => $variant($body),)+
            }
        }

        impl Destination {
            /// The environment variables that only one type reads, with the name of the type.
            pub const VARIABLES: &'static [(&'static str, &'static [EnvironmentVariables])] =
                &[$(($name, $variables),)+];
        }
    };
}

destinations! {
    "directory" => Directory(Directory) {
        variables: &[],
    }
    "memory" => Memory(Memory) {
        variables: &[],
    }
    "kubernetes_secret" => KubernetesSecret(KubernetesSecret) {
        variables: &[
            variables(&["POD_NAMESPACE"], "Default namespace of the Secret."),
            variables(&["KUBECONFIG"], "Kubeconfig of the cluster that contains the Secret."),
            variables(
                &["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"],
                "API server of the cluster that the agent runs in. Used if there is no kubeconfig.",
            ),
        ],
    }
}

/// A directory on disk. The agent creates it at start with mode 0700, and creates files in it with mode 0600.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// The path of the directory. Taken literally: neither `~` nor `${VAR}` is expanded.
    #[schemars(example = "/opt/machine-id")]
    pub path: Location,
    /// How to treat symbolic links in the path.
    #[schemars(extend("default" = "try-secure"))]
    #[serde(default, deserialize_with = "closed_types::unless_empty")]
    pub symlinks: Option<SymlinkMode>,
    /// Whether to check and manage access control lists (ACLs). Defaults to `off` on platforms other than Linux.
    #[schemars(extend("default" = "try"))]
    #[serde(default, deserialize_with = "closed_types::unless_empty")]
    pub acls: Option<AclMode>,
    /// The users and groups that may read the files. The agent grants them access with ACLs, and removes the access of
    /// everyone else except the owner.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub readers: Option<Vec<Reader>>,
}

string_enum! {
    /// How to treat symbolic links in the path of a directory.
    #[sensitivity = Tuning]
    pub enum SymlinkMode {
        /// Follow symbolic links, and accept parent directories that every user may write to.
        Insecure = "insecure",
        /// Reject symbolic links on Linux, and follow them on other platforms, whose system directories are links.
        TrySecure = "try-secure",
        /// Reject symbolic links, and write regular files instead of links.
        Secure = "secure",
    }
}

string_enum! {
    /// Whether to check and manage access control lists (ACLs).
    #[sensitivity = Tuning]
    pub enum AclMode {
        /// Do not check or change ACLs, so that `readers` have no effect.
        Off = "off",
        /// Manage ACLs if the platform supports them (Linux); otherwise log a warning.
        Try = "try",
        /// Manage ACLs; fail if the platform does not support them.
        Required = "required",
    }
}

/// A user or group that may read a destination's files. Exactly one of `user` and `group` must be set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct Reader {
    /// The name or UID of a user.
    #[serde(default, deserialize_with = "unless_empty")]
    pub user: Option<Principal>,
    /// The name or GID of a group.
    #[serde(default, deserialize_with = "unless_empty")]
    pub group: Option<Principal>,
}

/// Reads a name of which an empty one means the same as none.
fn unless_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Principal>, D::Error> {
    let principal = Option::<Principal>::deserialize(deserializer)?;
    Ok(principal.filter(|principal| !principal.as_str().is_empty()))
}

/// The memory of the agent. Its contents are lost when the agent exits.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Memory {}

/// A Kubernetes Secret with one entry per file.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesSecret {
    /// The name of the Secret.
    pub name: Identifier,
    /// The namespace of the Secret. If unset, the environment variable `POD_NAMESPACE` is used.
    pub namespace: Option<Identifier>,
    /// The labels of the Secret. They replace all existing labels.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub labels: Option<BTreeMap<String, Identifier>>,
    /// The path of a kubeconfig file. If unset, the path in the environment variable `KUBECONFIG` is used; if that is
    /// unset, too, the cluster that the agent runs in is used.
    pub kubeconfig_path: Option<Location>,
    /// The kubeconfig context to use. If unset, the current context is used.
    pub kubeconfig_context: Option<Identifier>,
}
