//! Replaces an output's files as one set at a single moment: one directory per generation, and one link to the current
//! generation.
//!
//! ```text
//! identity ─► ..data/identity        what other programs open: links that stay
//! key ─► ..data/key
//! ..data ─► ..7                      the one link that is switched
//! ..7/identity, ..7/key              a generation: complete before anything points to it, never changed afterwards
//! ```
//!
//! A program that resolves `..data` once, or opens a single file, sees one generation, at any moment and after a power
//! cut. The layout is that of Kubernetes volumes, so programs that watch those can watch these.
//!
//! 1. Plain files of the same names, as left by an earlier version or the Go agent, are first migrated to a generation
//!    of the same content: `..data` points to it, and the files are replaced by links. Readers see no change.
//! 2. The next generation is written: new files, and hard links to the files that the set does not replace. Everything
//!    is fsynced.
//! 3. The link `..data_tmp` to the new generation is created and renamed to `..data`. This commits the set; it is fsynced.
//! 4. The old generation is removed.
//!
//! A crash before step 3 leaves a directory that nothing points to; a crash after it leaves the old generation. Both are
//! removed at the next start.

mod layout;

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use crate::agent::destination::directory::{DirectoryError, DirectoryHandle, Obstacle, tree};
use crate::agent::destination::permissions::{Permissions, ReaderGrant};
use crate::agent::destination::staging::NewFile;
use layout::{CURRENT, generation_name, generation_number};

/// The new link to a generation, before it replaces [`CURRENT`].
const CURRENT_TMP: &str = "..data_tmp";
/// The new link, file or subdirectory for a visible name, before it replaces the old one.
const VISIBLE_TMP: &str = "..link_tmp";
/// A plain subdirectory that was migrated, until it is removed.
const MIGRATED_TMP: &str = "..replaced_tmp";

impl DirectoryHandle {
    /// Replaces these files as one set. Other files of the current generation are carried over to the next. A replaced
    /// file keeps its mode, group and ACL; a new one has mode 0600.
    pub(crate) fn write_generation(
        &self,
        files: &[NewFile],
        grant: &ReaderGrant,
    ) -> Result<(), DirectoryError> {
        let _lock = self.lock_for_update()?;
        self.recover_locked()?;
        self.remove_stale()?;
        grant
            .apply_to_directory(&self.fd)
            .map_err(|error| self.io_error("give readers access to", ".", error))?;
        let names: BTreeSet<&str> = files.iter().map(|(name, _)| tree::top_level(name)).collect();
        self.migrate_plain_files(&names)?;

        let old = self.current_generation()?;
        let next = next_number(old);
        let generation = self.create_generation(next)?;
        for (name, content) in files {
            self.stage_file(&generation, &generation_name(next), name, content, grant)?;
        }
        if let Some(old) = old {
            let replaced: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
            let old = self.open_own_subdirectory(&generation_name(old))?;
            self.carry_over(&old, &generation, |name| !replaced.contains(name))?;
        }
        self.finish_generation(&generation, next)?;
        self.restore_links(names)?;
        self.sync()?;
        self.switch_to(next)?;
        old.map_or(Ok(()), |old| self.remove_tree(&generation_name(old)))
    }

    /// Removes what a crash left, and restores missing links.
    pub(crate) fn recover_generations(&self) -> Result<(), DirectoryError> {
        let _lock = self.lock_for_update()?;
        self.remove_stale()?;
        let Some(generation) = self.open_current_generation()? else { return Ok(()) };
        let names = self.visible_names(&generation)?;
        self.restore_links(names.iter().map(String::as_str))
    }

    /// Turns links back into plain files of the same content, for `symlinks: secure` and for file systems without links.
    pub(crate) fn restore_plain_files(&self) -> Result<(), DirectoryError> {
        let _lock = self.lock_for_update()?;
        self.remove_stale()?;
        let Some(number) = self.current_generation()? else { return Ok(()) };
        let generation = self.open_own_subdirectory(&generation_name(number))?;
        for name in self.visible_names(&generation)? {
            if self.is_own_link(&name)? {
                self.restore_plain_file(&generation, &name)
                    .map_err(|error| self.io_error("replace the link", &name, error))?;
            }
        }
        self.sync()?;
        self.remove_tree(CURRENT)?;
        self.remove_tree(&generation_name(number))
    }

    /// Returns true if generations can be used: there is one already, or the file system has symbolic and hard links.
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

    /// Removes generations that nothing points to, and temporary entries that were not renamed.
    fn remove_stale(&self) -> Result<(), DirectoryError> {
        let current = self.current_generation()?;
        let entries = tree::entries(&self.fd).map_err(|error| self.io_error("list", ".", error))?;
        for (name, file_type) in entries {
            let is_old = generation_number(&name).is_some_and(|number| Some(number) != current);
            if !is_old && ![CURRENT_TMP, VISIBLE_TMP, MIGRATED_TMP].contains(&name.as_str()) {
                continue;
            }
            if file_type == FileType::Directory {
                // Only to check the owner.
                self.open_own_subdirectory(&name)?;
            }
            self.remove_tree(&name)?;
        }
        Ok(())
    }

