//! Checks destinations, and that no two services write to the same one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::findings::{Findings, services_with_pointers};
use crate::config::destination::{AclMode, Destination, SymlinkMode};
use crate::config::service::DestinationUse;
use crate::config::v2::{Config, DEFAULT_STORAGE_PATH};
use crate::diagnostic::{Code, Diagnostic, Target};
use crate::pointer::Pointer;

pub(super) fn check(destination: &Destination, pointer: &Pointer, findings: &mut Findings<'_>) {
    match destination {
        Destination::Directory(directory) => {
            findings.require_nonempty(pointer, "path", directory.path.as_str());
            let readers = directory.readers.as_deref().unwrap_or_default();
            for (index, reader) in readers.iter().enumerate() {
                findings.require_exactly_one(
                    &pointer.key("readers").index(index),
                    ("user", "group"),
                    (reader.user.is_some(), reader.group.is_some()),
                );
            }
            check_weak_settings(pointer, directory.symlinks, directory.acls, !readers.is_empty(), findings);
        }
        Destination::Memory(_) => {}
        Destination::KubernetesSecret(secret) => {
            findings.require_nonempty(pointer, "name", secret.name.as_str());
        }
    }
}

/// Reports settings that are weaker than the platform allows.
fn check_weak_settings(
    pointer: &Pointer,
    symlinks: Option<SymlinkMode>,
    acls: Option<AclMode>,
    has_readers: bool,
    findings: &mut Findings<'_>,
) {
    // On other platforms there are no stronger settings.
    if !cfg!(target_os = "linux") {
        return;
    }
    if symlinks == Some(SymlinkMode::Insecure) {
        findings.report_value(
            Code::WeakerThanPlatform,
            pointer.key("symlinks"),
            "anyone who can create a symbolic link in this path can redirect the credentials",
            "remove it to use the default, `try-secure`, or write `secure`",
        );
    }
    if acls == Some(AclMode::Off) {
        let message = if has_readers {
            "`readers` have no effect because the agent does not manage ACLs"
        } else {
            "the agent does not check ACLs, so it does not notice if they let other users read the files"
        };
        let help = "remove it to use the default, `try`, or write `required`";
        findings.report_value(Code::WeakerThanPlatform, pointer.key("acls"), message, help);
    }
}

/// Reports services that write to the same destination, or to the storage (including its default). Paths are compared
/// as written.
pub(super) fn check_shared(config: &Config, findings: &mut Findings<'_>) {
    let mut first_use: HashMap<(&str, &str), Pointer> = HashMap::new();
    let storage_pointer = Pointer::root().key("storage");
    if config.storage.is_none() {
        first_use.insert(("path", DEFAULT_STORAGE_PATH), storage_pointer.clone());
    }
    let storage = config.storage.iter().map(|storage| (storage_pointer.clone(), storage));
    let outputs = services_with_pointers(config)
        .filter(|(_, service)| service.service_type().destination == DestinationUse::Files);
    let outputs = outputs.filter_map(|(pointer, service)| {
        service.fields().destination().map(|destination| (pointer.key("destination"), destination))
    });
    for (pointer, destination) in storage.chain(outputs) {
        let (key, name) = match destination {
            Destination::Directory(directory) => ("path", directory.path.as_str()),
            Destination::KubernetesSecret(secret) => ("name", secret.name.as_str()),
            Destination::Memory(_) => continue,
        };
        if name.is_empty() {
            continue;
        }
        let pointer = pointer.key(key);
        match first_use.entry((key, name)) {
            Entry::Vacant(entry) => {
                entry.insert(pointer);
            }
            Entry::Occupied(entry) if *entry.get() == storage_pointer => findings.report_value(
                Code::SameDestination,
                pointer,
                "the bot stores its own identity here, because this is the default of `storage`",
                "use a different `path`, or set `storage` to a different directory",
            ),
            Entry::Occupied(entry) if entry.get().parent().as_ref() == Some(&storage_pointer) => findings
                .report(
                    Diagnostic::new(
                        Code::SameDestination,
                        Target::Value(pointer),
                        "the bot also stores its own identity in this destination",
                    )
                    .with_related("`storage` is set here", Target::Value(entry.get().clone()))
                    .with_help(format!("use a different `{key}` for each")),
                ),
            Entry::Occupied(entry) => findings.report(
                Diagnostic::new(
                    Code::SameDestination,
                    Target::Value(pointer),
                    "two services write to this destination and overwrite each other's files",
                )
                .with_related("the other service is here", Target::Value(entry.get().clone()))
                .with_help(format!("use a different `{key}` for each")),
            ),
        }
    }
}
