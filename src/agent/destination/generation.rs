//! Replaces a file set at a single moment: each version of the set has its own generation directory, and one link leads
//! to the current one.
//!
//! ```text
//! identity ─► ..data/identity        the names that other programs open; these links stay
//! key ─► ..data/key
//! ..data ─► ..7                      the link that is switched
//! ..7/identity, ..7/key              a generation directory: complete before any link leads to it, then unchanged
//! ```
//!
//! A program that resolves `..data` once, or opens a single file, sees one version of the set, at any moment and after
//! a power failure. Kubernetes uses the same layout for volumes, so programs that watch such volumes also work here.
//!
//! 1. Plain files of the same names, as left by an earlier version or the Go agent, are first migrated to a generation
//!    directory with the same content: `..data` leads to it, and the files are replaced by links. Readers see no
//!    change.
//! 2. The next generation directory is written: new files, and hard links to the files that the set does not replace or
//!    that have the same content as before, such as those with CAs. Everything is fsynced.
//! 3. The link `..data_tmp` to the new directory is created and renamed to `..data`. This commits the set. The rename
//!    is fsynced.
//! 4. The old generation directory is removed.
//!
//! A crash before step 3 leaves a directory that no link leads to; a crash after it leaves the old generation
//! directory. Both are removed at the next start.
//!
//! If an old directory cannot be removed, or an additional file not be carried over from it, because a file is in use, immutable or
//! another user's, the set is complete anyway: the functions here return the reason, or `None` if there is none, and the next
//! renewal tries again to remove the directory.

mod layout;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::agent::destination::directory::{
    DirectoryError, DirectoryHandle, DirectoryLock, READ_LIMIT, tree,
};
use crate::agent::destination::permissions::{Permissions, ReaderGrant, remove_permissions};
use crate::agent::destination::staging::{NewFile, StagedFile, overwrite};
use crate::agent::platform::regular_file::{self, Obstacle, RegularFileError};
use layout::{CURRENT, directory_name, directory_number};

/// The new link to a generation directory, before it replaces [`CURRENT`].
const CURRENT_TMP: &str = "..data_tmp";
/// The new link, file or subdirectory for a visible name, before it replaces the old one.
const VISIBLE_TMP: &str = "..link_tmp";
/// The temporary name of a plain subdirectory that was migrated, until it is removed.
const MIGRATED_TMP: &str = "..replaced_tmp";

impl DirectoryHandle {
    /// Replaces these files as one set. Carries over the other files of the current generation directory to the next
    /// one, except those in `removed`. A replaced file keeps its mode, group and ACL; a new one has mode 0600.
    pub(crate) fn write_generation_directory(
        &self,
        files: &[NewFile],
        removed: &[&str],
        grant: &ReaderGrant,
    ) -> Result<Option<DirectoryError>, DirectoryError> {
        let _lock = self.lock_for_update()?;
        self.recover_locked()?;
        self.remove_stale()?;
        grant
            .apply_to_directory(&self.fd)
            .map_err(|error| self.io_error("give readers access to", ".", error))?;
        let names: BTreeSet<&str> = files.iter().map(|(name, _)| tree::top_level(name)).collect();
        let mut cleanup_error = self.migrate_plain_files(&names)?;

        let old_number = self.current_generation_number()?;
        let old = old_number.map(|number| self.open_own_subdirectory(&directory_name(number))).transpose()?;
        let (next, number) = self.create_generation_directory(old_number)?;
        // In a directory that others may write to, another user may have put a file there.
        let trusted = if self.is_writable_by_others()? { None } else { old.as_ref() };
        let mut changed_files = Vec::new();
        for (name, content) in files {
            let replaced = trusted.map(|old| self.open_replaced(old, name)).transpose()?.flatten();
            let is_linked = replaced.as_ref().is_some_and(|(file, permissions)| {
                is_unchanged(file, permissions, content, grant)
                    && trusted.is_some_and(|old| tree::hard_link(old, name, &next, name).is_ok())
            });
            if !is_linked {
                let replaced = replaced.map(|(_, permissions)| permissions);
                changed_files.push(StagedFile { name, content, replaced });
            }
        }
        self.stage_files(&next, &directory_name(number), &changed_files, grant)?;
        if let Some(old) = old {
            let changed = files.iter().map(|(name, _)| name.as_str()).chain(removed.iter().copied());
            let changed: BTreeSet<&str> = changed.collect();
            cleanup_error = cleanup_error.or(self.carry_over(&old, &next, |name| !changed.contains(name))?);
        }
        self.finish_generation_directory(&next, number)?;
        self.restore_links(names)?;
        self.sync()?;
        self.switch_to(number)?;
        let last_error = self.remove_stale_at_end();
        Ok(cleanup_error.or(last_error))
    }

