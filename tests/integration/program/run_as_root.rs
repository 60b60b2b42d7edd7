//! Root runs the agent once with the storage of the agent's usual user, for example to find a problem, or edits a file of an output: that
//! user's service must be able to go on, or say which file is in the way.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use serde_json::json;

use super::bot_fixture::BotFixture;
use super::init::{AGENT, output_as, run_as};

/// Returns the names of the files in the storage that do not belong to the agent's user.
fn files_of_others(fixture: &BotFixture) -> Vec<String> {
    let entries = fs::read_dir(fixture.path("storage")).unwrap().map(Result::unwrap);
    let of_others = entries.filter(|entry| entry.metadata().unwrap().uid() != AGENT);
    of_others.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// Lets the agent's user read the configuration, and creates a directory for it.
fn prepare(fixture: &BotFixture, directory: &str) {
    fs::set_permissions(fixture.root(), fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["tbot.yaml", "web-ca.pem"] {
        fs::set_permissions(fixture.path(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    fs::create_dir(fixture.path(directory)).unwrap();
    chown(fixture.path(directory), Some(AGENT), Some(AGENT)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and setpriv"]
async fn a_file_that_root_has_replaced_fails_the_run_with_its_name_and_the_others_stay_links() {
    let fixture = BotFixture::new().await;
    prepare(&fixture, "storage");
    prepare(&fixture, "out");
    let config = fixture.path("tbot.yaml");
    let arguments = ["start", "-c", config.to_str().unwrap(), "--oneshot"];
    let run = || tokio::task::block_in_place(|| output_as(AGENT, &fixture, &arguments));
    assert!(run().status.success());
    let edited = fixture.path("out/ssh_config");
    let content = fs::read(&edited).unwrap();
    // As `sed -i` does.
    fs::remove_file(&edited).unwrap();
    fs::write(&edited, content).unwrap();
    let failed = run();
    let log = String::from_utf8(failed.stderr).unwrap();
    assert!(!failed.status.success() && log.contains(edited.to_str().unwrap()), "{log}");
    assert!(fs::symlink_metadata(fixture.path("out/identity")).unwrap().is_symlink());
    fs::remove_file(&edited).unwrap();
    assert!(run().status.success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and setpriv"]
async fn a_run_as_root_leaves_the_storage_to_the_agents_user() {
    for joins_as_root in [true, false] {
        let fixture = BotFixture::new().await;
        fixture.change_config(|config| config["services"][0]["destination"] = json!({ "type": "memory" }));
        prepare(&fixture, "storage");
        let config = fixture.path("tbot.yaml");
        let run_as_agent = || {
            tokio::task::block_in_place(|| {
                run_as(AGENT, &fixture, &["start", "-c", config.to_str().unwrap(), "--oneshot"]);
            });
        };
        if !joins_as_root {
            run_as_agent();
        }
        for is_down in [true, false] {
            fixture.cluster.set_down(is_down);
            let finished = fixture.start(&["--oneshot"]).run_blocking();
            assert_eq!(finished.status, Some(i32::from(is_down)), "{}", finished.stderr);
            assert_eq!(files_of_others(&fixture), Vec::<String>::new());
        }
        run_as_agent();
        assert_eq!(files_of_others(&fixture), Vec::<String>::new());
    }
}
