//! Writes the files of an output to its directory.
//!
//! Chooses how the files are replaced; `generation`, `atomic_write` and `in_place` do the I/O.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::agent::destination::directory::{DirectoryError, DirectoryHandle};
use crate::agent::destination::error::DestinationError;
use crate::agent::destination::permissions::ReaderGrant;
use crate::agent::destination::staging::NewFile;
use crate::agent::destination::target::DirectoryTarget;
use crate::agent::destination::write_test::TestSet;
use crate::agent::platform::error_text::error_line;
use crate::agent::platform::lock::lock;
use crate::agent::platform::reminders::RecurringWarnings;
use crate::config::{AclMode, SymlinkMode};

/// Writes the files of one output to a directory.
pub(super) struct DirectoryWriter {
    target: DirectoryTarget,
    output: String,
    warnings: RecurringWarnings,
    /// The directory belonged to the agent's user when it was last opened.
    was_owned: AtomicBool,
    /// The set that could not be written the last time.
    unwritten: Mutex<Option<TestSet>>,
    /// The messages that were logged already and are not repeated.
    logged: Mutex<BTreeSet<String>>,
}

impl DirectoryWriter {
    pub(super) fn new(output: String, target: DirectoryTarget, warnings: RecurringWarnings) -> Self {
        Self {
            target,
            output,
            warnings,
            was_owned: AtomicBool::default(),
            unwritten: Mutex::default(),
            logged: Mutex::default(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.target.path
    }

    /// Tests whether readers can be given access, recovers from a crash, and tests whether files can be written.
    ///
    /// If the last set could not be written, tests whether there is room for it now: a disk that is full for hours must not cause a
    /// request with every retry.
    pub(super) fn prepare(&self) -> Result<(), DestinationError> {
        self.test_reader_access()?;
        self.recover_and_test()
    }

    fn test_reader_access(&self) -> Result<(), DestinationError> {
        let access = &self.target.access;
        if access.mode == AclMode::Off && access.has_readers() {
            self.log_once("the readers get no access, because acls is off");
        }
        if let Some(problem) = self.target.test_access()? {
            self.warn(error_line(&problem, problem.hint().as_ref()));
        }
        Ok(())
    }

    fn recover_and_test(&self) -> Result<(), DestinationError> {
        let directory = self.open()?;
        let is_owned = directory.is_owned_by_agent()?;
        if is_owned {
            directory.recover()?;
            self.warn_about_old_files(directory.recover_generation_directories()?);
        }
        directory.test_write()?;
        let unwritten = lock(&self.unwritten).clone();
        if let Some(set) = unwritten
            && is_owned
        {
            directory.test_writing_set(&set)?;
            self.remove_test_files();
        }
        Ok(())
    }

    /// Tests whether files with these names can be written, and whether there is space for as many files as an output has.
    pub(super) fn test_set(&self, names: &[&str]) -> Result<(), DestinationError> {
        let directory = self.open()?;
        if directory.requires_in_place_writing(names.iter().copied())? {
            directory.check_overwritable(names, self.target.access.mode)?;
        } else {
            directory.check_replaceable(names)?;
        }
        if directory.is_owned_by_agent()? {
            directory.test_writing_set(&TestSet::usual())?;
        } else {
            directory.test_writing_in_place()?;
        }
        Ok(())
    }

    /// Frees what [`test_set`](Self::test_set) uses. If this fails, the next [`prepare`](Self::prepare) does it.
    pub(super) fn remove_test_files(&self) {
        let remove = || {
            let directory = self.open()?;
            if directory.is_owned_by_agent()? { directory.recover().map(drop) } else { Ok(()) }
        };
        if let Err(error) = remove() {
            tracing::debug!(
                "cannot remove the files of a test yet: {}",
                error_line(&error, error.hint().as_ref())
            );
        }
    }

    /// Writes the files as one set, and removes others. The directory is opened each time, because it may have been replaced or mounted
    /// since.
    pub(super) fn write(&self, files: &[NewFile], removed: &[&str]) -> Result<(), DestinationError> {
        let directory = self.open()?;
        let written = self.write_set(&directory, files, removed);
        *lock(&self.unwritten) = written.is_err().then(|| TestSet::like(files));
        written?;
        self.warn_about_old_files(directory.remove_files(removed)?);
        Ok(())
    }

    /// Opens the directory. Refuses one that belonged to the agent's user and now belongs to another user, who may have
    /// put it in the place of the agent's.
    fn open(&self) -> Result<DirectoryHandle, DirectoryError> {
        let directory = self.target.open()?;
        if directory.is_owned_by_agent()? {
            self.was_owned.store(true, Ordering::Relaxed);
        } else if self.was_owned.load(Ordering::Relaxed) {
            let owner = directory.owner()?;
            return Err(DirectoryError::OwnerChanged { path: self.target.path.clone(), owner });
        }
        if directory.is_writable_by_others()? {
            self.warn(
                "every user may write to the directory, and can remove or replace its files: remove that permission \
                 (chmod o-w)",
            );
        }
        Ok(directory)
    }

    fn write_set(
        &self,
        directory: &DirectoryHandle,
        files: &[NewFile],
        removed: &[&str],
    ) -> Result<(), DestinationError> {
        if directory.requires_in_place_writing(files.iter().map(|(name, _)| name.as_str()))? {
            self.log_once(
                "writing files in place, because the directory belongs to another user or a file to root; a program that \
                 reads during a renewal may see files of two versions",
            );
            self.check_acls(directory, files)?;
            return Ok(directory.write_in_place(files, self.target.access.mode)?);
        }
        let (grant, unknown_reader) = self.target.access.resolve()?;
        if let Some(error) = unknown_reader.map(DestinationError::from) {
            self.warn(error_line(&error, error.hint().as_ref()));
        }
        self.replace(directory, files, removed, &grant)?;
        if let Some(error) = grant.failure() {
            self.warn(format!("cannot give the readers access: {error}"));
        }
        Ok(())
    }

    fn replace(
        &self,
        directory: &DirectoryHandle,
        files: &[NewFile],
        removed: &[&str],
        grant: &ReaderGrant,
    ) -> Result<(), DirectoryError> {
        let reason = if self.target.symlinks == SymlinkMode::Secure {
            "symlinks is secure"
        } else if directory.supports_links()? {
            self.warn_about_old_files(directory.write_generation_directory(files, removed, grant)?);
            return Ok(());
        } else {
            "the file system does not support links"
        };
        self.log_once(&format!(
            "replacing files one after the other, because {reason}; a program that reads during a renewal may see files of \
             two versions"
        ));
        self.warn_about_old_files(directory.restore_plain_files()?);
        directory.commit(files, grant)
    }

    /// Checks the ACLs of a directory that another user prepared, which the agent does not change.
    fn check_acls(&self, directory: &DirectoryHandle, files: &[NewFile]) -> Result<(), DestinationError> {
        if self.target.access.mode == AclMode::Off {
            return Ok(());
        }
        match directory.find_acl_problem(files)? {
            None => Ok(()),
            Some((path, problem)) => {
                let error = DestinationError::Acl { path, problem };
                if self.target.access.is_required() {
                    return Err(error);
                }
                self.warnings
                    .warn(&self.output, format_args!("{}", error_line(&error, error.hint().as_ref())));
                Ok(())
            }
        }
    }

    /// Warns about old files that could not be removed.
    fn warn_about_old_files(&self, cleanup_error: Option<DirectoryError>) {
        if let Some(error) = cleanup_error {
            let error = error_line(&error, error.hint().as_ref());
            self.warn(format!("old files remain until a later renewal can remove them: {error}"));
        }
    }

    fn log_once(&self, message: &str) {
        if lock(&self.logged).insert(message.to_owned()) {
            tracing::info!(destination = ?self.path(), "{message}");
        }
    }

    fn warn(&self, problem: impl fmt::Display) {
        self.warnings.warn(&self.output, format_args!("{}: {problem}", self.path().display()));
    }
}

impl fmt::Debug for DirectoryWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.target, f)
    }
}
