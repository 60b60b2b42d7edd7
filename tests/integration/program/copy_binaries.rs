//! `tbot copy-binaries` copies the program without a shell.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::fixture::{Telemetry, program, tbot};

#[test]
fn the_copy_is_a_whole_program_and_replaces_an_older_one() {
    let copy = ["copy-binaries", "--include-fdpass", "."];
    let finished = tbot(Telemetry::ClosedPort, &copy).file("tbot", "old").run();
    assert_eq!((finished.status, finished.stdout.as_str()), (Some(0), ""), "{}", finished.stderr);
    insta::assert_snapshot!(finished.stderr, @"note: there is no fdpass-teleport to copy: the ssh_config files of this agent run tbot itself");
    assert_eq!(finished.metadata("tbot").permissions().mode() & 0o7777, 0o755);
    let version = |program| Command::new(program).arg("version").output().unwrap().stdout;
    let copied = version(finished.path().join("tbot"));
    assert!(!copied.is_empty() && copied == version(program()));
    assert_eq!(std::fs::read_dir(finished.path()).unwrap().count(), 1, "only the copy");
}

#[test]
fn the_negated_flag_of_the_go_agent_has_no_effect() {
    let finished = tbot(Telemetry::ClosedPort, &["copy-binaries", "--no-include-fdpass", "."]).run();
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_directory_that_does_not_exist_is_an_error() {
    let finished = tbot(Telemetry::ClosedPort, &["copy-binaries", "missing"]).run();
    assert_eq!(finished.status, Some(1), "{}", finished.stderr);
    insta::assert_snapshot!(finished.stderr, @"error: cannot write missing/tbot: No such file or directory (os error 2)");
}
