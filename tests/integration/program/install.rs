//! `tbot install systemd`: the unit, what it changes on the system, and what systemd says about it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output};

use super::bot_fixture::BotFixture;
use super::fixture::{Finished, Run, Telemetry, program, tbot};

/// The directory of the output cannot be created, because its parent does not exist. The parent of the default storage may exist on
/// the machine that runs the tests, and the users of the units may be unable to enter it.
const CONFIG: &str = "\
version: v2
proxy_server: teleport.example.com:443
onboarding: {join_method: token, token: /etc/tbot.token}
storage: {type: directory, path: /var/lib/missing/bot}
services:
  - {type: identity, destination: {type: directory, path: /opt/missing/machine-id}}
";

const INSTALL: [&str; 4] = ["install", "systemd", "-c", "tbot.yaml"];

const WRITE: [&str; 3] = ["--write", "--systemd-directory", "."];

/// Numbers are valid on every machine, whatever users it has.
const OWNER: [&str; 2] = ["--user=65533", "--group=65532"];

fn install(flags: &[&str]) -> Run {
    tbot(Telemetry::ClosedPort, &[&INSTALL[..], flags].concat()).file("tbot.yaml", CONFIG)
}

/// Asserts success without a message other than that the directory of the output does not exist, and returns what was printed.
fn printed(finished: &Finished) -> String {
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    assert!(finished.stderr.lines().all(|line| line.starts_with("warning: /opt/")), "{}", finished.stderr);
    finished.stdout.clone()
}

#[test]
fn the_unit_is_printed_and_nothing_is_written() {
    let finished = install(&[]).run();
    let program = std::fs::canonicalize(program()).unwrap();
    let unit = printed(&finished).replace(program.to_str().unwrap(), "/usr/local/bin/tbot");
    // The unit does not hide the directories of this test, wherever they are.
    let unit =
        unit.replace("PrivateTmp=no", "PrivateTmp=yes").replace("ProtectHome=read-only", "ProtectHome=yes");
    insta::assert_snapshot!(unit);
    let entries = std::fs::read_dir(finished.path()).unwrap();
    assert_eq!(entries.count(), 1, "only the configuration");
}

#[test]
fn the_unit_sets_the_telemetry_variable_only_if_a_flag_decides() {
    let variable = |flags: &[&str]| {
        let unit = printed(&install(flags).run());
        unit.lines().find(|line| line.contains("TELEMETRY")).map(str::to_owned)
    };
    assert_eq!(variable(&["--anonymous-telemetry-opt-in"]), None);
    let set = |value| Some(format!("Environment=TELEPORT_ANONYMOUS_TELEMETRY={value}"));
    assert_eq!(variable(&["--anonymous-telemetry"]), set(1));
    assert_eq!(variable(&["--no-anonymous-telemetry"]), set(0));
    let both = install(&["--anonymous-telemetry", "--no-anonymous-telemetry"]).run();
    assert_eq!(both.status, Some(2), "{}", both.stderr);
}

/// The command may be a program of a runtime that writes the code that it executes.
#[test]
fn a_command_of_the_configuration_may_execute_what_it_writes() {
    let permits = |config: &str| {
        let unit = printed(&install(&[]).file("tbot.yaml", config).run());
        !unit.lines().any(|line| line == "MemoryDenyWriteExecute=yes")
    };
    let generic_oidc = |settings: &str| {
        let onboarding = format!("{{join_method: generic_oidc, token: bot, generic_oidc: {settings}}}");
        CONFIG.replace("{join_method: token, token: /etc/tbot.token}", &onboarding)
    };
    assert!(permits(&generic_oidc("{command: [print-token]}")));
    assert!(!permits(&generic_oidc("{env: ID_TOKEN, command: []}")));
    assert!(!permits(CONFIG));
}

#[test]
fn an_empty_flag_counts_as_not_set() {
    let empty = ["--name", "", "--user=", "--group", "", "--systemd-directory", "", "--pid-file="];
    let unit = printed(&install(&empty).run());
    for line in ["User=teleport", "Group=teleport", "RuntimeDirectory=tbot"] {
        assert!(unit.lines().any(|one| one == line), "{unit}");
    }
}

