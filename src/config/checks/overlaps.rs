//! Checks that nothing that the agent writes overlaps with anything else that it writes or reads: the storage, the
//! destinations of services, and the files that the configuration names.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::destination_key::{DestinationKey, Normalizer};
use super::findings::Findings;
use crate::config::file_names::{STORAGE_FILES, is_reserved_name};
use crate::config::service::DestinationUse;
use crate::config::service_names::NamedService;
use crate::config::v2::{Config, DEFAULT_STORAGE_PATH};
use crate::diagnostic::{Code, Diagnostic, Severity, Target};
use crate::pointer::Pointer;
use crate::yaml::steps;

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
#[derive(Clone, Copy)]
struct Writer<'a> {
    /// `None` for the storage.
    service: Option<&'a NamedService<'a>>,
    /// The property that contains the path or name. `None` for the default storage, which is not in the configuration.
    property: Option<&'static str>,
}

impl<'a> Writer<'a> {
    fn kind(&self) -> WriterKind {
        match self.service.map(|named| named.service.service_type().destination) {
            None => WriterKind::Storage,
            Some(DestinationUse::Socket(_)) => WriterKind::Socket,
            Some(DestinationUse::Files(_) | DestinationUse::None) => WriterKind::Files,
        }
    }

    /// Returns whether a name is the same in every configuration. Any other may be a secret.
    fn is_fixed(&self, name: &str) -> bool {
        self.service.is_some_and(|named| match named.service.service_type().destination {
            DestinationUse::Files(names) | DestinationUse::Socket(names) => names.concat().contains(&name),
            DestinationUse::None => false,
        })
    }

    /// Returns the names of the entries that it may create in its destination.
    fn names(&self) -> Vec<&'a str> {
        let names = self.service.map_or(STORAGE_FILES.to_vec(), |named| named.service.file_names());
        names.into_iter().map(first_component).collect()
    }

    /// Returns the pointer of the path or name in the configuration.
    fn pointer(&self) -> Option<Pointer> {
        let destination = match self.service {
            Some(named) => named.pointer.key("destination"),
            None => Pointer::root().key("storage"),
        };
        self.property.map(|property| destination.key(property))
    }
}

/// All writers of one destination.
struct OccupiedDestination<'a> {
    /// The path, if it is a directory.
    directory: Option<Cow<'a, str>>,
    writers: Vec<Writer<'a>>,
    /// The first writer other than those of sockets.
    first_of_files: Option<usize>,
    /// The writer that creates the entry with this name, for the names of all other writers.
    owners: HashMap<&'a str, usize>,
}

impl<'a> OccupiedDestination<'a> {
    fn new(key: &DestinationKey<'a>) -> Self {
        let directory = match key {
            DestinationKey::Directory(path) => Some(path.clone()),
            DestinationKey::Secret { .. } => None,
        };
        Self { directory, writers: Vec::new(), first_of_files: None, owners: HashMap::new() }
    }

    fn add(&mut self, writer: Writer<'a>) {
        let index = self.writers.len();
        if writer.kind() != WriterKind::Socket && self.first_of_files.is_none() {
            // Most destinations have one writer, whose few names need no index.
            self.first_of_files = Some(index);
        } else {
            for name in writer.names() {
                self.owners.entry(name).or_insert(index);
            }
        }
        self.writers.push(writer);
    }

    /// Returns the writer that creates or replaces the entry with this name.
    fn owner_of(&self, name: &str) -> Option<&Writer<'a>> {
        let creates = |index: &usize| self.writers.get(*index).is_some_and(|own| own.names().contains(&name));
        let first_of_files = self.first_of_files.filter(creates);
        let owner = self.owners.get(name).copied().into_iter().chain(first_of_files).min();
        let reserved = || self.first_of_files.filter(|_| is_reserved_name(name));
        self.writers.get(owner.or_else(reserved)?)
    }

    /// Returns the writer of the same destination whose files `writer` would destroy, and the name of the first one. There is no name for
    /// the storage, in which nothing else may be, and for a Secret, which each writer replaces as a whole.
    fn conflict_with(&self, writer: &Writer<'a>) -> Option<(&Writer<'a>, Option<&'a str>)> {
        let first = self.writers.first()?;
        if first.kind() == WriterKind::Storage || self.directory.is_none() {
            return Some((first, None));
        }
        writer.names().into_iter().find_map(|name| Some((self.owner_of(name)?, Some(name))))
    }

    fn storage(&self) -> Option<&Writer<'a>> {
        // The storage is added first.
        self.writers.first().filter(|first| first.kind() == WriterKind::Storage)
    }
}

