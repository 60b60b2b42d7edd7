//! How the bot joins: `onboarding`, the join methods and their blocks. Depends on the configuration's scalars.

use schemars::JsonSchema;
use serde::Deserialize;

use super::closed::string_enum;
use super::duration::GoDuration;
use super::scalar::{Identifier, Location, Secret, Setting};

/// How the bot proves to the cluster what it is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct Onboarding {
    /// The join token, or its name where the method makes it no secret. An absolute path is a file that holds the
    /// token, read when joining; anything else is taken literally.
    #[schemars(example = "/var/lib/teleport/bot-token")]
    pub token: Option<Secret>,
    /// How the bot proves what it is. Needed to start.
    pub join_method: Option<JoinMethod>,
    /// Pins of the cluster's certificate authorities, for joining directly at an auth server.
    #[schemars(extend("examples" = [["sha256:7e12c17c20d9cb504bbcb3f0236be3f446861f1396dcbb44425fe28ec1c108f1"]]))]
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub ca_pins: Option<Vec<Identifier>>,
    /// Path of a PEM file with the certificate authority of an auth server.
    pub ca_path: Option<Location>,
    /// What `join_method: azure` needs.
    pub azure: Option<Azure>,
    /// What `join_method: terraform_cloud` needs.
    pub terraform: Option<Terraform>,
    /// What `join_method: gitlab` needs.
    pub gitlab: Option<Gitlab>,
    /// What `join_method: bound_keypair` needs.
    pub bound_keypair: Option<BoundKeypair>,
    /// What `join_method: kubernetes` needs.
    pub kubernetes: Option<KubernetesJoin>,
    /// What `join_method: generic_oidc` needs.
    pub generic_oidc: Option<GenericOidc>,
}

string_enum! {
    /// How the bot proves to the cluster what it is.
    #[sensitivity = Category]
    pub enum JoinMethod {
        /// A token that works once; the identity is then renewed.
        Token = "token",
        /// Azure's instance metadata and managed identities.
        Azure = "azure",
        /// Azure DevOps pipelines.
        AzureDevops = "azure_devops",
        /// Bitbucket pipelines.
        Bitbucket = "bitbucket",
        /// A key pair that the cluster binds to the bot.
        BoundKeypair = "bound_keypair",
        /// CircleCI jobs.
        Circleci = "circleci",
        /// env0 deployments.
        Env0 = "env0",
        /// Google Cloud's instance metadata.
        Gcp = "gcp",
        /// Any issuer of OpenID Connect tokens.
        GenericOidc = "generic_oidc",
        /// GitHub Actions.
        Github = "github",
        /// GitLab CI/CD.
        Gitlab = "gitlab",
        /// AWS IAM.
        Iam = "iam",
        /// Kubernetes service accounts.
        Kubernetes = "kubernetes",
        /// Oracle Cloud instances.
        Oracle = "oracle",
        /// Spacelift runs.
        Spacelift = "spacelift",
        /// HCP Terraform runs.
        TerraformCloud = "terraform_cloud",
        /// A trusted platform module.
        Tpm = "tpm",
    }
}

/// What `join_method: azure` needs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct Azure {
    /// Client id of the managed identity to use, where a machine has several.
    pub client_id: Option<Identifier>,
}

/// What `join_method: terraform_cloud` needs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct Terraform {
    /// Which of the run's tokens to use: the tag in `TFC_WORKLOAD_IDENTITY_TOKEN_<TAG>`.
    pub audience_tag: Option<Identifier>,
}

/// What `join_method: gitlab` needs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct Gitlab {
    /// Name of the environment variable that holds the job's token.
    #[schemars(extend("default" = "TBOT_GITLAB_JWT"))]
    pub token_env_var_name: Option<Setting>,
}

/// What `join_method: bound_keypair` needs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct BoundKeypair {
    /// Secret that binds the key pair when the bot joins for the first time. Taken literally; unset, the environment's
    /// `TBOT_REGISTRATION_SECRET`.
    pub registration_secret: Option<Secret>,
    /// Path of a file that holds that secret.
    pub registration_secret_path: Option<Location>,
    /// Path of a private key that the cluster knows; unset, the environment's `TBOT_BOUND_KEYPAIR_STATIC_KEY`.
    pub static_private_key_path: Option<Location>,
    /// Another spelling of `static_private_key_path`.
    #[schemars(extend("deprecated" = true))]
    pub static_key_path: Option<Location>,
}

/// What `join_method: kubernetes` needs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct KubernetesJoin {
    /// Path of the service account's token; unset, the environment's `KUBERNETES_TOKEN_PATH`.
    #[schemars(extend("default" = "/var/run/secrets/kubernetes.io/serviceaccount/token"))]
    pub token_path: Option<Location>,
}

/// What `join_method: generic_oidc` needs: `env` or `command`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct GenericOidc {
    /// Name of the environment variable that holds a token.
    pub env: Option<Setting>,
    /// Program and arguments that print a token.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub command: Option<Vec<Identifier>>,
    /// How long the command may take.
    pub timeout: Option<GoDuration>,
}
