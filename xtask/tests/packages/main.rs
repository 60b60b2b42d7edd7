//! Makes archives and Debian packages with `cargo xtask dist`, and installs them: in a directory, in a Debian that is booted, in
//! container images, and on an emulated processor.

#![expect(clippy::unwrap_used, reason = "a failing helper must fail its test")]

mod archives;
mod arm64;
mod booted;
mod cluster;
mod containers;
mod installation;
mod machine;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use xtask_launcher::root;

pub(crate) const PROGRAMS: [&str; 2] = ["tbot", "prehog"];

/// Runs a command that must succeed, and returns what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {messages}");
    String::from_utf8(output.stdout).unwrap()
}

/// Builds the programs with the profile of this test, and returns a directory with them, without debug information.
pub(crate) fn stripped_programs() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_xtask")).parent().unwrap();
    let profile = match built.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    // For this test alone, cargo has built only xtask. With another test, the dependencies have the features that they have for tests.
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(root().unwrap()).args([
        "build",
        "--locked",
        "--workspace",
        "--bins",
        "--test",
        "doc_paths",
        "--profile",
        profile,
    ]);
    run(build.arg("--target-dir").arg(built.parent().unwrap()));
    for program in PROGRAMS {
        run(Command::new("strip").arg("-o").arg(directory.path().join(program)).arg(built.join(program)));
    }
    directory
}

/// Runs `cargo xtask dist` with programs that are already built, and returns the directory that it wrote.
pub(crate) fn dist(binaries: &Path, change: impl FnOnce(&mut Command)) -> TempDir {
    let output = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["dist", "--binaries"]).arg(binaries).arg("--output").arg(output.path());
    change(&mut command);
    run(&mut command);
    output
}

/// Returns the files in a directory whose names end like this.
pub(crate) fn files_ending_with(directory: &Path, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.to_str().unwrap().ends_with(end)).collect();
    files.sort();
    files
}

/// Returns the number of starts in the output of `prehog export`.
pub(crate) fn starts_in(exported: &str) -> u64 {
    let lines = exported.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.map(|line| line["starts"].as_u64().unwrap()).sum()
}