/// All destinations, in the order of the configuration.
#[derive(Default)]
struct Destinations<'a> {
    occupied: Vec<OccupiedDestination<'a>>,
    by_key: HashMap<DestinationKey<'a>, usize>,
    directories: DirectoryTree,
}

impl<'a> Destinations<'a> {
    fn at(&mut self, key: DestinationKey<'a>) -> &mut OccupiedDestination<'a> {
        let (occupied, directories) = (&mut self.occupied, &mut self.directories);
        let index = *self.by_key.entry(key).or_insert_with_key(|key| {
            occupied.push(OccupiedDestination::new(key));
            if let DestinationKey::Directory(path) = key {
                directories.insert(path, occupied.len() - 1);
            }
            occupied.len() - 1
        });
        &mut occupied[index]
    }

    /// Iterates over the destinations that contain a path, the innermost first, each with the name of the entry that leads to the
    /// path.
    fn enclosing<'p>(&self, path: &'p str) -> impl Iterator<Item = (&OccupiedDestination<'a>, &'p str)> {
        let above = self.directories.above(path).into_iter().rev();
        above.filter_map(|(index, name)| Some((self.occupied.get(index)?, name)))
    }
}

/// The directories that the agent writes to, as a trie of the components of their paths: finding all parents of a path takes one
/// pass over it.
struct DirectoryTree {
    /// The working directory is the first one.
    nodes: Vec<DirectoryNode>,
}

/// A directory to which something is written, or that leads to one.
#[derive(Default)]
struct DirectoryNode {
    /// The indices of the nodes in it, by name.
    entries: BTreeMap<String, usize>,
    /// The index of the destination.
    occupied: Option<usize>,
}

impl Default for DirectoryTree {
    fn default() -> Self {
        Self { nodes: vec![DirectoryNode::default()] }
    }
}

impl DirectoryTree {
    fn insert(&mut self, path: &str, index: usize) {
        let mut at = 0;
        for name in names(path) {
            steps::count(1);
            at = match self.nodes[at].entries.get(name) {
                Some(next) => *next,
                None => {
                    let next = self.nodes.len();
                    self.nodes[at].entries.insert(name.to_owned(), next);
                    self.nodes.push(DirectoryNode::default());
                    next
                }
            };
        }
        self.nodes[at].occupied = Some(index);
    }

    /// Returns the destinations above a normalised path, from the outside in, with the name of the entry that leads to the
    /// path.
    fn above<'p>(&self, path: &'p str) -> Vec<(usize, &'p str)> {
        let mut above = Vec::new();
        let mut node = self.nodes.first();
        for name in names(path) {
            steps::count(1);
            let Some(directory) = node else { break };
            if let Some(index) = directory.occupied
                && !matches!(name, "" | "..")
            {
                above.push((index, name));
            }
            node = directory.entries.get(name).and_then(|next| self.nodes.get(*next));
        }
        above
    }
}

/// Returns the names in a normalised path. That of the root directory is empty.
fn names(path: &str) -> impl Iterator<Item = &str> {
    let root = path.starts_with('/').then_some("");
    root.into_iter().chain(path.split('/').filter(|name| !name.is_empty()))
}

fn first_component(name: &str) -> &str {
    name.split('/').find(|component| !matches!(*component, "" | ".")).unwrap_or(name)
}

