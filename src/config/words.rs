//! Words that people write in real files and that the format does not have: names of other tools, of other versions and of
//! the command line. One table; depends on nothing. A test loads a file with each word.

/// Where a word is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WordPlace {
    /// A key at the top level.
    Root,
    /// A key at the top level of version 1.
    RootV1,
    /// A key in `onboarding`.
    Onboarding,
    /// A key in the block `bound_keypair` of `onboarding`.
    BoundKeypair,
    /// A key in a destination or in `storage`.
    Destination,
    /// A key in `storage` of version 1.
    StorageV1,
    /// A key in an entry of `services` or `outputs`.
    Service,
    /// A key in a service of this type.
    ServiceOfType(&'static str),
    /// A key in the attestor `sigstore` of a service.
    SigstoreAttestor,
    /// A key in an entry of `destinations`, which only version 1 has.
    DestinationV1,
    /// An entry of `configs` in version 1, as a string or as a key.
    TemplateV1,
    /// The `type` of a service.
    ServiceType,
    /// The `type` of a destination or of `storage`.
    DestinationType,
    /// The value of `join_method`.
    JoinMethod,
}

/// Words with the same meaning in a place, and the help for them.
pub(super) struct Meaning {
    words: &'static [&'static str],
    /// The key in the same map that the words mean, if there is one.
    pub(super) meant: Option<&'static str>,
    /// `None` if `meant` says everything.
    help: Option<&'static str>,
}

impl Meaning {
    pub(super) fn help(&self) -> String {
        let meant = self.meant.map(|meant| format!("use `{meant}`"));
        self.help.map(str::to_owned).or(meant).unwrap_or_default()
    }
}

/// Returns the meaning of a word in one of the places; the first place wins.
pub(super) fn find(places: &[WordPlace], word: &str) -> Option<&'static Meaning> {
    places.iter().find_map(|place| {
        let (_, meanings) = WORDS.iter().find(|(of, _)| of == place)?;
        meanings.iter().find(|meaning| meaning.words.contains(&word))
    })
}

/// Returns the place of the keys of a service of this type, if any row is about it.
pub(super) fn place_of_service(type_name: &str) -> Option<WordPlace> {
    let is_of_type =
        |place: &WordPlace| matches!(place, WordPlace::ServiceOfType(name) if *name == type_name);
    WORDS.iter().map(|(place, _)| *place).find(is_of_type)
}

/// Names of the address of a proxy.
const ADDRESSES: &[&str] = &[
    "proxy",
    "proxy_addr",
    "proxy_address",
    "instance_addr",
    "address",
    "addr",
    "teleport_addr",
    "teleport_proxy",
    "cluster",
];
/// Keys of a Teleport resource.
const OF_RESOURCE: &[&str] = &["kind", "metadata", "spec"];
/// The keys that a service has unless it has other ones for the lifetime of its credentials.
const LIFETIMES: &[&str] = &["credential_ttl", "certificate_ttl", "renewal_interval"];

const RESOURCE: &str =
    "this is a Teleport resource, which `tctl create` reads; write a configuration of tbot";
const USE_TOKEN: &str =
    "use `onboarding: {join_method: ..., token: ...}`; `token` can also be the absolute path of a file";
const USE_KUBERNETES_SELECTORS: &str = "use `selectors: [{name: <cluster>}]`";
const NO_TRUST_DOMAIN: &str = "remove it; the name of the cluster is the trust domain";
const USE_WORKLOAD_SELECTOR: &str = "use `selector: {name: <workload identity>}`";

const fn help(words: &'static [&'static str], help: &'static str) -> Meaning {
    Meaning { words, meant: None, help: Some(help) }
}

const fn key(words: &'static [&'static str], meant: &'static str) -> Meaning {
    Meaning { words, meant: Some(meant), help: None }
}

const fn key_with_help(words: &'static [&'static str], meant: &'static str, help: &'static str) -> Meaning {
    Meaning { words, meant: Some(meant), help: Some(help) }
}

