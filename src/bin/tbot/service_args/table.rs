//! The table of service commands: their flags, and the property that each flag sets.
//!
//! The names are those of Teleport's `tbot`. A test in the parent module checks every row against the configuration.

use super::command::{Flag, Requirement, ServiceCommand};
use super::value::FlagType;

/// The command that `tbot start` runs if none is given.
pub(super) const LEGACY: &str = "legacy";

/// The prefix of pointers to the readers of a destination.
pub(super) const READERS: &str = "/destination/readers/";

const fn flag(
    name: &'static str,
    value_name: &'static str,
    pointer: &'static str,
    help: &'static str,
) -> Flag {
    Flag { name, value_name, pointer, flag_type: FlagType::String, requirement: Requirement::Optional, help }
}

macro_rules! switch {
    ($name:literal, $pointer:literal, $help:literal $(,)?) => {
        flag($name, "", $pointer, $help).with_type(FlagType::Switch(concat!("no-", $name)))
    };
}

impl Flag {
    const fn with_type(mut self, flag_type: FlagType) -> Self {
        self.flag_type = flag_type;
        self
    }

    const fn with_requirement(mut self, requirement: Requirement) -> Self {
        self.requirement = requirement;
        self
    }

    const fn required(self) -> Self {
        self.with_requirement(Requirement::Required)
    }
}

const DESTINATION: &[Flag] = &[
    flag(
        "destination",
        "URI",
        "/destination",
        "Where to write: a directory,\nmemory:// or kubernetes-secret:///NAME",
    )
    .with_type(FlagType::Destination)
    .required(),
    flag("reader-user", "USER", "/destination/readers/-/user", "User with read access; repeatable"),
    flag("reader-group", "GROUP", "/destination/readers/-/group", "Group with read access; repeatable"),
];

const SELECTOR: &[Flag] = &[
    flag("name-selector", "NAME", "/selector/name", "Workload identity with this name")
        .with_requirement(Requirement::ExactlyOne),
    flag(
        "label-selector",
        "LABELS",
        "/selector/labels",
        "Workload identities with all these labels,\nas NAME=VALUE,...",
    )
    .with_type(FlagType::LabelLists)
    .with_requirement(Requirement::ExactlyOne),
];

const LISTEN: Flag =
    flag("listen", "URI", "/listen", "Listen address: tcp://HOST:PORT or unix:///PATH").required();

const APP: Flag = flag("app", "NAME", "/app_name", "Application to connect to").required();

const FEDERATED: Flag = switch!(
    "include-federated-trust-bundles",
    "/include_federated_trust_bundles",
    "Also write federated trust bundles",
);

const NO_EXEC_PLUGIN: Flag =
    switch!("disable-exec-plugin", "/disable_exec_plugin", "Put the credentials into the kubeconfig");

/// Flags that select a database. They are required here, although their properties are optional in the file.
const DATABASE: &[Flag] = &[
    flag("service", "NAME", "/service", "Database service to connect to").required(),
    flag("username", "NAME", "/username", "Database user to connect as").required(),
    flag("database", "NAME", "/database", "Database to connect to").required(),
];

const fn row(name: &'static str, about: &'static str, flags: &'static [&'static [Flag]]) -> ServiceCommand {
    ServiceCommand { name, alias: None, about, service: Some(name), flags }
}

