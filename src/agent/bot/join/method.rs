//! Where each join method has its proof from: one table, with what is asked and what is missing when nothing is there.
//! Pure. Source: protocol facts, section 2.4.

use std::path::PathBuf;

use super::attestation::{Answer, Endpoint, Exchange, Source, Verb};
use crate::config::{JoinMethod, Onboarding};

/// Whom GitHub and Google are asked to issue a token for. The other issuers are told by the job's own definition.
const AUDIENCE: (&str, &str) = ("audience", "teleport.cluster.local");

const GITHUB: Exchange = Exchange {
    verb: Verb::Get,
    endpoint: Endpoint::Variable("ACTIONS_ID_TOKEN_REQUEST_URL"),
    query: &[AUDIENCE],
    bearer: Some("ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
    headers: &[("accept", "application/json; api-version=2.0"), ("content-type", "application/json")],
    answer: Answer::Member("value"),
    needs: "the job needs `permissions: id-token: write`",
};

const GCP: Exchange = Exchange {
    verb: Verb::Get,
    endpoint: Endpoint::Metadata {
        variable: "GCE_METADATA_HOST",
        default: "169.254.169.254",
        path: "/computeMetadata/v1/instance/service-accounts/default/identity",
    },
    query: &[AUDIENCE, ("format", "full"), ("licenses", "FALSE")],
    bearer: None,
    headers: &[("metadata-flavor", "Google")],
    answer: Answer::Whole,
    needs: "the join method gcp works on a machine of Google Cloud that has a service account",
};

const AZURE_DEVOPS: Exchange = Exchange {
    verb: Verb::Post,
    endpoint: Endpoint::Variable("SYSTEM_OIDCREQUESTURI"),
    query: &[("api-version", "7.1")],
    bearer: Some("SYSTEM_ACCESSTOKEN"),
    headers: &[("content-type", "application/json")],
    answer: Answer::Member("oidcToken"),
    needs: "the pipeline's step needs `env: SYSTEM_ACCESSTOKEN: $(System.AccessToken)`",
};

/// The source of the proof that `method` presents; none for `token`, which is its own proof, and for what does not run.
pub(super) fn source(method: JoinMethod, onboarding: &Onboarding) -> Option<Source> {
    let set = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let variable = |name: &str, needs| Some(Source::Variable { name: name.to_owned(), needs });
    match method {
        JoinMethod::Github => Some(Source::Exchange(&GITHUB)),
        JoinMethod::Gcp => Some(Source::Exchange(&GCP)),
        JoinMethod::AzureDevops => Some(Source::Exchange(&AZURE_DEVOPS)),
        JoinMethod::Gitlab => {
            let name = onboarding.gitlab.as_ref().and_then(|gitlab| gitlab.token_env_var_name.as_ref());
            let name = set(name.map(|name| name.as_str()));
            variable(
                name.as_deref().unwrap_or("TBOT_GITLAB_JWT"),
                "the job needs a token of this name under `id_tokens`, with the cluster's name as `aud`",
            )
        }
        JoinMethod::Circleci => {
            variable("CIRCLE_OIDC_TOKEN", "the join method circleci works in a job of CircleCI")
        }
        JoinMethod::Spacelift => {
            variable("SPACELIFT_OIDC_TOKEN", "the join method spacelift works in a run of Spacelift")
        }
        JoinMethod::Env0 => {
            variable("ENV0_OIDC_TOKEN", "the organization has to turn on OIDC for its deployments")
        }
        JoinMethod::Bitbucket => {
            variable("BITBUCKET_STEP_OIDC_TOKEN", "the pipeline's step needs `oidc: true`")
        }
        JoinMethod::TerraformCloud => {
            let tag = onboarding.terraform.as_ref().and_then(|terraform| terraform.audience_tag.as_ref());
            let tag = set(tag.map(|tag| tag.as_str())).map(|tag| format!("_{}", tag.to_uppercase()));
            variable(
                &format!("TFC_WORKLOAD_IDENTITY_TOKEN{}", tag.unwrap_or_default()),
                "the workspace has to ask for it with an audience, and onboarding.terraform.audience_tag has to be the one \
                 of that audience",
            )
        }
        JoinMethod::Kubernetes => {
            let path = onboarding.kubernetes.as_ref().and_then(|block| block.token_path.as_ref());
            Some(Source::File {
                path: set(path.map(|path| path.as_str())).map(PathBuf::from),
                variable: "KUBERNETES_TOKEN_PATH",
                default: "/var/run/secrets/kubernetes.io/serviceaccount/token",
                needs: "the pod needs a service account with its token mounted",
            })
        }
        JoinMethod::Iam => Some(Source::Aws),
        JoinMethod::Azure => {
            let client_id = onboarding.azure.as_ref().and_then(|azure| azure.client_id.as_ref());
            Some(Source::Azure { client_id: set(client_id.map(|id| id.as_str())) })
        }
        JoinMethod::Token
        | JoinMethod::BoundKeypair
        | JoinMethod::GenericOidc
        | JoinMethod::Oracle
        | JoinMethod::Tpm => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support;

    #[test]
    fn what_has_a_source_is_what_is_said_to_run() {
        for method in JoinMethod::ALL {
            let runs = *method == JoinMethod::Token || source(*method, &Onboarding::default()).is_some();
            assert_eq!(runs, support::JOIN_METHODS.contains(&method.as_str()), "{method}");
        }
    }

    #[test]
    fn a_block_names_the_variable() {
        let name = |method, onboarding: serde_json::Value| match source(
            method,
            &serde_json::from_value(onboarding).unwrap(),
        ) {
            Some(Source::Variable { name, .. }) => name,
            _ => panic!("{method} has its proof from elsewhere"),
        };
        let gitlab = |name: &str| serde_json::json!({ "gitlab": { "token_env_var_name": name } });
        assert_eq!(name(JoinMethod::Gitlab, gitlab("JWT")), "JWT");
        assert_eq!(name(JoinMethod::Gitlab, gitlab("")), "TBOT_GITLAB_JWT");
        let terraform = |tag: &str| serde_json::json!({ "terraform": { "audience_tag": tag } });
        assert_eq!(name(JoinMethod::TerraformCloud, terraform("")), "TFC_WORKLOAD_IDENTITY_TOKEN");
        let tagged = name(JoinMethod::TerraformCloud, terraform("teleport"));
        assert_eq!(tagged.strip_prefix("TFC_WORKLOAD_IDENTITY_TOKEN"), Some("_TELEPORT"));
    }
}
