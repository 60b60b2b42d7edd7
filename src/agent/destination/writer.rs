//! Writes the files of an output to its destination: a directory, a Kubernetes Secret, or memory.
//!
//! Chooses how the files of a directory are replaced; `generation`, `atomic_write`, `in_place` and `kubernetes_secret`
//! do the I/O. Never interprets the content of the files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::agent::destination::directory::{DirectoryError, DirectoryHandle};
use crate::agent::destination::generation::Leftover;
use crate::agent::destination::kubernetes_secret::{KubernetesSecretError, SecretClient};
use crate::agent::destination::permissions::ReaderGrant;
use crate::agent::destination::posix_acl::AclProblem;
use crate::agent::destination::readers::{ReaderAccess, ReaderError};
use crate::agent::destination::staging::NewFile;
use crate::agent::destination::trial::TrialSet;
use crate::agent::platform::error_text::error_line;
use crate::agent::platform::lock::lock;
use crate::agent::platform::reminders::RecurringWarnings;
use crate::agent::platform::tasks::{FileSystemWork, UninterruptibleWork};
use crate::agent::platform::{Clock, Environment, Hint};
use crate::config::{self, AclMode, SymlinkMode};

/// A destination cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// The directory or one of its files cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A configured reader cannot be given access.
    #[error("cannot give a reader access (readers)")]
    Reader(#[from] ReaderError),
    /// A user or group to whom `tbot init` must give access cannot be resolved.
    #[error(transparent)]
    User(ReaderError),
    /// The Kubernetes Secret cannot be used.
    #[error(transparent)]
    Secret(#[from] KubernetesSecretError),
    /// A directory of another user has an ACL that `acls: required` does not allow.
    #[error("{path}: {problem}")]
    Acl {
        /// The directory or file.
        path: PathBuf,
        /// The problem of its ACL.
        problem: AclProblem,
    },
    /// The file system of a directory does not respond.
    #[error("the file system of {} does not respond", .0.display())]
    Unresponsive(PathBuf),
}

impl DestinationError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Directory(error) => error.hint(),
            Self::Secret(error) => error.hint(),
            Self::Acl { .. } => Some(Hint::new(
                "set its ACLs again (tbot init), or set acls: off if everyone with access may read the keys",
            )),
            Self::Reader(error) | Self::User(error) => error.hint(),
            Self::Unresponsive(_) => Some(Hint::new(
                "if it is a network file system, check its server; the agent continues when the server responds",
            )),
        }
    }

    /// Returns whether a retry may succeed without any change by the operator.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Directory(error) => error.is_transient(),
            Self::Secret(error) => error.is_transient(),
            Self::Unresponsive(_) => true,
            Self::Reader(_) | Self::User(_) | Self::Acl { .. } => false,
        }
    }
}

/// How long work at a destination waits for its file system. Longer than it waits for the lock of its directory.
const FILE_TIMEOUT: Duration = Duration::from_secs(120);

/// A configured destination, which is not open yet.
#[derive(Clone, Debug)]
pub(crate) enum WriteTarget {
    Directory(DirectoryTarget),
    Memory,
    Secret(Box<SecretClient>),
}

/// A configured directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryTarget {
    pub(crate) path: PathBuf,
    pub(crate) symlinks: SymlinkMode,
    pub(crate) access: ReaderAccess,
}

/// Which files of earlier sets to remove and which to keep, if the new set does not replace them. A directory also keeps files that
/// are in neither list; a Secret and the memory do not.
#[derive(Clone, Debug, Default)]
pub(crate) struct EarlierFiles {
    /// The names of files that must not remain.
    pub(crate) removed: Vec<&'static str>,
    /// The names of files that must remain, because there is nothing newer.
    pub(crate) kept: Vec<&'static str>,
}

/// Writes the files of one output. Its `Debug` output does not contain the files.
pub(crate) struct DestinationWriter {
    output: String,
    warnings: RecurringWarnings,
    target: WriteTarget,
    memory: Mutex<BTreeMap<String, Vec<u8>>>,
    files: FileSystemWork,
    /// The directory belonged to the agent's user when it was last opened.
    was_owned: AtomicBool,
    /// The set that could not be written the last time.
    unwritten: Mutex<Option<TrialSet>>,
    /// The messages that were logged already and are not repeated.
    logged: Mutex<BTreeSet<String>>,
}

