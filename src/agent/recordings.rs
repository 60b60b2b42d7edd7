//! Files that a real Teleport 15 server and its Go agent left, for unit tests.

/// The text of a file under `tests/recordings/teleport-15`.
pub(crate) fn recorded(name: &str) -> String {
    let path = format!("{}/tests/recordings/teleport-15/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
