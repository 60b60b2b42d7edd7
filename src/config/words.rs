//! Words that people write in real files and that the format does not have: names of other tools, of other versions and of
//! the command line. One table; depends on nothing. A test loads the example of each row.

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
    /// A key in an entry of `services` or `outputs`.
    Service,
    /// A key in a service of this type.
    ServiceOfType(&'static str),
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

/// A word that people write, and what helps them.
pub(super) struct Word {
    pub(super) place: WordPlace,
    pub(super) word: &'static str,
    /// The key in the same map that the word means, if there is one.
    pub(super) meant: Option<&'static str>,
    pub(super) help: &'static str,
    /// A file that contains the word.
    #[cfg_attr(not(test), expect(dead_code, reason = "documents the row; the test loads it"))]
    pub(super) example: &'static str,
}

/// Returns the row for a word in one of the places; the first place wins.
pub(super) fn find(places: &[WordPlace], word: &str) -> Option<&'static Word> {
    places.iter().find_map(|place| WORDS.iter().find(|row| row.place == *place && row.word == word))
}

/// Returns the place of the keys of a service of this type, if any row is about it.
pub(super) fn place_of_service(type_name: &str) -> Option<WordPlace> {
    let is_of_type =
        |place: &WordPlace| matches!(place, WordPlace::ServiceOfType(name) if *name == type_name);
    WORDS.iter().map(|row| row.place).find(is_of_type)
}

const NOT_IN_VERSION_1: &str = "version 1 does not have this key; to use version 2, write `version: v2`, and \
                                `services` instead of `destinations`";
const USE_VERSION_2: &str = "version 1 does not have this key; use `directory`, or write `version: v2`, and `services` instead of `destinations`, with \
     entries such as `{type: identity, destination: {type: directory, path: ...}}`";
const USE_PROXY: &str = "use `proxy_server`";
const USE_AUTH: &str = "use `auth_server`";
const USE_AUTH_V1: &str = "use `auth_server`, which in version 1 also accepts the address of a proxy";
const USE_TOKEN: &str =
    "use `onboarding: {join_method: ..., token: ...}`; `token` can also be the absolute path of a file";
const USE_LIFETIME: &str = "move it into `credential_lifetime`";
const USE_SESSION: &str = "use `session_duration` and `session_renewal_interval` instead";

const USE_LOG: &str = "use `debug: true` for more log lines, and the flag `--log-format` for their format";
const RESOURCE: &str =
    "this is a Teleport resource, which `tctl create` reads; write a configuration of tbot";
const HELM: &str =
    "this is a value of the Helm chart; the configuration of tbot is what belongs under `tbotConfig`";
const USE_SELECTORS: &str = "use `selectors: [{name: <cluster>}]`";
const USE_SELECTOR: &str = "use `selector: {name: <workload identity>}`";
const USE_SVID: &str = "use `workload-identity-x509` or `workload-identity-jwt`, which write an SVID, or `workload-identity-api` for a socket";
const USE_KUBERNETES: &str = "use `kubernetes/v2`, or `kubernetes` for a single cluster";
const REMOVE_NOOP: &str = "remove the entry; only the command line of Teleport's own agent has this type";
const PUT_IN_SERVICE: &str = "this is a type of destinations; an entry here is a service, such as \
                              `{type: identity, destination: {type: directory, path: ...}}`";
const PUT_SECRET_IN_SERVICE: &str = "this is a type of destinations; an entry here is a service, such as \
                                     `{type: identity, destination: {type: kubernetes_secret, name: ...}}`";
const USE_READERS: &str =
    "remove it; files are private, and `readers: [{user: <name>}]` gives others access with an ACL";

const fn row(place: WordPlace, word: &'static str, help: &'static str, example: &'static str) -> Word {
    Word { place, word, meant: None, help, example }
}

const fn synonym(
    place: WordPlace,
    word: &'static str,
    meant: &'static str,
    help: &'static str,
    example: &'static str,
) -> Word {
    Word { place, word, meant: Some(meant), help, example }
}

