//! Destinations: what each must say, and which write to one place.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Findings, indexed};
use crate::config::{AclMode, Config, DEFAULT_STORAGE_PATH, Destination, Service, SymlinkMode};
use crate::diagnostic::{Code, Diagnostic, Target};
use crate::pointer::Pointer;

pub(super) fn check(destination: &Destination, place: &Pointer, findings: &mut Findings<'_>) {
    match destination {
        Destination::Directory(directory) => {
            findings.not_empty(place, "path", directory.path.as_str());
            let readers = directory.readers.as_deref().unwrap_or_default();
            for (index, reader) in readers.iter().enumerate() {
                findings.exactly_one(
                    &place.key("readers").index(index),
                    ("user", "group"),
                    (reader.user.is_some(), reader.group.is_some()),
                );
            }
            weak(place, directory.symlinks, directory.acls, !readers.is_empty(), findings);
        }
        Destination::Memory(_) => {}
        Destination::KubernetesSecret(secret) => findings.not_empty(place, "name", secret.name.as_str()),
    }
}

fn weak(
    place: &Pointer,
    symlinks: Option<SymlinkMode>,
    acls: Option<AclMode>,
    readers: bool,
    findings: &mut Findings<'_>,
) {
    // Only Linux offers more than these.
    if !cfg!(target_os = "linux") {
        return;
    }
    if symlinks == Some(SymlinkMode::Insecure) {
        findings.at(
            Code::WeakerThanPlatform,
            place.key("symlinks"),
            "whoever can plant a symbolic link in the path redirects the credentials",
            "remove it to take the default, `try-secure`, or write `secure`",
        );
    }
    if acls == Some(AclMode::Off) {
        let message = if readers {
            "`readers` get no access: access control lists are left alone"
        } else {
            "access control lists are left alone, and nobody notices when they let others read"
        };
        let help = "remove it to take the default, `try`, or write `required`";
        findings.at(Code::WeakerThanPlatform, place.key("acls"), message, help);
    }
}

/// Reports services that write to one place, or to the storage, its default included. Paths are compared as they are
/// written.
pub(super) fn check_collisions(config: &Config, findings: &mut Findings<'_>) {
    let mut first: HashMap<(&str, &str), Pointer> = HashMap::new();
    let storage_place = Pointer::root().key("storage");
    if config.storage.is_none() {
        first.insert(("path", DEFAULT_STORAGE_PATH), storage_place.clone());
    }
    let storage = config.storage.iter().map(|storage| (storage_place.clone(), storage));
    let outputs = indexed(config).filter(|(_, service)| {
        // These write sockets of their own names into their directory.
        !matches!(service, Service::SshMultiplexer(_) | Service::KeyAgent(_))
    });
    let outputs = outputs.filter_map(|(place, service)| {
        service.fields().destination().map(|destination| (place.key("destination"), destination))
    });
    for (place, destination) in storage.chain(outputs) {
        let (key, name) = match destination {
            Destination::Directory(directory) => ("path", directory.path.as_str()),
            Destination::KubernetesSecret(secret) => ("name", secret.name.as_str()),
            Destination::Memory(_) => continue,
        };
        if name.is_empty() {
            continue;
        }
        let place = place.key(key);
        match first.entry((key, name)) {
            Entry::Vacant(entry) => {
                entry.insert(place);
            }
            Entry::Occupied(entry) if *entry.get() == storage_place => findings.at(
                Code::SameDestination,
                place,
                "the bot's own identity is here, too: this is where `storage` is by default",
                "write another `path`, or a `storage` elsewhere",
            ),
            Entry::Occupied(entry) => findings.report(
                Diagnostic::new(
                    Code::SameDestination,
                    Target::Value(place),
                    "another one writes here, too, and they overwrite each other's files",
                )
                .with_related("it is this one", Target::Value(entry.get().clone()))
                .with_help(format!("give each its own `{key}`")),
            ),
        }
    }
}
