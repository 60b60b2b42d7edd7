use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::agent::destination::directory::DirectoryError;
use crate::agent::destination::posix_acl::{Acl, AclProblem, ReaderId};
use crate::agent::destination::readers::ReaderError;
use crate::agent::destination::target::DirectoryTarget;
use crate::agent::platform::Clock;
use crate::agent::platform::regular_file::Obstacle;
use crate::config;

fn files(content: &str) -> Vec<NewFile> {
    ["key", "cockroach/node.key"].map(|name| (name.to_owned(), content.as_bytes().to_vec())).to_vec()
}

/// Returns a writer for a directory with these settings.
fn writer(path: &Path, settings: &serde_json::Value) -> DestinationWriter {
    let mut directory = json!({ "path": path });
    directory.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let directory: config::Directory = serde_json::from_value(directory).unwrap();
    with_target(WriteTarget::Directory(DirectoryTarget::new(&directory)))
}

fn with_target(target: WriteTarget) -> DestinationWriter {
    DestinationWriter::new("identity-1", target, RecurringWarnings::new(Clock::system()))
}

fn write(writer: &DestinationWriter, content: &str) {
    writer.prepare().unwrap();
    writer.write(files(content), &EarlierFiles::default()).unwrap();
}

fn key(path: &Path) -> String {
    fs::read_to_string(path.join("key")).unwrap()
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path.join("key")).unwrap().is_symlink()
}

#[test]
fn memory_keeps_only_the_last_set_and_what_is_named() {
    let memory = with_target(WriteTarget::Memory);
    assert_eq!(memory.files_in_memory(), BTreeMap::new());
    memory.write(vec![("old".to_owned(), vec![])], &EarlierFiles::default()).unwrap();
    write(&memory, "2");
    assert_eq!(format!("{memory:?}"), "Memory");
    assert_eq!(memory.files_in_memory(), BTreeMap::from_iter(files("2")));
    memory
        .write(
            vec![("new".to_owned(), vec![])],
            &EarlierFiles { kept: vec!["key"], ..EarlierFiles::default() },
        )
        .unwrap();
    let kept = [("key".to_owned(), b"2".to_vec()), ("new".to_owned(), vec![])];
    assert_eq!(memory.files_in_memory(), BTreeMap::from(kept));
}

#[test]
fn files_that_must_not_remain_are_removed_however_they_were_written() {
    let modes = ["try-secure", "secure"];
    for (first, second) in modes.into_iter().flat_map(|mode| modes.map(|other| (mode, other))) {
        let root = tempfile::tempdir().unwrap();
        let old = root.path().join("old");
        let link = root.path().join("link");
        fs::write(&old, "").unwrap();
        std::os::unix::fs::symlink(&old, &link).unwrap();
        let [before, after] = [first, second].map(|mode| writer(root.path(), &json!({ "symlinks": mode })));
        let with_old = files("1").into_iter().chain([("old".to_owned(), vec![])]).collect();
        before.write(with_old, &EarlierFiles::default()).unwrap();
        after
            .write(
                files("2"),
                &EarlierFiles { removed: vec!["old", "link", "missing"], ..EarlierFiles::default() },
            )
            .unwrap();
        assert!(fs::symlink_metadata(&old).is_err(), "{first}, {second}");
        assert!(link.is_symlink(), "the agent did not create the link");
        // Nothing brings the file back.
        after.prepare().unwrap();
        write(&after, "3");
        write(&before, "4");
        assert!(fs::symlink_metadata(&old).is_err(), "{first}, {second}");
    }
}

#[test]
fn a_removed_directory_is_created_again() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("out");
    let writer = writer(&path, &json!({}));
    write(&writer, "1");
    fs::remove_dir_all(&path).unwrap();
    write(&writer, "2");
    assert_eq!(key(&path), "2");
}

#[test]
fn a_test_of_a_directory_leaves_nothing_and_does_not_outlive_a_crash() {
    let root = tempfile::tempdir().unwrap();
    let writer = writer(root.path(), &json!({}));
    let entries = || fs::read_dir(root.path()).unwrap().count();
    for _ in 0..2 {
        writer.prepare().unwrap();
        let before = entries();
        writer.test_set(&[]).unwrap();
        assert_eq!(entries(), before + 1, "the space is still used");
        writer.remove_test_files();
        assert_eq!(entries(), before);
        writer.test_set(&[]).unwrap();
        write(&writer, "1");
    }
}

#[test]
#[ignore = "needs root"]
fn a_test_of_another_users_directory_leaves_an_empty_file() {
    let root = tempfile::tempdir().unwrap();
    let path = foreign_directory(&root);
    let writer = writer(&path, &json!({}));
    writer.prepare().unwrap();
    writer.test_set(&[]).unwrap();
    writer.remove_test_files();
    assert_eq!(fs::metadata(path.join(".write-test")).unwrap().len(), 0);
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
}

