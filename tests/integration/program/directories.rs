//! The program's log lines about directories and private files that it uses, and how it waits for the locks of directories.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use rustix::fs::FlockOperation;
use rustix::process::Signal;

use super::bot_fixture::BotFixture;
use crate::agent::fixture::{read, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn directories_that_every_user_may_write_raise_one_warning_each() {
    let fixture = BotFixture::new().await;
    for directory in ["storage", "out"] {
        fs::create_dir(fixture.path(directory)).unwrap();
        fs::set_permissions(fixture.path(directory), Permissions::from_mode(0o777)).unwrap();
    }
    let running = fixture.start(&[]).spawn();
    let key = fixture.path("out").join("key");
    wait_until("the output is written", || key.exists()).await;
    let first = read(&key);
    running.signal(Signal::HUP);
    wait_until("the output is written again", || read(&key) != first).await;
    running.signal(Signal::TERM);
    let finished = tokio::task::block_in_place(|| running.wait());
    for directory in ["storage", "out"] {
        let path = fixture.path(directory);
        let is_about = |message: &&str| message.contains(path.to_str().unwrap());
        let warnings = finished.log_at("WARN").into_iter().filter(is_about).count();
        assert_eq!(warnings, 1, "{directory}: {}", finished.stderr);
    }
}

/// As after a copy of the storage without `-p`.
#[tokio::test(flavor = "multi_thread")]
async fn keys_in_a_storage_that_every_user_can_read_raise_one_warning_and_get_the_default_mode() {
    let fixture = BotFixture::new().await;
    assert_eq!(fixture.start(&["--oneshot"]).run_blocking().status, Some(0));
    let path = |name: &str| fixture.path("storage").join(name);
    let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
    fs::set_permissions(path("."), Permissions::from_mode(0o755)).unwrap();
    // On a file system in memory, a file that can only be read is not reported.
    for name in ["key", "lock", "tlscert"] {
        fs::set_permissions(path(name), Permissions::from_mode(0o606)).unwrap();
    }
    fixture.cluster.set_down(true);
    for expected in [1, 0] {
        let finished = fixture.start(&["--oneshot"]).run_blocking();
        let is_about = |message: &&str| message.contains("every user can read key,");
        let warnings = finished.log_at("WARN").into_iter().filter(is_about).count();
        assert_eq!(warnings, expected, "{}", finished.stderr);
        assert_eq!([mode("key"), mode("lock"), mode("tlscert")], [0o600, 0o600, 0o606]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_that_every_user_may_change_raises_one_warning() {
    let fixture = BotFixture::new().await;
    let file = fixture.path("token");
    fixture.change_config(|config| {
        let token = config["onboarding"]["token"].take();
        fs::write(&file, token.as_str().unwrap()).unwrap();
        config["onboarding"]["token"] = file.to_str().unwrap().into();
    });
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    let running = fixture.start(&[]).spawn();
    wait_until("the bot has joined", || fixture.stored_generation() == Some(1)).await;
    running.signal(Signal::HUP);
    wait_until("the identity is renewed", || fixture.stored_generation() == Some(2)).await;
    running.signal(Signal::TERM);
    let finished = tokio::task::block_in_place(|| running.wait());
    let is_about = |message: &&str| message.contains(file.to_str().unwrap());
    assert_eq!(finished.log_at("WARN").into_iter().filter(is_about).count(), 1, "{}", finished.stderr);

    fs::set_permissions(&file, Permissions::from_mode(0o660)).unwrap();
    let finished = fixture.start(&["--oneshot"]).run_blocking();
    assert_eq!(finished.log_at("WARN"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_names_the_lock_that_it_waits_for_and_continues_when_it_is_released() {
    let fixture = BotFixture::new().await;
    fs::create_dir(fixture.path("out")).unwrap();
    let path = fixture.path("out").join(".tbot-lock");
    let lock = File::create(&path).unwrap();
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
    let running = fixture.start(&["--oneshot"]).spawn();
    let is_named = || {
        let mut lines = running.stderr().lines().map(str::to_owned).collect::<Vec<_>>().into_iter();
        lines.any(|line| line.contains("WARN") && line.contains(path.to_str().unwrap()))
    };
    wait_until("the lock is named", is_named).await;
    assert!(!fixture.path("out").join("key").exists());
    drop(lock);
    let finished = tokio::task::block_in_place(|| running.wait());
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    assert!(fixture.path("out").join("key").exists());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace, and a kernel that permits it"]
async fn outputs_are_written_without_locks_with_one_warning_and_the_storage_is_not() {
    // As on a network file system without locks. The first lock is that of the storage.
    for (failing, status) in [("2+", 0), ("1+", 1)] {
        let fixture = BotFixture::new().await;
        fixture.change_config(|config| {
            let mut second = config["services"][0].clone();
            second["destination"]["path"] = fixture.path("second").to_str().unwrap().into();
            config["services"].as_array_mut().unwrap().push(second);
        });
        let failing = format!("flock:error=ENOLCK:when={failing}");
        let finished = fixture.start(&["--oneshot"]).with_failing_call(&failing).run_blocking();
        assert_eq!(finished.status, Some(status), "{}", finished.stderr);
        let error = std::io::Error::from(rustix::io::Errno::NOLCK).to_string();
        let level = if status == 0 { "WARN" } else { "ERROR" };
        let messages = finished.log_at(level).into_iter().filter(|message| message.contains(&error));
        assert_eq!(messages.count(), 1, "{}", finished.stderr);
        for directory in ["out", "second"] {
            assert_eq!(fixture.path(directory).join("key").exists(), status == 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace, and a kernel that permits it"]
async fn symbolic_links_in_the_path_are_refused_on_every_kernel() {
    let fixture = BotFixture::new().await;
    fixture.start(&["--oneshot"]).run_blocking();
    fs::rename(fixture.path("out"), fixture.path("moved")).unwrap();
    std::os::unix::fs::symlink(fixture.path("moved"), fixture.path("out")).unwrap();
    let finished = fixture.start(&["--oneshot"]).with_strace("open,openat,openat2").run_blocking();
    assert_eq!(finished.status, Some(1), "{}", finished.stderr);
    let out = fixture.path("out");
    assert!(finished.log_at("ERROR").iter().any(|message| message.contains(out.to_str().unwrap())));
    // Old kernels do not have this call, and some containers forbid it.
    assert!(!finished.read_file("trace").contains("openat2("));
}
