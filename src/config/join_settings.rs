//! The settings of each join method in `onboarding`. Depends on the scalar types.

use schemars::JsonSchema;
use serde::Deserialize;

use super::duration::GoDuration;
use super::scalar::{Identifier, Location, Secret, Setting};
use super::token_request::TokenHttpRequest;

/// Settings of `join_method: azure`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct AzureJoin {
    /// The client ID of the managed identity to use if the virtual machine has more than one.
    pub client_id: Option<Identifier>,
}

/// Settings of `join_method: terraform_cloud`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct TerraformJoin {
    /// The tag of the run's ID token to use: `TAG` selects the environment variable `TFC_WORKLOAD_IDENTITY_TOKEN_TAG`.
    pub audience_tag: Option<Identifier>,
}

/// Settings of `join_method: gitlab`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct GitlabJoin {
    /// The name of the environment variable that contains the job's ID token.
    #[schemars(extend("default" = "TBOT_GITLAB_JWT"))]
    pub token_env_var_name: Option<Setting>,
}

/// Settings of `join_method: bound_keypair`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct BoundKeypairJoin {
    /// The secret that registers the key pair when the bot joins for the first time. Never read as a path. If unset,
    /// the environment variable `TBOT_REGISTRATION_SECRET` is used.
    pub registration_secret: Option<Secret>,
    /// The path of a file that contains the registration secret. Conflicts with `registration_secret`.
    pub registration_secret_path: Option<Location>,
    /// The path of a private key whose public key is registered with the cluster. If unset, the environment variable
    /// `TBOT_BOUND_KEYPAIR_STATIC_KEY` is used.
    pub static_private_key_path: Option<Location>,
    /// Another name for `static_private_key_path`.
    #[schemars(extend("deprecated" = true))]
    pub static_key_path: Option<Location>,
}

/// Settings of `join_method: kubernetes`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct KubernetesJoin {
    /// The path of the service account token. If unset, the environment variable `KUBERNETES_TOKEN_PATH` is used.
    #[schemars(extend("default" = "/var/run/secrets/kubernetes.io/serviceaccount/token"))]
    pub token_path: Option<Location>,
}

/// Settings of `join_method: generic_oidc`. Exactly one of `env`, `command` and `http_request` must be set. Clusters support
/// this method from Teleport 18.11 on.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct GenericOidcJoin {
    /// The name of the environment variable that contains the ID token.
    pub env: Option<Setting>,
    /// The command that prints the ID token: a program and its arguments, run without a shell, in the directory `HOME`.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub command: Option<Vec<Identifier>>,
    /// The HTTP request whose response contains the ID token.
    pub http_request: Option<TokenHttpRequest>,
    /// The time after which the command is stopped, or the request given up.
    #[schemars(extend("default" = "1m"))]
    pub timeout: Option<GoDuration>,
}
