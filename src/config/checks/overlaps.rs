//! Checks that nothing that the agent writes overlaps with anything else that it writes or reads: the storage, the
//! destinations of services, and the files that the configuration names.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::destination_key::{DestinationKey, Normalizer};
use super::findings::Findings;
use crate::config::scalar::{Location, Secret};
use crate::config::service::DestinationUse;
use crate::config::service_names::NamedService;
use crate::config::v2::Config;
use crate::diagnostic::{Code, Diagnostic, Severity, Target};
use crate::pointer::Pointer;

/// The names of the files in the storage.
const STORAGE_FILES: [&str; 10] = [
    "key",
    "key-cert.pub",
    "key.pub",
    "lock",
    "renewal-pending",
    "sshcacerts",
    "sshcert",
    "tlscacerts",
    "tlscert",
    "tokenhash",
];

/// The kinds of writers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WriterKind {
    /// The storage. Nothing else may be in it.
    Storage,
    /// A service that replaces all its files at once.
    Files,
    /// A service that creates sockets.
    Socket,
}

/// The storage or a service, as the writer of a destination.
struct Writer<'a> {
    kind: WriterKind,
    /// The names that it may create.
    names: Vec<&'a str>,
    /// The pointer of the path or name in the configuration. `None` for the default storage.
    pointer: Option<Pointer>,
}

/// All writers of one destination.
#[derive(Default)]
struct Occupied<'a> {
    writers: Vec<Writer<'a>>,
    /// The first writer other than those of sockets.
    first_of_files: Option<usize>,
    /// The writer that creates the entry with this name, for the names of all other writers.
    owners: HashMap<Cow<'a, str>, usize>,
}

impl<'a> Occupied<'a> {
    fn add(&mut self, writer: Writer<'a>) {
        let index = self.writers.len();
        if writer.kind != WriterKind::Socket && self.first_of_files.is_none() {
            // Most destinations have one writer, whose few names need no index.
            self.first_of_files = Some(index);
        } else {
            for name in &writer.names {
                self.owners.entry(first_component(name)).or_insert(index);
            }
        }
        self.writers.push(writer);
    }

    /// Returns the writer that creates the entry with this name, or that replaces whatever has it.
    fn owner_of(&self, name: &str) -> Option<&Writer<'a>> {
        let first_of_files = self.first_of_files.filter(|index| {
            let names = self.writers.get(*index).map(|writer| &writer.names);
            names.into_iter().flatten().any(|own| first_component(own) == name)
        });
        let owner = self.owners.get(name).copied().into_iter().chain(first_of_files).min();
        let reserved = || self.first_of_files.filter(|_| is_reserved(name));
        self.writers.get(owner.or_else(reserved)?)
    }

    /// Returns the writer of the same destination whose files `writer` would destroy.
    fn conflict_with(&self, writer: &Writer<'a>) -> Option<&Writer<'a>> {
        if self.writers.is_empty() {
            return None;
        }
        let first_of_files = self.first_of_files.and_then(|index| self.writers.get(index));
        let conflicts =
            |other: &&Writer<'a>| other.kind == WriterKind::Storage || writer.kind == WriterKind::Files;
        let same_name = || writer.names.iter().find_map(|name| self.owner_of(&first_component(name)));
        first_of_files.filter(conflicts).or_else(same_name)
    }

    fn storage(&self) -> Option<&Writer<'a>> {
        // The storage is added first.
        self.writers.first().filter(|first| first.kind == WriterKind::Storage)
    }
}

/// Returns whether the agent itself uses this name in every directory in which it replaces files.
fn is_reserved(name: &str) -> bool {
    name.starts_with("..") || name.starts_with(".tbot-") || name == ".write-test"
}

fn first_component(name: &str) -> Cow<'_, str> {
    Path::new(name)
        .components()
        .next()
        .map_or(Cow::Borrowed(name), |first| first.as_os_str().to_string_lossy())
}

