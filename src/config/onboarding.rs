//! `onboarding`: how the bot joins the cluster, and the table of all join methods. Depends on the settings of the methods
//! and the scalar types.

use schemars::JsonSchema;
use serde::Deserialize;

use super::closed_types::{self, string_enum};
use super::join_settings::{
    AzureJoin, BoundKeypairJoin, GenericOidcJoin, GitlabJoin, KubernetesJoin, TerraformJoin,
};
use super::scalar::{Identifier, Location, Secret};
use super::variables::{EnvironmentVariables, variables};

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
    #[serde(default, deserialize_with = "closed_types::unless_empty")]
    pub join_method: Option<JoinMethod>,
    /// Pins of the cluster's certificate authorities, with which the agent verifies an auth server before the bot joins.
    #[schemars(extend("examples" = [["sha256:7e12c17c20d9cb504bbcb3f0236be3f446861f1396dcbb44425fe28ec1c108f1"]]))]
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub ca_pins: Option<Vec<Identifier>>,
    /// The path of a PEM file with the certificate authorities with which the agent verifies an auth server before the bot joins.
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

/// Declares `JoinMethod` and `SupportedJoinMethod` from the table of join methods. A row that lacks one of the facts does
/// not compile. Neither does the agent if it does not implement a method that is `supported`.
macro_rules! join_methods {
    ($(
        $(#[doc = $doc:literal])+
        $name:literal => $variant:ident {
            supported: $supported:tt,
            settings: [$($settings:ident)?],
            uri_parameter: $uri_parameter:expr,
            variables: $variables:expr,
        }
    )+) => {
        string_enum! {
            /// The method with which the bot proves its identity when it joins.
            #[sensitivity = Category]
            pub enum JoinMethod {
                $($(#[doc = $doc])+ $variant = $name,)+
            }
        }

        impl JoinMethod {
            /// Returns the key of the method's settings in `onboarding`, or `None` if it has no settings.
            pub const fn settings_key(self) -> Option<&'static str> {
                match self {
                    $($(Self::$variant => Some(stringify!($settings)),)?)+
                    _ => None,
                }
            }

            /// Returns the pointer of the property that the parameter of a join URI sets, or `None` if the join URI has
            /// no parameter.
            pub const fn uri_parameter(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => $uri_parameter,)+
                }
            }

            /// Returns the environment variables that only this method reads.
            #[doc(hidden)]
            pub const fn variables(self) -> &'static [EnvironmentVariables] {
                match self {
                    $(Self::$variant => const { $variables },)+
                }
            }
        }

        impl Onboarding {
            /// Returns the keys of the settings that are set.
            pub(super) fn settings_keys(&self) -> Vec<&'static str> {
                let mut keys = Vec::new();
                $($(if self.$settings.is_some() {
                    keys.push(stringify!($settings));
                })?)+
                keys
            }
        }

        join_methods! { @supported [] $($supported $variant)+ }
    };
    (@supported [$($done:ident)*] true $variant:ident $($rest:tt)*) => {
        join_methods! { @supported [$($done)* $variant] $($rest)* }
    };
    (@supported [$($done:ident)*] false $variant:ident $($rest:tt)*) => {
        join_methods! { @supported [$($done)*] $($rest)* }
    };
    (@supported [$($variant:ident)*]) => {
        /// A join method that this version of the agent supports.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum SupportedJoinMethod {
            $(
                #[doc = concat!("[`JoinMethod::", stringify!($variant), "`]")]
                $variant,
            )*
        }

        impl JoinMethod {
            /// Returns the method for the agent, or `None` if this version does not support it.
            pub const fn supported(self) -> Option<SupportedJoinMethod> {
                match self {
                    $(Self::$variant => Some(SupportedJoinMethod::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

// The join methods of tbot in Teleport 15 to 19. Source, as of 2026-09: the list of methods in lib/tbot of
// github.com/gravitational/teleport. A new method also changes the values of the event, so increment EVENT_VERSION.
join_methods! {
    /// A single-use join token. After joining, the bot renews its identity.
    "token" => Token {
        supported: true,
        settings: [],
        uri_parameter: None,
        variables: &[],
    }
    /// The instance metadata and managed identities of Azure virtual machines.
    "azure" => Azure {
        supported: true,
        settings: [azure],
        uri_parameter: Some("/onboarding/azure/client_id"),
        variables: &[
            variables(
                &["AZURE_POD_IDENTITY_AUTHORITY_HOST"],
                "URL of the metadata service, instead of `http://169.254.169.254`. It must be link-local or loopback.",
            ),
        ],
    }
    /// The ID token of an Azure DevOps pipeline.
    "azure_devops" => AzureDevops {
        supported: true,
        settings: [],
        uri_parameter: None,
        variables: &[
            variables(
                &["SYSTEM_OIDCREQUESTURI", "SYSTEM_ACCESSTOKEN"],
                "The endpoint that issues the ID token of the pipeline, and the credential for it.",
            ),
        ],
    }
    /// The ID token of a Bitbucket pipeline.
    "bitbucket" => Bitbucket {
        supported: true,
        settings: [],
        uri_parameter: None,
        variables: &[
            variables(&["BITBUCKET_STEP_OIDC_TOKEN"], "The ID token of the pipeline step."),
        ],
    }
    /// A key pair that the cluster binds to the bot.
    "bound_keypair" => BoundKeypair {
        supported: true,
        settings: [bound_keypair],
        uri_parameter: Some("/onboarding/bound_keypair/registration_secret"),
        variables: &[
            variables(&["TBOT_REGISTRATION_SECRET"], "Same as `--registration-secret`."),
            variables(&["TBOT_BOUND_KEYPAIR_STATIC_KEY"], "The static private key: PEM, base64-encoded."),
        ],
    }
    /// The ID token of a CircleCI job.
    "circleci" => Circleci {
        supported: true,
        settings: [],
        uri_parameter: None,
        variables: &[
            variables(&["CIRCLE_OIDC_TOKEN"], "The ID token of the CI job."),
        ],
    }
    /// The ID token of an env0 deployment.
    "env0" => Env0 {
        supported: true,
        settings: [],
        uri_parameter: None,
        variables: &[
            variables(&["ENV0_OIDC_TOKEN"], "The ID token of the deployment."),
        ],
    }
    /// The instance metadata of Google Cloud.
    "gcp" => Gcp {
        supported: true,
        settings: [],
        uri_parameter: None,
        variables: &[
            variables(
                &["GCE_METADATA_HOST"],
                "Host of the metadata server, instead of 169.254.169.254. It must be link-local, loopback or \
                 `metadata.google.internal`.",
            ),
        ],
    }
    /// An ID token from any OpenID Connect issuer.
    "generic_oidc" => GenericOidc {
        supported: true,
        settings: [generic_oidc],
        uri_parameter: None,
        variables: &[
            variables(&["HOME"], "The directory in which `onboarding.generic_oidc.command` runs."),
        ],
    }
    /// The ID token of a GitHub Actions job.
    "github" => Github {
        supported: true,
        settings: [],
        uri_parameter: None,
        variables: &[
            variables(
                &["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"],
                "The endpoint that issues the ID token of the CI job, and the credential for it.",
            ),
        ],
    }
    /// The ID token of a GitLab CI/CD job.
    "gitlab" => Gitlab {
        supported: true,
        settings: [gitlab],
        uri_parameter: Some("/onboarding/gitlab/token_env_var_name"),
        variables: &[
            variables(
                &["TBOT_GITLAB_JWT"],
                "The ID token of the CI job, unless `onboarding.gitlab.token_env_var_name` names another variable.",
            ),
        ],
    }
    /// AWS IAM credentials.
    "iam" => Iam {
        supported: true,
        settings: [],
        uri_parameter: None,
        variables: &[
            variables(
                &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
                "AWS access key, with a session token if it is temporary. Takes precedence over all other credentials.",
            ),
            variables(
                &["AWS_REGION", "AWS_DEFAULT_REGION"],
                "Region of the STS endpoint that identifies the bot. Defaults to the region of the profile, then to that of \
                 the EC2 instance, then to `us-east-1`.",
            ),
            variables(
                &["AWS_USE_FIPS_ENDPOINT"],
                "`true` selects the FIPS endpoint of STS, which an auth server in FIPS mode needs. A region without one uses that of \
                 `us-east-1`.",
            ),
            variables(
                &[
                    "AWS_PROFILE",
                    "AWS_DEFAULT_PROFILE",
                    "AWS_CONFIG_FILE",
                    "AWS_SHARED_CREDENTIALS_FILE",
                    "HOME",
                ],
                "Profile with an access key or a region, and the files that define it, by default `~/.aws/config` and \
                 `~/.aws/credentials`. Access keys are the only supported credentials in a profile: role assumption, \
                 single sign-on, web identity and credential processes are not supported.",
            ),
            variables(
                &[
                    "AWS_WEB_IDENTITY_TOKEN_FILE",
                    "AWS_ROLE_ARN",
                    "AWS_ROLE_SESSION_NAME",
                    "AWS_ENDPOINT_URL_STS",
                ],
                "ID token of an EKS pod, the role to assume with it, the name of the role session (default `tbot`), and \
                 the STS endpoint (default: that of the region). The endpoint must use https or be loopback.",
            ),
            variables(
                &[
                    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                ],
                "The endpoint that issues the credentials of an ECS or EKS container, and the authorization for it. The \
                 endpoint must use https or be link-local or loopback.",
            ),
            variables(
                &["AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_DISABLED"],
                "URL of the metadata service, instead of `http://169.254.169.254`. It must be link-local or loopback. If \
                 `AWS_EC2_METADATA_DISABLED` is `true`, the service is not used.",
            ),
        ],
    }
    /// The token of a Kubernetes service account.
    "kubernetes" => Kubernetes {
        supported: true,
        settings: [kubernetes],
        uri_parameter: None,
        variables: &[
            variables(
                &["KUBERNETES_TOKEN_PATH"],
                "Path of the service account token, unless `onboarding.kubernetes.token_path` is set.",
            ),
        ],
    }
    /// The instance credentials of Oracle Cloud.
    "oracle" => Oracle {
        supported: false,
        settings: [],
        uri_parameter: None,
        variables: &[],
    }
    /// The ID token of a Spacelift run.
    "spacelift" => Spacelift {
        supported: true,
        settings: [],
        uri_parameter: None,
        variables: &[
            variables(&["SPACELIFT_OIDC_TOKEN"], "The ID token of the run."),
        ],
    }
    /// The ID token of an HCP Terraform run.
    "terraform_cloud" => TerraformCloud {
        supported: true,
        settings: [terraform],
        uri_parameter: Some("/onboarding/terraform/audience_tag"),
        variables: &[
            variables(
                &["TFC_WORKLOAD_IDENTITY_TOKEN"],
                "The ID token of the run. If `onboarding.terraform.audience_tag` is set, `_` and the tag in upper case are \
                 appended to the name of the variable.",
            ),
        ],
    }
    /// A trusted platform module (TPM).
    "tpm" => Tpm {
        supported: false,
        settings: [],
        uri_parameter: None,
        variables: &[],
    }
}
