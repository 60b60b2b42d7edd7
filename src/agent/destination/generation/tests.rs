use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use super::*;
use crate::config::SymlinkMode;

const NAMES: [&str; 3] = ["key", "tlscert", "cockroach/node.key"];

fn files(generation: &str) -> Vec<NewFile> {
    NAMES.map(|name| (name.to_owned(), generation.as_bytes().to_vec())).to_vec()
}

fn open(path: &Path) -> Folder {
    Folder::open(path, SymlinkMode::TrySecure).unwrap()
}

fn switch(path: &Path, generation: &str) {
    open(path).switch(&files(generation), &Grant::default()).unwrap();
}

fn seen(path: &Path) -> [String; 3] {
    NAMES.map(|name| fs::read_to_string(path.join(name)).unwrap())
}

/// What lies in a folder, but for the file that whoever changes it locks.
fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != ".tbot-lock");
    names.sort();
    names
}

fn plain(path: &Path, generation: &str) {
    open(path).commit(&files(generation), &Grant::default()).unwrap();
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).unwrap().is_symlink()
}

#[test]
fn one_link_is_switched_and_the_old_generation_is_gone() {
    let root = tempfile::tempdir().unwrap();
    switch(root.path(), "1");
    let resolved = open(&root.path().join("..1"));
    switch(root.path(), "2");
    assert_eq!(seen(root.path()), ["2"; 3]);
    assert_eq!(names(root.path()), ["..2", "..data", "cockroach", "key", "tlscert"]);
    assert_eq!(fs::read_link(root.path().join("..data")).unwrap(), Path::new("..2"));
    assert_eq!(resolved.read("key").unwrap(), None, "who resolved the old one never sees another's files");
}

#[test]
fn files_that_a_set_does_not_replace_go_on() {
    let root = tempfile::tempdir().unwrap();
    switch(root.path(), "1");
    let other = vec![("ssh_host".to_owned(), b"2".to_vec()), ("key".to_owned(), b"2".to_vec())];
    open(root.path()).switch(&other, &Grant::default()).unwrap();
    assert_eq!(seen(root.path()), ["2", "1", "1"]);
    assert_eq!(fs::read_to_string(root.path().join("ssh_host")).unwrap(), "2");
}

#[test]
fn plain_files_become_a_set_and_back_and_nothing_else_is_touched() {
    let root = tempfile::tempdir().unwrap();
    plain(root.path(), "1");
    fs::write(root.path().join("notes"), "mine").unwrap();
    fs::set_permissions(root.path().join("key"), fs::Permissions::from_mode(0o640)).unwrap();

    let folder = open(root.path());
    folder.adopt(&["key", "tlscert", "cockroach"].into()).unwrap();
    assert_eq!(seen(root.path()), ["1"; 3], "taking over changes nothing for a reader");
    assert!(["key", "tlscert", "cockroach"].iter().all(|name| is_link(&root.path().join(name))));
    switch(root.path(), "2");
    assert_eq!(seen(root.path()), ["2"; 3]);
    assert_eq!(fs::metadata(root.path().join("key")).unwrap().mode() & 0o777, 0o640);

    folder.leave_generations().unwrap();
    assert_eq!(seen(root.path()), ["2"; 3], "leaving changes nothing for a reader");
    assert_eq!(names(root.path()), ["cockroach", "key", "notes", "tlscert"]);
    assert!(!names(root.path()).iter().any(|name| is_link(&root.path().join(name))));
    assert_eq!(fs::metadata(root.path().join("key")).unwrap().mode() & 0o777, 0o640);
    assert_eq!(fs::read_to_string(root.path().join("notes")).unwrap(), "mine");
}

#[test]
fn a_plain_file_that_somebody_put_over_a_link_wins_until_the_next_set() {
    let root = tempfile::tempdir().unwrap();
    switch(root.path(), "1");
    fs::remove_file(root.path().join("key")).unwrap();
    fs::write(root.path().join("key"), "theirs").unwrap();
    open(root.path()).recover_generations().unwrap();
    assert_eq!(seen(root.path()), ["theirs", "1", "1"]);
    switch(root.path(), "2");
    assert_eq!(seen(root.path()), ["2"; 3]);
}

#[test]
fn what_a_crash_left_is_swept_away_and_links_are_restored() {
    let root = tempfile::tempdir().unwrap();
    switch(root.path(), "1");
    fs::create_dir(root.path().join("..2")).unwrap();
    fs::write(root.path().join("..2/key"), "2").unwrap();
    symlink("..2", root.path().join("..data_tmp")).unwrap();
    fs::remove_file(root.path().join("key")).unwrap();
    open(root.path()).recover_generations().unwrap();
    assert_eq!(names(root.path()), ["..1", "..data", "cockroach", "key", "tlscert"]);
    assert_eq!(seen(root.path()), ["1"; 3]);
}

#[test]
fn who_may_enter_the_folder_may_enter_the_generation() {
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o750)).unwrap();
    switch(root.path(), "1");
    for folder in ["..1", "..1/cockroach"] {
        assert_eq!(fs::metadata(root.path().join(folder)).unwrap().mode() & 0o777, 0o750, "{folder}");
    }
    assert_eq!(fs::metadata(root.path().join("key")).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn links_that_lead_elsewhere_are_refused_and_left_alone() {
    for planted in ["key", "..data", "cockroach"] {
        let root = tempfile::tempdir().unwrap();
        let [folder, elsewhere] = ["out", "elsewhere"].map(|name| root.path().join(name));
        fs::create_dir(&folder).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, folder.join(planted)).unwrap();
        for refused in [
            open(&folder).switch(&files("1"), &Grant::default()),
            open(&folder).commit(&files("1"), &Grant::default()),
        ] {
            // A plain set has no use for `..data`.
            if planted != "..data" || refused.is_err() {
                let refused = refused.unwrap_err().to_string();
                assert!(refused.contains("a symbolic link, which this agent did not make"), "{refused}");
            }
        }
        assert_eq!(names(&elsewhere), [""; 0], "{planted}");
    }
}

#[test]
fn a_planted_generation_is_not_written_into() {
    let root = tempfile::tempdir().unwrap();
    let [folder, elsewhere] = ["out", "elsewhere"].map(|name| root.path().join(name));
    fs::create_dir(&folder).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    for planted in ["..1", "..data_tmp", "..link_tmp"] {
        symlink(&elsewhere, folder.join(planted)).unwrap();
    }
    switch(&folder, "1");
    assert_eq!(names(&elsewhere), [""; 0]);
    assert_eq!(seen(&folder), ["1"; 3]);
    assert!(!is_link(&folder.join("..1")));
}
