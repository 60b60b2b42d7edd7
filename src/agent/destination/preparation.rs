//! Prepares the directory of an output for an agent that runs as another user: `tbot init`, which root runs once.
//!
//! Afterwards, the directory and its files exist, empty, with their final owner and ACLs. If they belong to the agent's user, the
//! agent replaces files as usual, and new files keep the ACLs. Otherwise, it overwrites them in place.
//!
//! If the agent has written to the directory before, its files first become regular files again, with the same content. The agent's next
//! renewal makes a generation directory of them, with the new owner and ACLs.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use crate::agent::credential::cluster_name::ClusterName;
use crate::agent::destination::directory::{DirectoryError, DirectoryHandle, LOCK_FILE, WRITE_TEST, tree};
use crate::agent::destination::error::DestinationError;
use crate::agent::destination::posix_acl::Acl;
use crate::agent::destination::readers::{ReaderError, group_id, user_ids};
use crate::agent::destination::target::DirectoryTarget;
use crate::config::file_names::{SSH_CONFIG_FILES, is_reserved_name};
use crate::config::{self, AclMode};

const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// The users of a prepared directory, by name or number.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryUsers<'a> {
    /// The user that the agent runs as.
    pub bot: &'a str,
    /// A user that may read the files.
    pub reader: Option<&'a str>,
    /// The user and the group that the directory belongs to; if `None`, those of `bot`.
    pub owner: Option<(&'a str, &'a str)>,
}

/// The result of preparing a directory.
#[derive(Debug, Default)]
pub struct PreparedDirectory {
    /// Why the reader got no access, with `acls: try`.
    pub acl_error: Option<DirectoryError>,
    /// The names of entries that do not belong to the output and remain.
    pub unexpected: Vec<String>,
    /// The names of the files that do not belong to the output and were removed.
    pub removed: Vec<String>,
}

/// The numeric ids of [`DirectoryUsers`].
struct Ids {
    owner: Uid,
    group: Gid,
    /// The agent's user, if the directory does not belong to it.
    bot: Option<u32>,
    reader: Option<u32>,
}

impl Ids {
    fn resolve(users: DirectoryUsers<'_>) -> Result<Self, ReaderError> {
        let bot = user_ids(users.bot)?;
        let (owner, group) = match users.owner {
            Some((owner, group)) => (user_ids(owner)?.0, group_id(group)?),
            None => bot,
        };
        let unless_owner = |id: u32| (id != owner).then_some(id);
        let reader = users.reader.map(user_ids).transpose()?;
        Ok(Self {
            owner: Uid::from_raw(owner),
            group: Gid::from_raw(group),
            bot: unless_owner(bot.0),
            reader: reader.and_then(|(reader, _)| unless_owner(reader)).filter(|reader| *reader != bot.0),
        })
    }
}

/// Creates the directory and its files, and sets their owner and their ACLs. A name that ends in `/` is a directory. With `clean`,
/// removes files that do not belong to the output, but no directories.
///
/// Can be repeated: existing files keep their content.
///
/// # Errors
///
/// Returns an error if a user is unknown, if a file cannot be created or does not get its owner, or if it does not get its ACL and
/// either `acls` is `required` or the agent's user depends on the ACL.
pub fn prepare_directory(
    directory: &config::Directory,
    files: &[&str],
    users: DirectoryUsers<'_>,
    clean: bool,
) -> Result<PreparedDirectory, DestinationError> {
    let ids = Ids::resolve(users).map_err(DestinationError::User)?;
    let target = DirectoryTarget::new(directory);
    let handle = target.open()?;
    // Held until everything has its owner and its ACL, so that no agent changes the files meanwhile.
    let lock = handle.lock_for_update()?;
    // Files of an interrupted write would keep their owner.
    handle.recover_locked()?;
    if handle.open_current_generation_directory()?.is_some() {
        // The owner and the ACL of what cannot be removed now do not matter: the agent removes it.
        let _cleanup_error = handle.restore_plain_files_locked(&lock)?;
    }
    // A run that was interrupted has given files to the owner, but not the directory.
    let [agent, root, previous_owner] = handle.trusted_owners()?;
    let owners = [agent, root, previous_owner, ids.owner.as_raw()];
    let mut preparation = Preparation { handle: &handle, files, owners, opened: Vec::new() };
    // All files are opened before the first one is changed or removed, so that one that cannot be prepared leaves the others usable.
    preparation.open_files()?;
    let others = preparation.open_files_of_clusters()?;
    let prepared = preparation.sort_other_entries(others, clean)?;
    match preparation.apply(&ids, target.access.mode)? {
        Some(error) if target.access.is_required() || ids.bot.is_some() => Err(error.into()),
        acl_error => Ok(PreparedDirectory { acl_error, ..prepared }),
    }
}

