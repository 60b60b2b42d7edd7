//! Installs the Debian packages in a directory, runs the programs there, and removes the packages.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

use crate::machine::Machine;
use crate::{PROGRAMS, dist, files_ending_with, run, stripped_programs};

const CONFIG: &str = "\
version: v2
proxy_server: teleport.example.com:443
onboarding: {join_method: token, token: 3f1c9a6d5b7e4820a1c4d9e8b6f50372}
services: [{type: identity, destination: {type: memory}}]
";

#[test]
#[ignore = "needs root, cargo-deb, dpkg, systemd, zsh and fish"]
fn packages_are_installed_run_and_removed() {
    let programs = stripped_programs();
    let output = dist(programs.path(), |_| {});
    let packages = files_ending_with(output.path(), ".deb");
    assert_eq!(packages.len(), 2, "{packages:?}");

    for package in &packages {
        let dependencies = run(Command::new("dpkg-deb").arg("--field").arg(package).arg("Depends"));
        assert!(dependencies.split(", ").any(|name| name.trim() == "ca-certificates"), "{dependencies}");
    }

    let machine = Machine::new("amd64");
    machine.dpkg("--install", &packages);
    assert!(machine.read("etc/passwd").contains("tbot:"), "there is no user for the agent");
    assert_units(&machine);
    assert_programs_run(&machine);
    assert_completions(&machine);

    // It may contain the password of a ClickHouse server.
    assert_eq!(fs::metadata(machine.path("etc/default/prehog")).unwrap().permissions().mode() & 0o777, 0o640);

    // An upgrade keeps what an administrator has changed.
    machine.write("etc/default/prehog", "PREHOG_STORE=sqlite:/var/lib/prehog/other.db\n");
    machine.dpkg("--install", &packages);
    assert!(machine.read("etc/default/prehog").contains("other.db"));

    // Removal keeps the configuration and the data, and only a purge deletes them.
    machine.write("var/lib/teleport/bot/tbot-identity", "");
    machine.write("var/lib/teleport/host_uuid", "");
    machine.write("var/lib/private/prehog/events.db", "");
    symlink("private/prehog", machine.path("var/lib/prehog")).unwrap();
    machine.remove("--remove");
    for removed in ["usr/bin/tbot", "usr/bin/prehog", "usr/lib/systemd/system/tbot.service"] {
        assert!(!machine.has(removed), "{removed}");
    }
    let data = ["etc/default/prehog", "var/lib/teleport/bot", "var/lib/prehog", "var/lib/private/prehog"];
    for kept in data.iter().chain(&["etc/tbot.yaml"]) {
        assert!(machine.has(kept), "{kept}");
    }
    machine.remove("--purge");
    for purged in data {
        assert!(!machine.has(purged), "{purged}");
    }
    for of_others in ["etc/tbot.yaml", "var/lib/teleport/host_uuid"] {
        assert!(machine.has(of_others), "{of_others}");
    }
}

/// Checks that systemd accepts the units, and that installation has neither enabled them nor decided about telemetry.
fn assert_units(machine: &Machine) {
    let units = "usr/lib/systemd/system";
    let root = format!("--root={}", machine.0.path().display());
    // The targets that the units refer to.
    for target in ["sysinit", "basic", "shutdown", "network", "network-online", "multi-user"] {
        machine.write(&format!("{units}/{target}.target"), "[Unit]\nDescription=-\n");
    }
    machine.write("bin/kill", "");
    fs::set_permissions(machine.path("bin/kill"), fs::Permissions::from_mode(0o755)).unwrap();
    for program in PROGRAMS {
        let unit = format!("{program}.service");
        let verified = Command::new("systemd-analyze").args([&root, "verify", "--man=no", &unit]).output();
        let messages = String::from_utf8(verified.unwrap().stderr).unwrap();
        assert!(!messages.contains(&unit), "{messages}");
        let security = ["security", "--offline=true", "--no-pager", "--threshold=25"];
        run(Command::new("systemd-analyze").arg(&root).args(security).arg(&unit));
    }
    assert!(!machine.has("etc/systemd/system/multi-user.target.wants"), "a unit was enabled");
    let condition = machine.read(&format!("{units}/tbot.service.d/package.conf"));
    assert!(condition.contains("ConditionPathExists=/etc/tbot.yaml\n") && !machine.has("etc/tbot.yaml"));
    for file in ["tbot.service", "tbot.service.d/package.conf", "prehog.service"] {
        let content = machine.read(&format!("{units}/{file}")).to_lowercase();
        assert!(!content.contains("telemetry") && !content.contains("track"), "{file}: {content}");
    }
}

/// Runs both programs as a user without privileges, in a file system that has only the packages and the C library.
fn assert_programs_run(machine: &Machine) {
    for program in PROGRAMS {
        let program = format!("usr/bin/{program}");
        machine.add_libraries(&program);
        let version = run(machine.command(&format!("/{program}")).arg("--version"));
        assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    }
    machine.write("etc/tbot.yaml", CONFIG);
    let tbot = |arguments: &[&str]| run(machine.command("/usr/bin/tbot").args(arguments));
    tbot(&["validate", "/etc/tbot.yaml"]);
    let unit = tbot(&["install", "systemd", "-c", "/etc/tbot.yaml", "--user", "tbot", "--group", "tbot"]);
    assert_eq!(unit, machine.read("usr/lib/systemd/system/tbot.service"));

    let mut prehog = machine.command("/usr/bin/prehog");
    prehog.args(["serve", "--listen", "127.0.0.1:0", "--store", "sqlite:/tmp/events.db"]);
    fs::set_permissions(machine.path("tmp"), fs::Permissions::from_mode(0o777)).unwrap();
    let mut prehog = prehog.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(prehog.stderr.take().unwrap()).lines();
    let started = log.any(|line| line.unwrap().contains("receiving events"));
    assert!(started, "prehog has ended");
    run(Command::new("kill").arg(prehog.id().to_string()));
    log.for_each(drop);
    assert!(prehog.wait().unwrap().success());
}

/// Checks that each shell can read the scripts.
fn assert_completions(machine: &Machine) {
    for program in PROGRAMS {
        for (shell, script) in [
            ("bash", format!("usr/share/bash-completion/completions/{program}")),
            ("zsh", format!("usr/share/zsh/vendor-completions/_{program}")),
            ("fish", format!("usr/share/fish/vendor_completions.d/{program}.fish")),
        ] {
            run(Command::new(shell).arg("-n").arg(machine.path(&script)));
        }
    }
}