#[test]
fn a_unit_that_differs_is_replaced_only_with_force() {
    let written = install(&[&WRITE[..], &OWNER].concat()).run();
    assert!(printed(&written).contains("systemctl daemon-reload"), "{}", written.stdout);
    let unit = written.read_file("tbot.service");
    assert_eq!(written.metadata("tbot.service").permissions().mode() & 0o777, 0o644);
    assert!(!written.has_file("tbot.service.tbot-new"));

    // Each run has its own directory, which the unit names.
    let directory = written.path().to_str().unwrap().to_owned();
    let config = format!("{directory}/tbot.yaml");
    let again = |flags: &[&str]| {
        let arguments = ["install", "systemd", "-c", &config, "--write", "--systemd-directory", &directory];
        tbot(Telemetry::ClosedPort, &[&arguments, flags].concat()).run()
    };
    assert!(printed(&again(&OWNER)).ends_with("is up to date\n"));

    let other = ["--user=65531", "--group=65532"];
    let refused = again(&other);
    assert_eq!(refused.status, Some(1), "{}", refused.stderr);
    assert_eq!(refused.stdout, "- User=65533\n+ User=65531\n");
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    assert_eq!(written.read_file("tbot.service"), unit);

    printed(&again(&[&other[..], &["--force"]].concat()));
    assert_eq!(written.read_file("tbot.service"), unit.replace("User=65533", "User=65531"));
}

#[test]
fn a_configuration_that_the_unit_cannot_run_is_refused() {
    let refused = |config: &str, flags: &[&str], status: i32| {
        let finished = install(&[&WRITE[..], flags].concat()).file("tbot.yaml", config).run();
        assert_eq!(finished.status, Some(status), "{config} {flags:?}: {}", finished.stderr);
        assert!(!finished.has_file("tbot.service"));
    };
    refused("version: v2\nservices: [{type: identiy}]\n", &[], 3);
    refused(&format!("{CONFIG}oneshot: true\n"), &[], 2);
    refused(&CONFIG.replace("/opt/missing/machine-id", "out"), &[], 2);
    refused(&CONFIG.replace("/opt/missing/machine-id", "/opt/a/../b"), &[], 2);
    let relative =
        CONFIG.replace("/opt/missing/machine-id", "out").replace("/var/lib/missing/bot", "./storage");
    let finished = install(&WRITE).file("tbot.yaml", relative).run();
    assert_eq!(finished.stderr.matches("is relative").count(), 2, "{}", finished.stderr);
    assert!(!finished.stderr.contains('\\'), "{}", finished.stderr);
    let tunnel = "{type: application-tunnel, app_name: a, listen: 'unix:///run/tbot/sub/a.sock'}";
    refused(&format!("{CONFIG}  - {tunnel}\n"), &[], 2);
    refused(CONFIG, &["--name", "a/b"], 2);
    refused(CONFIG, &["--user", "a b"], 2);
    for config in [&["-c", "-"][..], &["--config-string", "e30K"], &[]] {
        let arguments = [&["install", "systemd"][..], &WRITE, config].concat();
        let finished = tbot(Telemetry::ClosedPort, &arguments).run();
        assert_eq!(finished.status, Some(2), "{}", finished.stderr);
        assert!(finished.stderr.contains("--config"), "{}", finished.stderr);
    }
}

#[test]
fn a_configuration_that_the_agent_never_starts_is_refused_and_warnings_are_printed() {
    let multiplexer = CONFIG.replace("type: identity", "type: ssh-multiplexer");
    let no_method = CONFIG.replace("join_method: token, ", "");
    for (config, code) in [(multiplexer, "not-supported"), (no_method, "missing-join-method")] {
        let refused = install(&WRITE).file("tbot.yaml", &config).run();
        assert_eq!(refused.status, Some(3), "{}", refused.stderr);
        assert_eq!(refused.diagnostic_codes(), [format!("error[{code}]")]);
        assert!(!refused.has_file("tbot.service"));
        // Another version or another configuration may run the unit that is only printed.
        let printed = install(&[]).file("tbot.yaml", &config).run();
        assert_eq!(printed.status, Some(0), "{}", printed.stderr);
        assert!(printed.stdout.contains("ExecStart=") && printed.stderr.contains(code), "{}", printed.stderr);
    }
    // `systemctl edit` can set the variable that supplies a proxy.
    let with_address = |line: &str| CONFIG.replace("proxy_server: teleport.example.com:443\n", line);
    for (config, diagnostic) in [
        (with_address(""), "note[missing-address]"),
        (with_address("auth_server: a.example.com:3025\n"), "warning[unverified-auth-server]"),
    ] {
        let written = install(&WRITE).file("tbot.yaml", config).run();
        assert_eq!(written.status, Some(0), "{}", written.stderr);
        assert_eq!(written.diagnostic_codes(), [diagnostic]);
        assert!(written.has_file("tbot.service"));
    }
}

