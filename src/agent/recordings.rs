//! Files that a real Teleport 15 server and its Go agent left, for unit tests.

/// The text of a file under `tests/recordings/teleport-15`.
pub(crate) fn recorded(name: &str) -> String {
    let path = format!("{}/tests/recordings/teleport-15/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A copy of a recorded folder, to be worked on.
pub(crate) fn recorded_folder(name: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let source = format!("{}/tests/recordings/teleport-15/{name}", env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(&source).unwrap_or_else(|error| panic!("{source}: {error}")) {
        let entry = entry.unwrap();
        std::fs::write(copy.path().join(entry.file_name()), std::fs::read(entry.path()).unwrap()).unwrap();
    }
    copy
}