    /// Removes the regular files and the agent's own links that have these names. Leaves other links and special files.
    pub(crate) fn remove_files(&self, names: &[&str]) -> Result<Option<DirectoryError>, DirectoryError> {
        let mut cleanup_error = None;
        for name in names {
            let is_own = match self.file_type(name)? {
                Some(FileType::RegularFile) => true,
                Some(FileType::Symlink) => self.is_own_link(name)?,
                _ => false,
            };
            if !is_own {
                continue;
            }
            let _lock = self.lock_for_update()?;
            if let Err(error) = tree::remove(&self.fd, *name) {
                cleanup_error = cleanup_error.or(Some(self.io_error("remove", name, error)));
            }
        }
        Ok(cleanup_error)
    }

    /// Removes what a crash left, and restores missing links.
    pub(crate) fn recover_generation_directories(&self) -> Result<Option<DirectoryError>, DirectoryError> {
        let _lock = self.lock_for_update()?;
        let cleanup_error = self.remove_stale()?;
        if let Some(current) = self.open_current_generation_directory()? {
            let names = self.visible_names(&current)?;
            self.restore_links(names.iter().map(String::as_str))?;
        }
        Ok(cleanup_error)
    }

    /// Replaces the links with plain files of the same content, for `symlinks: secure` and for file systems without
    /// links.
    pub(crate) fn restore_plain_files(&self) -> Result<Option<DirectoryError>, DirectoryError> {
        let lock = self.lock_for_update()?;
        self.restore_plain_files_locked(&lock)
    }

    /// Does the work of [`restore_plain_files`](Self::restore_plain_files) while the caller holds the lock.
    pub(super) fn restore_plain_files_locked(
        &self,
        _lock: &DirectoryLock,
    ) -> Result<Option<DirectoryError>, DirectoryError> {
        let cleanup_error = self.remove_stale()?;
        let Some(number) = self.current_generation_number()? else { return Ok(cleanup_error) };
        let current = self.open_own_subdirectory(&directory_name(number))?;
        for name in self.visible_names(&current)? {
            if self.is_own_link(&name)? {
                self.restore_plain_file(&current, &name)
                    .map_err(|error| self.io_error("replace the link", &name, error))?;
            }
        }
        self.sync()?;
        self.remove_tree(CURRENT)?;
        Ok(self.remove_stale_at_end())
    }

