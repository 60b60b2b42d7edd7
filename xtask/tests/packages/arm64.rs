//! Builds the packages for 64-bit ARM, installs them, and runs the programs on an emulated processor.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cluster::{TestCluster, free_port, wait_for_port};
use crate::machine::Machine;
use crate::{PROGRAMS, files_ending_with, run, starts_in};

const EMULATOR: &str = "usr/bin/qemu-aarch64-static";
/// The directory of Debian's package `libc6-arm64-cross`.
const LIBRARIES: &str = "/usr/aarch64-linux-gnu/lib";
const USER: u32 = 65532;

#[test]
#[ignore = "builds for ten minutes; needs root, cargo-deb, dpkg, and the tools for 64-bit ARM of docs/how-to/packages.md"]
fn packages_for_arm_run_on_an_emulated_processor() {
    let emulator = Path::new("/").join(EMULATOR);
    assert!(emulator.exists(), "not run: {} is missing; install qemu-user-static", emulator.display());
    let output = tempfile::tempdir().unwrap();
    let mut dist = Command::new(env!("CARGO_BIN_EXE_xtask"));
    dist.args(["dist", "--target", "aarch64-unknown-linux-gnu", "--output"]).arg(output.path());
    run(&mut dist);
    run(Command::new("sha256sum").current_dir(&output).args(["--quiet", "--check", "SHA256SUMS"]));
    let packages = files_ending_with(output.path(), "_arm64.deb");
    assert_eq!(packages.len(), 2, "{packages:?}");

    let machine = Machine::new("arm64");
    // Fails if a dependency cannot be installed on this architecture.
    machine.dpkg("--install", &packages);
    for library in ["ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libgcc_s.so.1"] {
        machine.copy(&Path::new(LIBRARIES).join(library), &format!("lib/{library}"));
    }
    machine.copy(&emulator, EMULATOR);
    let program = |name: &str, arguments: &[&str]| {
        let mut command = machine.command(&format!("/{EMULATOR}"));
        command.arg(format!("/usr/bin/{name}")).args(arguments);
        command.env("SSL_CERT_FILE", "/etc/ca.pem");
        command
    };
    for name in PROGRAMS {
        let version = run(&mut program(name, &["--version"]));
        assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
        run(&mut program(name, &["--help"]));
    }

    let cluster = TestCluster::start();
    machine.write("etc/ca.pem", cluster.ca());
    for directory in ["opt/machine-id", "var/lib/teleport/bot", "var/lib/prehog"] {
        fs::create_dir_all(machine.path(directory)).unwrap();
        chown(machine.path(directory), Some(USER), Some(USER)).unwrap();
    }
    machine.write("etc/tbot.yaml", &cluster.configuration(&cluster.join_token("robot")));
    run(&mut program("tbot", &["version"]));
    run(&mut program("tbot", &["validate", "/etc/tbot.yaml"]));
    run(&mut program("tbot", &["telemetry", "preview", "-c", "/etc/tbot.yaml"]));
    run(&mut program("tbot", &["start", "--oneshot", "-c", "/etc/tbot.yaml"]));
    assert!(machine.path("opt/machine-id/identity").exists());

    let (port, store) = (free_port(), "sqlite:/var/lib/prehog/events.db");
    let listen = format!("127.0.0.1:{port}");
    let mut prehog = program("prehog", &["serve", "--listen", &listen, "--store", store]);
    let mut prehog = prehog.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_port(port);
    machine.write("etc/telemetry.yaml", &cluster.configuration_with_telemetry("reporter"));
    let mut report = program("tbot", &["start", "--oneshot", "-c", "/etc/telemetry.yaml"]);
    run(report.env("TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS", format!("http://{listen}")));
    run(Command::new("kill").arg(prehog.id().to_string()));
    assert!(prehog.wait().unwrap().success());
    run(&mut program("prehog", &["report", "--store", store, "--format", "json"]));
    let starts = run(&mut program("prehog", &["export", "--store", store]));
    assert_eq!(starts_in(&starts), 1, "{starts}");
}
