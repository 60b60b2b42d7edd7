//! A process that may write no more, or open no more: what is there stays whole, nothing is asked that could not be
//! saved, what has been asked is kept until it can be, and everything works again as soon as there is room.

use rustix::process::{Resource, Rlimit, Signal};

use super::run::Running;
use super::scene::Scene;
use crate::agent::fixture::{read, wait_until};

/// While this lives, the process may not use any more of something.
struct Without<'a> {
    running: &'a Running,
    what: Resource,
    before: Rlimit,
}

impl<'a> Without<'a> {
    fn any_more(running: &'a Running, what: Resource) -> Self {
        // Only what may be raised again: the process has inherited ours.
        let before = rustix::process::getrlimit(what);
        running.limit(what, Rlimit { current: Some(0), ..before });
        Self { running, what, before }
    }
}

impl Drop for Without<'_> {
    fn drop(&mut self) {
        self.running.limit(self.what, self.before);
    }
}

/// An agent that runs into a limit twice: before a renewal is asked for, and between the answer and its save.
async fn runs_into(what: Resource, said: &str, hint: &str) {
    let scene = Scene::new().await;
    let running = scene.run(&[]).spawn();
    let key = scene.path("out").join("key");
    wait_until("the output is written", || key.exists()).await;
    let (first, stored) = (read(&key), read(&scene.path("storage").join("tlscert")));

    let without = Without::any_more(&running, what);
    running.signal(Signal::USR1);
    let failed = |service: &str| {
        let log = running.said();
        log.lines().any(|line| line.contains(said) && line.contains(&format!("service={service} ")))
    };
    wait_until("identity and output have failed", || failed("identity") && failed("identity-1")).await;
    assert!(running.said().contains(hint), "{}", running.said());
    assert_eq!(scene.counted(), Some(1), "nothing was asked for that could not be saved");
    assert_eq!((read(&key), read(&scene.path("storage").join("tlscert"))), (first.clone(), stored));
    drop(without);
    wait_until("both are renewed", || read(&key) != first && scene.stored() == Some(2)).await;

    let mut held = scene.renewals_held();
    running.signal(Signal::HUP);
    for hold in &mut held {
        hold.arrived().await;
    }
    let second = read(&key);
    let failures = || running.said().lines().filter(|line| line.contains(said)).count();
    let before = failures();
    let without = Without::any_more(&running, what);
    drop(held);
    wait_until("saving has failed", || failures() > before && scene.counted() == Some(3)).await;
    assert_eq!(scene.stored(), Some(2));
    drop(without);
    wait_until("the answer is saved", || scene.stored() == Some(3)).await;
    wait_until("the output is renewed", || read(&key) != second).await;

    running.signal(Signal::TERM);
    let ended = tokio::task::block_in_place(|| running.end());
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert_eq!(scene.counted(), Some(3), "nothing was asked for twice: {}", ended.stderr);
    assert!(!scene.path("storage").join("renewal-pending").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_for_the_size_of_files_is_survived() {
    runs_into(Resource::Fsize, "File too large", "ulimit -f").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_for_open_files_is_survived() {
    runs_into(Resource::Nofile, "Too many open files", "ulimit -n").await;
}
