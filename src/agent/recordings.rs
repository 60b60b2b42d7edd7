//! Reads recordings of a real Teleport 15 cluster and its Go agent, for unit tests.

use crate::agent::credential::authority::CertAuthority;

/// Returns the content of a file in `tests/recordings/teleport-15`.
pub(crate) fn recorded(name: &str) -> String {
    let path = format!("{}/tests/recordings/teleport-15/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the host CA of the recorded cluster.
pub(crate) fn recorded_host_authority() -> CertAuthority {
    // The second stored SSH CA is the host CA.
    let keys = recorded("storage/sshcacerts");
    CertAuthority {
        cluster: "dev.test".parse().unwrap(),
        ssh: vec![keys.split('$').nth(1).unwrap().trim().to_owned()],
        tls: vec![recorded("outputs/identity/teleport-host-ca.crt")],
    }
}

/// Returns the response to the first successful recorded call of `method` whose request contains `request`.
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
    (0..hex.len()).step_by(2).map(|start| u8::from_str_radix(&hex[start..start + 2], 16).unwrap()).collect()
}

/// Returns a temporary copy of a recorded directory, which the test may change.
pub(crate) fn copy_recorded_directory(name: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let source = format!("{}/tests/recordings/teleport-15/{name}", env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(&source).unwrap_or_else(|error| panic!("{source}: {error}")) {
        let entry = entry.unwrap();
        std::fs::write(copy.path().join(entry.file_name()), std::fs::read(entry.path()).unwrap()).unwrap();
    }
    copy
}