/// A file or directory to prepare.
struct OpenEntry {
    file: OwnedFd,
    name: String,
    mode: Mode,
}

/// The directory to prepare, while it is locked.
struct Preparation<'a> {
    handle: &'a DirectoryHandle,
    /// The names of the output's files.
    files: &'a [&'a str],
    /// The users whose files are prepared.
    owners: [u32; 4],
    opened: Vec<OpenEntry>,
}

impl Preparation<'_> {
    fn open(&self, name: &str, flags: OFlags, operation: &'static str) -> Result<OwnedFd, DirectoryError> {
        let file = tree::open_file(&self.handle.fd, name, flags, &self.owners);
        file.map(OwnedFd::from).map_err(|error| self.handle.file_error(operation, name, error))
    }

    fn add(&mut self, file: OwnedFd, name: impl Into<String>, mode: Mode) {
        self.opened.push(OpenEntry { file, name: name.into(), mode });
    }

    /// Opens the files of the output. Creates those that are missing.
    fn open_files(&mut self) -> Result<(), DirectoryError> {
        for name in self.files.iter().chain(&[WRITE_TEST]) {
            if let Some(subdirectory) = name.strip_suffix('/') {
                self.open_subdirectory(subdirectory)?;
            } else if self.handle.file_type(name)?.is_none_or(|kind| kind == FileType::RegularFile) {
                let file = self.open(name, OFlags::WRONLY | OFlags::CREATE, "create")?;
                self.add(file, *name, FILE_MODE);
            }
        }
        Ok(())
    }

    /// Opens a subdirectory, and the files in it but not those of deeper directories, which the agent never creates.
    fn open_subdirectory(&mut self, subdirectory: &str) -> Result<(), DirectoryError> {
        let handle = self.handle;
        let created = create_subdirectory(&handle.fd, subdirectory)
            .map_err(|error| handle.io_error("create", subdirectory, error))?;
        let entries =
            tree::entries(&created).map_err(|error| handle.io_error("list", subdirectory, error))?;
        for (file, _) in entries.iter().filter(|(_, file_type)| *file_type == FileType::RegularFile) {
            let name = format!("{subdirectory}/{file}");
            let file = tree::open_file(&created, file, OFlags::WRONLY, &self.owners)
                .map_err(|error| handle.file_error("open", &name, error))?;
            self.add(file.into(), name, FILE_MODE);
        }
        self.add(created, subdirectory, Mode::RWXU);
        Ok(())
    }

    /// Opens the files that the agent has written for clusters. Returns the entries that do not belong to the output.
    fn open_files_of_clusters(&mut self) -> Result<Vec<(CString, FileType)>, DirectoryError> {
        let handle = self.handle;
        let mut others = Vec::new();
        for (entry, file_type) in
            tree::list(&handle.fd).map_err(|error| handle.io_error("list", ".", error))?
        {
            let name = entry.to_string_lossy();
            if is_of_a_cluster(&name, self.files) {
                if file_type == FileType::RegularFile {
                    let file = self.open(&name, OFlags::WRONLY, "open")?;
                    self.add(file, name, FILE_MODE);
                }
            } else if !is_reserved_name(&name)
                && !self.files.iter().any(|file| file.trim_end_matches('/') == name)
            {
                others.push((entry, file_type));
            }
        }
        others.sort_unstable_by(|(one, _), (next, _)| one.cmp(next));
        Ok(others)
    }

    /// Returns the names of the entries that do not belong to the output. With `clean`, removes those that are not directories.
    fn sort_other_entries(
        &self,
        others: Vec<(CString, FileType)>,
        clean: bool,
    ) -> Result<PreparedDirectory, DirectoryError> {
        let mut prepared = PreparedDirectory::default();
        for (entry, file_type) in others {
            let name = entry.to_string_lossy().into_owned();
            if clean && file_type != FileType::Directory {
                rustix::fs::unlinkat(&self.handle.fd, &entry, AtFlags::empty())
                    .map_err(|error| self.handle.io_error("remove", &name, error))?;
                prepared.removed.push(name);
            } else {
                prepared.unexpected.push(name);
            }
        }
        Ok(prepared)
    }

    /// Sets the owner, the mode and the ACL of everything that is open, and of the directory. Returns the error of an ACL.
    fn apply(&self, ids: &Ids, acls: AclMode) -> Result<Option<DirectoryError>, DirectoryError> {
        let handle = self.handle;
        let mut acl_error = None;
        let mut apply = |file: &OwnedFd, name: &str, mode, ids: &Ids| {
            let access = ids.apply_to(file, mode, acls);
            let access = access.map_err(|error| handle.io_error("set the owner of", name, error))?;
            acl_error =
                access.map(|error| handle.io_error("set the ACL of", name, error)).or(acl_error.take());
            Ok::<_, DirectoryError>(())
        };
        let lock_file = self.open(LOCK_FILE, OFlags::WRONLY, "open")?;
        for OpenEntry { file, name, mode } in &self.opened {
            apply(file, name, *mode, ids)?;
        }
        // A reader that can open the lock file could block every renewal.
        apply(&lock_file, LOCK_FILE, FILE_MODE, &Ids { reader: None, ..*ids })?;
        // The directory comes last, because its new owner can replace what is in it.
        apply(&handle.fd, ".", Mode::RWXU, ids)?;
        Ok(acl_error)
    }
}