pub(super) fn check(config: &Config, services: &[NamedService<'_>], findings: &mut Findings<'_>) {
    let normalizer = Normalizer(findings.options().process.as_ref());
    let storage = config.storage();
    let pointer = config.storage.is_some().then(|| Pointer::root().key("storage"));
    let own = Writer { kind: WriterKind::Storage, names: STORAGE_FILES.to_vec(), pointer };
    let services = services.iter().filter_map(|named| {
        let kind = match named.service.service_type().destination {
            DestinationUse::None => return None,
            DestinationUse::Socket(_) => WriterKind::Socket,
            DestinationUse::Files(_) => WriterKind::Files,
        };
        let pointer = Some(named.pointer.key("destination"));
        let writer = Writer { kind, names: named.service.file_names(), pointer };
        Some((named.service.fields().destination()?, writer))
    });
    let mut occupied_by_key: HashMap<DestinationKey<'_>, Occupied<'_>> = HashMap::new();
    let mut directories: Vec<(PathBuf, usize)> = Vec::new();
    for (destination, mut writer) in [(&storage, own)].into_iter().chain(services) {
        let Some((destination_key, property)) = normalizer.key(destination) else { continue };
        writer.pointer = writer.pointer.map(|pointer| pointer.key(property));
        let directory = match &destination_key {
            DestinationKey::Directory(path) => Some(path.clone()),
            DestinationKey::Secret { .. } => None,
        };
        let occupied = occupied_by_key.entry(destination_key).or_default();
        if let Some(other) = occupied.conflict_with(&writer) {
            findings.report(same_destination(&writer, other, property));
        }
        directories.extend(directory.map(|directory| (directory, occupied.writers.len())));
        occupied.add(writer);
    }
    for (directory, index) in directories {
        let outer = enclosing(&directory, &occupied_by_key)
            .find_map(|(occupied, name)| occupied.storage().or_else(|| occupied.owner_of(&name)));
        let destination_key = DestinationKey::Directory(directory);
        let writer = occupied_by_key.get(&destination_key).and_then(|occupied| occupied.writers.get(index));
        if let (Some(writer), Some(outer)) = (writer, outer) {
            findings.report(nested(writer, outer));
        }
    }
    for (pointer, path) in files_read(config) {
        let path = normalizer.normalize(path);
        let found =
            enclosing(&path, &occupied_by_key).find_map(|(occupied, name)| file_inside(occupied, &name));
        if let Some((severity, message, outer)) = found {
            let diagnostic = Diagnostic::new(Code::FileInDestination, Target::Value(pointer), message);
            findings.report(
                related_to(diagnostic, outer)
                    .with_severity(severity)
                    .with_help("move the file to another directory"),
            );
        }
    }
}

/// Describes what happens to a file that the agent reads, below an entry with this name.
fn file_inside<'w, 'a>(
    occupied: &'w Occupied<'a>,
    name: &str,
) -> Option<(Severity, &'static str, &'w Writer<'a>)> {
    if let Some(owner) = occupied.owner_of(name) {
        return Some((Severity::Error, "the agent reads this file, and overwrites it", owner));
    }
    let others = occupied.writers.iter().find(|writer| writer.kind == WriterKind::Files)?;
    Some((Severity::Warning, "the agent reads this file from a directory that it writes for others", others))
}

fn same_destination(writer: &Writer<'_>, other: &Writer<'_>, property: &str) -> Diagnostic {
    let target = Target::Value(writer.pointer.clone().unwrap_or_default());
    if other.kind != WriterKind::Storage {
        let message = "two services write to this destination and overwrite each other's files";
        return related_to(Diagnostic::new(Code::SameDestination, target, message), other)
            .with_help(format!("use a different `{property}` for each"));
    }
    let (message, help) = if other.pointer.is_none() {
        (
            "the bot stores its own identity here, because this is the default of `storage`",
            "use a different `path`, or set `storage` to a different directory".to_owned(),
        )
    } else {
        (
            "the bot also stores its own identity in this destination",
            format!("use a different `{property}` for each"),
        )
    };
    let diagnostic = Diagnostic::new(Code::SameDestination, target, message).with_severity(Severity::Error);
    related_to(diagnostic, other).with_help(help)
}

/// Reports a writer whose directory is inside an entry that `outer` creates.
fn nested(writer: &Writer<'_>, outer: &Writer<'_>) -> Diagnostic {
    // The default storage is nowhere in the file, so the finding is shown at the other writer.
    let (at, other) = if writer.pointer.is_some() { (writer, outer) } else { (outer, writer) };
    let message = match (writer.kind, outer.kind) {
        (_, WriterKind::Storage) => {
            "this directory is inside the one in which the bot stores its own identity"
        }
        (WriterKind::Storage, _) => {
            "the bot stores its own identity in a directory that a service overwrites"
        }
        _ => "this directory is inside one that another service overwrites",
    };
    let target = Target::Value(at.pointer.clone().unwrap_or_default());
    related_to(Diagnostic::new(Code::NestedDestination, target, message), other)
        .with_help("use a directory that is not inside the other one")
}

fn related_to(diagnostic: Diagnostic, other: &Writer<'_>) -> Diagnostic {
    let description = match other.kind {
        WriterKind::Storage => "`storage` is set here",
        WriterKind::Files | WriterKind::Socket => "the other service is here",
    };
    match &other.pointer {
        Some(pointer) => diagnostic.with_related(description, Target::Value(pointer.clone())),
        None => diagnostic,
    }
}

/// Returns what is written to each directory that contains a path, from the inside out, with the name of the entry that
/// leads to the path.
fn enclosing<'p, 'w, 'a>(
    path: &'p Path,
    occupied_by_key: &'w HashMap<DestinationKey<'a>, Occupied<'a>>,
) -> impl Iterator<Item = (&'w Occupied<'a>, Cow<'p, str>)> {
    path.ancestors().zip(path.ancestors().skip(1)).filter_map(move |(inner, outer)| {
        let occupied = occupied_by_key.get(&DestinationKey::Directory(outer.to_owned()))?;
        Some((occupied, inner.file_name()?.to_string_lossy()))
    })
}

/// Returns the files that the agent reads in order to join, with their pointers.
fn files_read(config: &Config) -> Vec<(Pointer, &str)> {
    let Some(onboarding) = &config.onboarding else { return Vec::new() };
    let token = onboarding.token.as_ref().map(Secret::as_str).filter(|token| token.starts_with('/'));
    let mut files = vec![("token", token), ("ca_path", location(&onboarding.ca_path))];
    if let Some(bound) = &onboarding.bound_keypair {
        files.extend([
            ("bound_keypair/registration_secret_path", location(&bound.registration_secret_path)),
            ("bound_keypair/static_private_key_path", location(&bound.static_private_key_path)),
            ("bound_keypair/static_key_path", location(&bound.static_key_path)),
        ]);
    }
    if let Some(kubernetes) = &onboarding.kubernetes {
        files.push(("kubernetes/token_path", location(&kubernetes.token_path)));
    }
    let set = files.into_iter().filter_map(|(key, path)| Some((key, path.filter(|path| !path.is_empty())?)));
    set.map(|(key, path)| (Pointer::from(format!("/onboarding/{key}")), path)).collect()
}

fn location(path: &Option<Location>) -> Option<&str> {
    path.as_ref().map(Location::as_str)
}