#[test]
fn a_pid_file_that_the_unit_does_not_permit_is_refused() {
    let pid_file = |path: &str| install(&["--pid-file", path]).run();
    for path in [
        "/run/tbot/other.pid",
        "/var/run/tbot/tbot.pid",
        "/opt/missing/machine-id/tbot.pid",
        "/var/lib/missing/bot/pid",
    ] {
        let unit = printed(&pid_file(path));
        assert!(unit.contains(&format!("--pid-file={path}\n")), "{unit}");
    }
    for path in [
        "/run/tbot.pid",
        "/run/other/tbot.pid",
        "/tmp/tbot.pid",
        "/run/tbot/../tbot.pid",
        "tbot.pid",
        "/run/tbot/x/y.pid",
    ] {
        let refused = pid_file(path);
        assert_eq!((refused.status, refused.stdout.as_str()), (Some(2), ""), "{path}: {}", refused.stderr);
    }
    let refused = install(&["--name", "a", "--pid-file", "/run/a.pid"]).run();
    insta::assert_snapshot!(refused.stderr, @"error: --pid-file: the unit does not permit the agent to write /run/a.pid: use /run/a/a.pid, or a file in a directory of the configuration");
}

#[test]
fn a_directory_without_which_systemd_does_not_start_the_unit_is_a_warning() {
    let root = tempfile::tempdir().unwrap();
    let [there, missing] = ["there", "isn't"].map(|name| root.path().join(name).to_str().unwrap().to_owned());
    std::fs::create_dir(&there).unwrap();
    // Every user can change them, so not even root creates a directory in them.
    for directory in [root.path(), Path::new(&there)] {
        std::fs::set_permissions(directory, Permissions::from_mode(0o777)).unwrap();
    }
    let warning = |directory: &str, flags: &[&str]| {
        let config = CONFIG.replace("/opt/missing/machine-id", directory);
        let finished = install(flags).file("tbot.yaml", config).run();
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        finished.stderr
    };
    let write = [&WRITE[..], &OWNER].concat();
    assert_eq!(warning(&there, &write), "");
    // systemd creates it, and the agent creates what is below it.
    assert_eq!(warning("/run/tbot", &write), "");
    assert_eq!(warning("/run/tbot/out", &write), "");
    let pid_file = |path: &str| warning(&there, &[&write[..], &["--pid-file", path]].concat());
    assert_eq!(pid_file(&format!("{there}/pid")), "");
    assert_eq!(pid_file("/var/lib/missing/bot/pid"), "");
    let no_directory = pid_file(&format!("{there}/sub/pid")).replace(root.path().to_str().unwrap(), "[dir]");
    insta::assert_snapshot!(no_directory, @"warning: [dir]/there/sub is not a directory, so the agent cannot write its PID file: create it with `install -d -o 65533 -g 65532 -m 0700 '[dir]/there/sub'`");
    // Without --write, the unit may be for another machine.
    assert_eq!(warning(&missing, &[]), "");
    let warning = warning(&missing, &write).replace(root.path().to_str().unwrap(), "[dir]");
    insta::assert_snapshot!(warning, @r"warning: [dir]/isn't is not a directory, so systemd will not start the unit: create it with `install -d -o 65533 -g 65532 -m 0700 '[dir]/isn'\''t'`");
}