    /// Returns true if generation directories can be used: there is one already, or the file system supports symbolic
    /// links and hard links.
    pub(crate) fn supports_links(&self) -> Result<bool, DirectoryError> {
        if self.file_type(CURRENT)?.is_some() {
            return Ok(true);
        }
        let _lock = self.lock_for_update()?;
        let create_links = || {
            rustix::fs::symlinkat(CURRENT, &self.fd, VISIBLE_TMP)?;
            rustix::fs::linkat(&self.fd, VISIBLE_TMP, &self.fd, CURRENT_TMP, AtFlags::empty())
        };
        let remove = |name| tree::remove(&self.fd, name);
        let created = remove(VISIBLE_TMP).and_then(|()| remove(CURRENT_TMP)).and_then(|()| create_links());
        for name in [VISIBLE_TMP, CURRENT_TMP] {
            remove(name).map_err(|error| self.io_error("remove", name, error))?;
        }
        match created {
            Ok(()) => Ok(true),
            Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS) => Ok(false),
            Err(error) => Err(self.io_error("create the link", VISIBLE_TMP, error)),
        }
    }

    /// Like [`remove_stale`](Self::remove_stale), after the set is complete: any error only means that something is left.
    fn remove_stale_at_end(&self) -> Option<DirectoryError> {
        match self.remove_stale() {
            Ok(cleanup_error) => cleanup_error,
            Err(error) => Some(error),
        }
    }

    /// Removes generation directories that no link leads to, and temporary entries that were not renamed.
    fn remove_stale(&self) -> Result<Option<DirectoryError>, DirectoryError> {
        let current = self.current_generation_number()?;
        let entries = tree::entries(&self.fd).map_err(|error| self.io_error("list", ".", error))?;
        let mut cleanup_error = None;
        for (name, file_type) in entries {
            let is_stale = directory_number(&name).is_some_and(|number| Some(number) != current);
            if !is_stale && ![CURRENT_TMP, VISIBLE_TMP, MIGRATED_TMP].contains(&name.as_str()) {
                continue;
            }
            // Opened only to check the owner.
            let is_own = if file_type == FileType::Directory {
                self.open_own_subdirectory(&name).map(drop)
            } else {
                Ok(())
            };
            if let Err(error) = is_own.and_then(|()| self.remove_tree(&name)) {
                cleanup_error = cleanup_error.or(Some(error));
            }
        }
        Ok(cleanup_error)
    }

    /// Moves plain files and subdirectories with these names into a generation directory with the same content, and
    /// replaces them with links to it.
    fn migrate_plain_files(&self, names: &BTreeSet<&str>) -> Result<Option<DirectoryError>, DirectoryError> {
        let mut plain = BTreeSet::new();
        for name in names {
            match self.file_type(name)? {
                None => {}
                Some(FileType::RegularFile | FileType::Directory) => {
                    plain.insert(*name);
                }
                Some(FileType::Symlink) if self.is_own_link(name)? => {}
                Some(file_type) => return Err(self.obstructed(name, Obstacle::of_type(file_type))),
            }
        }
        if plain.is_empty() {
            return Ok(None);
        }
        let old_number = self.current_generation_number()?;
        let (next, number) = self.create_generation_directory(old_number)?;
        for name in &plain {
            self.link_into(&next, name).map_err(|error| self.io_error("migrate", name, error))?;
        }
        let mut cleanup_error = None;
        if let Some(old_number) = old_number {
            let old = self.open_own_subdirectory(&directory_name(old_number))?;
            cleanup_error = self.carry_over(&old, &next, |name| !plain.contains(tree::top_level(name)))?;
        }
        self.finish_generation_directory(&next, number)?;
        self.sync()?;
        self.switch_to(number)?;
        for name in plain {
            // A link can be renamed over a file, but not over a directory.
            if self.is_directory(name)? {
                rustix::fs::renameat(&self.fd, name, &self.fd, MIGRATED_TMP)
                    .map_err(|error| self.io_error("rename", name, error))?;
            }
            self.link_visible(name)?;
        }
        self.sync()?;
        let last_error = self.remove_stale_at_end();
        Ok(cleanup_error.or(last_error))
    }

    /// Hard-links a plain file, or every file of a plain subdirectory, into the next generation directory.
    fn link_into(&self, next: &OwnedFd, name: &str) -> Result<(), Errno> {
        if tree::file_type(&self.fd, name)? != Some(FileType::Directory) {
            return tree::hard_link(&self.fd, name, next, name);
        }
        let directory = tree::open(&self.fd, name)?;
        let copy = tree::open_or_create(next, name)?;
        for (file, file_type) in tree::entries(&directory)? {
            // The subdirectory is removed afterwards, so nothing in it may be left out.
            if file_type != FileType::RegularFile {
                return Err(Errno::NOTEMPTY);
            }
            tree::hard_link(&directory, &file, &copy, &file)?;
        }
        Permissions::read(&directory)?.apply_to(&copy)
    }

    /// Hard-links the files of the old generation directory that `is_kept` selects into the next one. Leaves out files
    /// of another user that the agent may not read.
    fn carry_over(
        &self,
        old: &OwnedFd,
        next: &OwnedFd,
        is_kept: impl Fn(&str) -> bool,
    ) -> Result<Option<DirectoryError>, DirectoryError> {
        let names = tree::files(old).map_err(|error| self.io_error("list", CURRENT, error))?;
        let mut cleanup_error = None;
        for name in names.iter().filter(|name| is_kept(name)) {
            match tree::hard_link(old, name, next, name) {
                Ok(()) => {}
                // A file that is immutable, or another user's, cannot get a second name.
                Err(Errno::PERM | Errno::MLINK) => match self.copy(old, next, name) {
                    Ok(()) => {}
                    Err(RegularFileError::Io(error)) if error.kind() != io::ErrorKind::PermissionDenied => {
                        return Err(self.io_error("carry over", name, error));
                    }
                    Err(error) => {
                        cleanup_error = cleanup_error.or(Some(self.file_error("carry over", name, error)));
                    }
                },
                Err(error) => return Err(self.io_error("carry over", name, error)),
            }
        }
        Ok(cleanup_error)
    }

    /// Copies a file of the old generation directory into the next one, with its permissions.
    fn copy(&self, old: &OwnedFd, next: &OwnedFd, name: &str) -> Result<(), RegularFileError> {
        let owners = [rustix::process::geteuid().as_raw()];
        let file = tree::open_file(old, name, OFlags::RDONLY, &owners)?;
        let content = regular_file::read_all(&file, READ_LIMIT)?;
        let created = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let copy = OwnedFd::from(tree::open_file(next, name, created, &owners)?);
        Permissions::read(&file)?.apply_to(&copy)?;
        Ok(overwrite(&mut copy.into(), &content)?)
    }

    /// Creates the generation directory after the old one, and returns it with its number. Skips numbers that are taken,
    /// because a stale directory could not be removed.
    fn create_generation_directory(&self, old: Option<u64>) -> Result<(OwnedFd, u64), DirectoryError> {
        let mut number = next_number(old);
        while self.file_type(&directory_name(number))?.is_some() {
            number = next_number(Some(number));
        }
        Ok((self.create_subdirectory(&directory_name(number))?, number))
    }

    /// Gives the next generation directory and its subdirectories the permissions of the directory that contains it, except those to
    /// write, and fsyncs them.
    fn finish_generation_directory(&self, next: &OwnedFd, number: u64) -> Result<(), DirectoryError> {
        let finish = || {
            let permissions = Permissions::read(&self.fd)?;
            // Nobody else may replace a file: the directory above may have a sticky bit, which this one has not.
            let apply_to = |directory: &OwnedFd| {
                permissions.apply_to(directory)?;
                remove_permissions(directory, Mode::WGRP | Mode::WOTH)
            };
            for (name, file_type) in tree::entries(next)? {
                if file_type == FileType::Directory {
                    apply_to(&tree::open(next, &name)?)?;
                }
            }
            apply_to(next)?;
            tree::sync(next)
        };
        finish().map_err(|error: Errno| self.io_error("sync", &directory_name(number), error))
    }

    /// Makes a generation directory the current one, durably.
    fn switch_to(&self, number: u64) -> Result<(), DirectoryError> {
        self.replace_with_link(CURRENT, CURRENT_TMP, &directory_name(number))?;
        self.sync()
    }

    /// Creates a link for each of these visible names that is missing.
    fn restore_links<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<(), DirectoryError> {
        for name in names {
            if self.file_type(name)?.is_none() {
                self.link_visible(name)?;
            }
        }
        Ok(())
    }

    /// Creates the link for a visible name, which always leads into the current generation directory. Replaces a file
    /// of this name.
    fn link_visible(&self, name: &str) -> Result<(), DirectoryError> {
        self.replace_with_link(name, VISIBLE_TMP, &format!("{CURRENT}/{name}"))
    }

    fn replace_with_link(&self, name: &str, temporary: &str, target: &str) -> Result<(), DirectoryError> {
        rustix::fs::symlinkat(target, &self.fd, temporary)
            .and_then(|()| rustix::fs::renameat(&self.fd, temporary, &self.fd, name))
            .map_err(|error| self.io_error("create the link", name, error))
    }

    /// Replaces a visible link with the file or subdirectory that it leads to.
    fn restore_plain_file(&self, current: &OwnedFd, name: &str) -> Result<(), Errno> {
        if tree::file_type(current, name)? != Some(FileType::Directory) {
            tree::hard_link(current, name, &self.fd, VISIBLE_TMP)?;
            return rustix::fs::renameat(&self.fd, VISIBLE_TMP, &self.fd, name);
        }
        let directory = tree::open(current, name)?;
        let copy = tree::open_or_create(&self.fd, VISIBLE_TMP)?;
        for file in tree::files(&directory)? {
            tree::hard_link(&directory, &file, &copy, &file)?;
        }
        Permissions::read(&directory)?.apply_to(&copy)?;
        rustix::fs::fsync(&copy)?;
        // A directory cannot be renamed over a link.
        tree::remove(&self.fd, name)?;
        rustix::fs::renameat(&self.fd, VISIBLE_TMP, &self.fd, name)
    }

    /// Returns the names of the files and subdirectories in the current generation directory.
    fn visible_names(&self, current: &OwnedFd) -> Result<BTreeSet<String>, DirectoryError> {
        let files = tree::files(current).map_err(|error| self.io_error("list", CURRENT, error))?;
        Ok(files.iter().map(|name| tree::top_level(name).to_owned()).collect())
    }
}

/// Returns true if a file of the agent has this content and the permissions that a new file would get.
fn is_unchanged(file: &File, permissions: &Permissions, content: &[u8], grant: &ReaderGrant) -> bool {
    permissions.is_of_agent()
        && grant.is_given_by(permissions)
        && regular_file::read_all(file, READ_LIMIT).is_ok_and(|old| old == content)
}

/// Returns the number after `old`, and 1 after the largest number, which only somebody else can have used.
fn next_number(old: Option<u64>) -> u64 {
    old.and_then(|old| old.checked_add(1)).unwrap_or(1)
}

#[cfg(test)]
mod tests;
