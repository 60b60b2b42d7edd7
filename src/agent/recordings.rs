//! Files that a real Teleport 15 server and its Go agent left, for unit tests.

use crate::agent::credential::authority::Authority;

/// The text of a file under `tests/recordings/teleport-15`.
pub(crate) fn recorded(name: &str) -> String {
    let path = format!("{}/tests/recordings/teleport-15/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The cluster's host authority.
pub(crate) fn recorded_host_authority() -> Authority {
    // The second of the stored authorities is the host's.
    let keys = recorded("storage/sshcacerts");
    Authority {
        cluster: "dev.test".to_owned(),
        ssh: vec![keys.split('$').nth(1).unwrap().trim().to_owned()],
        tls: vec![recorded("outputs/identity/teleport-host-ca.crt")],
    }
}

/// Response bytes of the first recorded call of `method` whose request text contains `request`.
pub(crate) fn recorded_response(method: &str, request: &str) -> Vec<u8> {
    let calls: Vec<serde_json::Value> = serde_json::from_str(&recorded("restart-renewal.json")).unwrap();
    let call = calls
        .iter()
        .find(|call| {
            call["method"].as_str().unwrap().ends_with(method)
                && call["error"] == ""
                && call["request"].to_string().contains(request)
        })
        .unwrap_or_else(|| panic!("no recorded {method}"));
    let hex = call["response_hex"].as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
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