/// Without them, nothing else about their access can be said.
#[test]
fn an_owner_that_does_not_exist_is_the_only_warning() {
    let write = |owner: &[&str]| {
        let flags = [&WRITE[..], owner].concat();
        let finished = install(&flags).run();
        assert!(finished.has_file("tbot.service"), "{}", finished.stderr);
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        finished.stderr
    };
    insta::assert_snapshot!(write(&["--user=nobody-here", "--group=none-here"]), @r"
    warning: there is no user nobody-here on this machine, so systemd will not start the unit: create it and run this command again, or name another with --user
    warning: there is no group none-here on this machine, so systemd will not start the unit: create it and run this command again, or name another with --group
    ");
    assert_eq!(write(&["--user=65533", "--group=none-here"]).lines().count(), 1);
    // The unit that is only printed may be for another machine.
    assert_eq!(install(&["--user=nobody-here"]).run().stderr, "");
}

#[test]
#[ignore = "needs root"]
fn root_creates_a_missing_directory_in_one_that_only_root_can_change() {
    let root = tempfile::tempdir().unwrap();
    std::fs::set_permissions(&root, Permissions::from_mode(0o755)).unwrap();
    let directory = root.path().join("out");
    let install_as = |user: &str| {
        let flags = [&WRITE[..], &["--user", user, "--group", "65534"]].concat();
        let config = CONFIG.replace("/opt/missing/machine-id", directory.to_str().unwrap());
        let finished = install(&flags).file("tbot.yaml", config).run();
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        (finished.stderr, finished.stdout.contains("created "))
    };
    std::fs::set_permissions(&root, Permissions::from_mode(0o777)).unwrap();
    assert!(!install_as("65533").1 && !directory.exists());
    std::fs::set_permissions(&root, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(install_as("65533"), (String::new(), true));
    let metadata = std::fs::metadata(&directory).unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (65533, 65534, 0o700));
    assert_eq!(install_as("65533"), (String::new(), false));
}

#[test]
#[ignore = "needs root"]
fn a_parent_that_the_user_of_the_unit_cannot_enter_is_a_warning() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("out");
    std::fs::create_dir(&directory).unwrap();
    let warning = |user: &str, mode: u32, group: u32| {
        std::fs::set_permissions(&root, Permissions::from_mode(mode)).unwrap();
        std::os::unix::fs::chown(&root, None, Some(group)).unwrap();
        let flags = [&WRITE[..], &["--user", user, "--group", "65532"]].concat();
        let config = CONFIG.replace("/opt/missing/machine-id", directory.to_str().unwrap());
        let finished = install(&flags).file("tbot.yaml", config).run();
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        finished.stderr.replace(root.path().to_str().unwrap(), "[dir]")
    };
    let closed = warning("65533", 0o700, 0);
    insta::assert_snapshot!(closed, @"warning: 65533 cannot enter [dir], so the agent cannot use [dir]/out: permit it with `chmod o+x '[dir]'`, or use another directory");
    assert_eq!(warning("65533", 0o711, 0), "");
    assert_eq!(warning("root", 0o700, 0), "");
    assert_eq!(warning("65533", 0o710, 0), closed);
    assert_eq!(warning("65533", 0o710, 65534), "");
    std::os::unix::fs::chown(&root, Some(65533), None).unwrap();
    assert_eq!(warning("65533", 0o700, 0), "");
}

#[test]
#[ignore = "needs root"]
fn a_configuration_that_the_user_of_the_unit_cannot_read_is_a_warning() {
    let warning = |user: &str, mode: u32, group: u32| {
        let run = install(&[&WRITE[..], &["--user", user, "--group", "65532"]].concat());
        let config = run.path().join("tbot.yaml");
        std::fs::write(&config, CONFIG.replace("/opt/missing/machine-id", "/run/tbot")).unwrap();
        std::fs::set_permissions(&config, Permissions::from_mode(mode)).unwrap();
        std::os::unix::fs::chown(&config, Some(0), Some(group)).unwrap();
        let finished = run.run();
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        finished.stderr
    };
    let unreadable = warning("65533", 0o600, 0);
    insta::assert_snapshot!(unreadable, @"warning: 65533 cannot read tbot.yaml: permit it with `chgrp 65532 'tbot.yaml' && chmod g+r 'tbot.yaml'`");
    assert_eq!(warning("65533", 0o640, 0), unreadable);
    let run = install(&[&WRITE[..], &OWNER].concat());
    let token = run.path().join("token");
    std::fs::write(&token, "secret").unwrap();
    std::fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
    let config = CONFIG
        .replace("/etc/tbot.token", token.to_str().unwrap())
        .replace("/opt/missing/machine-id", "/run/tbot");
    let kubernetes = config
        .replace("join_method: token", "join_method: kubernetes")
        .replace("token: ", "token: bot, kubernetes: {token_path: ")
        .replace("}\nstorage", "}}\nstorage");
    for config in [config, kubernetes] {
        let finished = tbot(Telemetry::ClosedPort, &[&INSTALL[..], &WRITE, &OWNER].concat())
            .file("tbot.yaml", &config)
            .run();
        let warning = format!("warning: 65533 cannot read {}: ", token.display());
        assert!(finished.stderr.contains(&warning), "{config} {}", finished.stderr);
    }
    for (user, mode, group) in [("root", 0o600, 0), ("65533", 0o640, 65534), ("65533", 0o644, 0)] {
        assert_eq!(warning(user, mode, group), "", "{user} {mode:o}");
    }
}

