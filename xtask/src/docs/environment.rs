//! The flags and environment variables in docs/configuration.md: what each does, and which part of the agent reads it.

use tbot::support;

use super::markdown::{code, table};

/// The part of the agent that reads a variable.
enum ReadBy {
    Program,
    JoinMethod(&'static str),
    Service(&'static str),
    Destination(&'static str),
    /// Only the Go agent reads the variable, for this reason.
    GoAgent(&'static str),
}

use ReadBy::{Destination, GoAgent, JoinMethod, Program, Service};

struct Variables {
    names: &'static [&'static str],
    read_by: ReadBy,
    effect: &'static str,
}

const fn row(names: &'static [&'static str], read_by: ReadBy, effect: &'static str) -> Variables {
    Variables { names, read_by, effect }
}

const VARIABLES: &[Variables] = &[
    row(&["TBOT_CONFIG_PATH"], Program, "Same as `--config`."),
    row(&["TBOT_CONFIG"], Program, "Same as `--config-string`: the configuration itself, base64-encoded."),
    row(&["TBOT_DEBUG"], Program, "`true` is the same as `--debug`, `false` the same as `--no-debug`."),
    row(&["TELEPORT_PROXY"], Program, "Same as `--proxy-server`."),
    row(&["TELEPORT_AUTH_SERVER"], Program, "Same as `--auth-server`."),
    row(&["TELEPORT_BOT_TOKEN"], Program, "Same as `--token`."),
    row(
        &["TBOT_USE_PROXY_ADDR"],
        Program,
        "`yes`: `ssh_config` contains the proxy address from `proxy_server` instead of the address that the cluster \
         advertises. No effect without `proxy_server`.",
    ),
    row(
        &["SSL_CERT_FILE", "SSL_CERT_DIR"],
        Program,
        "Certificate authorities to trust for a proxy instead of those of the system: a file, and a list of directories \
         separated by `:`.",
    ),
    row(
        &["HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"],
        Program,
        "The HTTP proxy to use, and the hosts to connect to directly. The lower-case names work, too.",
    ),
    row(
        &["TELEPORT_ANONYMOUS_TELEMETRY", "DO_NOT_TRACK"],
        Program,
        "Opt in to or out of telemetry, see [telemetry.md](telemetry.md).",
    ),
    row(
        &["TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS", "_TBOT_TELEMETRY_HELPER", "_TBOT_TELEMETRY_HELPER_VERSION"],
        Program,
        "The endpoint for the telemetry event, and the program that started the agent, see [telemetry.md](telemetry.md).",
    ),
    row(&["NO_COLOR", "TERM"], Program, "Output has no colours if `NO_COLOR` is set or `TERM` is `dumb`."),
    row(&["TBOT_REGISTRATION_SECRET"], JoinMethod("bound_keypair"), "Same as `--registration-secret`."),
    row(
        &["TBOT_BOUND_KEYPAIR_STATIC_KEY"],
        JoinMethod("bound_keypair"),
        "The static private key: PEM, base64-encoded.",
    ),
    row(
        &["TBOT_GITLAB_JWT"],
        JoinMethod("gitlab"),
        "The ID token of the CI job, unless `onboarding.gitlab.token_env_var_name` names another variable.",
    ),
    row(&["CIRCLE_OIDC_TOKEN"], JoinMethod("circleci"), "The ID token of the CI job."),
    row(&["BITBUCKET_STEP_OIDC_TOKEN"], JoinMethod("bitbucket"), "The ID token of the pipeline step."),
    row(&["ENV0_OIDC_TOKEN"], JoinMethod("env0"), "The ID token of the deployment."),
    row(&["SPACELIFT_OIDC_TOKEN"], JoinMethod("spacelift"), "The ID token of the run."),
    row(
        &["TFC_WORKLOAD_IDENTITY_TOKEN"],
        JoinMethod("terraform_cloud"),
        "The ID token of the run. If `onboarding.terraform.audience_tag` is set, `_` and the tag in upper case are appended \
         to the name of the variable.",
    ),
    row(
        &["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"],
        JoinMethod("github"),
        "The endpoint that issues the ID token of the CI job, and the credential for it.",
    ),
    row(
        &["SYSTEM_OIDCREQUESTURI", "SYSTEM_ACCESSTOKEN"],
        JoinMethod("azure_devops"),
        "The endpoint that issues the ID token of the pipeline, and the credential for it.",
    ),
    row(
        &["GCE_METADATA_HOST"],
        JoinMethod("gcp"),
        "Host of the metadata server, instead of 169.254.169.254. It must be link-local, loopback or \
         `metadata.google.internal`.",
    ),
    row(
        &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
        JoinMethod("iam"),
        "AWS access key, with a session token if it is temporary. Takes precedence over all other credentials.",
    ),
    row(
        &["AWS_REGION", "AWS_DEFAULT_REGION"],
        JoinMethod("iam"),
        "Region of the STS endpoint that identifies the bot. Defaults to the region of the profile, then to that of the EC2 \
         instance.",
    ),
    row(
        &["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "HOME"],
        JoinMethod("iam"),
        "Profile with an access key or a region, and the files that define it, by default `~/.aws/config` and \
         `~/.aws/credentials`. Access keys are the only supported credentials in a profile: role assumption, single sign-on, \
         web identity and credential processes are not supported.",
    ),
    row(
        &["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_ENDPOINT_URL_STS"],
        JoinMethod("iam"),
        "ID token of an EKS pod, the role to assume with it, the name of the role session (default `tbot`), and the STS \
         endpoint (default: that of the region). The endpoint must use https or be loopback.",
    ),
    row(
        &[
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        ],
        JoinMethod("iam"),
        "The endpoint that issues the credentials of an ECS or EKS container, and the authorization for it. The endpoint must \
         use https or be link-local or loopback.",
    ),
    row(
        &["AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_DISABLED"],
        JoinMethod("iam"),
        "URL of the metadata service, instead of `http://169.254.169.254`. It must be link-local or loopback. If \
         `AWS_EC2_METADATA_DISABLED` is `true`, the service is not used.",
    ),
    row(
        &["AZURE_POD_IDENTITY_AUTHORITY_HOST"],
        JoinMethod("azure"),
        "URL of the metadata service, instead of `http://169.254.169.254`. It must be link-local or loopback.",
    ),
    row(
        &["KUBERNETES_TOKEN_PATH"],
        JoinMethod("kubernetes"),
        "Path of the service account token, unless `onboarding.kubernetes.token_path` is set.",
    ),
    row(&["POD_NAMESPACE"], Destination("kubernetes_secret"), "Default namespace of the Secret."),
    row(
        &["KUBECONFIG"],
        Destination("kubernetes_secret"),
        "Kubeconfig of the cluster that contains the Secret.",
    ),
    row(
        &["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"],
        Destination("kubernetes_secret"),
        "API server of the cluster that the agent runs in. Used if there is no kubeconfig.",
    ),
    row(
        &["TELEPORT_NODE_NAME"],
        Service("workload-identity-api"),
        "Host of the kubelet that attests workloads.",
    ),
    row(
        &["AWS_REGION"],
        Service("workload-identity-aws-roles-anywhere"),
        "AWS region of the service's requests.",
    ),
    row(
        &["HTTP_PROXY"],
        GoAgent("plain HTTP requests never use a proxy"),
        "HTTP proxy for plain HTTP requests.",
    ),
    row(
        &["TSH"],
        Program,
        "The `tsh` program that `tbot proxy` and `tbot db` run. Defaults to `tsh` in `PATH`.",
    ),
];

pub(super) fn section() -> String {
    let rows: Vec<Vec<String>> = VARIABLES
        .iter()
        .map(|Variables { names, read_by, effect }| {
            let names: Vec<String> = names.iter().copied().map(code).collect();
            vec![names.join(", "), (*effect).to_owned(), format_read_by(read_by)]
        })
        .collect();
    include_str!("configuration/flags.md").to_owned() + &table(&["variable", "effect", "read by"], &rows)
}

fn format_read_by(read_by: &ReadBy) -> String {
    let (what, name, supported) = match read_by {
        Program => return "`tbot`".to_owned(),
        GoAgent(reason) => return format!("only the Go agent: {reason}"),
        JoinMethod(name) => ("join method", name, support::JOIN_METHODS),
        Service(name) => ("service", name, support::SERVICES),
        Destination(name) => ("destination", name, support::DESTINATIONS),
    };
    if supported.contains(name) {
        format!("{what} {}", code(name))
    } else {
        format!("nothing: the {what} {} is not supported", code(name))
    }
}
