use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use super::*;
use crate::agent::destination::posix_acl::ReaderId;
use crate::config::SymlinkMode;
use crate::config::file_names::is_reserved_name;

const NAMES: [&str; 3] = ["key", "tlscert", "cockroach/node.key"];

fn files(content: &str) -> Vec<NewFile> {
    NAMES.map(|name| (name.to_owned(), content.as_bytes().to_vec())).to_vec()
}

fn open(path: &Path) -> DirectoryHandle {
    DirectoryHandle::open(path, SymlinkMode::TrySecure).unwrap()
}

fn write_set(path: &Path, content: &str) {
    open(path).write_generation_directory(&files(content), &[], &ReaderGrant::default()).unwrap();
}

fn write_plain_files(path: &Path, content: &str) {
    open(path).commit(&files(content), &ReaderGrant::default()).unwrap();
}

fn contents(path: &Path) -> [String; 3] {
    NAMES.map(|name| fs::read_to_string(path.join(name)).unwrap())
}

/// Returns the sorted entries of a directory, without the lock file.
fn entries(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != ".tbot-lock");
    names.sort();
    names
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).unwrap().is_symlink()
}

#[test]
fn every_link_and_directory_of_the_agent_has_a_reserved_name() {
    for name in [CURRENT, CURRENT_TMP, VISIBLE_TMP, MIGRATED_TMP, &directory_name(1)] {
        assert!(is_reserved_name(name), "{name}");
    }
}

#[test]
fn the_link_is_switched_and_the_old_generation_directory_is_removed() {
    let root = tempfile::tempdir().unwrap();
    write_set(root.path(), "1");
    let resolved = open(&root.path().join("..1"));
    write_set(root.path(), "2");
    assert_eq!(contents(root.path()), ["2"; 3]);
    assert_eq!(entries(root.path()), ["..2", "..data", "cockroach", "key", "tlscert"]);
    assert_eq!(fs::read_link(root.path().join("..data")).unwrap(), Path::new("..2"));
    assert_eq!(
        resolved.read("key").unwrap(),
        None,
        "a resolved directory never shows the files of another version"
    );
}

#[test]
fn files_that_a_set_does_not_replace_are_carried_over() {
    let root = tempfile::tempdir().unwrap();
    write_set(root.path(), "1");
    let other = vec![("ssh_host".to_owned(), b"2".to_vec()), ("key".to_owned(), b"2".to_vec())];
    open(root.path()).write_generation_directory(&other, &[], &ReaderGrant::default()).unwrap();
    assert_eq!(contents(root.path()), ["2", "1", "1"]);
    assert_eq!(fs::read_to_string(root.path().join("ssh_host")).unwrap(), "2");
}

#[test]
fn plain_files_are_migrated_and_restored_and_other_files_stay_untouched() {
    let root = tempfile::tempdir().unwrap();
    write_plain_files(root.path(), "1");
    fs::write(root.path().join("notes"), "mine").unwrap();
    fs::set_permissions(root.path().join("key"), fs::Permissions::from_mode(0o640)).unwrap();

    let directory = open(root.path());
    directory.migrate_plain_files(&["key", "tlscert", "cockroach"].into()).unwrap();
    assert_eq!(contents(root.path()), ["1"; 3], "readers see no change");
    assert!(["key", "tlscert", "cockroach"].iter().all(|name| is_link(&root.path().join(name))));
    write_set(root.path(), "2");
    assert_eq!(contents(root.path()), ["2"; 3]);
    assert_eq!(fs::metadata(root.path().join("key")).unwrap().mode() & 0o777, 0o640);

    directory.restore_plain_files().unwrap();
    assert_eq!(contents(root.path()), ["2"; 3], "readers see no change");
    assert_eq!(entries(root.path()), ["cockroach", "key", "notes", "tlscert"]);
    assert!(!entries(root.path()).iter().any(|name| is_link(&root.path().join(name))));
    assert_eq!(fs::metadata(root.path().join("key")).unwrap().mode() & 0o777, 0o640);
    assert_eq!(fs::read_to_string(root.path().join("notes")).unwrap(), "mine");
}

#[test]
fn a_plain_file_that_replaced_a_link_stays_until_the_next_set() {
    let root = tempfile::tempdir().unwrap();
    write_set(root.path(), "1");
    fs::remove_file(root.path().join("key")).unwrap();
    fs::write(root.path().join("key"), "theirs").unwrap();
    open(root.path()).recover_generation_directories().unwrap();
    assert_eq!(contents(root.path()), ["theirs", "1", "1"]);
    write_set(root.path(), "2");
    assert_eq!(contents(root.path()), ["2"; 3]);
}

#[test]
fn recovery_removes_what_a_crash_left_and_restores_links() {
    let root = tempfile::tempdir().unwrap();
    write_set(root.path(), "1");
    fs::create_dir(root.path().join("..2")).unwrap();
    fs::write(root.path().join("..2/key"), "2").unwrap();
    symlink("..2", root.path().join("..data_tmp")).unwrap();
    fs::remove_file(root.path().join("key")).unwrap();
    open(root.path()).recover_generation_directories().unwrap();
    assert_eq!(entries(root.path()), ["..1", "..data", "cockroach", "key", "tlscert"]);
    assert_eq!(contents(root.path()), ["1"; 3]);
}