/// Runs `systemd-analyze` with the unit as its last argument.
fn analyze(unit: &Finished, arguments: &[&str]) -> Output {
    let unit = unit.path().join("tbot.service");
    Command::new("systemd-analyze").args(arguments).arg(unit).output().unwrap()
}

#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_accepts_the_unit_and_finds_it_well_protected() {
    let awkward = CONFIG.replace("/opt/missing/machine-id", "/opt/missing/a b %n \"q\" $HOME \\");
    for (config, flags) in [(CONFIG, &["--anonymous-telemetry"][..]), (awkward.as_str(), &["--user", "root"])]
    {
        let unit = install(&[&WRITE[..], flags].concat()).file("tbot.yaml", config).run();
        // The second name causes warnings.
        assert_eq!(unit.status, Some(0), "{}", unit.stderr);
        let verified = analyze(&unit, &["verify", "--man=no"]);
        let messages = String::from_utf8_lossy(&verified.stderr);
        let about_unit: Vec<_> = messages.lines().filter(|line| line.contains("tbot.service")).collect();
        assert!(verified.status.success() && about_unit.is_empty(), "{messages}");
    }
    let unit = install(&WRITE).run();
    // In tenths of a point: from 0 for a unit that may do nothing to 100 for one that may do everything.
    let security = analyze(&unit, &["security", "--offline=true", "--no-pager", "--threshold=25"]);
    assert!(security.status.success(), "{}", String::from_utf8_lossy(&security.stdout));
}

/// Returns the system calls of each group of systemd, such as `@file-system`. A group may contain others.
fn system_call_groups() -> BTreeMap<String, Vec<String>> {
    let listed = Command::new("systemd-analyze").args(["syscall-filter", "--no-pager"]).output().unwrap();
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    let mut group = String::new();
    for line in String::from_utf8(listed.stdout).unwrap().lines() {
        match line.strip_prefix("    ") {
            None => group = line.to_owned(),
            Some(call) => groups.entry(group.clone()).or_default().push(call.to_owned()),
        }
    }
    groups
}

fn add_system_calls(group: &str, groups: &BTreeMap<String, Vec<String>>, calls: &mut BTreeSet<String>) {
    for call in groups.get(group).into_iter().flatten() {
        if call.starts_with('@') {
            add_system_calls(call, groups, calls);
        } else {
            calls.insert(call.clone());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace, systemd-analyze, and a kernel that permits strace"]
async fn the_unit_permits_what_the_agent_does() {
    let unit = printed(&install(&[]).run_blocking());
    let values = |key: &str| -> BTreeSet<String> {
        let value = unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        value.split(' ').map(str::to_owned).collect()
    };
    let (groups, mut permitted) = (system_call_groups(), BTreeSet::new());
    values("SystemCallFilter=").iter().for_each(|group| add_system_calls(group, &groups, &mut permitted));
    let families = values("RestrictAddressFamilies=");

    let fixture = BotFixture::new().await;
    fixture.change_config(|config| {
        config["services"][0]["destination"]["readers"] = serde_json::json!([{ "user": "1" }]);
    });
    let finished = fixture.start(&["--oneshot", "--pid-file", "pid"]).with_strace("all").run_blocking();
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    let trace = finished.read_file("trace");
    let is_name = |call: &str| call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let mut count = 0;
    for line in trace.lines() {
        let call = line.split_once(' ').and_then(|(_, call)| call.trim_start().split_once('('));
        let Some((call, arguments)) = call.filter(|(call, _)| is_name(call)) else { continue };
        count += 1;
        assert!(permitted.contains(call), "{line}");
        if call == "socket" {
            assert!(families.contains(arguments.split(',').next().unwrap()), "{line}");
        }
        assert!(!arguments.contains("PROT_WRITE|PROT_EXEC"), "{line}");
    }
    assert!(count > 100, "{trace}");
}
