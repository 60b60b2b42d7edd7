//! The variables of docs/configuration.md: what each does, and whether this version reads it. Depends on `tbot::support`.

use tbot::support;

use super::markdown::{code, table};

/// Who reads a variable.
enum Reader {
    Program,
    JoinMethod(&'static str),
    Service(&'static str),
    Destination(&'static str),
    /// A part of the Go agent that this program does not have.
    Nobody(&'static str),
}

use Reader::{Destination, JoinMethod, Nobody, Program, Service};

const VARIABLES: &[(&[&str], Reader, &str)] = &[
    (&["TBOT_CONFIG_PATH"], Program, "As `--config`."),
    (&["TBOT_CONFIG"], Program, "As `--config-string`: the configuration itself, in base64."),
    (&["TBOT_DEBUG"], Program, "As `--debug`, with `true`; as `--no-debug`, with `false`."),
    (&["TELEPORT_PROXY"], Program, "As `--proxy-server`."),
    (&["TELEPORT_AUTH_SERVER"], Program, "As `--auth-server`."),
    (&["TELEPORT_BOT_TOKEN"], Program, "As `--token`."),
    (
        &["TBOT_USE_PROXY_ADDR"],
        Program,
        "`yes`: `ssh_config` names the proxy as `proxy_server` does, not as the cluster advertises it. No effect without \
         `proxy_server`.",
    ),
    (
        &["SSL_CERT_FILE", "SSL_CERT_DIR"],
        Program,
        "Certificate authorities to trust for a proxy, instead of the system's; folders with `:` between them.",
    ),
    (
        &["HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"],
        Program,
        "HTTP proxy to go through, and hosts to reach without it; also in lower case.",
    ),
    (
        &["TELEPORT_ANONYMOUS_TELEMETRY", "DO_NOT_TRACK"],
        Program,
        "A say in whether telemetry is on, see [telemetry.md](telemetry.md).",
    ),
    (
        &["TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS", "_TBOT_TELEMETRY_HELPER", "_TBOT_TELEMETRY_HELPER_VERSION"],
        Program,
        "Where the event goes, and what started the agent, see [telemetry.md](telemetry.md).",
    ),
    (&["NO_COLOR", "TERM"], Program, "No colours: where the first is set, or the second is `dumb`."),
    (&["TBOT_REGISTRATION_SECRET"], JoinMethod("bound_keypair"), "As `--registration-secret`."),
    (&["TBOT_BOUND_KEYPAIR_STATIC_KEY"], JoinMethod("bound_keypair"), "Static private key, PEM in base64."),
    (
        &["TBOT_GITLAB_JWT"],
        JoinMethod("gitlab"),
        "Token of the CI job, where `onboarding.gitlab.token_env_var_name` names no other variable.",
    ),
    (&["CIRCLE_OIDC_TOKEN"], JoinMethod("circleci"), "Token of the CI job."),
    (&["BITBUCKET_STEP_OIDC_TOKEN"], JoinMethod("bitbucket"), "Token of the pipeline's step."),
    (&["ENV0_OIDC_TOKEN"], JoinMethod("env0"), "Token of the deployment."),
    (&["SPACELIFT_OIDC_TOKEN"], JoinMethod("spacelift"), "Token of the run."),
    (
        &["TFC_WORKLOAD_IDENTITY_TOKEN"],
        JoinMethod("terraform_cloud"),
        "Token of the run; with `onboarding.terraform.audience_tag`, the variable has `_` and the tag in upper case behind it.",
    ),
    (
        &["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"],
        JoinMethod("github"),
        "Where the CI job gets its token, and what lets it in there.",
    ),
    (
        &["SYSTEM_OIDCREQUESTURI", "SYSTEM_ACCESSTOKEN"],
        JoinMethod("azure_devops"),
        "Where the pipeline gets its token, and what lets it in there.",
    ),
    (
        &["GCE_METADATA_HOST"],
        JoinMethod("gcp"),
        "Host of the metadata server, where it is not 169.254.169.254; link-local, loopback or `metadata.google.internal`.",
    ),
    (
        &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
        JoinMethod("iam"),
        "Keys of AWS; the last for temporary ones. They go before every other source.",
    ),
    (
        &["AWS_REGION", "AWS_DEFAULT_REGION"],
        JoinMethod("iam"),
        "Region whose STS is asked who the bot is; unset, that of the profile, else that of the EC2 instance.",
    ),
    (
        &["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "HOME"],
        JoinMethod("iam"),
        "Profile with keys or a region, and the files that have it, where they are not `config` and `credentials` in `~/.aws`. \
         Only keys in a profile are supported: no assumed role, single sign-on, web identity or process.",
    ),
    (
        &["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_ENDPOINT_URL_STS"],
        JoinMethod("iam"),
        "Token of a pod of EKS, the role that it takes on with it, the name of that session (`tbot`), and where STS is, where it \
         is not that of the region; https or loopback.",
    ),
    (
        &[
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        ],
        JoinMethod("iam"),
        "Where a container of ECS or EKS gets its keys, and what lets it in there; https, link-local or loopback.",
    ),
    (
        &["AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_DISABLED"],
        JoinMethod("iam"),
        "URL of the metadata service, where it is not `http://169.254.169.254`, link-local or loopback; `true`: it is not \
         asked.",
    ),
    (
        &["AZURE_POD_IDENTITY_AUTHORITY_HOST"],
        JoinMethod("azure"),
        "URL of the metadata service, where it is not `http://169.254.169.254`; link-local or loopback.",
    ),
    (
        &["KUBERNETES_TOKEN_PATH"],
        JoinMethod("kubernetes"),
        "Path of the service account's token, where `onboarding.kubernetes.token_path` is not set.",
    ),
    (&["POD_NAMESPACE"], Destination("kubernetes_secret"), "Namespace of the Secret."),
    (&["KUBECONFIG"], Destination("kubernetes_secret"), "Kubeconfig of the cluster with the Secret."),
    (
        &["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"],
        Destination("kubernetes_secret"),
        "The cluster that the agent runs in, where there is no kubeconfig.",
    ),
    (
        &["TELEPORT_NODE_NAME"],
        Service("workload-identity-api"),
        "Host of the kubelet that attests workloads.",
    ),
    (
        &["AWS_REGION"],
        Service("workload-identity-aws-roles-anywhere"),
        "AWS region of what the service asks for.",
    ),
    (&["HTTP_PROXY"], Nobody("requests in clear text"), "HTTP proxy for requests in clear text."),
    (
        &["TSH"],
        Program,
        "The `tsh` that `tbot proxy` and `tbot db` run, where it is not to be found in `PATH`.",
    ),
];

pub(super) fn section() -> String {
    let rows: Vec<Vec<String>> = VARIABLES
        .iter()
        .map(|(names, reader, effect)| {
            let names: Vec<String> = names.iter().copied().map(code).collect();
            vec![names.join(", "), (*effect).to_owned(), read(reader)]
        })
        .collect();
    include_str!("configuration/flags.md").to_owned() + &table(&["variable", "effect", "read"], &rows)
}

fn read(reader: &Reader) -> String {
    let (what, name, runs) = match reader {
        Program => return "yes".to_owned(),
        Nobody(what) => return format!("no: this program does not have {what}"),
        JoinMethod(name) => ("join method", name, support::JOIN_METHODS),
        Service(name) => ("service", name, support::SERVICES),
        Destination(name) => ("destination", name, support::DESTINATIONS),
    };
    if runs.contains(name) {
        format!("by the {what} {}", code(name))
    } else {
        format!("no: this version does not run the {what} {}", code(name))
    }
}
