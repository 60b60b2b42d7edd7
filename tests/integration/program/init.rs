//! `tbot init`: root prepares a directory, and the agent then runs as another user.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Command, Output};

use serde_json::json;

use super::bot_fixture::BotFixture;
use super::fixture::{Finished, Telemetry, program, tbot};

/// Users that no file of the system belongs to.
pub(super) const AGENT: u32 = 54_321;
const READER: u32 = 54_322;
const OTHER: u32 = 54_323;

fn init(config: &str, arguments: &[&str]) -> Finished {
    tbot(Telemetry::ClosedPort, &[&["init", "-c", "tbot.yaml"], arguments].concat())
        .file("tbot.yaml", config)
        .run()
}

fn config(destinations: &[serde_json::Value]) -> String {
    let services: Vec<_> = destinations
        .iter()
        .map(|destination| json!({ "type": "identity", "destination": destination }))
        .collect();
    json!({
        "version": "v2",
        "proxy_server": "teleport.example.com:443",
        "onboarding": { "join_method": "token", "token": "a-token" },
        "services": services,
    })
    .to_string()
}

fn directory(path: &str) -> serde_json::Value {
    json!({ "type": "directory", "path": path })
}

#[test]
fn an_impossible_request_changes_nothing() {
    let [one, two] = ["one", "two"].map(directory);
    let mut without_acls = one.clone();
    without_acls["acls"] = json!("off");
    let user = rustix::process::geteuid().as_raw().to_string();
    let bot = ["--bot-user", user.as_str()];
    for (destinations, arguments) in [
        (vec![one.clone()], vec![]),
        (vec![one.clone()], vec!["--owner", "1"]),
        (vec![one.clone(), two.clone()], bot.to_vec()),
        (vec![one.clone(), two], [&bot[..], &["--init-dir", "three"]].concat()),
        (vec![json!({ "type": "memory" })], bot.to_vec()),
        (vec![without_acls], [&bot[..], &["--reader-user", "1"]].concat()),
        (vec![directory("missing/one")], bot.to_vec()),
    ] {
        let finished = init(&config(&destinations), &arguments);
        assert_eq!(finished.status, Some(2), "{arguments:?}: {}", finished.stderr);
        assert!(!finished.has_file("one") && !finished.has_file("missing"), "{arguments:?}");
    }
    let unknown = init(&config(&[one]), &["--bot-user", "nobody-of-this-name"]);
    assert_eq!(unknown.status, Some(1), "{}", unknown.stderr);
    assert!(!unknown.has_file("one"));
    let memory = ["init", "--destination-dir", "memory://", "--bot-user", &user];
    let refused = tbot(Telemetry::ClosedPort, &memory).run();
    assert_eq!(refused.status, Some(2), "{}", refused.stderr);
    assert!(!refused.has_file("memory:"));
}

#[test]
fn the_directory_that_is_named_is_prepared() {
    let user = rustix::process::geteuid().as_raw().to_string();
    let two = config(&["one", "two"].map(directory));
    let finished = init(&two, &["--bot-user", &user, "--init-dir", "two/"]);
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
    assert!(finished.has_file("two/identity") && !finished.has_file("one"));
    assert_eq!(finished.metadata("two/identity").permissions().mode() & 0o777, 0o600);
    let arguments = ["init", "--destination-dir", "four", "--init-dir", "other", "--bot-user", &user];
    assert_eq!(tbot(Telemetry::ClosedPort, &arguments).run().status, Some(2));
    // The addresses are those of the Go agent. The command connects to neither.
    for addresses in [&[][..], &["--auth-server=auth.example:3025", "--proxy-server=proxy.example:443"]] {
        let arguments = [&["init", "--destination-dir", "three", "--bot-user", &user], addresses].concat();
        let finished = tbot(Telemetry::ClosedPort, &arguments).run();
        assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
        assert!(finished.has_file("three/tlscert"));
    }
}