impl WriteTarget {
    /// Creates the target of a configured destination. Performs no I/O.
    pub(crate) fn new(
        destination: &config::Destination,
        environment: &Environment,
        clock: &Clock,
    ) -> Result<Self, DestinationError> {
        Ok(match destination {
            config::Destination::Directory(directory) => Self::Directory(DirectoryTarget::new(directory)),
            config::Destination::Memory(_) => Self::Memory,
            config::Destination::KubernetesSecret(secret) => {
                Self::Secret(Box::new(SecretClient::new(secret, environment, clock)?))
            }
        })
    }
}

impl DirectoryTarget {
    pub(crate) fn new(directory: &config::Directory) -> Self {
        Self {
            path: PathBuf::from(directory.path.as_str()),
            symlinks: directory.symlinks.unwrap_or(SymlinkMode::TrySecure),
            access: ReaderAccess::new(directory),
        }
    }

    /// Returns a directory with default settings.
    #[cfg(test)]
    pub(crate) fn with_defaults(path: &Path) -> Self {
        let directory = serde_json::json!({ "path": path });
        Self::new(&serde_json::from_value(directory).unwrap())
    }

    pub(crate) fn open(&self) -> Result<DirectoryHandle, DirectoryError> {
        DirectoryHandle::open(&self.path, self.symlinks)
    }

    /// Tests whether ACLs work here and every reader is known. With `acls: try`, returns the problem instead of an
    /// error.
    ///
    /// # Errors
    ///
    /// Returns an error only if `acls` is `required`.
    pub(crate) fn test_access(&self) -> Result<Option<DestinationError>, DestinationError> {
        if self.access.mode == AclMode::Off || !(self.access.has_readers() || self.access.is_required()) {
            return Ok(None);
        }
        let test = || {
            let (grant, unknown_reader) = self.access.resolve()?;
            let directory = self.open()?;
            if directory.is_owned_by_agent()? {
                directory.test_acl(&grant)?;
            }
            Ok(unknown_reader.map(DestinationError::from))
        };
        match test() {
            Err(error) if !self.access.is_required() => Ok(Some(error)),
            result => result,
        }
    }
}

impl DestinationWriter {
    /// `output` is the name of the output in warnings.
    pub(crate) fn new(output: &str, target: WriteTarget, warnings: RecurringWarnings) -> Self {
        Self {
            output: output.to_owned(),
            warnings,
            target,
            memory: Mutex::default(),
            files: FileSystemWork::default(),
            was_owned: AtomicBool::default(),
            unwritten: Mutex::default(),
            logged: Mutex::default(),
        }
    }

    /// Does blocking work at the destination. If its file system does not respond, only this work fails: no restart of the agent
    /// would help.
    pub(crate) async fn run_blocking(
        self: &Arc<Self>,
        uninterruptible: &UninterruptibleWork,
        work: impl FnOnce(&Self) -> Result<(), DestinationError> + Send + 'static,
    ) -> Result<(), DestinationError> {
        let writer = Arc::clone(self);
        let result = self.files.run_blocking(FILE_TIMEOUT, uninterruptible, move || work(&writer)).await;
        let unresponsive =
            || DestinationError::Unresponsive(self.directory().map(Path::to_owned).unwrap_or_default());
        result.unwrap_or_else(|| Err(unresponsive()))
    }

