//! The flags that several service commands share. Depends on the description of flags.

use super::command::{FlagType, Requirement, ServiceFlag, flag, switch};

pub(super) const DESTINATION: &[ServiceFlag] = &[
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

pub(super) const SELECTOR: &[ServiceFlag] = &[
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

pub(super) const LISTEN: ServiceFlag =
    flag("listen", "URI", "/listen", "Listen address: tcp://HOST:PORT or unix:///PATH").required();

pub(super) const APP: ServiceFlag = flag("app", "NAME", "/app_name", "Application to connect to").required();

pub(super) const FEDERATED: ServiceFlag = switch!(
    "include-federated-trust-bundles",
    "/include_federated_trust_bundles",
    "Also write federated trust bundles",
);

pub(super) const NO_EXEC_PLUGIN: ServiceFlag =
    switch!("disable-exec-plugin", "/disable_exec_plugin", "Put the credentials into the kubeconfig");

/// Flags that select a database. They are required here, although their properties are optional in the file.
pub(super) const DATABASE: &[ServiceFlag] = &[
    flag("service", "NAME", "/service", "Database service to connect to").required(),
    flag("username", "NAME", "/username", "Database user to connect as").required(),
    flag("database", "NAME", "/database", "Database to connect to").required(),
];