/// Runs the program as a user without privileges, and asserts success.
pub(super) fn run_as(user: u32, fixture: &BotFixture, arguments: &[&str]) {
    let output = output_as(user, fixture, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs the program as a user without privileges.
pub(super) fn output_as(user: u32, fixture: &BotFixture, arguments: &[&str]) -> Output {
    let id = user.to_string();
    Command::new("setpriv")
        .args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"])
        .arg(program())
        .args(arguments)
        .env("SSL_CERT_FILE", fixture.path("web-ca.pem"))
        .env("DO_NOT_TRACK", "1")
        .output()
        .unwrap()
}

fn can_read(user: u32, path: &std::path::Path) -> bool {
    let id = user.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--", "cat"]).arg(path);
    command.output().unwrap().status.success()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, setpriv and a file system with ACLs"]
async fn the_agent_writes_as_its_own_user_what_the_reader_can_read() {
    let [agent, reader, owner] = [AGENT, READER, OTHER].map(|id| id.to_string());
    let foreign = format!("{owner}:{owner}");
    for (owner, is_used, in_place) in [
        (None, false, false),
        (None, true, false),
        (Some(foreign.as_str()), false, true),
        (Some(foreign.as_str()), true, true),
    ] {
        let fixture = BotFixture::new().await;
        let open = |path: &std::path::Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        open(fixture.root(), 0o755);
        for name in ["tbot.yaml", "web-ca.pem"] {
            open(&fixture.path(name), 0o644);
        }
        let create_for_agent = |name| {
            std::fs::create_dir(fixture.path(name)).unwrap();
            std::os::unix::fs::chown(fixture.path(name), Some(AGENT), Some(AGENT)).unwrap();
        };
        create_for_agent("storage");
        let config = fixture.path("tbot.yaml");
        let run_agent = || {
            tokio::task::block_in_place(|| {
                run_as(AGENT, &fixture, &["start", "-c", config.to_str().unwrap(), "--oneshot"]);
            });
        };
        let out = fixture.path("out");
        let identity = out.join("identity");
        // As written for the root cluster.
        let ssh_config = out.join("dev.test.ssh_config");
        if is_used {
            create_for_agent("out");
            run_agent();
            assert!(!can_read(READER, &identity));
        }

        let mut arguments =
            vec!["init", "-c", config.to_str().unwrap(), "--bot-user", &agent, "--reader-user", &reader];
        arguments.extend(owner.into_iter().flat_map(|owner| ["--owner", owner]));
        let finished = tbot(Telemetry::ClosedPort, &arguments).run_blocking();
        assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
        if is_used {
            assert!(can_read(READER, &identity) && can_read(READER, &ssh_config), "{in_place}");
        }
        // Twice: a renewal keeps the access.
        for _ in 0..2 {
            run_agent();
            assert!(std::fs::read_to_string(&identity).unwrap().contains("PRIVATE KEY"));
            assert!(can_read(READER, &identity), "{in_place}");
            assert!(!can_read(OTHER + 1, &identity), "{in_place}");
            assert_eq!(can_read(READER, &ssh_config), is_used);
            assert_eq!(out.join("..data").exists(), !in_place);
        }
        assert_eq!(std::fs::metadata(&out).unwrap().uid(), if in_place { OTHER } else { AGENT });
    }
}

#[test]
fn only_files_that_do_not_belong_to_the_output_are_removed() {
    use std::os::unix::ffi::OsStrExt as _;
    let user = rustix::process::geteuid().as_raw().to_string();
    let foreign = std::ffi::OsStr::from_bytes(b"one/\xff");
    let run = tbot(Telemetry::ClosedPort, &["init", "-c", "tbot.yaml", "--bot-user", &user, "--clean"])
        .file("tbot.yaml", config(&[directory("one")]));
    std::fs::create_dir(run.path().join("one")).unwrap();
    let own = ["one/leaf.test.ssh_config", "one/leaf.test.known_hosts"];
    for name in own {
        std::fs::write(run.path().join(name), "content").unwrap();
    }
    std::fs::write(run.path().join(foreign), "").unwrap();
    std::fs::write(run.path().join("one/-.ssh_config"), "").unwrap();
    let finished = run.run();
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
    assert!(own.iter().all(|name| finished.has_file(name)), "{}", finished.stdout);
    assert_eq!(finished.stdout.matches("removed").count(), 2, "{}", finished.stdout);
    assert!(!finished.has_file("one/-.ssh_config"));
    assert!(!finished.path().join(foreign).exists());
}