    /// Returns the path of the directory, or `None` for another destination. For files that refer to each other by
    /// path.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match &self.target {
            WriteTarget::Directory(directory) => Some(&directory.path),
            WriteTarget::Memory | WriteTarget::Secret(_) => None,
        }
    }

    /// Tests whether readers can be given access.
    pub(crate) fn test_reader_access(&self) -> Result<(), DestinationError> {
        let WriteTarget::Directory(directory) = &self.target else { return Ok(()) };
        if directory.access.mode == AclMode::Off && directory.access.has_readers() {
            self.log_once("the readers get no access, because acls is off");
        }
        if let Some(problem) = directory.test_access()? {
            self.warn(error_line(&problem, problem.hint().as_ref()));
        }
        Ok(())
    }

    /// Recovers from a crash, and tests whether files can be written. To be called before credentials are requested.
    ///
    /// If the last set could not be written, tests whether there is room for it now: a disk that is full for hours must not cause a
    /// request with every retry.
    pub(crate) fn recover_and_test(&self) -> Result<(), DestinationError> {
        let target = match &self.target {
            WriteTarget::Directory(target) => target,
            WriteTarget::Secret(secret) => return Ok(secret.test_write()?),
            WriteTarget::Memory => return Ok(()),
        };
        let directory = self.open(target)?;
        let is_owned = directory.is_owned_by_agent()?;
        if is_owned {
            directory.recover()?;
            self.warn_leftover(directory.recover_generation_directories()?);
        }
        directory.test_write()?;
        let unwritten = lock(&self.unwritten).clone();
        if let Some(set) = unwritten
            && is_owned
        {
            directory.try_writing_set(&set)?;
            self.remove_test_files();
        }
        Ok(())
    }

    /// Tests whether files with these names can be written, and whether there is space for as many files as an output has. To be called
    /// after [`recover_and_test`](Self::recover_and_test), before something is requested that cannot be requested twice. Space on a disk
    /// stays in use until [`remove_test_files`](Self::remove_test_files).
    pub(crate) fn test_set(&self, names: &[&str]) -> Result<(), DestinationError> {
        let WriteTarget::Directory(target) = &self.target else { return Ok(()) };
        let directory = self.open(target)?;
        if directory.requires_in_place_writing(names.iter().copied())? {
            directory.check_overwritable(names, target.access.mode)?;
        } else {
            directory.check_replaceable(names)?;
        }
        if directory.is_owned_by_agent()? {
            directory.try_writing_set(&TrialSet::usual())?;
        } else {
            directory.try_writing_in_place()?;
        }
        Ok(())
    }

    /// Frees what [`test_set`](Self::test_set) uses. If this fails, the next [`recover_and_test`](Self::recover_and_test) does it.
    pub(crate) fn remove_test_files(&self) {
        let WriteTarget::Directory(target) = &self.target else { return };
        let remove = || {
            let directory = self.open(target)?;
            if directory.is_owned_by_agent()? { directory.recover().map(drop) } else { Ok(()) }
        };
        if let Err(error) = remove() {
            tracing::debug!(
                "cannot remove the files of a test yet: {}",
                error_line(&error, error.hint().as_ref())
            );
        }
    }

    /// Writes the files as one set. A directory is opened each time, because it may have been replaced or mounted since.
    pub(crate) fn write(&self, files: Vec<NewFile>, earlier: &EarlierFiles) -> Result<(), DestinationError> {
        let EarlierFiles { removed, kept } = earlier;
        match &self.target {
            WriteTarget::Directory(target) => {
                let directory = self.open(target)?;
                let written = self.write_to_directory(target, &directory, &files, removed);
                *lock(&self.unwritten) = written.is_err().then(|| TrialSet::like(&files));
                written?;
                self.warn_leftover(directory.remove_files(removed)?);
                Ok(())
            }
            WriteTarget::Secret(secret) => {
                let mut all = if kept.is_empty() { BTreeMap::new() } else { self.read_earlier(secret, kept) };
                replace_all_except(kept, &mut all, files);
                secret.write(&all, None)?;
                Ok(())
            }
            WriteTarget::Memory => {
                replace_all_except(kept, &mut lock(&self.memory), files);
                Ok(())
            }
        }
    }

    /// Returns the files of a Secret. If they cannot be read, warns that those in `kept` are lost: new credentials must not wait
    /// for that.
    fn read_earlier(&self, secret: &SecretClient, kept: &[&str]) -> BTreeMap<String, Vec<u8>> {
        match secret.read() {
            Ok(content) => content.unwrap_or_default().files,
            Err(error) => {
                let error = error_line(&error, error.hint().as_ref());
                self.warnings.warn(
                    &self.output,
                    format_args!("writing without the earlier {}: {error}", kept.join(", ")),
                );
                BTreeMap::new()
            }
        }
    }

    /// Returns all files, by name, if the destination is memory, and otherwise none.
    pub(crate) fn files_in_memory(&self) -> BTreeMap<String, Vec<u8>> {
        lock(&self.memory).clone()
    }

    /// Opens the directory. Refuses one that belonged to the agent's user and now belongs to another user, who may have
    /// put it in the place of the agent's.
    fn open(&self, target: &DirectoryTarget) -> Result<DirectoryHandle, DirectoryError> {
        let directory = target.open()?;
        if directory.is_owned_by_agent()? {
            self.was_owned.store(true, Ordering::Relaxed);
        } else if self.was_owned.load(Ordering::Relaxed) {
            let owner = directory.owner()?;
            return Err(DirectoryError::OwnerChanged { path: target.path.clone(), owner });
        }
        if directory.is_writable_by_others()? {
            self.warn(
                "every user may write to the directory, and can remove or replace its files: remove that permission \
                 (chmod o-w)",
            );
        }
        Ok(directory)
    }

    fn write_to_directory(
        &self,
        target: &DirectoryTarget,
        directory: &DirectoryHandle,
        files: &[NewFile],
        removed: &[&str],
    ) -> Result<(), DestinationError> {
        if directory.requires_in_place_writing(files.iter().map(|(name, _)| name.as_str()))? {
            self.log_once(
                "writing files in place, because the directory belongs to another user or a file to root; a program that \
                 reads during a renewal may see files of two versions",
            );
            self.check_acls(target, directory, files)?;
            return Ok(directory.write_in_place(files, target.access.mode)?);
        }
        let (grant, unknown_reader) = target.access.resolve()?;
        if let Some(error) = unknown_reader.map(DestinationError::from) {
            self.warn(error_line(&error, error.hint().as_ref()));
        }
        self.replace_files(target, directory, files, removed, &grant)?;
        if let Some(error) = grant.failure() {
            self.warn(format!("cannot give the readers access: {error}"));
        }
        Ok(())
    }

    fn replace_files(
        &self,
        target: &DirectoryTarget,
        directory: &DirectoryHandle,
        files: &[NewFile],
        removed: &[&str],
        grant: &ReaderGrant,
    ) -> Result<(), DirectoryError> {
        let reason = if target.symlinks == SymlinkMode::Secure {
            "symlinks is secure"
        } else if directory.supports_links()? {
            self.warn_leftover(directory.write_generation_directory(files, removed, grant)?);
            return Ok(());
        } else {
            "the file system does not support links"
        };
        self.log_once(&format!(
            "replacing files one after the other, because {reason}; a program that reads during a renewal may see files of \
             two versions"
        ));
        self.warn_leftover(directory.restore_plain_files()?);
        directory.commit(files, grant)
    }

    /// Checks the ACLs of a directory that another user prepared, which the agent does not change.
    fn check_acls(
        &self,
        target: &DirectoryTarget,
        directory: &DirectoryHandle,
        files: &[NewFile],
    ) -> Result<(), DestinationError> {
        if target.access.mode == AclMode::Off {
            return Ok(());
        }
        match directory.find_acl_problem(files)? {
            None => Ok(()),
            Some((path, problem)) => {
                let error = DestinationError::Acl { path, problem };
                if target.access.is_required() {
                    return Err(error);
                }
                self.warnings
                    .warn(&self.output, format_args!("{}", error_line(&error, error.hint().as_ref())));
                Ok(())
            }
        }
    }

    /// Warns about old files that could not be removed.
    fn warn_leftover(&self, leftover: Leftover) {
        if let Some(error) = leftover {
            let error = error_line(&error, error.hint().as_ref());
            self.warn(format!("old files remain until a later renewal can remove them: {error}"));
        }
    }

    fn log_once(&self, message: &str) {
        if lock(&self.logged).insert(message.to_owned()) {
            tracing::info!(destination = ?self.name(), "{message}");
        }
    }

    fn warn(&self, problem: impl fmt::Display) {
        self.warnings.warn(&self.output, format_args!("{}: {problem}", self.name().display()));
    }

    /// Returns the path of the directory, for log lines. Other destinations log nothing.
    fn name(&self) -> &Path {
        self.directory().unwrap_or_else(|| Path::new("memory"))
    }
}

/// Removes every file that is not in `kept`, then adds `files`.
fn replace_all_except(kept: &[&str], all: &mut BTreeMap<String, Vec<u8>>, files: Vec<NewFile>) {
    all.retain(|name, _| kept.contains(&name.as_str()));
    all.extend(files);
}

impl fmt::Debug for DestinationWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.target, f)
    }
}

#[cfg(test)]
mod tests;