#[rustfmt::skip]
static WORDS: &[Word] = &[
    row(WordPlace::Root, "data_dir", "use `storage: {type: directory, path: ...}`", "{version: v2, data_dir: /var/lib/bot}"),
    row(WordPlace::Root, "destination_dir", "use `services: [{type: identity, destination: {type: directory, path: ...}}]`",
        "{version: v2, destination_dir: /opt/machine-id}"),
    row(WordPlace::Root, "destinations",
        "use `services`, with entries such as `{type: identity, destination: {type: directory, path: ...}}`; if the file uses \
         version 1, remove `version: v2`",
        "{version: v2, destinations: []}"),
    synonym(WordPlace::Root, "telemetry", "anonymous_telemetry_opt_in", "use `anonymous_telemetry_opt_in: true` to opt in",
        "{version: v2, telemetry: false}"),
    synonym(WordPlace::Root, "anonymous_telemetry", "anonymous_telemetry_opt_in",
        "use `anonymous_telemetry_opt_in: true` to opt in", "{version: v2, anonymous_telemetry: true}"),
    synonym(WordPlace::Root, "ttl", "credential_ttl", "use `credential_ttl`", "{version: v2, ttl: 1h}"),
    synonym(WordPlace::Root, "renew", "renewal_interval", "use `renewal_interval`", "{version: v2, renew: 20m}"),
    synonym(WordPlace::Root, "proxy", "proxy_server", USE_PROXY, "{version: v2, proxy: 'teleport.example.com:443'}"),
    row(WordPlace::Root, "log", USE_LOG,
        "{version: v2, log: {severity: DEBUG}}"),
    row(WordPlace::Root, "log_level", USE_LOG, "{version: v2, log_level: debug}"),
    row(WordPlace::Root, "loglevel", USE_LOG, "{version: v2, loglevel: debug}"),
    synonym(WordPlace::Root, "proxy_addr", "proxy_server", USE_PROXY,
        "{version: v2, proxy_addr: 'teleport.example.com:443'}"),
    synonym(WordPlace::Root, "instance_addr", "proxy_server", USE_PROXY, "{version: v2, instance_addr: 'teleport.example.com:443'}"),
    synonym(WordPlace::Root, "address", "proxy_server", USE_PROXY, "{version: v2, address: 'teleport.example.com:443'}"),
    synonym(WordPlace::Root, "addr", "proxy_server", USE_PROXY, "{version: v2, addr: 'teleport.example.com:443'}"),
    synonym(WordPlace::Root, "proxy_address", "proxy_server", USE_PROXY, "{version: v2, proxy_address: 'teleport.example.com:443'}"),
    synonym(WordPlace::Root, "teleport_addr", "proxy_server", USE_PROXY, "{version: v2, teleport_addr: 'teleport.example.com:443'}"),
    synonym(WordPlace::Root, "teleport_proxy", "proxy_server", USE_PROXY, "{version: v2, teleport_proxy: 'teleport.example.com:443'}"),
    synonym(WordPlace::Root, "cluster", "proxy_server", USE_PROXY, "{version: v2, cluster: 'teleport.example.com:443'}"),
    synonym(WordPlace::Root, "auth_addr", "auth_server", USE_AUTH, "{version: v2, auth_addr: 'auth.example.com:3025'}"),
    row(WordPlace::Root, "join_token", USE_TOKEN, "{version: v2, join_token: x}"),
    row(WordPlace::Root, "token_path", USE_TOKEN, "{version: v2, token_path: /run/token}"),
    row(WordPlace::Root, "destination", "indent it below an entry of `services`",
        "{version: v2, destination: {type: memory}}"),
    row(WordPlace::Root, "auth_token", "use `onboarding: {join_method: token, token: ...}`",
        "{version: v2, auth_token: x}"),
    row(WordPlace::Root, "join_params", "use `onboarding: {join_method: ..., token: ...}`",
        "{version: v2, join_params: {method: iam, token_name: x}}"),
    row(WordPlace::Root, "teleport", "this is a configuration of Teleport itself; write a separate file for tbot",
        "{version: v2, onboarding: {}, teleport: {nodename: x}}"),
    row(WordPlace::Root, "kind", RESOURCE, "{version: v2, kind: token}"),
    row(WordPlace::Root, "metadata", RESOURCE, "{version: v2, metadata: {name: x}}"),
    row(WordPlace::Root, "spec", RESOURCE, "{version: v2, spec: {}}"),
    row(WordPlace::RootV1, "kind", RESOURCE, "{kind: bot}"),
    row(WordPlace::RootV1, "metadata", RESOURCE, "{version: v1, metadata: {name: x}}"),
    row(WordPlace::RootV1, "spec", RESOURCE, "{version: v1, spec: {}}"),
    row(WordPlace::RootV1, "tbotConfig", HELM, "{onboarding: {}, tbotConfig: {}}"),
    row(WordPlace::RootV1, "clusterName", HELM, "{onboarding: {}, clusterName: teleport.example.com}"),
    row(WordPlace::RootV1, "teleportProxyAddress", HELM, "{onboarding: {}, teleportProxyAddress: 'teleport.example.com:443'}"),
    synonym(WordPlace::RootV1, "proxy", "auth_server", USE_AUTH_V1, "{proxy: 'teleport.example.com:443'}"),
    synonym(WordPlace::RootV1, "instance_addr", "auth_server", USE_AUTH_V1, "{instance_addr: 'teleport.example.com:443'}"),
    synonym(WordPlace::RootV1, "address", "auth_server", USE_AUTH_V1, "{address: 'teleport.example.com:443'}"),
    synonym(WordPlace::RootV1, "addr", "auth_server", USE_AUTH_V1, "{addr: 'teleport.example.com:443'}"),
    synonym(WordPlace::RootV1, "proxy_address", "auth_server", USE_AUTH_V1, "{proxy_address: 'teleport.example.com:443'}"),
    synonym(WordPlace::RootV1, "teleport_addr", "auth_server", USE_AUTH_V1, "{teleport_addr: 'teleport.example.com:443'}"),
    synonym(WordPlace::RootV1, "teleport_proxy", "auth_server", USE_AUTH_V1, "{teleport_proxy: 'teleport.example.com:443'}"),
    synonym(WordPlace::RootV1, "cluster", "auth_server", USE_AUTH_V1, "{cluster: 'teleport.example.com:443'}"),
    synonym(WordPlace::RootV1, "proxy_addr", "auth_server", USE_AUTH_V1, "{proxy_addr: 'teleport.example.com:443'}"),
    synonym(WordPlace::RootV1, "auth_addr", "auth_server", USE_AUTH, "{auth_addr: 'auth.example.com:3025'}"),
    row(WordPlace::RootV1, "join_token", USE_TOKEN, "{join_token: x}"),
    row(WordPlace::RootV1, "token_path", USE_TOKEN, "{token_path: /run/token}"),
    row(WordPlace::RootV1, "data_dir", "use `storage: {directory: ...}`", "{data_dir: /var/lib/bot}"),
    row(WordPlace::RootV1, "destination",
        "write `version: v2`, and an entry of `services` such as `{type: identity, destination: {type: directory, path: ...}}`",
        "{destination: {type: memory}}"),
    synonym(WordPlace::RootV1, "ttl", "certificate_ttl", "use `certificate_ttl`", "{ttl: 1h}"),
    synonym(WordPlace::RootV1, "renew", "renewal_interval", "use `renewal_interval`", "{renew: 20m}"),
    row(WordPlace::RootV1, "proxy_server", NOT_IN_VERSION_1, "{proxy_server: 'teleport.example.com:443'}"),
    row(WordPlace::RootV1, "insecure", NOT_IN_VERSION_1, "{insecure: true}"),
    row(WordPlace::RootV1, "join_uri", NOT_IN_VERSION_1, "{join_uri: x}"),
    row(WordPlace::RootV1, "credential_ttl", NOT_IN_VERSION_1, "{credential_ttl: 1h}"),
    row(WordPlace::Onboarding, "token_path",
        "use `token`, which can be the absolute path of a file; only the block `kubernetes` has `token_path`",
        "{version: v2, onboarding: {join_method: token, token_path: /run/token}}"),
    row(WordPlace::Onboarding, "terraform_cloud", "use `terraform` for the settings of `join_method: terraform_cloud`",
        "{version: v2, onboarding: {join_method: terraform_cloud, terraform_cloud: {}}}"),
    synonym(WordPlace::Onboarding, "join_token", "token", "use `token`", "{version: v2, onboarding: {join_token: x}}"),
    synonym(WordPlace::Onboarding, "token_name", "token", "use `token`", "{version: v2, onboarding: {token_name: x}}"),
    synonym(WordPlace::Onboarding, "method", "join_method", "use `join_method`", "{version: v2, onboarding: {method: iam}}"),
    synonym(WordPlace::BoundKeypair, "initial_join_secret", "registration_secret", "use `registration_secret`",
        "{version: v2, onboarding: {join_method: bound_keypair, bound_keypair: {initial_join_secret: x}}}"),
    row(WordPlace::Destination, "mode", USE_READERS, "{version: v2, storage: {type: directory, path: /a, mode: '0640'}}"),
    row(WordPlace::Destination, "owner", USE_READERS, "{version: v2, storage: {type: directory, path: /a, owner: bot}}"),
    row(WordPlace::Destination, "group", USE_READERS, "{version: v2, storage: {type: directory, path: /a, group: bot}}"),
    row(WordPlace::Destination, "permissions", USE_READERS,
        "{version: v2, storage: {type: directory, path: /a, permissions: '0640'}}"),
    row(WordPlace::JoinMethod, "ec2", "use `iam` to join from AWS", "{version: v2, onboarding: {join_method: ec2}}"),
    row(WordPlace::ServiceOfType("application-proxy"), "credential_ttl", USE_LIFETIME,
        "{version: v2, services: [{type: application-proxy, listen: 'tcp://127.0.0.1:1', credential_ttl: 1h}]}"),
    row(WordPlace::ServiceOfType("application-proxy"), "certificate_ttl", USE_LIFETIME,
        "{version: v2, services: [{type: application-proxy, listen: 'tcp://127.0.0.1:1', certificate_ttl: 1h}]}"),
    row(WordPlace::ServiceOfType("application-proxy"), "renewal_interval", USE_LIFETIME,
        "{version: v2, services: [{type: application-proxy, listen: 'tcp://127.0.0.1:1', renewal_interval: 1h}]}"),
    row(WordPlace::ServiceOfType("workload-identity-aws-roles-anywhere"), "credential_ttl", USE_SESSION,
        "{version: v2, services: [{type: workload-identity-aws-roles-anywhere, credential_ttl: 1h}]}"),
    row(WordPlace::ServiceOfType("workload-identity-aws-roles-anywhere"), "certificate_ttl", USE_SESSION,
        "{version: v2, services: [{type: workload-identity-aws-roles-anywhere, certificate_ttl: 1h}]}"),
    row(WordPlace::ServiceOfType("workload-identity-aws-roles-anywhere"), "renewal_interval", USE_SESSION,
        "{version: v2, services: [{type: workload-identity-aws-roles-anywhere, renewal_interval: 1h}]}"),
    synonym(WordPlace::ServiceOfType("application"), "app", "app_name", "use `app_name`",
        "{version: v2, services: [{type: application, app: web, destination: {type: memory}}]}"),
    synonym(WordPlace::ServiceOfType("application-tunnel"), "app", "app_name", "use `app_name`",
        "{version: v2, services: [{type: application-tunnel, app: web, listen: 'tcp://127.0.0.1:1'}]}"),
    row(WordPlace::ServiceOfType("application"), "tls", "use `specific_tls_naming: true` to also write `tls.crt` and `tls.key`",
        "{version: v2, services: [{type: application, app_name: a, tls: true, destination: {type: memory}}]}"),
    synonym(WordPlace::ServiceOfType("kubernetes"), "cluster", "kubernetes_cluster", "use `kubernetes_cluster`",
        "{version: v2, services: [{type: kubernetes, cluster: a, destination: {type: memory}}]}"),
    row(WordPlace::ServiceOfType("kubernetes/v2"), "kubernetes_cluster", USE_SELECTORS,
        "{version: v2, services: [{type: kubernetes/v2, kubernetes_cluster: a, destination: {type: memory}}]}"),
    row(WordPlace::ServiceOfType("kubernetes/v2"), "name_selector", USE_SELECTORS,
        "{version: v2, services: [{type: kubernetes/v2, name_selector: a, destination: {type: memory}}]}"),
    row(WordPlace::ServiceOfType("workload-identity-x509"), "workload_identity", USE_SELECTOR,
        "{version: v2, services: [{type: workload-identity-x509, workload_identity: a, destination: {type: memory}}]}"),
    row(WordPlace::ServiceOfType("workload-identity-jwt"), "workload_identity", USE_SELECTOR,
        "{version: v2, services: [{type: workload-identity-jwt, workload_identity: a, destination: {type: memory}}]}"),
    synonym(WordPlace::Service, "db_name", "database", "use `database`",
        "{version: v2, services: [{type: database, service: a, db_name: b, destination: {type: memory}}]}"),
    synonym(WordPlace::Service, "db_user", "username", "use `username`",
        "{version: v2, services: [{type: database, service: a, db_user: b, destination: {type: memory}}]}"),
    synonym(WordPlace::Service, "user", "username", "use `username`",
        "{version: v2, services: [{type: database, service: a, user: b, destination: {type: memory}}]}"),
    synonym(WordPlace::Service, "listen_addr", "listen", "use `listen`",
        "{version: v2, services: [{type: application-proxy, listen_addr: 'tcp://127.0.0.1:1'}]}"),
    synonym(WordPlace::Service, "destinations", "destination", "use `destination`, which is a single map",
        "{version: v2, services: [{type: identity, destinations: {type: memory}}]}"),
    synonym(WordPlace::Service, "ttl", "credential_ttl", "use `credential_ttl`",
        "{version: v2, services: [{type: identity, ttl: 1h, renewal_interval: 20m, destination: {type: memory}}]}"),
    synonym(WordPlace::Service, "renew", "renewal_interval", "use `renewal_interval`",
        "{version: v2, services: [{type: identity, credential_ttl: 1h, renew: 20m, destination: {type: memory}}]}"),
    row(WordPlace::Service, "directory", "use `destination: {type: directory, path: ...}`",
        "{version: v2, services: [{type: identity, directory: /opt/machine-id}]}"),
    row(WordPlace::DestinationV1, "type", USE_VERSION_2, "{destinations: [{type: identity, directory: /a}]}"),
    synonym(WordPlace::DestinationV1, "path", "directory", "use `directory`", "{destinations: [{path: /a}]}"),
    row(WordPlace::DestinationV1, "destination", USE_VERSION_2, "{destinations: [{destination: {type: memory}}]}"),
    synonym(WordPlace::DestinationV1, "kubernetes", "kubernetes_cluster", "use `kubernetes_cluster`",
        "{destinations: [{directory: /a, kubernetes: prod}]}"),
    row(WordPlace::DestinationV1, "kinds", "remove it; a destination contains credentials for both SSH and TLS",
        "{destinations: [{directory: /a, kinds: [ssh]}]}"),
    row(WordPlace::DestinationV1, "host_cert", "use `configs: [{ssh_host_cert: {principals: [<host name>]}}]`",
        "{destinations: [{directory: /a, host_cert: {principals: [a]}}]}"),
    row(WordPlace::TemplateV1, "host_cert", "use `ssh_host_cert: {principals: [<host name>]}`",
        "{destinations: [{directory: /a, configs: [host_cert]}]}"),
    row(WordPlace::TemplateV1, "ssh", "use `ssh_client`", "{destinations: [{directory: /a, configs: [ssh]}]}"),
    row(WordPlace::ServiceType, "example", "remove it; Teleport's own agent has this type only to test itself",
        "{version: v2, services: [{type: example, message: a}]}"),
    row(WordPlace::ServiceType, "workload-identity-aws-ra", "use `workload-identity-aws-roles-anywhere`",
        "{version: v2, services: [{type: workload-identity-aws-ra}]}"),
    row(WordPlace::ServiceType, "ssh", "use `identity`, which also writes an `ssh_config`",
        "{version: v2, services: [{type: ssh}]}"),
    row(WordPlace::ServiceType, "ssh_client", "use `identity`, which also writes an `ssh_config`",
        "{version: v2, outputs: [{type: ssh_client}]}"),
    row(WordPlace::ServiceType, "id", "use `identity`", "{version: v2, services: [{type: id}]}"),
    row(WordPlace::ServiceType, "app-tunnel", "use `application-tunnel`", "{version: v2, services: [{type: app-tunnel}]}"),
    row(WordPlace::ServiceType, "db-tunnel", "use `database-tunnel`", "{version: v2, services: [{type: db-tunnel}]}"),
    row(WordPlace::ServiceType, "app", "use `application` for credentials, or `application-tunnel` for a local port",
        "{version: v2, services: [{type: app}]}"),
    row(WordPlace::ServiceType, "db", "use `database` for credentials, or `database-tunnel` for a local port",
        "{version: v2, services: [{type: db}]}"),
    row(WordPlace::ServiceType, "kube", USE_KUBERNETES, "{version: v2, services: [{type: kube}]}"),
    row(WordPlace::ServiceType, "k8s", USE_KUBERNETES, "{version: v2, services: [{type: k8s}]}"),
    row(WordPlace::ServiceType, "k8s/v2", "use `kubernetes/v2`", "{version: v2, services: [{type: k8s/v2}]}"),
    row(WordPlace::ServiceType, "noop", REMOVE_NOOP, "{version: v2, services: [{type: noop}]}"),
    row(WordPlace::ServiceType, "no-op", REMOVE_NOOP, "{version: v2, services: [{type: no-op}]}"),
    row(WordPlace::ServiceType, "directory", PUT_IN_SERVICE, "{version: v2, services: [{type: directory, path: /a}]}"),
    row(WordPlace::ServiceType, "memory", PUT_IN_SERVICE, "{version: v2, outputs: [{type: memory}]}"),
    row(WordPlace::ServiceType, "kubernetes_secret", PUT_SECRET_IN_SERVICE,
        "{version: v2, outputs: [{type: kubernetes_secret, name: a}]}"),
    row(WordPlace::ServiceType, "workload-identity",
        "use `workload-identity-x509` or `workload-identity-jwt` for files, or `workload-identity-api` for a socket",
        "{version: v2, services: [{type: workload-identity}]}"),
    row(WordPlace::ServiceType, "workload-identity-svid", USE_SVID, "{version: v2, services: [{type: workload-identity-svid}]}"),
    row(WordPlace::ServiceType, "svid", USE_SVID, "{version: v2, services: [{type: svid}]}"),
    row(WordPlace::DestinationType, "dir", "use `directory`", "{version: v2, storage: {type: dir, path: /a}}"),
    row(WordPlace::DestinationType, "file", "use `directory`", "{version: v2, storage: {type: file, path: /a}}"),
    row(WordPlace::DestinationType, "secret", "use `kubernetes_secret`", "{version: v2, storage: {type: secret, name: a}}"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Purpose, load, schema};

    #[test]
    fn the_example_of_each_word_gets_its_help() {
        for row in WORDS {
            let outcome = load(Some(row.example), &[], Purpose::Validate);
            let helps = outcome.diagnostics.iter().filter(|found| found.message.contains(row.word));
            let helps: Vec<_> = helps.filter_map(|found| found.help.as_deref()).collect();
            assert!(helps.contains(&row.help), "{}: {:?}", row.example, outcome.diagnostics);
        }
    }

    #[test]
    fn each_word_has_one_row_per_place() {
        for (index, row) in WORDS.iter().enumerate() {
            let same = |other: &&Word| (other.place, other.word) == (row.place, row.word);
            assert_eq!(WORDS.iter().position(|other| same(&other)), Some(index), "{}", row.word);
        }
    }

    #[test]
    fn the_meant_key_exists() {
        let schemas = schema::generate().to_string() + &schema::generate_v1().to_string();
        for meant in WORDS.iter().filter_map(|row| row.meant) {
            assert!(schemas.contains(&format!("\"{meant}\":{{")), "{meant}");
        }
    }
}