/// Returns whether the agent writes a file of this name for a cluster whose name only the cluster knows.
fn is_of_a_cluster(name: &str, files: &[&str]) -> bool {
    SSH_CONFIG_FILES.iter().filter(|file| files.contains(file)).any(|file| {
        let cluster = name.strip_suffix(file).and_then(|name| name.strip_suffix('.'));
        cluster.is_some_and(|cluster| cluster.parse::<ClusterName>().is_ok())
    })
}

/// Creates a subdirectory. Replaces an empty file, which earlier versions created in its place.
fn create_subdirectory(directory: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let is_empty_file =
        |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_size == 0;
    if rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| is_empty_file(&stat)) {
        tree::remove(directory, name)?;
    }
    tree::open_or_create(directory, name)
}

impl Ids {
    /// Sets the owner, the mode and the ACL of an open file or directory. Returns the error of the ACL.
    fn apply_to(&self, file: &OwnedFd, mode: Mode, acls: AclMode) -> Result<Option<Errno>, Errno> {
        rustix::fs::fchown(file, Some(self.owner), Some(self.group))?;
        if self.bot.is_none() && self.reader.is_none() {
            Acl::remove(file)?;
            rustix::fs::fchmod(file, mode)?;
            return Ok(None);
        }
        rustix::fs::fchmod(file, mode)?;
        if acls == AclMode::Off {
            return Ok(None);
        }
        Ok(Acl::prepared(mode.contains(Mode::XUSR), self.bot, self.reader).write(file).err())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
    use std::path::Path;

    use super::*;

    fn directory(path: &Path) -> config::Directory {
        serde_json::from_value(serde_json::json!({ "path": path })).unwrap()
    }

    fn own_user() -> String {
        rustix::process::geteuid().as_raw().to_string()
    }

    /// Prepares a directory for the user of this test.
    fn prepare(path: &Path, files: &[&str], clean: bool) -> Result<PreparedDirectory, DestinationError> {
        let users = DirectoryUsers { bot: &own_user(), reader: None, owner: None };
        prepare_directory(&directory(path), files, users, clean)
    }

    #[test]
    fn a_subdirectory_is_created_and_replaces_an_empty_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("out");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("cockroach"), "").unwrap();
        for _ in 0..2 {
            let found = prepare(&path, &["cockroach/"], true).unwrap();
            assert_eq!((found.removed, found.unexpected), (vec![], vec![]));
            assert_eq!(fs::metadata(path.join("cockroach")).unwrap().mode() & 0o777, 0o700);
            assert!(path.join("cockroach").is_dir());
            fs::write(path.join("cockroach/ca.crt"), "content").unwrap();
        }
        assert_eq!(fs::read_to_string(path.join("cockroach/ca.crt")).unwrap(), "content");
        fs::remove_dir_all(path.join("cockroach")).unwrap();
        fs::write(path.join("cockroach"), "a key").unwrap();
        prepare(&path, &["cockroach/"], true).unwrap_err();
        assert_eq!(fs::read_to_string(path.join("cockroach")).unwrap(), "a key");
    }

    #[test]
    fn files_are_created_empty_and_existing_ones_keep_their_content() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("out");
        let prepare = |clean| prepare(&path, &["key", "tlscert"], clean).unwrap();
        prepare(false);
        fs::write(path.join("key"), "content").unwrap();
        fs::write(path.join("old"), "").unwrap();
        fs::create_dir(path.join("directory")).unwrap();
        symlink("/etc/passwd", path.join("link")).unwrap();
        let found = prepare(false);
        assert_eq!(found.unexpected, ["directory", "link", "old"]);
        let found = prepare(true);
        assert_eq!(
            (found.removed, found.unexpected),
            (vec!["link".to_owned(), "old".to_owned()], vec!["directory".to_owned()])
        );
        assert_eq!(fs::read_to_string(path.join("key")).unwrap(), "content");
        let mode = |name| fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("."), mode("key"), mode("tlscert"), mode(WRITE_TEST)), (0o700, 0o600, 0o600, 0o600));
        assert!(fs::symlink_metadata("/etc/passwd").is_ok());
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("out");
        fs::create_dir(&path).unwrap();
        fs::write(root.path().join("target"), "").unwrap();
        fs::set_permissions(root.path().join("target"), fs::Permissions::from_mode(0o644)).unwrap();
        symlink("../target", path.join("key")).unwrap();
        prepare(&path, &["key"], true).unwrap();
        assert_eq!(fs::metadata(root.path().join("target")).unwrap().mode() & 0o777, 0o644);
        // A second name could be that of a file elsewhere.
        fs::remove_file(path.join("key")).unwrap();
        fs::hard_link(root.path().join("target"), path.join("key")).unwrap();
        let refused = prepare(&path, &["key"], true).unwrap_err();
        assert!(
            matches!(refused, DestinationError::Directory(DirectoryError::Obstructed { .. })),
            "{refused}"
        );
    }

    #[test]
    fn a_reader_may_read_the_files_but_not_open_the_lock_file() {
        let root = tempfile::tempdir().unwrap();
        let own = own_user();
        let users = DirectoryUsers { bot: &own, reader: Some("1"), owner: None };
        let prepared = prepare_directory(&directory(root.path()), &["key"], users, false).unwrap();
        if prepared.acl_error.is_some() {
            return; // The file system does not support ACLs.
        }
        let mode = |name| fs::metadata(root.path().join(name)).unwrap().mode() & 0o777;
        // The bits of the group are the mask of the ACL.
        assert_eq!((mode("key"), mode(LOCK_FILE)), (0o640, 0o600));
        let file: OwnedFd = fs::File::open(root.path().join(LOCK_FILE)).unwrap().into();
        assert_eq!(Acl::read(&file).unwrap(), None);
    }

    #[test]
    fn files_that_are_nested_deeper_than_the_agents_are_not_changed() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("cockroach/inner")).unwrap();
        let files = ["cockroach/node.key", "cockroach/inner/file"].map(|name| root.path().join(name));
        for file in &files {
            fs::write(file, "").unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
        }
        prepare(root.path(), &["cockroach/"], true).unwrap();
        let modes = files.map(|file| fs::metadata(file).unwrap().mode() & 0o777);
        assert_eq!(modes, [0o600, 0o644]);
    }

    #[test]
    fn the_files_of_an_interrupted_write_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let staged = root.path().join(".tbot-staged");
        fs::create_dir(&staged).unwrap();
        fs::write(staged.join("key"), "").unwrap();
        prepare(root.path(), &["key"], false).unwrap();
        assert!(!staged.exists());
    }

    #[test]
    fn nothing_is_changed_if_one_of_the_files_cannot_be_prepared() {
        let root = tempfile::tempdir().unwrap();
        let path = |name| root.path().join(name);
        for name in ["key", "tlscert"] {
            fs::write(path(name), "").unwrap();
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        fs::hard_link(path("tlscert"), path("second")).unwrap();
        let prepare = || prepare(root.path(), &["key", "tlscert"], false);
        let mode = || fs::metadata(path("key")).unwrap().mode() & 0o777;
        prepare().unwrap_err();
        assert_eq!(mode(), 0o644);
        fs::remove_file(path("second")).unwrap();
        prepare().unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn nothing_is_removed_if_a_file_of_a_cluster_cannot_be_prepared() {
        let root = tempfile::tempdir().unwrap();
        let path = |name| root.path().join(name);
        for name in ["old", "z.ssh_config"] {
            fs::write(path(name), "").unwrap();
        }
        fs::hard_link(path("z.ssh_config"), path("second")).unwrap();
        let prepare = || prepare(root.path(), &["ssh_config"], true);
        prepare().unwrap_err();
        assert!(path("old").exists());
        fs::remove_file(path("second")).unwrap();
        assert_eq!(prepare().unwrap().removed, ["old"]);
    }

    #[test]
    #[ignore = "needs root"]
    fn an_interrupted_preparation_can_be_repeated_but_files_of_other_users_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        fs::create_dir_all(out.join("cockroach")).unwrap();
        let files = ["key", "cockroach/node.key", WRITE_TEST].map(|name| out.join(name));
        let users = DirectoryUsers { bot: "1", reader: None, owner: None };
        let prepare = || prepare_directory(&directory(&out), &["key", "cockroach/"], users, false);
        for (file_owner, is_prepared) in [(1, true), (2, false)] {
            chown(&out, Some(0), None).unwrap();
            for file in &files {
                fs::write(file, "").unwrap();
                chown(file, Some(file_owner), None).unwrap();
            }
            assert_eq!(prepare().is_ok(), is_prepared, "{file_owner}");
            let owners = files.each_ref().map(|file| fs::metadata(file).unwrap().uid());
            assert_eq!(owners, [file_owner; 3]);
            fs::remove_file(out.join(LOCK_FILE)).unwrap();
        }
    }

    #[test]
    fn an_unknown_user_is_named_before_anything_is_created() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("out");
        let users = DirectoryUsers { bot: "nobody-of-this-name", reader: None, owner: None };
        let error = prepare_directory(&directory(&path), &["key"], users, false).unwrap_err();
        assert!(matches!(error, DestinationError::User(ReaderError::Unknown { .. })), "{error}");
        assert!(!path.exists());
    }
}