#[test]
fn symlinks_secure_writes_plain_files_and_can_be_changed_at_any_time() {
    let root = tempfile::tempdir().unwrap();
    for (content, mode) in [("1", "try-secure"), ("2", "secure"), ("3", "insecure"), ("4", "secure")] {
        write(&writer(root.path(), &json!({ "symlinks": mode })), content);
        assert_eq!(key(root.path()), content);
        assert_eq!(fs::read_to_string(root.path().join("cockroach/node.key")).unwrap(), content);
        assert_eq!(is_link(root.path()), mode != "secure");
    }
    let entries = fs::read_dir(root.path()).unwrap().count();
    assert_eq!(entries, 4, ".tbot-lock, .write-test, key and cockroach");
}

/// Creates a directory of another user below a parent that only root may write to.
fn foreign_directory(root: &tempfile::TempDir) -> PathBuf {
    let path = root.path().join("out");
    fs::create_dir(&path).unwrap();
    chown(&path, Some(1), None).unwrap();
    path
}

#[test]
#[ignore = "needs root"]
fn the_directory_of_another_user_is_written_in_place() {
    let root = tempfile::tempdir().unwrap();
    let path = foreign_directory(&root);
    let writer = writer(&path, &json!({}));
    write(&writer, "1");
    chown(path.join("key"), Some(1), None).unwrap();
    let inode = || fs::metadata(path.join("key")).unwrap().ino();
    let before = inode();
    write(&writer, "2");
    assert_eq!(key(&path), "2");
    assert_eq!(inode(), before);

    // A user who is neither the agent's nor the directory's owner must not get a key.
    chown(path.join("key"), Some(2), None).unwrap();
    let error = writer.write(files("3"), &EarlierFiles::default()).unwrap_err();
    let DestinationError::Directory(DirectoryError::Obstructed { path: refused, obstacle }) = error else {
        panic!("{error:?}");
    };
    assert_eq!((refused, obstacle), (path.join("key"), Obstacle::ForeignFile));
    assert_eq!(key(&path), "2");
}

#[test]
#[ignore = "needs root"]
fn a_directory_that_was_the_agents_and_now_belongs_to_another_user_gets_no_keys() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("out");
    let writer = writer(&path, &json!({}));
    write(&writer, "1");
    fs::rename(&path, root.path().join("moved")).unwrap();
    fs::create_dir(&path).unwrap();
    chown(&path, Some(1), None).unwrap();
    for result in [writer.prepare(), writer.write(files("2"), &EarlierFiles::default())] {
        match result.unwrap_err() {
            DestinationError::Directory(DirectoryError::OwnerChanged { path: refused, owner: 1 }) => {
                assert_eq!(refused, path);
            }
            error => panic!("{error:?}"),
        }
    }
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
}

#[test]
fn the_mode_of_a_file_is_not_copied_in_a_directory_that_every_user_may_write() {
    for symlinks in ["try-secure", "secure"] {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("out");
        let writer = writer(&path, &json!({ "symlinks": symlinks }));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        // As if another user had moved a file of the agent's user here that everyone may read.
        fs::write(path.join("key"), "planted").unwrap();
        fs::set_permissions(path.join("key"), fs::Permissions::from_mode(0o644)).unwrap();
        write(&writer, "1");
        assert_eq!(key(&path), "1");
        assert_eq!(fs::metadata(path.join("key")).unwrap().mode() & 0o777, 0o600, "{symlinks}");
    }
}

#[test]
#[ignore = "needs root: makes a file immutable with chattr"]
fn an_old_file_that_cannot_be_removed_does_not_stop_a_renewal() {
    let chattr = |flag: &str, path: &Path| {
        let status = std::process::Command::new("chattr").arg(flag).arg(path).status().unwrap();
        assert!(status.success(), "chattr needs root and a file system that supports it");
    };
    let root = tempfile::tempdir().unwrap();
    let writer = writer(root.path(), &json!({}));
    write(&writer, "1");
    let old = root.path().join("..1");
    fs::write(old.join("in-use"), "other").unwrap();
    chattr("+i", &old.join("in-use"));
    let entries = || fs::read_dir(root.path()).unwrap().count();
    for content in ["2", "3", "4"] {
        write(&writer, content);
        assert_eq!(key(root.path()), content);
        assert!(!old.join("key").exists(), "everything else is removed");
        assert_eq!(fs::read_to_string(root.path().join("..data/in-use")).unwrap(), "other");
    }
    let with_leftover = entries();
    chattr("-i", &old.join("in-use"));
    write(&writer, "5");
    assert_eq!(entries(), with_leftover - 1);
    assert!(!old.exists());
}

#[test]
#[ignore = "needs root"]
fn acls_of_another_users_directory_are_checked_if_required() {
    let root = tempfile::tempdir().unwrap();
    let out = foreign_directory(&root);
    fs::set_permissions(&out, fs::Permissions::from_mode(0o755)).unwrap();
    let error =
        writer(&out, &json!({ "acls": "required" })).write(files("1"), &EarlierFiles::default()).unwrap_err();
    assert!(
        matches!(&error, DestinationError::Acl { path, problem: AclProblem::OthersHaveAccess } if *path == out),
        "{error:?}"
    );
    assert!(!out.join("key").exists());
    writer(&out, &json!({ "acls": "try" })).write(files("1"), &EarlierFiles::default()).unwrap();
}

