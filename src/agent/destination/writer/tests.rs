#![expect(clippy::print_stderr, reason = "a test that cannot run here says so")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};

use serde_json::json;

use super::*;
use crate::agent::destination::posix_acl::{AccessList, ReaderId};

fn files(content: &str) -> Vec<NewFile> {
    ["key", "cockroach/node.key"].map(|name| (name.to_owned(), content.as_bytes().to_vec())).to_vec()
}

/// A folder with these settings.
fn folder(path: &Path, settings: &serde_json::Value) -> Destination {
    let mut directory = json!({ "path": path });
    directory.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let directory: config::Directory = serde_json::from_value(directory).unwrap();
    Destination::new(Place::Directory(Directory::new(&directory)))
}

fn write(destination: &Destination, content: &str) {
    destination.prepare().unwrap();
    destination.write(files(content)).unwrap();
}

fn key(path: &Path) -> String {
    fs::read_to_string(path.join("key")).unwrap()
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path.join("key")).unwrap().is_symlink()
}

#[test]
fn memory_holds_the_last_set_only() {
    let memory = Destination::new(Place::Memory);
    memory.write(vec![("old".to_owned(), vec![])]).unwrap();
    write(&memory, "2");
    assert_eq!(format!("{memory:?}"), "Memory");
    assert_eq!((memory.in_memory("key"), memory.in_memory("old")), (Some(b"2".to_vec()), None));
}

#[test]
fn a_folder_that_vanished_is_made_again() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("out");
    let destination = folder(&path, &json!({}));
    write(&destination, "1");
    fs::remove_dir_all(&path).unwrap();
    write(&destination, "2");
    assert_eq!(key(&path), "2");
}

#[test]
fn without_links_allowed_files_are_plain_and_the_way_can_be_changed_at_any_time() {
    let root = tempfile::tempdir().unwrap();
    for (content, mode) in [("1", "try-secure"), ("2", "secure"), ("3", "insecure"), ("4", "secure")] {
        write(&folder(root.path(), &json!({ "symlinks": mode })), content);
        assert_eq!(key(root.path()), content);
        assert_eq!(fs::read_to_string(root.path().join("cockroach/node.key")).unwrap(), content);
        assert_eq!(is_link(root.path()), mode != "secure");
    }
    let left = fs::read_dir(root.path()).unwrap().count();
    assert_eq!(left, 4, ".tbot-lock, .write-test, key and cockroach");
}

#[test]
fn another_users_folder_is_written_in_place() {
    let root = tempfile::tempdir().unwrap();
    if chown(root.path(), Some(1), None).is_err() {
        // Only root can give a folder away.
        eprintln!("skipped: this needs root");
        return;
    }
    let destination = folder(root.path(), &json!({}));
    write(&destination, "1");
    chown(root.path().join("key"), Some(1), None).unwrap();
    let before = fs::metadata(root.path().join("key")).unwrap().ino();
    write(&destination, "2");
    assert_eq!(key(root.path()), "2");
    assert_eq!(fs::metadata(root.path().join("key")).unwrap().ino(), before);

    // Somebody who has nothing to do with folder or agent must not get a key.
    chown(root.path().join("key"), Some(2), None).unwrap();
    let refused = destination.write(files("3")).unwrap_err().to_string();
    assert!(refused.contains("owns neither the folder nor the agent"), "{refused}");
    assert_eq!(key(root.path()), "2");
}

#[test]
fn lists_of_a_folder_that_somebody_prepared_are_checked_where_they_are_required() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    if chown(root.path(), Some(1), None).is_err() {
        eprintln!("skipped: this needs root");
        return;
    }
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let refused = folder(root.path(), &json!({ "acls": "required" })).write(files("1")).unwrap_err();
    assert!(refused.to_string().contains("others than its owner may use it"), "{refused}");
    assert!(!root.path().join("key").exists());
    folder(root.path(), &json!({ "acls": "try" })).write(files("1")).unwrap();
}

/// What somebody gave a file by hand, or nothing where the file system knows no lists.
fn give(path: &Path, reader: u32) -> Option<AccessList> {
    let file = fs::File::open(path).unwrap().into();
    let list = AccessList::of_file(&[ReaderId::User(reader)].into());
    match list.write(&file) {
        Ok(()) => Some(list),
        Err(error) => {
            eprintln!("skipped: no access lists at {}: {error}", path.display());
            None
        }
    }
}

fn list(path: &Path) -> Option<AccessList> {
    AccessList::read(&fs::File::open(path).unwrap().into()).unwrap()
}

#[test]
fn lists_that_somebody_set_are_kept_whichever_way_files_change() {
    for symlinks in ["try-secure", "secure"] {
        let root = tempfile::tempdir().unwrap();
        let destination = folder(root.path(), &json!({ "symlinks": symlinks }));
        write(&destination, "1");
        let Some(given) = give(&root.path().join("key"), 7) else { return };
        write(&destination, "2");
        assert_eq!(key(root.path()), "2");
        assert_eq!(list(&root.path().join("key")), Some(given), "{symlinks}");
        assert_eq!(list(&root.path().join("cockroach/node.key")), None);
    }
}

#[test]
fn readers_have_access_to_every_file_after_every_renewal_and_nobody_else_has() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("out");
    fs::create_dir(&path).unwrap();
    if give(&path, 7).is_none() {
        return;
    }
    let settings = json!({ "acls": "required", "readers": [{ "user": "7" }, { "group": "8" }] });
    let destination = folder(&path, &settings);
    destination.test().unwrap();
    let expected = AccessList::of_file(&[ReaderId::User(7), ReaderId::Group(8)].into());
    for content in ["1", "2"] {
        write(&destination, content);
        for file in ["key", "cockroach/node.key"] {
            assert_eq!(list(&path.join(file)).as_ref(), Some(&expected), "{file}");
        }
        let around = list(&path).unwrap();
        for inner in ["..data/", "..data/cockroach"] {
            assert_eq!(list(&path.join(inner)).as_ref(), Some(&around), "{inner}");
        }
    }
}

#[test]
fn a_reader_reads_and_a_stranger_does_not() {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("out");
    let destination = folder(&path, &json!({ "acls": "try", "readers": [{ "user": "12345" }] }));
    write(&destination, "1");
    fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let reads = |user: u32| Command::new("cat").arg(path.join("key")).uid(user).gid(user).output();
    let (Ok(reader), Ok(stranger)) = (reads(12345), reads(12346)) else {
        eprintln!("skipped: this needs root, to be other users");
        return;
    };
    if list(&path.join("key")).is_none() {
        eprintln!("skipped: no access lists here");
        return;
    }
    assert_eq!(reader.stdout, b"1", "{reader:?}");
    assert!(!stranger.status.success() && stranger.stdout.is_empty(), "{stranger:?}");
}

#[test]
fn a_reader_who_is_nobody_fails_where_lists_are_required_and_is_left_out_else() {
    let root = tempfile::tempdir().unwrap();
    let readers = json!([{ "user": "nobody-of-this-name" }]);
    let settings = |acls: &str| json!({ "acls": acls, "readers": readers });
    folder(root.path(), &settings("required")).test().unwrap_err();
    folder(root.path(), &settings("required")).write(files("1")).unwrap_err();
    let lenient = folder(root.path(), &settings("try"));
    lenient.test().unwrap();
    write(&lenient, "1");
    assert_eq!(key(root.path()), "1");
}