#[test]
fn a_generation_directory_has_the_mode_of_the_directory_that_contains_it() {
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o750)).unwrap();
    write_set(root.path(), "1");
    for directory in ["..1", "..1/cockroach"] {
        assert_eq!(fs::metadata(root.path().join(directory)).unwrap().mode() & 0o777, 0o750, "{directory}");
    }
    assert_eq!(fs::metadata(root.path().join("key")).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn the_largest_generation_number_is_followed_by_the_first() {
    let root = tempfile::tempdir().unwrap();
    write_set(root.path(), "1");
    let largest = format!("..{}", u64::MAX);
    fs::rename(root.path().join("..1"), root.path().join(&largest)).unwrap();
    fs::remove_file(root.path().join("..data")).unwrap();
    symlink(&largest, root.path().join("..data")).unwrap();
    write_set(root.path(), "2");
    assert_eq!(contents(root.path()), ["2"; 3]);
    assert_eq!(entries(root.path()), ["..1", "..data", "cockroach", "key", "tlscert"]);
}

#[test]
fn names_that_are_not_utf8_do_not_stop_a_renewal() {
    let root = tempfile::tempdir().unwrap();
    let name = OsStr::from_bytes(b"\xff");
    fs::write(root.path().join(name), "mine").unwrap();
    write_set(root.path(), "1");
    fs::write(root.path().join("..1").join(name), "planted").unwrap();
    write_set(root.path(), "2");
    assert!(!root.path().join("..1").exists());
    assert_eq!(fs::read_to_string(root.path().join(name)).unwrap(), "mine");
}

#[test]
fn links_that_lead_elsewhere_are_refused_and_not_written_through() {
    for planted in ["key", "..data", "cockroach"] {
        let root = tempfile::tempdir().unwrap();
        let [directory, elsewhere] = ["out", "elsewhere"].map(|name| root.path().join(name));
        fs::create_dir(&directory).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, directory.join(planted)).unwrap();
        for result in [
            open(&directory).write_generation_directory(&files("1"), &[], &ReaderGrant::default()).map(drop),
            open(&directory).commit(&files("1"), &ReaderGrant::default()),
        ] {
            // `commit` does not use `..data`.
            if planted != "..data" || result.is_err() {
                match result.unwrap_err() {
                    DirectoryError::Obstructed { path, obstacle: Obstacle::SymbolicLink } => {
                        assert_eq!(path, directory.join(planted));
                    }
                    error => panic!("{error:?}"),
                }
            }
        }
        assert_eq!(entries(&elsewhere), [""; 0], "{planted}");
    }
}

#[test]
fn a_planted_generation_directory_is_not_written_to() {
    let root = tempfile::tempdir().unwrap();
    let [directory, elsewhere] = ["out", "elsewhere"].map(|name| root.path().join(name));
    fs::create_dir(&directory).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    for planted in ["..1", "..data_tmp", "..link_tmp"] {
        symlink(&elsewhere, directory.join(planted)).unwrap();
    }
    write_set(&directory, "1");
    assert_eq!(entries(&elsewhere), [""; 0]);
    assert_eq!(contents(&directory), ["1"; 3]);
    assert!(!is_link(&directory.join("..1")));
}

#[test]
fn files_with_the_same_content_and_permissions_are_not_written_again() {
    let root = tempfile::tempdir().unwrap();
    let directory = open(root.path());
    let write = |key: &str, readers: &[u32]| {
        let mut files = files("CA");
        files[0].1 = key.into();
        let readers = readers.iter().map(|id| ReaderId::User(*id)).collect();
        let grant = ReaderGrant::new(readers, true);
        assert!(directory.write_generation_directory(&files, &[], &grant).unwrap().is_none());
        assert_eq!(contents(root.path()), [key, "CA", "CA"]);
        NAMES.map(|name| fs::metadata(root.path().join(name)).unwrap().ino())
    };
    let first = write("1", &[]);
    let second = write("2", &[]);
    assert_eq!(first[1..], second[1..]);
    // Each of the following sets gives access to another user.
    let third = write("2", &[1]);
    let fourth = write("2", &[1, 2]);
    assert_eq!(fourth, write("2", &[1, 2]));
    for (before, after) in [(second, third), (third, fourth)] {
        assert!(before.iter().all(|inode| !after.contains(inode)), "{before:?} {after:?}");
    }
}

#[test]
fn a_file_that_others_could_have_put_there_is_written_again() {
    let root = tempfile::tempdir().unwrap();
    write_set(root.path(), "CA");
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let inode = || fs::metadata(root.path().join("tlscert")).unwrap().ino();
    let before = inode();
    write_set(root.path(), "CA");
    assert_ne!(inode(), before);
}
