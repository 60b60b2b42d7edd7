//! Maps each join method to the source of its attestation, and to the hint to show if that source is missing. Pure.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;

use super::id_token_request::{IdTokenRequest, TokenEndpoint, TokenResponse};
use super::token_command::TokenCommand;
use super::token_request::TokenRequest;
use crate::config::{GenericOidcJoin, Identifier, Onboarding, SupportedJoinMethod};

/// The source of an attestation.
pub(super) enum AttestationSource {
    /// An ID token in an environment variable.
    Variable { name: String, hint: &'static str },
    /// An ID token in a file: the configured `path`, else the path in `variable`, else `default`.
    File { path: Option<PathBuf>, variable: &'static str, default: &'static str, hint: &'static str },
    /// An ID token that a server issues over HTTP.
    Request(&'static IdTokenRequest),
    /// An ID token that a configured command prints.
    Command(TokenCommand),
    /// An ID token that a configured server issues over HTTP.
    ConfiguredRequest(TokenRequest),
    /// An ID token whose source is not configured, or not unambiguously.
    NotConfigured { hint: &'static str },
    /// AWS credentials, from the environment, a profile, a container or an EC2 instance.
    Aws,
    /// An Azure virtual machine. `client_id` selects one of several managed identities.
    Azure { client_id: Option<String> },
}

/// The default of `onboarding.generic_oidc.timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// The audience to request from GitHub and Google. With other issuers, the definition of the job sets the audience.
const AUDIENCE: (&str, &str) = ("audience", "teleport.cluster.local");

static GITHUB: IdTokenRequest = IdTokenRequest {
    http_method: Method::GET,
    endpoint: TokenEndpoint::Variable("ACTIONS_ID_TOKEN_REQUEST_URL"),
    query: &[AUDIENCE],
    bearer_variable: Some("ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
    headers: &[("accept", "application/json; api-version=2.0"), ("content-type", "application/json")],
    response: TokenResponse::JsonField("value"),
    hint: "the job needs `permissions: id-token: write`",
};

static GCP: IdTokenRequest = IdTokenRequest {
    http_method: Method::GET,
    endpoint: TokenEndpoint::Metadata {
        variable: "GCE_METADATA_HOST",
        default: "169.254.169.254",
        path: "/computeMetadata/v1/instance/service-accounts/default/identity",
    },
    query: &[AUDIENCE, ("format", "full"), ("licenses", "FALSE")],
    bearer_variable: None,
    headers: &[("metadata-flavor", "Google")],
    response: TokenResponse::Body,
    hint: "the join method gcp works only on a Google Cloud machine that has a service account",
};

static AZURE_DEVOPS: IdTokenRequest = IdTokenRequest {
    http_method: Method::POST,
    endpoint: TokenEndpoint::Variable("SYSTEM_OIDCREQUESTURI"),
    query: &[("api-version", "7.1")],
    bearer_variable: Some("SYSTEM_ACCESSTOKEN"),
    headers: &[("content-type", "application/json")],
    response: TokenResponse::JsonField("oidcToken"),
    hint: "the pipeline step needs `env: SYSTEM_ACCESSTOKEN: $(System.AccessToken)`",
};

impl AttestationSource {
    /// Returns the source for `method`, or `None` for `token`, whose token is itself the secret, and for `bound_keypair`.
    pub(super) fn for_method(method: SupportedJoinMethod, onboarding: &Onboarding) -> Option<Self> {
        let non_empty = |value: Option<&str>| value.filter(|value| !value.is_empty()).map(str::to_owned);
        let variable = |name: &str, hint| Some(Self::Variable { name: name.to_owned(), hint });
        match method {
            SupportedJoinMethod::Github => Some(Self::Request(&GITHUB)),
            SupportedJoinMethod::Gcp => Some(Self::Request(&GCP)),
            SupportedJoinMethod::AzureDevops => Some(Self::Request(&AZURE_DEVOPS)),
            SupportedJoinMethod::Gitlab => {
                let name = onboarding.gitlab.as_ref().and_then(|gitlab| gitlab.token_env_var_name.as_ref());
                let name = non_empty(name.map(|name| name.as_str()));
                variable(
                    name.as_deref().unwrap_or("TBOT_GITLAB_JWT"),
                    "the job must define an ID token with this name under `id_tokens`, with the cluster's name as `aud`",
                )
            }
            SupportedJoinMethod::Circleci => {
                variable("CIRCLE_OIDC_TOKEN", "the join method circleci works only in a CircleCI job")
            }
            SupportedJoinMethod::Spacelift => {
                variable("SPACELIFT_OIDC_TOKEN", "the join method spacelift works only in a Spacelift run")
            }
            SupportedJoinMethod::Env0 => {
                variable("ENV0_OIDC_TOKEN", "the env0 organization must enable OIDC for its deployments")
            }
            SupportedJoinMethod::Bitbucket => {
                variable("BITBUCKET_STEP_OIDC_TOKEN", "the pipeline step needs `oidc: true`")
            }
            SupportedJoinMethod::TerraformCloud => {
                let tag = onboarding.terraform.as_ref().and_then(|terraform| terraform.audience_tag.as_ref());
                let suffix =
                    non_empty(tag.map(|tag| tag.as_str())).map(|tag| format!("_{}", tag.to_uppercase()));
                variable(
                    &format!("TFC_WORKLOAD_IDENTITY_TOKEN{}", suffix.unwrap_or_default()),
                    "the workspace must request the token with an audience, and onboarding.terraform.audience_tag must be \
                     the tag of that audience",
                )
            }
            SupportedJoinMethod::Kubernetes => {
                let path = onboarding.kubernetes.as_ref().and_then(|block| block.token_path.as_ref());
                Some(Self::File {
                    path: non_empty(path.map(|path| path.as_str())).map(PathBuf::from),
                    variable: "KUBERNETES_TOKEN_PATH",
                    default: "/var/run/secrets/kubernetes.io/serviceaccount/token",
                    hint: "the pod needs a service account whose token is mounted",
                })
            }
            SupportedJoinMethod::GenericOidc => Some(Self::generic_oidc(
                onboarding.generic_oidc.as_ref().unwrap_or(&GenericOidcJoin::default()),
            )),
            SupportedJoinMethod::Iam => Some(Self::Aws),
            SupportedJoinMethod::Azure => {
                let client_id = onboarding.azure.as_ref().and_then(|azure| azure.client_id.as_ref());
                Some(Self::Azure { client_id: non_empty(client_id.map(|id| id.as_str())) })
            }
            SupportedJoinMethod::Token | SupportedJoinMethod::BoundKeypair => None,
        }
    }
}

impl AttestationSource {
    fn generic_oidc(config: &GenericOidcJoin) -> Self {
        let timeout = config.timeout.filter(|timeout| !timeout.is_zero() && !timeout.is_negative());
        let timeout = timeout.map_or(DEFAULT_TIMEOUT, |timeout| timeout.to_std());
        let env = config.env.as_ref().map(|env| env.as_str()).filter(|env| !env.is_empty());
        let command = config.command.as_ref().and_then(|command| command.split_first());
        match (env, command, &config.http_request) {
            (Some(name), None, None) => Self::Variable {
                name: name.to_owned(),
                hint: "set it to an ID token, or change onboarding.generic_oidc.env",
            },
            (None, Some((program, arguments)), None) => Self::Command(TokenCommand {
                program: program.as_str().to_owned(),
                arguments: arguments.iter().map(Identifier::as_str).map(str::to_owned).collect(),
                timeout,
            }),
            (None, None, Some(request)) => {
                Self::ConfiguredRequest(TokenRequest { config: request.clone(), timeout })
            }
            _ => Self::NotConfigured {
                hint: "set exactly one of env, command and http_request in onboarding.generic_oidc",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{GoDuration, JoinMethod};

    #[test]
    fn the_configuration_selects_the_variable() {
        let name = |method, onboarding: serde_json::Value| {
            let onboarding = serde_json::from_value(onboarding).unwrap();
            match AttestationSource::for_method(method, &onboarding) {
                Some(AttestationSource::Variable { name, .. }) => name,
                _ => panic!("{method:?} does not read a variable"),
            }
        };
        let gitlab = |name: &str| serde_json::json!({ "gitlab": { "token_env_var_name": name } });
        assert_eq!(name(SupportedJoinMethod::Gitlab, gitlab("JWT")), "JWT");
        assert_eq!(name(SupportedJoinMethod::Gitlab, gitlab("")), "TBOT_GITLAB_JWT");
        let terraform = |tag: &str| serde_json::json!({ "terraform": { "audience_tag": tag } });
        assert_eq!(name(SupportedJoinMethod::TerraformCloud, terraform("")), "TFC_WORKLOAD_IDENTITY_TOKEN");
        let tagged = name(SupportedJoinMethod::TerraformCloud, terraform("teleport"));
        assert_eq!(tagged.strip_prefix("TFC_WORKLOAD_IDENTITY_TOKEN"), Some("_TELEPORT"));
    }

    /// docs/configuration.md lists the variables of the row.
    #[test]
    fn every_variable_is_in_the_row_of_its_method() {
        let onboarding = Onboarding::default();
        let mut compared = 0;
        for method in JoinMethod::ALL {
            let source =
                method.supported().and_then(|method| AttestationSource::for_method(method, &onboarding));
            let read = match &source {
                Some(AttestationSource::Variable { name, .. }) => vec![name.as_str()],
                Some(AttestationSource::File { variable, .. }) => vec![*variable],
                Some(AttestationSource::Request(request)) => {
                    let (TokenEndpoint::Variable(endpoint)
                    | TokenEndpoint::Metadata { variable: endpoint, .. }) = request.endpoint;
                    [Some(endpoint), request.bearer_variable].into_iter().flatten().collect()
                }
                _ => Vec::new(),
            };
            for name in read {
                let is_listed = method.variables().iter().any(|row| row.names.contains(&name));
                assert!(is_listed, "add {name} to `variables` of {method} in src/config/onboarding.rs");
                compared += 1;
            }
        }
        assert!(compared >= 12, "{compared}");
    }

    #[test]
    fn defaults_are_those_of_the_schema() {
        let schema = crate::config::schema::generate();
        let default = |definition: &str, property: &str| {
            schema["$defs"][definition]["properties"][property]["default"].as_str().unwrap().to_owned()
        };
        let source = |method| AttestationSource::for_method(method, &Onboarding::default()).unwrap();
        let AttestationSource::Variable { name, .. } = source(SupportedJoinMethod::Gitlab) else { panic!() };
        assert_eq!(name, default("GitlabJoin", "token_env_var_name"));
        let AttestationSource::File { default: path, .. } = source(SupportedJoinMethod::Kubernetes) else {
            panic!()
        };
        assert_eq!(path, default("KubernetesJoin", "token_path"));
        let timeout: GoDuration = default("GenericOidcJoin", "timeout").parse().unwrap();
        assert_eq!(timeout.to_std(), DEFAULT_TIMEOUT);
    }
}
