//! Checks that an embedder of the library without features gets no async runtime, no TLS and no gRPC.

#![expect(clippy::unwrap_used, reason = "a failing helper must fail its test")]

use std::process::Command;

/// Crates that must not be dependencies of the library without features, which has configuration, diagnostics and the event.
const HEAVY_CRATES: [&str; 6] = ["aws-lc-rs", "hyper", "reqwest", "rustls", "tokio", "tonic"];

/// Returns the names of the crates that the library depends on.
fn dependencies(features: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "-p",
            "tbot",
            "-e",
            "normal",
            "--prefix",
            "none",
            "--no-default-features",
        ])
        .args(features)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    tree.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect()
}

#[test]
fn the_library_without_features_has_no_heavy_dependency() {
    let is_heavy = |name: &&String| HEAVY_CRATES.contains(&name.as_str());
    let light = dependencies(&[]);
    assert_eq!(light.iter().find(is_heavy), None);
    // The names are right: the agent depends on all of them.
    let agent = dependencies(&["--features", "agent"]);
    for heavy in HEAVY_CRATES {
        assert!(agent.iter().any(|name| name == heavy), "{heavy}");
    }
}
