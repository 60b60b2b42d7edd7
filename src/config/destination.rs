//! Where credentials are written: `directory`, `memory`, `kubernetes_secret`. Depends on the configuration's scalars.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::closed::{string_enum, tagged_union};
use super::scalar::{Identifier, Location, Principal};

tagged_union! {
    /// Where credentials are written. There is no default `type`.
    pub enum Destination {
        "directory" => Directory(Directory),
        "memory" => Memory(Memory),
        "kubernetes_secret" => KubernetesSecret(KubernetesSecret),
    }
}

/// A folder on disk; created with mode 0700 at start, files have mode 0600.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Path of the folder. Taken literally: neither `~` nor `${VAR}` is expanded.
    #[schemars(example = "/opt/machine-id")]
    pub path: Location,
    /// What to do about symbolic links in the path.
    #[schemars(extend("default" = "try-secure"))]
    pub symlinks: Option<SymlinkMode>,
    /// What to do about access control lists.
    #[schemars(extend("default" = "try"))]
    pub acls: Option<AclMode>,
    /// Users and groups that may read the files, kept up by access control lists.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub readers: Option<Vec<Reader>>,
}

string_enum! {
    /// What to do about symbolic links in a destination's path.
    #[sensitivity = Tuning]
    pub enum SymlinkMode {
        /// Follow them.
        Insecure = "insecure",
        /// Refuse them where the platform can (Linux 5.6 and later), else follow them and say so.
        TrySecure = "try-secure",
        /// Refuse them; an error where the platform cannot.
        Secure = "secure",
    }
}

string_enum! {
    /// What to do about access control lists.
    #[sensitivity = Tuning]
    pub enum AclMode {
        /// Leave them alone.
        Off = "off",
        /// Use them where the platform can (Linux), else say so.
        Try = "try",
        /// Use them; an error where the platform cannot.
        Required = "required",
    }
}

/// Who may read a destination's files: exactly one of `user` and `group`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct Reader {
    /// A user's name or UID.
    pub user: Option<Principal>,
    /// A group's name or GID.
    pub group: Option<Principal>,
}

/// The agent's memory; lost when it ends.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Memory {}

/// A Kubernetes Secret, one entry a file.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesSecret {
    /// Name of the Secret.
    pub name: Identifier,
    /// Namespace of the Secret; unset, the environment's `POD_NAMESPACE`.
    pub namespace: Option<Identifier>,
    /// Labels of the Secret; they replace what it has.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub labels: Option<BTreeMap<String, Identifier>>,
    /// Path of a kubeconfig; unset, the environment's `KUBECONFIG`, else the cluster that the agent runs in.
    pub kubeconfig_path: Option<Location>,
    /// Context of the kubeconfig; unset, its current one.
    pub kubeconfig_context: Option<Identifier>,
}
