//! `onboarding`: how the bot joins the cluster, with the settings of each join method. Depends on the scalar types.

use schemars::JsonSchema;
use serde::Deserialize;

use super::closed_types::string_enum;
use super::duration::GoDuration;
use super::scalar::{Identifier, Location, Secret, Setting};

/// How the bot joins the cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct Onboarding {
    /// The join token. It is a secret for `join_method: token`, and a name for the other methods. An absolute path is
    /// read as a file that contains the token, when the bot joins; any other value is the token itself.
    #[schemars(example = "/var/lib/teleport/bot-token")]
    pub token: Option<Secret>,
    /// The method with which the bot proves its identity when it joins. Required to start.
    pub join_method: Option<JoinMethod>,
    /// Pins of the cluster's certificate authorities, used when the bot joins through an auth server.
    #[schemars(extend("examples" = [["sha256:7e12c17c20d9cb504bbcb3f0236be3f446861f1396dcbb44425fe28ec1c108f1"]]))]
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub ca_pins: Option<Vec<Identifier>>,
    /// The path of a PEM file with the certificate authority of the auth server.
    pub ca_path: Option<Location>,
    /// Settings of `join_method: azure`.
    pub azure: Option<AzureJoin>,
    /// Settings of `join_method: terraform_cloud`.
    pub terraform: Option<TerraformJoin>,
    /// Settings of `join_method: gitlab`.
    pub gitlab: Option<GitlabJoin>,
    /// Settings of `join_method: bound_keypair`.
    pub bound_keypair: Option<BoundKeypairJoin>,
    /// Settings of `join_method: kubernetes`.
    pub kubernetes: Option<KubernetesJoin>,
    /// Settings of `join_method: generic_oidc`.
    pub generic_oidc: Option<GenericOidcJoin>,
}

string_enum! {
    /// The method with which the bot proves its identity when it joins.
    #[sensitivity = Category]
    pub enum JoinMethod {
        /// A single-use join token. After joining, the bot renews its identity.
        Token = "token",
        /// The instance metadata and managed identities of Azure virtual machines.
        Azure = "azure",
        /// The ID token of an Azure DevOps pipeline.
        AzureDevops = "azure_devops",
        /// The ID token of a Bitbucket pipeline.
        Bitbucket = "bitbucket",
        /// A key pair that the cluster binds to the bot.
        BoundKeypair = "bound_keypair",
        /// The ID token of a CircleCI job.
        Circleci = "circleci",
        /// The ID token of an env0 deployment.
        Env0 = "env0",
        /// The instance metadata of Google Cloud.
        Gcp = "gcp",
        /// An ID token from any OpenID Connect issuer.
        GenericOidc = "generic_oidc",
        /// The ID token of a GitHub Actions job.
        Github = "github",
        /// The ID token of a GitLab CI/CD job.
        Gitlab = "gitlab",
        /// AWS IAM credentials.
        Iam = "iam",
        /// The token of a Kubernetes service account.
        Kubernetes = "kubernetes",
        /// The instance credentials of Oracle Cloud.
        Oracle = "oracle",
        /// The ID token of a Spacelift run.
        Spacelift = "spacelift",
        /// The ID token of an HCP Terraform run.
        TerraformCloud = "terraform_cloud",
        /// A trusted platform module (TPM).
        Tpm = "tpm",
    }
}

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

/// Settings of `join_method: generic_oidc`. Exactly one of `env` and `command` must be set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct GenericOidcJoin {
    /// The name of the environment variable that contains the ID token.
    pub env: Option<Setting>,
    /// The command that prints the ID token: a program and its arguments.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub command: Option<Vec<Identifier>>,
    /// The time after which the command is stopped.
    pub timeout: Option<GoDuration>,
}