/// All commands, in the order of the help.
pub(super) const COMMANDS: &[ServiceCommand] = &[
    row(
        "identity",
        "Add an identity for tsh and SSH clients",
        &[
            DESTINATION,
            &[
                flag("cluster", "NAME", "/cluster", "Leaf cluster to issue the credentials for"),
                switch!("allow-reissue", "/allow_reissue", "Allow using the identity to obtain others"),
            ],
        ],
    ),
    row(
        "application",
        "Add credentials for an application",
        &[
            DESTINATION,
            &[
                APP,
                switch!(
                    "specific-tls-extensions",
                    "/specific_tls_naming",
                    "Also write tls.crt, tls.key and tls.cas",
                ),
            ],
        ],
    ),
    row("application-tunnel", "Add a local tunnel to an application", &[&[LISTEN, APP]]),
    row("application-proxy", "Add a local HTTP proxy to applications", &[&[LISTEN]]),
    row(
        "database",
        "Add credentials for a database",
        &[
            DESTINATION,
            DATABASE,
            &[flag("format", "FORMAT", "/format", "File format: tls, mongo or cockroach")],
        ],
    ),
    row("database-tunnel", "Add a local tunnel to a database", &[&[LISTEN], DATABASE]),
    row(
        "kubernetes",
        "Add a kubeconfig for one cluster",
        &[
            DESTINATION,
            &[
                flag("kubernetes-cluster", "NAME", "/kubernetes_cluster", "Kubernetes cluster to connect to")
                    .required(),
                NO_EXEC_PLUGIN,
            ],
        ],
    ),
    ServiceCommand {
        alias: Some("k8s/v2"),
        ..row(
            "kubernetes/v2",
            "Add a kubeconfig for several clusters",
            &[
                DESTINATION,
                &[
                    flag(
                        "name-selector",
                        "NAME",
                        "/selectors/-/name",
                        "Kubernetes cluster to connect to; repeatable",
                    )
                    .with_requirement(Requirement::AtLeastOne),
                    flag(
                        "label-selector",
                        "LABELS",
                        "/selectors/-/labels",
                        "Kubernetes clusters with these labels,\nas NAME=VALUE,...; repeatable",
                    )
                    .with_type(FlagType::Labels)
                    .with_requirement(Requirement::AtLeastOne),
                    NO_EXEC_PLUGIN,
                ],
            ],
        )
    },
    row(
        "ssh-multiplexer",
        "Add an SSH connection multiplexer",
        &[
            DESTINATION,
            &[
                switch!(
                    "enable-resumption",
                    "/enable_resumption",
                    "Resume connections (default);\nturn off with --no-enable-resumption",
                ),
                flag(
                    "proxy-command",
                    "WORD",
                    "/proxy_command/-",
                    "One word of the command for ssh to run;\nrepeatable",
                ),
                flag("proxy-templates-path", "FILE", "/proxy_templates_path", "File with proxy templates"),
            ],
        ],
    ),
    row("workload-identity-x509", "Add an X.509 SVID", &[DESTINATION, SELECTOR, &[FEDERATED]]),
    row(
        "workload-identity-jwt",
        "Add a JWT SVID",
        &[
            DESTINATION,
            SELECTOR,
            &[flag("audience", "NAME", "/audiences/-", "Audience of the token; repeatable").required()],
        ],
    ),
    row("workload-identity-api", "Add a SPIFFE Workload API endpoint", &[SELECTOR, &[LISTEN]]),
    row(
        "workload-identity-aws-roles-anywhere",
        "Add AWS Roles Anywhere credentials",
        &[
            DESTINATION,
            SELECTOR,
            &[
                flag("role-arn", "ARN", "/role_arn", "Role to assume").required(),
                flag("profile-arn", "ARN", "/profile_arn", "Roles Anywhere profile").required(),
                flag("trust-anchor-arn", "ARN", "/trust_anchor_arn", "Roles Anywhere trust anchor")
                    .required(),
                flag("region", "REGION", "/region", "AWS region"),
                flag(
                    "session-duration",
                    "DURATION",
                    "/session_duration",
                    "Lifetime of a session, such as 6h",
                ),
                flag(
                    "session-renewal-interval",
                    "DURATION",
                    "/session_renewal_interval",
                    "How often to renew the session, such as 1h",
                ),
            ],
        ],
    ),
    row(
        "spiffe-svid",
        "Add an X.509 SVID by path (deprecated)",
        &[
            DESTINATION,
            &[
                flag("svid-path", "PATH", "/svid/path", "Path of the SPIFFE ID, such as /svc/foo").required(),
                flag("svid-hint", "HINT", "/svid/hint", "Hint to distinguish this SVID from others"),
                flag("dns-san", "NAME", "/svid/sans/dns/-", "DNS SAN; repeatable"),
                flag("ip-san", "ADDRESS", "/svid/sans/ip/-", "IP SAN; repeatable"),
                FEDERATED,
            ],
        ],
    ),
    ServiceCommand { service: None, ..row("noop", "Add no service", &[]) },
    ServiceCommand {
        service: None,
        ..row(
            LEGACY,
            "Same as `tbot start` without a service",
            &[&[flag(
                "destination-dir",
                "DIR",
                "/services",
                "Write one identity to this directory instead\nof running the services of the file",
            )
            .with_type(FlagType::OneIdentity)]],
        )
    },
];
