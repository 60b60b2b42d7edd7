//! An output's files as one set that is switched at once: a folder a generation, and one link. One I/O edge.
//!
//! ```text
//! identity ─► ..data/identity        what others open: links that stay
//! key ─► ..data/key
//! ..data ─► ..7                      the one link that is switched
//! ..7/identity, ..7/key              a generation: complete before anything points to it, never changed afterwards
//! ```
//!
//! Who resolves `..data` once, or opens one file, sees one generation, at any moment and after a power cut. The layout is
//! that of volumes in Kubernetes, so what watches those can watch these.
//!
//! 1. Plain files of the same names, as an earlier version or the Go agent leaves them, become a generation of their
//!    own first: it is switched to, and they turn into links. Nothing changes for a reader, at no moment.
//! 2. The next generation is written: new files, and hard links to what the set does not replace. All is fsynced.
//! 3. `..data_tmp` is made to point to it, and renamed to `..data`. This is the moment that counts. It is made durable.
//! 4. The old generation is removed.
//!
//! A crash before 3 leaves a folder that nothing points to, and one after it the old generation; both are swept away
//! at the next start.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::agent::destination::atomic_write::NewFile;
use crate::agent::destination::directory::{Folder, FolderError, tree};
use crate::agent::destination::permissions::{Grant, Rights};

const CURRENT: &str = "..data";
const SWITCH: &str = "..data_tmp";
/// What takes a visible name's place, before it does.
const VISIBLE: &str = "..link_tmp";
/// A plain sub-folder that has become a generation's.
const REPLACED: &str = "..replaced_tmp";

/// The number of a generation.
type Number = u64;

impl Folder {
    /// Replaces these files by new ones, as one set. Other files of the current generation go on into the next. A file
    /// keeps its mode, group and access list; a new one has mode 0600.
    pub(crate) fn switch(&self, files: &[NewFile], grant: &Grant) -> Result<(), FolderError> {
        let _alone = self.alone()?;
        self.put_in_order()?;
        self.sweep()?;
        grant.folder(&self.fd).map_err(|error| self.failed("let readers into", ".", error.into()))?;
        let names: BTreeSet<&str> = files.iter().map(|(name, _)| tree::top(name)).collect();
        self.adopt(&names)?;

        let old = self.current()?;
        let next = old.map_or(1, |old| old + 1);
        let generation = self.new_generation(next)?;
        for (name, content) in files {
            self.stage(&generation, &folder_of(next), name, content, grant)?;
        }
        if let Some(old) = old {
            let replaced: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
            let old = self.open_inner(&folder_of(old))?;
            self.carry_over(&old, &generation, |name| !replaced.contains(name))?;
        }
        self.finish_generation(&generation, next)?;
        for name in names {
            if self.kind(name)?.is_none() {
                self.link(name)?;
            }
        }
        self.sync()?;
        self.point_to(next)?;
        old.map_or(Ok(()), |old| self.remove_folder(&folder_of(old)))
    }

    /// Removes what a crash left, and restores links that are missing.
    pub(crate) fn recover_generations(&self) -> Result<(), FolderError> {
        let _alone = self.alone()?;
        self.sweep()?;
        let Some(number) = self.current()? else { return Ok(()) };
        for name in self.names_of(&self.open_inner(&folder_of(number))?)? {
            if self.kind(&name)?.is_none() {
                self.link(&name)?;
            }
        }
        Ok(())
    }

    /// Turns links back into plain files of the same content, for `symlinks: secure` and for who refuses links.
    pub(crate) fn leave_generations(&self) -> Result<(), FolderError> {
        let _alone = self.alone()?;
        self.sweep()?;
        let Some(number) = self.current()? else { return Ok(()) };
        let generation = self.open_inner(&folder_of(number))?;
        for name in self.names_of(&generation)? {
            if self.is_our_link(&name)? {
                self.replace_link(&generation, &name)
                    .map_err(|error| self.failed("turn into a plain file", &name, error.into()))?;
            }
        }
        self.sync()?;
        tree::remove(&self.fd, CURRENT).map_err(|error| self.failed("remove", CURRENT, error.into()))?;
        self.sync()?;
        self.remove_folder(&folder_of(number))
    }