pub(super) fn check(config: &Config, services: &[NamedService<'_>], findings: &mut Findings<'_>) {
    let normalizer = Normalizer(findings.options().process.as_ref());
    let storage = config.storage();
    let is_run = |named: &&NamedService<'_>| !config.is_oneshot() || named.service.service_type().oneshot;
    let services = services.iter().filter(is_run);
    let services = services.filter_map(|named| Some((named.service.fields().destination()?, Some(named))));
    let mut destinations = Destinations::default();
    for (destination, service) in [(&storage, None)].into_iter().chain(services) {
        let Some((key, property)) = normalizer.key(destination) else { continue };
        let is_default = service.is_none() && config.storage.is_none();
        let writer = Writer { service, property: (!is_default).then_some(property) };
        let occupied = destinations.at(key);
        if let Some((other, name)) = occupied.conflict_with(&writer) {
            findings.report(same_destination(&writer, other, name, property));
        }
        occupied.add(writer);
    }
    for inner in &destinations.occupied {
        let outer = inner.directory.as_ref().and_then(|directory| {
            destinations
                .enclosing(directory)
                .find_map(|(occupied, name)| occupied.storage().or_else(|| occupied.owner_of(name)))
        });
        if let Some(outer) = outer {
            for writer in &inner.writers {
                findings.report(nested(writer, outer));
            }
        }
    }
    for (pointer, path) in config.files_read() {
        let path = normalizer.normalize(path);
        let found = destinations.enclosing(&path).find_map(|(occupied, name)| file_inside(occupied, name));
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
    occupied: &'w OccupiedDestination<'a>,
    name: &str,
) -> Option<(Severity, &'static str, &'w Writer<'a>)> {
    if let Some(owner) = occupied.owner_of(name) {
        return Some((Severity::Error, "the agent reads this file, and overwrites it", owner));
    }
    let others = occupied.writers.iter().find(|writer| writer.kind() == WriterKind::Files)?;
    Some((
        Severity::Warning,
        "the agent reads this file from a directory in which it delivers credentials to other programs",
        others,
    ))
}

fn same_destination(
    writer: &Writer<'_>,
    other: &Writer<'_>,
    name: Option<&str>,
    property: &str,
) -> Diagnostic {
    let target = Target::Value(writer.pointer().unwrap_or_default());
    // A flag that sets the destination has another name than the property.
    let what = if property == "path" { "directory" } else { "Secret" };
    if other.kind() != WriterKind::Storage {
        let message = match name {
            None => "two services write to this Secret, and remove each other's files".to_owned(),
            Some(name) => {
                let file = if writer.is_fixed(name) { &format!("`{name}`") } else { "the same file" };
                format!("two services write {file} to this destination, and overwrite each other's file")
            }
        };
        return related_to(Diagnostic::new(Code::SameDestination, target, message), other)
            .with_help(format!("use a different {what} for each"));
    }
    let (message, help) = if other.property.is_none() {
        (
            "the bot stores its own identity here, because this is the default of `storage`",
            "use a different directory, or set `storage` to one".to_owned(),
        )
    } else {
        (
            "the bot also stores its own identity in this destination",
            format!("use a different {what} for each"),
        )
    };
    let diagnostic = Diagnostic::new(Code::SameDestination, target, message).with_severity(Severity::Error);
    related_to(diagnostic, other).with_help(help)
}

/// Reports a writer whose directory is inside an entry that `outer` creates.
fn nested(writer: &Writer<'_>, outer: &Writer<'_>) -> Diagnostic {
    // The default storage is nowhere in the file, so the finding is shown at the other writer.
    let (at, other) = if writer.property.is_some() { (writer, outer) } else { (outer, writer) };
    let mut message = match (writer.kind(), outer.kind()) {
        (_, WriterKind::Storage) => {
            "this directory is inside the one in which the bot stores its own identity"
        }
        (WriterKind::Storage, _) => {
            "the bot stores its own identity in a directory that a service overwrites"
        }
        _ => "this directory is inside one that another service overwrites",
    }
    .to_owned();
    let help = if other.property.is_some() {
        "use a directory that is not inside the other one"
    } else {
        message = format!("{message}: {DEFAULT_STORAGE_PATH}, the default of `storage`");
        "use a different directory, or set `storage` to one"
    };
    let target = Target::Value(at.pointer().unwrap_or_default());
    related_to(Diagnostic::new(Code::NestedDestination, target, message), other).with_help(help)
}

fn related_to(diagnostic: Diagnostic, other: &Writer<'_>) -> Diagnostic {
    let description = match other.kind() {
        WriterKind::Storage => "`storage` is set here",
        WriterKind::Files | WriterKind::Socket => "the other service is here",
    };
    let diagnostic = diagnostic.naming(Pointer::root().key("storage"));
    match other.pointer() {
        Some(pointer) => diagnostic.with_related(description, Target::Value(pointer)),
        None => diagnostic,
    }
}