/// Sets an ACL, as a user would with `setfacl`, and returns it.
fn set_acl(path: &Path, reader: u32) -> Acl {
    let file = fs::File::open(path).unwrap().into();
    let acl = Acl::for_file(&[ReaderId::User(reader)].into());
    acl.write(&file).unwrap();
    acl
}

fn acl(path: &Path) -> Option<Acl> {
    Acl::read(fs::File::open(path).unwrap()).unwrap()
}

#[test]
#[ignore = "needs a file system with POSIX ACLs"]
fn an_acl_that_a_user_set_is_kept_however_files_are_replaced() {
    for symlinks in ["try-secure", "secure"] {
        let root = tempfile::tempdir().unwrap();
        let writer = writer(root.path(), &json!({ "symlinks": symlinks }));
        write(&writer, "1");
        let expected = set_acl(&root.path().join("key"), 7);
        write(&writer, "2");
        assert_eq!(key(root.path()), "2");
        assert_eq!(acl(&root.path().join("key")), Some(expected), "{symlinks}");
        assert_eq!(acl(&root.path().join("cockroach/node.key")), None);
    }
}

#[test]
#[ignore = "needs a file system with POSIX ACLs"]
fn a_default_acl_of_the_directory_gives_nobody_access_to_a_key() {
    for symlinks in ["try-secure", "secure"] {
        let root = tempfile::tempdir().unwrap();
        let default = Acl::prepared(true, Some(7), None);
        default.write_default(&fs::File::open(root.path()).unwrap().into()).unwrap();
        let writer = writer(root.path(), &json!({ "symlinks": symlinks }));
        write(&writer, "1");
        let key_path = root.path().join("key");
        for content in ["2", "3"] {
            // With an ACL, this would set its mask instead of the permissions of the group.
            fs::set_permissions(&key_path, fs::Permissions::from_mode(0o640)).unwrap();
            write(&writer, content);
            let mode = fs::metadata(&key_path).unwrap().permissions().mode() & 0o777;
            assert_eq!((acl(&key_path), mode), (None, 0o640), "{symlinks}");
            assert_eq!(acl(fs::canonicalize(&key_path).unwrap().parent().unwrap()), None);
        }
    }
}

#[test]
#[ignore = "needs a file system with POSIX ACLs"]
fn after_every_renewal_exactly_the_readers_have_access_to_every_file() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("out");
    fs::create_dir(&path).unwrap();
    set_acl(&path, 7);
    let settings = json!({ "acls": "required", "readers": [{ "user": "7" }, { "group": "8" }] });
    let writer = writer(&path, &settings);
    writer.prepare().unwrap();
    let expected = Acl::for_file(&[ReaderId::User(7), ReaderId::Group(8)].into());
    for content in ["1", "2"] {
        write(&writer, content);
        for file in ["key", "cockroach/node.key"] {
            assert_eq!(acl(&path.join(file)).as_ref(), Some(&expected), "{file}");
        }
        let directory_acl = acl(&path).unwrap();
        for inner in ["..data/", "..data/cockroach"] {
            assert_eq!(acl(&path.join(inner)).as_ref(), Some(&directory_acl), "{inner}");
        }
    }
}

#[test]
#[ignore = "needs root and a file system with POSIX ACLs"]
fn a_reader_can_read_a_key_and_another_user_cannot() {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("out");
    let writer = writer(&path, &json!({ "acls": "required", "readers": [{ "user": "12345" }] }));
    write(&writer, "1");
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let read_as = |user: u32| Command::new("cat").arg(path.join("key")).uid(user).gid(user).output().unwrap();
    let (reader, stranger) = (read_as(12345), read_as(12346));
    assert_eq!(reader.stdout, b"1", "{reader:?}");
    assert!(!stranger.status.success() && stranger.stdout.is_empty(), "{stranger:?}");
}

#[test]
fn only_the_agent_may_write_to_a_generation_directory() {
    for (mode, expected) in [(0o1777, 0o755), (0o3770, 0o750), (0o700, 0o700)] {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("out");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let writer = writer(&path, &json!({}));
        for content in ["1", "2"] {
            write(&writer, content);
            for inner in ["..data/", "..data/cockroach"] {
                let mode = fs::metadata(path.join(inner)).unwrap().permissions().mode() & 0o777;
                assert_eq!(mode, expected, "{inner}");
            }
        }
    }
}

#[test]
fn an_unknown_reader_is_an_error_if_acls_are_required_and_is_skipped_otherwise() {
    let root = tempfile::tempdir().unwrap();
    let readers = json!([{ "user": "nobody-of-this-name" }]);
    let settings = |acls: &str| json!({ "acls": acls, "readers": readers });
    for result in [
        writer(root.path(), &settings("required")).prepare(),
        writer(root.path(), &settings("required")).write(files("1"), &EarlierFiles::default()),
    ] {
        assert!(matches!(result, Err(DestinationError::Reader(ReaderError::Unknown { .. }))), "{result:?}");
    }
    let optional = writer(root.path(), &settings("try"));
    optional.prepare().unwrap();
    write(&optional, "1");
    assert_eq!(key(root.path()), "1");
}