static WORDS: &[(WordPlace, &[Meaning])] = &[
    (
        WordPlace::Root,
        &[
            key(ADDRESSES, "proxy_server"),
            key(&["auth_addr"], "auth_server"),
            key(&["ttl"], "credential_ttl"),
            key(&["renew"], "renewal_interval"),
            key_with_help(
                &["telemetry", "anonymous_telemetry"],
                "anonymous_telemetry_opt_in",
                "use `anonymous_telemetry_opt_in: true` to opt in",
            ),
            help(
                &["log", "log_level", "loglevel"],
                "use `debug: true` for more log lines, and the flag `--log-format` for their format",
            ),
            help(&["data_dir"], "use `storage: {type: directory, path: ...}`"),
            help(&["pid_file"], "remove it, and use the flag `--pid-file`"),
            help(
                &["destination_dir"],
                "use `services: [{type: identity, destination: {type: directory, path: ...}}]`",
            ),
            help(
                &["destinations"],
                "use `services`, with entries such as `{type: identity, destination: {type: directory, path: ...}}`; if the \
                 file uses version 1, remove `version: v2`",
            ),
            help(&["destination"], "indent it below an entry of `services`"),
            help(&["auth_token"], "use `onboarding: {join_method: token, token: ...}`"),
            help(&["join_params"], "use `onboarding: {join_method: ..., token: ...}`"),
            help(&["join_token", "token_path", "token_file"], USE_TOKEN),
            help(
                &["teleport"],
                "only the configuration of Teleport itself has this key; write its `proxy_server` at the top level, and its \
                 `join_params` as `onboarding: {join_method: ..., token: ...}`",
            ),
            help(OF_RESOURCE, RESOURCE),
        ],
    ),
    (
        WordPlace::RootV1,
        &[
            key_with_help(
                ADDRESSES,
                "auth_server",
                "use `auth_server`, which in version 1 also accepts the address of a proxy",
            ),
            key(&["auth_addr"], "auth_server"),
            key(&["ttl"], "certificate_ttl"),
            key(&["renew"], "renewal_interval"),
            help(&["data_dir"], "use `storage: {directory: ...}`"),
            help(&["pid_file"], "remove it, and use the flag `--pid-file`"),
            help(
                &["destination"],
                "write `version: v2`, and an entry of `services` such as \
                 `{type: identity, destination: {type: directory, path: ...}}`",
            ),
            help(&["join_token", "token_path", "token_file"], USE_TOKEN),
            help(
                &["proxy_server", "insecure", "join_uri", "credential_ttl", "services", "outputs"],
                "version 1 does not have this key; to use version 2, write `version: v2`, and `services` instead of \
                 `destinations`",
            ),
            help(
                &["tbotConfig", "clusterName", "teleportProxyAddress"],
                "this is a value of the Helm chart; the configuration of tbot is what belongs under `tbotConfig`",
            ),
            help(OF_RESOURCE, RESOURCE),
        ],
    ),
    (
        WordPlace::Onboarding,
        &[
            key(&["join_token"], "token"),
            key(&["method"], "join_method"),
            help(
                &["token_path", "token_file"],
                "use `token`, which can be the absolute path of a file; only the block `kubernetes` has `token_path`",
            ),
            help(&["terraform_cloud"], "use `terraform` for the settings of `join_method: terraform_cloud`"),
        ],
    ),
    (WordPlace::BoundKeypair, &[key(&["initial_join_secret"], "registration_secret")]),
    (
        WordPlace::Destination,
        &[
            help(
                &["mode", "owner", "group", "permissions"],
                "remove it; files are private, and `readers: [{user: <name>}]` gives others access with an ACL",
            ),
            help(&["destination"], "write its keys directly in the map that contains it"),
            key(&["secret_name"], "name"),
            key(&["secret_namespace"], "namespace"),
        ],
    ),
    (
        WordPlace::StorageV1,
        &[
            key(&["path"], "directory"),
            help(
                &["type"],
                "version 1 does not have this key; use `directory`, or write `version: v2`, and `services` instead of \
                 `destinations`",
            ),
        ],
    ),
    (
        WordPlace::JoinMethod,
        &[
            help(&["ec2", "aws"], "use `iam` to join from AWS"),
            help(&["google", "gce"], "use `gcp` to join from Google Cloud"),
            help(&["oci"], "use `oracle` to join from Oracle Cloud"),
            help(&["gha"], "use `github` to join from GitHub Actions"),
            help(
                &[
                    "k8s",
                    "kube",
                    "in_cluster",
                    "static_jwks",
                    "kubernetes_in_cluster",
                    "kubernetes-in-cluster",
                ],
                "use `kubernetes`; how the cluster verifies the token is in the join token",
            ),
            help(&["tfc", "hcp"], "use `terraform_cloud` to join from HCP Terraform"),
            help(&["oidc", "jwt"], "use `generic_oidc`, or the method of your platform"),
        ],
    ),
    (
        WordPlace::Service,
        &[
            key(&["db_name"], "database"),
            key(&["db_service"], "service"),
            key(&["db_user", "user"], "username"),
            key(&["listen_addr"], "listen"),
            key(&["relay_addr"], "relay_server"),
            key(&["ttl"], "credential_ttl"),
            key(&["renew"], "renewal_interval"),
            key_with_help(&["destinations"], "destination", "use `destination`, which is a single map"),
            help(&["directory"], "use `destination: {type: directory, path: ...}`"),
            help(&["destination"], "remove it; this service writes no files"),
        ],
    ),
    (WordPlace::SigstoreAttestor, &[key(&["allowed_network_prefixes"], "allowed_private_network_prefixes")]),
    (WordPlace::ServiceOfType("ssh_host"), &[key(&["hosts", "hostnames"], "principals")]),
    (
        WordPlace::ServiceOfType("application"),
        &[help(&["tls", "format"], "use `specific_tls_naming: true` to also write `tls.crt` and `tls.key`")],
    ),
    (
        WordPlace::ServiceOfType("kubernetes/argo-cd"),
        &[
            help(&["destination"], "remove it; this service writes Secrets into the namespace of Argo CD"),
            key(&["namespace"], "secret_namespace"),
            key(&["secret_prefix"], "secret_name_prefix"),
            key(&["annotations"], "secret_annotations"),
            key(&["context_name_template"], "cluster_name_template"),
            help(
                &["labels"],
                "use `selectors: [{labels: ...}]` to select clusters, or `secret_labels` for the labels of the Secrets",
            ),
        ],
    ),
    (WordPlace::ServiceOfType("application-proxy"), &[help(LIFETIMES, "move it into `credential_lifetime`")]),
    (
        WordPlace::ServiceOfType("workload-identity-aws-roles-anywhere"),
        &[help(LIFETIMES, "use `session_duration` and `session_renewal_interval` instead")],
    ),
    (WordPlace::ServiceOfType("workload-identity-api"), &[help(&["trust_domain"], NO_TRUST_DOMAIN)]),
    (WordPlace::ServiceOfType("kubernetes"), &[key(&["cluster"], "kubernetes_cluster")]),
    (
        WordPlace::ServiceOfType("kubernetes/v2"),
        &[
            help(&["kubernetes_cluster", "name_selector"], USE_KUBERNETES_SELECTORS),
            key(&["cluster_name_template"], "context_name_template"),
        ],
    ),
    (
        WordPlace::ServiceOfType("workload-identity-x509"),
        &[
            help(&["trust_domain"], NO_TRUST_DOMAIN),
            help(&["workload_identity"], USE_WORKLOAD_SELECTOR),
            key_with_help(&["selectors"], "selector", "use `selector`, which is a single map"),
        ],
    ),
    (
        WordPlace::ServiceOfType("workload-identity-jwt"),
        &[
            help(&["workload_identity"], USE_WORKLOAD_SELECTOR),
            key_with_help(&["selectors"], "selector", "use `selector`, which is a single map"),
        ],
    ),
    (
        WordPlace::DestinationV1,
        &[
            key(&["path"], "directory"),
            key(&["kubernetes"], "kubernetes_cluster"),
            help(
                &["type", "destination"],
                "version 1 does not have this key; use `directory`, or write `version: v2`, and `services` instead of \
                 `destinations`, with entries such as `{type: identity, destination: {type: directory, path: ...}}`",
            ),
            help(
                &["proxy", "db_listen_address"],
                "use `version: v2` (`tbot migrate` prints the rest), with a service of type `database-tunnel`",
            ),
            help(&["kinds"], "remove it; a destination contains credentials for both SSH and TLS"),
            help(&["host_cert"], "use `configs: [{ssh_host_cert: {principals: [<host name>]}}]`"),
        ],
    ),
    (
        WordPlace::TemplateV1,
        &[
            help(&["host_cert"], "use `ssh_host_cert: {principals: [<host name>]}`"),
            help(&["ssh"], "use `ssh_client`"),
        ],
    ),
    (
        WordPlace::ServiceType,
        &[
            help(&["id"], "use `identity`"),
            help(&["ssh", "ssh_client"], "use `identity`, which also writes an `ssh_config`"),
            help(&["app"], "use `application` for credentials, or `application-tunnel` for a local port"),
            help(&["app-proxy"], "use `application-proxy`"),
            help(&["app-tunnel"], "use `application-tunnel`"),
            help(&["db"], "use `database` for credentials, or `database-tunnel` for a local port"),
            help(&["db-tunnel"], "use `database-tunnel`"),
            help(&["kube", "k8s"], "use `kubernetes/v2`, or `kubernetes` for a single cluster"),
            help(&["k8s/v2"], "use `kubernetes/v2`"),
            help(&["spiffe-x509-svid"], "use `workload-identity-x509`"),
            help(&["workload-api"], "use `workload-identity-api`"),
            help(&["workload-identity-aws-ra"], "use `workload-identity-aws-roles-anywhere`"),
            help(
                &["workload-identity"],
                "use `workload-identity-x509` or `workload-identity-jwt` for files, or `workload-identity-api` for a socket",
            ),
            help(
                &["workload-identity-svid", "svid"],
                "use `workload-identity-x509` or `workload-identity-jwt`, which write an SVID, or `workload-identity-api` for \
                 a socket",
            ),
            help(
                &["noop", "no-op"],
                "remove the entry; only the command line of Teleport's own agent has this type",
            ),
            help(&["example"], "remove it; Teleport's own agent has this type only to test itself"),
            help(
                &["directory", "memory"],
                "this is a type of destinations; an entry here is a service, such as \
                 `{type: identity, destination: {type: directory, path: ...}}`",
            ),
            help(
                &["kubernetes_secret"],
                "this is a type of destinations; an entry here is a service, such as \
                 `{type: identity, destination: {type: kubernetes_secret, name: ...}}`",
            ),
        ],
    ),
    (
        WordPlace::DestinationType,
        &[help(&["dir", "file"], "use `directory`"), help(&["secret"], "use `kubernetes_secret`")],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::service::ServiceType;
    use crate::config::{Purpose, load, schema};

    /// Returns files with a word in a place, one of which gets the help for it.
    fn examples(place: WordPlace, word: &str) -> Vec<String> {
        let service = |fields: &str| format!("{{version: v2, services: [{{{fields}}}]}}");
        let example = match place {
            WordPlace::Root => format!("{{version: v2, onboarding: {{}}, {word}: x}}"),
            WordPlace::RootV1 => format!("{{destinations: [], {word}: x}}"),
            WordPlace::Onboarding => format!("{{version: v2, onboarding: {{{word}: x}}}}"),
            WordPlace::BoundKeypair => {
                format!("{{version: v2, onboarding: {{bound_keypair: {{{word}: x}}}}}}")
            }
            WordPlace::JoinMethod => format!("{{version: v2, onboarding: {{join_method: {word}}}}}"),
            WordPlace::Destination => {
                let of_type = |fields| format!("{{version: v2, storage: {{{fields}, {word}: x}}}}");
                return ["type: directory, path: /a", "type: kubernetes_secret"].map(of_type).to_vec();
            }
            WordPlace::StorageV1 => format!("{{storage: {{{word}: x}}}}"),
            WordPlace::DestinationType => format!("{{version: v2, storage: {{type: {word}}}}}"),
            WordPlace::DestinationV1 => format!("{{destinations: [{{{word}: x}}]}}"),
            WordPlace::TemplateV1 => format!("{{destinations: [{{configs: [{word}]}}]}}"),
            WordPlace::SigstoreAttestor => {
                service(&format!("type: workload-identity-api, attestors: {{sigstore: {{{word}: x}}}}"))
            }
            WordPlace::ServiceType => service(&format!("type: {word}")),
            WordPlace::ServiceOfType(name) => service(&format!("type: {name}, {word}: x")),
            WordPlace::Service => {
                let names = ServiceType::ALL.iter().map(|service| service.name);
                return names.map(|name| service(&format!("type: {name}, {word}: x"))).collect();
            }
        };
        vec![example]
    }

    #[test]
    fn each_word_gets_its_help() {
        for (place, meaning) in
            WORDS.iter().flat_map(|(place, meanings)| meanings.iter().map(move |one| (*place, one)))
        {
            for word in meaning.words {
                let gets_help = |file: &String| {
                    let outcome = load(Some(file), &[], Purpose::Validate);
                    let mut found = outcome.diagnostics.iter().filter(|found| found.message.contains(word));
                    found.any(|found| found.help.as_deref() == Some(&*meaning.help()))
                };
                assert!(examples(place, word).iter().any(gets_help), "{word} in {place:?}");
            }
        }
    }

    #[test]
    fn each_short_name_of_a_command_has_help_as_a_type() {
        for command in ServiceType::ALL.iter().filter_map(|service| service.command) {
            for alias in command.aliases {
                assert!(find(&[WordPlace::ServiceType], alias).is_some(), "add {alias} to WORDS");
            }
        }
    }

    #[test]
    fn each_word_has_one_meaning_per_place() {
        for (index, (place, meanings)) in WORDS.iter().enumerate() {
            assert_eq!(WORDS.iter().position(|(other, _)| other == place), Some(index), "{place:?}");
            let mut words: Vec<_> = meanings.iter().flat_map(|meaning| meaning.words).collect();
            let all = words.len();
            words.sort_unstable();
            words.dedup();
            assert_eq!(words.len(), all, "{place:?}");
        }
    }

    #[test]
    fn the_meant_key_exists() {
        let schemas = schema::generate().to_string() + &schema::generate_v1().to_string();
        let meanings = WORDS.iter().flat_map(|(_, meanings)| *meanings);
        for meant in meanings.filter_map(|meaning| meaning.meant) {
            assert!(schemas.contains(&format!("\"{meant}\":{{")), "{meant}");
        }
    }
}