    /// True where sets can be switched: there is one already, or the file system has symbolic and hard links.
    pub(crate) fn has_links(&self) -> Result<bool, FolderError> {
        if self.kind(CURRENT)?.is_some() {
            return Ok(true);
        }
        let _alone = self.alone()?;
        let probe = || {
            rustix::fs::symlinkat(CURRENT, &self.fd, VISIBLE)?;
            rustix::fs::linkat(&self.fd, VISIBLE, &self.fd, SWITCH, AtFlags::empty())
        };
        let remove = |name| tree::remove(&self.fd, name);
        let linked = remove(VISIBLE).and_then(|()| remove(SWITCH)).and_then(|()| probe());
        for left in [VISIBLE, SWITCH] {
            remove(left).map_err(|error| self.failed("remove", left, error.into()))?;
        }
        match linked {
            Ok(()) => Ok(true),
            Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS) => Ok(false),
            Err(error) => Err(self.failed("make a link", VISIBLE, error.into())),
        }
    }

    /// Who may read the file that a name leads to. Refuses links and other things that the agent did not put there.
    pub(super) fn rights_of(&self, name: &str) -> Result<Option<Rights>, FolderError> {
        let top = tree::top(name);
        let failed = |error: Errno| self.failed("look at", name, error.into());
        let inner = match self.kind(top)? {
            None => return Ok(None),
            Some(FileType::RegularFile | FileType::Directory) => None,
            Some(FileType::Symlink) if self.is_our_link(top)? => match self.current()? {
                Some(number) => Some(self.open_inner(&folder_of(number))?),
                None => return Ok(None),
            },
            Some(kind) => return Err(self.foreign(top, kind)),
        };
        // Not waiting: it may have become a pipe by now.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = tree::at(inner.as_ref().unwrap_or(&self.fd), name, false, |folder, file| {
            rustix::fs::openat(folder, file, flags, Mode::empty())
        });
        match file {
            Ok(file) => Rights::of(&file).map(Some).map_err(failed),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// The generation that is pointed to.
    fn current(&self) -> Result<Option<Number>, FolderError> {
        match self.kind(CURRENT)? {
            None => Ok(None),
            Some(FileType::Symlink) => {
                let number = self.target(CURRENT)?.as_deref().and_then(number_of);
                number.map(Some).ok_or_else(|| self.foreign(CURRENT, FileType::Symlink))
            }
            Some(kind) => Err(self.foreign(CURRENT, kind)),
        }
    }

    /// Removes generations that nothing points to, and links that were not renamed to their place.
    fn sweep(&self) -> Result<(), FolderError> {
        let current = self.current()?;
        let entries = tree::entries(&self.fd).map_err(|error| self.failed("list", ".", error.into()))?;
        for (name, kind) in entries {
            let is_old = number_of(&name).is_some_and(|number| Some(number) != current);
            if !is_old && ![SWITCH, VISIBLE, REPLACED].contains(&name.as_str()) {
                continue;
            }
            if kind == FileType::Directory {
                drop(self.open_inner(&name)?);
            }
            self.remove_folder(&name)?;
        }
        Ok(())
    }

    /// Makes plain files with these names a generation, with the content that they have.
    fn adopt(&self, names: &BTreeSet<&str>) -> Result<(), FolderError> {
        let mut plain = BTreeSet::new();
        for name in names {
            match self.kind(name)? {
                None => {}
                Some(FileType::RegularFile | FileType::Directory) => {
                    plain.insert(*name);
                }
                Some(FileType::Symlink) if self.is_our_link(name)? => {}
                Some(kind) => return Err(self.foreign(name, kind)),
            }
        }
        if plain.is_empty() {
            return Ok(());
        }
        let old = self.current()?;
        let next = old.map_or(1, |old| old + 1);
        let generation = self.new_generation(next)?;
        for name in &plain {
            self.link_into(&generation, name)
                .map_err(|error| self.failed("take over", name, error.into()))?;
        }
        if let Some(old) = old {
            let old = self.open_inner(&folder_of(old))?;
            self.carry_over(&old, &generation, |name| !plain.contains(tree::top(name)))?;
        }
        self.finish_generation(&generation, next)?;
        self.sync()?;
        self.point_to(next)?;
        for name in plain {
            if self.has_folder(name)? {
                rustix::fs::renameat(&self.fd, name, &self.fd, REPLACED)
                    .map_err(|error| self.failed("rename", name, error.into()))?;
            }
            self.link(name)?;
        }
        self.sync()?;
        tree::remove(&self.fd, REPLACED).map_err(|error| self.failed("remove", REPLACED, error.into()))?;
        old.map_or(Ok(()), |old| self.remove_folder(&folder_of(old)))
    }

    fn link_into(&self, generation: &OwnedFd, name: &str) -> Result<(), Errno> {
        if tree::kind(&self.fd, name)? != Some(FileType::Directory) {
            return tree::link(&self.fd, name, generation, name);
        }
        let folder = tree::open(&self.fd, name)?;
        let copy = tree::open_or_make(generation, name)?;
        for (file, kind) in tree::entries(&folder)? {
            // What cannot be taken over whole is not taken over.
            if kind != FileType::RegularFile {
                return Err(Errno::NOTEMPTY);
            }
            tree::link(&folder, &file, &copy, &file)?;
        }
        Rights::of(&folder)?.keep(&copy)
    }

    /// Gives the next generation what the old one has and `wanted` names.
    fn carry_over(
        &self,
        old: &OwnedFd,
        next: &OwnedFd,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), FolderError> {
        let carry = || {
            for name in tree::files(old)?.iter().filter(|name| wanted(name)) {
                tree::link(old, name, next, name)?;
            }
            Ok(())
        };
        carry().map_err(|error: Errno| self.failed("keep the files of", CURRENT, error.into()))
    }

    fn new_generation(&self, number: Number) -> Result<OwnedFd, FolderError> {
        let name = folder_of(number);
        self.make_folder(&name)?;
        self.open_inner(&name)
    }

    /// Lets into the generation who is let into the folder, and makes it durable.
    fn finish_generation(&self, generation: &OwnedFd, number: Number) -> Result<(), FolderError> {
        let finish = || {
            let around = Rights::of(&self.fd)?;
            for (name, kind) in tree::entries(generation)? {
                if kind == FileType::Directory {
                    around.keep(&tree::open(generation, &name)?)?;
                }
            }
            around.keep(generation)?;
            tree::sync(generation)
        };
        finish().map_err(|error: Errno| self.failed("make durable", &folder_of(number), error.into()))
    }

    /// Switches the one link, durably.
    fn point_to(&self, number: Number) -> Result<(), FolderError> {
        self.place_link(&folder_of(number), SWITCH, CURRENT)?;
        self.sync()
    }

    /// Makes a visible name a link into whatever generation is current; in place of what was there.
    fn link(&self, name: &str) -> Result<(), FolderError> {
        self.place_link(&format!("{CURRENT}/{name}"), VISIBLE, name)
    }

    fn place_link(&self, target: &str, temporary: &str, name: &str) -> Result<(), FolderError> {
        rustix::fs::symlinkat(target, &self.fd, temporary)
            .and_then(|()| rustix::fs::renameat(&self.fd, temporary, &self.fd, name))
            .map_err(|error| self.failed("make the link", name, error.into()))
    }

    fn replace_link(&self, generation: &OwnedFd, name: &str) -> Result<(), Errno> {
        if tree::kind(generation, name)? != Some(FileType::Directory) {
            tree::link(generation, name, &self.fd, VISIBLE)?;
            return rustix::fs::renameat(&self.fd, VISIBLE, &self.fd, name);
        }
        let folder = tree::open(generation, name)?;
        let copy = tree::open_or_make(&self.fd, VISIBLE)?;
        for file in tree::files(&folder)? {
            tree::link(&folder, &file, &copy, &file)?;
        }
        Rights::of(&folder)?.keep(&copy)?;
        rustix::fs::fsync(&copy)?;
        // A folder cannot be renamed over a link.
        tree::remove(&self.fd, name)?;
        rustix::fs::renameat(&self.fd, VISIBLE, &self.fd, name)
    }

    fn is_our_link(&self, name: &str) -> Result<bool, FolderError> {
        Ok(self.target(name)?.is_some_and(|target| target == format!("{CURRENT}/{name}")))
    }

    fn target(&self, name: &str) -> Result<Option<String>, FolderError> {
        match rustix::fs::readlinkat(&self.fd, name, Vec::new()) {
            Ok(target) => Ok(target.into_string().ok()),
            Err(Errno::INVAL | Errno::NOENT) => Ok(None),
            Err(error) => Err(self.failed("look at", name, error.into())),
        }
    }

    fn names_of(&self, generation: &OwnedFd) -> Result<BTreeSet<String>, FolderError> {
        let files = tree::files(generation).map_err(|error| self.failed("list", CURRENT, error.into()))?;
        Ok(files.iter().map(|name| tree::top(name).to_owned()).collect())
    }

    fn foreign(&self, name: &str, kind: FileType) -> FolderError {
        let what = match kind {
            FileType::Symlink => "a symbolic link",
            FileType::Directory => "a folder",
            FileType::RegularFile => "a file",
            _ => "neither a file nor a folder",
        };
        FolderError::NotOurs { path: self.path().join(name), what }
    }
}

fn folder_of(number: Number) -> String {
    format!("..{number}")
}

fn number_of(folder: &str) -> Option<Number> {
    let number: Number = folder.strip_prefix("..")?.parse().ok()?;
    // One spelling each: no sign, no zeros in front.
    (folder_of(number) == folder).then_some(number)
}

#[cfg(test)]
mod tests;
