//! Tests of a storage directory that is replaced while it is used.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::agent::credential::keys::KeyPair;
use crate::agent::platform::Clock;
use crate::agent::recordings::copy_recorded_directory;

/// Opens and loads a copy of the recorded storage.
fn recorded_storage() -> (TempDir, DirectoryStorage, StoredIdentity) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("storage");
    copy_files(copy_recorded_directory("storage").path(), &path);
    let target = DirectoryTarget::with_defaults(&path);
    let storage = DirectoryStorage::open(target, RecurringWarnings::new(Clock::system())).unwrap();
    let stored = storage.load().unwrap().unwrap();
    (root, storage, stored)
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Replaces the directory of a storage by a copy of it, with these contents of the marker if there are any.
fn replace_by_copy(root: &TempDir, marker: Option<&str>) {
    let (path, previous) = (root.path().join("storage"), root.path().join("previous"));
    fs::rename(&path, &previous).unwrap();
    copy_files(&previous, &path);
    if let Some(marker) = marker {
        fs::write(path.join(RENEWAL_MARKER), marker).unwrap();
    }
}

fn marks(stored: &StoredIdentity) -> (bool, bool) {
    (stored.renewal_pending, stored.used_elsewhere)
}

#[test]
fn an_identity_that_is_used_elsewhere_stays_so_in_a_copy_of_its_directory() {
    let (root, storage, stored) = recorded_storage();
    fs::write(root.path().join("storage").join(RENEWAL_MARKER), abandoned_marker(&stored.identity)).unwrap();
    assert_eq!(marks(&storage.load().unwrap().unwrap()), (true, true));
    replace_by_copy(&root, None);
    assert_eq!(marks(&storage.load().unwrap().unwrap()), (true, true));
    assert_eq!(marks(&storage.load().unwrap().unwrap()), (true, true));
}

#[test]
fn an_identity_that_is_used_elsewhere_stays_so_in_an_empty_directory() {
    let (root, storage, stored) = recorded_storage();
    let path = root.path().join("storage");
    fs::write(path.join(RENEWAL_MARKER), abandoned_marker(&stored.identity)).unwrap();
    storage.load().unwrap();
    fs::rename(&path, root.path().join("previous")).unwrap();
    assert_eq!(marks(&storage.load().unwrap().unwrap()), (true, true));
}

#[test]
fn a_pending_renewal_stays_pending_in_a_directory_that_was_left_before() {
    let (root, storage, stored) = recorded_storage();
    storage.mark_renewal_pending(&stored.identity).unwrap();
    replace_by_copy(&root, Some(&abandoned_marker(&stored.identity)));
    assert!(storage.load().unwrap().unwrap().renewal_pending);
    assert!(storage.load().unwrap().unwrap().renewal_pending);
}

#[test]
fn a_directory_that_the_agent_returns_to_is_no_longer_marked_as_left() {
    let (root, storage, stored) = recorded_storage();
    replace_by_copy(&root, Some(&abandoned_marker(&stored.identity)));
    assert_eq!(marks(&storage.load().unwrap().unwrap()), (false, false));
    assert_eq!(marks(&storage.load().unwrap().unwrap()), (false, false));
}

#[test]
fn the_last_identity_is_known_after_a_move_to_the_key_pairs_of_another_bot() {
    let (root, storage, stored) = recorded_storage();
    let path = root.path().join("storage");
    fs::rename(&path, root.path().join("previous")).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join(BOUND_KEY_FILES[0]), "another key pair").unwrap();
    assert!(storage.load().unwrap().is_none());
    let open = lock(&storage.open);
    assert_eq!(open.latest().certificate(), Some(stored.identity.user.der.to_vec()));
}

#[test]
fn a_directory_that_is_mounted_once_more_is_not_marked_as_used_elsewhere() {
    let (_root, storage, _) = recorded_storage();
    let again = storage.target.open().unwrap();
    assert!(again.is_same_as(&lock(&storage.open).directory));
    storage.move_to(&mut lock(&storage.open), again).unwrap();
    let stored = storage.load().unwrap().unwrap();
    assert!(!stored.renewal_pending && !stored.used_elsewhere);
}

#[test]
fn key_pairs_that_cannot_be_read_are_not_forgotten() {
    let (root, storage, stored) = recorded_storage();
    let path = root.path().join("storage");
    let mut keys = BoundKeys::default();
    keys.add(Arc::new(KeyPair::generate().unwrap()), std::time::UNIX_EPOCH);
    storage.save_keys(&keys).unwrap();
    let history = path.join(BOUND_KEY_FILES[2]);
    fs::remove_file(&history).unwrap();
    fs::create_dir(&history).unwrap();
    storage.load().unwrap();
    storage.load_keys().unwrap_err();
    // The agent saves what it knows in the new directory.
    fs::rename(&path, root.path().join("previous")).unwrap();
    assert_eq!(storage.load().unwrap().unwrap().identity.user.der, stored.identity.user.der);
    assert_eq!(storage.load_keys().unwrap().encode().unwrap(), keys.encode().unwrap());
}
