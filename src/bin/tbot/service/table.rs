//! The table of commands that stand for a service: one row a flag, with the place in the service that it fills.
//!
//! Names are those of Teleport's `tbot`; `tests/integration/program/services.rs` holds every row to the configuration.

use super::{Flag, Kind, Need, ServiceCommand};

/// The command that bare `tbot start` is.
pub(super) const LEGACY: &str = "legacy";

/// Where the readers of a destination are.
pub(super) const READERS: &str = "/destination/readers/";

const fn flag(name: &'static str, value: &'static str, place: &'static str, help: &'static str) -> Flag {
    Flag { name, value, place, kind: Kind::Text, need: Need::Optional, help }
}

macro_rules! switch {
    ($name:literal, $place:literal, $help:literal $(,)?) => {
        flag($name, "", $place, $help).of(Kind::Switch(concat!("no-", $name)))
    };
}

impl Flag {
    const fn of(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    const fn need(mut self, need: Need) -> Self {
        self.need = need;
        self
    }

    const fn required(self) -> Self {
        self.need(Need::Required)
    }
}

const DESTINATION: &[Flag] = &[
    flag(
        "destination",
        "URI",
        "/destination",
        "Where to write: a directory,\nmemory:// or kubernetes-secret:///NAME",
    )
    .of(Kind::Destination)
    .required(),
    flag("reader-user", "USER", "/destination/readers/-/user", "User who may read it; repeatable"),
    flag("reader-group", "GROUP", "/destination/readers/-/group", "Group that may read it; repeatable"),
];

const SELECTOR: &[Flag] = &[
    flag("name-selector", "NAME", "/selector/name", "Workload identity of this name").need(Need::One),
    flag(
        "label-selector",
        "LABELS",
        "/selector/labels",
        "Those with all of these labels,\nas NAME=VALUE,...",
    )
    .of(Kind::LabelLists)
    .need(Need::One),
];

const LISTEN: Flag = flag("listen", "URI", "/listen", "Address: tcp://HOST:PORT or unix:///PATH").required();

const APP: Flag = flag("app", "NAME", "/app_name", "Application to reach").required();

const FEDERATED: Flag = switch!(
    "include-federated-trust-bundles",
    "/include_federated_trust_bundles",
    "Write federated trust bundles, too",
);

const NO_EXEC_PLUGIN: Flag =
    switch!("disable-exec-plugin", "/disable_exec_plugin", "Write the credentials into the kubeconfig");

/// A database's coordinates, which these commands require even where the file need not have them.
const DATABASE: &[Flag] = &[
    flag("service", "NAME", "/service", "Database service to reach").required(),
    flag("username", "NAME", "/username", "Database user to connect as").required(),
    flag("database", "NAME", "/database", "Database to connect to").required(),
];

const fn row(name: &'static str, about: &'static str, flags: &'static [&'static [Flag]]) -> ServiceCommand {
    ServiceCommand { name, alias: None, about, service: Some(name), flags }
}

/// Every command, in the order of the help.
pub(super) const COMMANDS: &[ServiceCommand] = &[
    row(
        "identity",
        "Add credentials for tsh, OpenSSH, API",
        &[
            DESTINATION,
            &[
                flag("cluster", "NAME", "/cluster", "Leaf cluster that the credentials are for"),
                switch!("allow-reissue", "/allow_reissue", "Let the credentials be used to get others"),
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
                    "Write tls.crt, tls.key and tls.cas, too",
                ),
            ],
        ],
    ),
    row("application-tunnel", "Add a listener for one application", &[&[LISTEN, APP]]),
    row("application-proxy", "Add an HTTP proxy for applications", &[&[LISTEN]]),
    row(
        "database",
        "Add credentials for a database",
        &[
            DESTINATION,
            DATABASE,
            &[flag("format", "FORMAT", "/format", "Form of the files: tls, mongo or cockroach")],
        ],
    ),
    row("database-tunnel", "Add a listener for one database", &[&[LISTEN], DATABASE]),
    row(
        "kubernetes",
        "Add a kubeconfig for one cluster",
        &[
            DESTINATION,
            &[
                flag("kubernetes-cluster", "NAME", "/kubernetes_cluster", "Kubernetes cluster to reach")
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
                        "Kubernetes cluster to reach; repeatable",
                    )
                    .need(Need::OneOrMore),
                    flag(
                        "label-selector",
                        "LABELS",
                        "/selectors/-/labels",
                        "Kubernetes clusters with these labels,\nas NAME=VALUE,...; repeatable",
                    )
                    .of(Kind::Labels)
                    .need(Need::OneOrMore),
                    NO_EXEC_PLUGIN,
                ],
            ],
        )
    },
    row(
        "ssh-multiplexer",
        "Add a multiplexer of SSH connections",
        &[
            DESTINATION,
            &[
                switch!(
                    "enable-resumption",
                    "/enable_resumption",
                    "Resume connections, which is the default;\n--no-enable-resumption does not",
                ),
                flag(
                    "proxy-command",
                    "WORD",
                    "/proxy_command/-",
                    "Word of the command that ssh runs;\nrepeatable",
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
    row("workload-identity-api", "Add a listener for the Workload API", &[SELECTOR, &[LISTEN]]),
    row(
        "workload-identity-aws-roles-anywhere",
        "Add credentials of AWS Roles Anywhere",
        &[
            DESTINATION,
            SELECTOR,
            &[
                flag("role-arn", "ARN", "/role_arn", "Role to act in").required(),
                flag("profile-arn", "ARN", "/profile_arn", "Roles Anywhere profile").required(),
                flag("trust-anchor-arn", "ARN", "/trust_anchor_arn", "Roles Anywhere trust anchor")
                    .required(),
                flag("region", "REGION", "/region", "AWS region"),
                flag(
                    "session-duration",
                    "DURATION",
                    "/session_duration",
                    "How long a session is, such as 6h",
                ),
                flag(
                    "session-renewal-interval",
                    "DURATION",
                    "/session_renewal_interval",
                    "How often it is renewed, such as 1h",
                ),
            ],
        ],
    ),
    row(
        "spiffe-svid",
        "Add an X.509 SVID by path (superseded)",
        &[
            DESTINATION,
            &[
                flag("svid-path", "PATH", "/svid/path", "Path of the SPIFFE ID, such as /svc/foo").required(),
                flag("svid-hint", "TEXT", "/svid/hint", "Hint that tells SVIDs apart"),
                flag("dns-san", "NAME", "/svid/sans/dns/-", "DNS name to certify; repeatable"),
                flag("ip-san", "ADDRESS", "/svid/sans/ip/-", "IP address to certify; repeatable"),
                FEDERATED,
            ],
        ],
    ),
    ServiceCommand { service: None, ..row("noop", "Add nothing", &[]) },
    ServiceCommand {
        service: None,
        ..row(
            LEGACY,
            "What `tbot start` does without a service",
            &[&[flag(
                "destination-dir",
                "DIR",
                "/services",
                "Write one identity into this directory,\nand no other service",
            )
            .of(Kind::OneIdentity)]],
        )
    },
];