    /// Turns plain files and subdirectories with these names into a generation of the same content, and links to it.
    fn migrate_plain_files(&self, names: &BTreeSet<&str>) -> Result<(), DirectoryError> {
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
            return Ok(());
        }
        let old = self.current_generation()?;
        let next = next_number(old);
        let generation = self.create_generation(next)?;
        for name in &plain {
            self.link_into(&generation, name).map_err(|error| self.io_error("migrate", name, error))?;
        }
        if let Some(old) = old {
            let old = self.open_own_subdirectory(&generation_name(old))?;
            self.carry_over(&old, &generation, |name| !plain.contains(tree::top_level(name)))?;
        }
        self.finish_generation(&generation, next)?;
        self.sync()?;
        self.switch_to(next)?;
        for name in plain {
            // A link can be renamed over a file, but not over a directory.
            if self.is_directory(name)? {
                rustix::fs::renameat(&self.fd, name, &self.fd, MIGRATED_TMP)
                    .map_err(|error| self.io_error("rename", name, error))?;
            }
            self.link_visible(name)?;
        }
        self.sync()?;
        tree::remove(&self.fd, MIGRATED_TMP).map_err(|error| self.io_error("remove", MIGRATED_TMP, error))?;
        old.map_or(Ok(()), |old| self.remove_tree(&generation_name(old)))
    }

    /// Hard-links a plain file, or every file of a plain subdirectory, into a generation.
    fn link_into(&self, generation: &OwnedFd, name: &str) -> Result<(), Errno> {
        if tree::file_type(&self.fd, name)? != Some(FileType::Directory) {
            return tree::hard_link(&self.fd, name, generation, name);
        }
        let directory = tree::open(&self.fd, name)?;
        let copy = tree::open_or_create(generation, name)?;
        for (file, file_type) in tree::entries(&directory)? {
            // The subdirectory is removed afterwards, so nothing in it may be left out.
            if file_type != FileType::RegularFile {
                return Err(Errno::NOTEMPTY);
            }
            tree::hard_link(&directory, &file, &copy, &file)?;
        }
        Permissions::read(&directory)?.apply_to(&copy)
    }

    /// Hard-links the files of the old generation that `is_kept` selects into the next one.
    fn carry_over(
        &self,
        old: &OwnedFd,
        next: &OwnedFd,
        is_kept: impl Fn(&str) -> bool,
    ) -> Result<(), DirectoryError> {
        let carry = || {
            for name in tree::files(old)?.iter().filter(|name| is_kept(name)) {
                tree::hard_link(old, name, next, name)?;
            }
            Ok(())
        };
        carry().map_err(|error: Errno| self.io_error("carry over the files of", CURRENT, error))
    }

    fn create_generation(&self, number: u64) -> Result<OwnedFd, DirectoryError> {
        let name = generation_name(number);
        self.create_subdirectory(&name)?;
        self.open_own_subdirectory(&name)
    }

    /// Gives the generation and its subdirectories the permissions of the directory, and fsyncs them.
    fn finish_generation(&self, generation: &OwnedFd, number: u64) -> Result<(), DirectoryError> {
        let finish = || {
            let permissions = Permissions::read(&self.fd)?;
            for (name, file_type) in tree::entries(generation)? {
                if file_type == FileType::Directory {
                    permissions.apply_to(&tree::open(generation, &name)?)?;
                }
            }
            permissions.apply_to(generation)?;
            tree::sync(generation)
        };
        finish().map_err(|error: Errno| self.io_error("sync", &generation_name(number), error))
    }

    /// Makes a generation the current one, durably.
    fn switch_to(&self, number: u64) -> Result<(), DirectoryError> {
        self.replace_with_link(CURRENT, CURRENT_TMP, &generation_name(number))?;
        self.sync()
    }

    /// Creates the links for those of these visible names that are missing.
    fn restore_links<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<(), DirectoryError> {
        for name in names {
            if self.file_type(name)?.is_none() {
                self.link_visible(name)?;
            }
        }
        Ok(())
    }

    /// Makes a visible name a link into the current generation, whichever that is, replacing a file.
    fn link_visible(&self, name: &str) -> Result<(), DirectoryError> {
        self.replace_with_link(name, VISIBLE_TMP, &format!("{CURRENT}/{name}"))
    }

    fn replace_with_link(&self, name: &str, temporary: &str, target: &str) -> Result<(), DirectoryError> {
        rustix::fs::symlinkat(target, &self.fd, temporary)
            .and_then(|()| rustix::fs::renameat(&self.fd, temporary, &self.fd, name))
            .map_err(|error| self.io_error("create the link", name, error))
    }

    /// Replaces a visible link by the file or subdirectory that it leads to.
    fn restore_plain_file(&self, generation: &OwnedFd, name: &str) -> Result<(), Errno> {
        if tree::file_type(generation, name)? != Some(FileType::Directory) {
            tree::hard_link(generation, name, &self.fd, VISIBLE_TMP)?;
            return rustix::fs::renameat(&self.fd, VISIBLE_TMP, &self.fd, name);
        }
        let directory = tree::open(generation, name)?;
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

    fn visible_names(&self, generation: &OwnedFd) -> Result<BTreeSet<String>, DirectoryError> {
        let files = tree::files(generation).map_err(|error| self.io_error("list", CURRENT, error))?;
        Ok(files.iter().map(|name| tree::top_level(name).to_owned()).collect())
    }
}

fn next_number(current: Option<u64>) -> u64 {
    current.map_or(1, |current| current + 1)
}

#[cfg(test)]
mod tests;
