//! Resource limits on file sizes and open files. A process that hits its limit keeps its files intact, requests no renewal
//! that it could not save, and recovers as soon as the limit is raised. If it hits the limit after the request, it saves the
//! identity with the descriptors that it has reserved, or keeps the identity until it can save it.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal};

use super::bot_fixture::BotFixture;
use super::fixture::Running;
use crate::agent::fixture::{read, wait_until};

/// Keeps a resource limit of the process at zero until it is dropped.
struct ExhaustedLimit<'a> {
    running: &'a Running,
    resource: Resource,
    before: Rlimit,
}

impl<'a> ExhaustedLimit<'a> {
    fn set(running: &'a Running, resource: Resource) -> Self {
        // The process has inherited the limits of the test. Only the soft limit is lowered, so that it can be restored.
        let before = rustix::process::getrlimit(resource);
        running.set_limit(resource, Rlimit { current: Some(0), ..before });
        Self { running, resource, before }
    }
}

impl Drop for ExhaustedLimit<'_> {
    fn drop(&mut self) {
        self.running.set_limit(self.resource, self.before);
    }
}

/// Lets an agent hit a limit twice: before it requests a renewal, and when it saves the response, which succeeds if
/// `is_reserved`. The log must contain the error of the system and the command that raises the limit.
async fn assert_survives(resource: Resource, errno: Errno, remedy: &str, is_reserved: bool) {
    let fixture = BotFixture::new().await;
    let running = fixture.start(&[]).spawn();
    let key = fixture.path("out").join("key");
    let stored_certificate = fixture.path("storage").join("tlscert");
    wait_until("the output is written", || key.exists()).await;
    let (first_key, first_certificate) = (read(&key), read(&stored_certificate));
    let error = std::io::Error::from(errno).to_string();

    let limit = ExhaustedLimit::set(&running, resource);
    running.signal(Signal::USR1);
    let has_failed = |service: &str| {
        let service = format!("service={service} ");
        running.stderr().lines().any(|line| line.contains(&error) && line.contains(&service))
    };
    wait_until("identity and output have failed", || has_failed("identity") && has_failed("identity-1"))
        .await;
    assert!(running.stderr().contains(remedy), "{}", running.stderr());
    assert_eq!(fixture.cluster_generation(), Some(1), "no renewal was requested that could not be saved");
    assert_eq!((read(&key), read(&stored_certificate)), (first_key.clone(), first_certificate));
    drop(limit);
    wait_until("both are renewed", || read(&key) != first_key && fixture.stored_generation() == Some(2))
        .await;

    let mut held_renewals = fixture.hold_renewals();
    running.signal(Signal::HUP);
    for renewal in &mut held_renewals {
        renewal.arrived().await;
    }
    let second_key = read(&key);
    let failures = || running.stderr().lines().filter(|line| line.contains(&error)).count();
    let failures_before = failures();
    let limit = ExhaustedLimit::set(&running, resource);
    drop(held_renewals);
    wait_until("saving the output, at least, has failed", || {
        failures() > failures_before && fixture.cluster_generation() == Some(3)
    })
    .await;
    let limit = if is_reserved {
        Some(limit)
    } else {
        assert_eq!(fixture.stored_generation(), Some(2));
        drop(limit);
        None
    };
    wait_until("the renewed identity is saved", || fixture.stored_generation() == Some(3)).await;
    drop(limit);
    wait_until("the output is renewed", || read(&key) != second_key).await;

    running.signal(Signal::TERM);
    let finished = tokio::task::block_in_place(|| running.wait());
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    assert_eq!(fixture.cluster_generation(), Some(3), "no renewal was repeated: {}", finished.stderr);
    assert!(!fixture.has_pending_renewal());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_survives_a_file_size_limit() {
    assert_survives(Resource::Fsize, Errno::FBIG, "ulimit -f", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_survives_a_limit_on_open_files() {
    assert_survives(Resource::Nofile, Errno::MFILE, "ulimit -n", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_that_a_file_size_limit_would_cut_are_reported_before_the_token_is_used() {
    let fixture = BotFixture::new().await;
    let directories = ["out", "second"].map(|name| fixture.path(name).to_str().unwrap().to_owned());
    fixture.change_config(|config| {
        config["storage"] = serde_json::json!({ "type": "memory" });
        let mut second = config["services"][0].clone();
        second["destination"]["path"] = directories[1].as_str().into();
        config["services"].as_array_mut().unwrap().push(second);
    });
    let finished = fixture.start(&["--oneshot"]).with_small_files().run_blocking();
    assert_eq!(finished.status, Some(1), "{}", finished.stderr);
    let errors = finished.log_at("ERROR").join("\n");
    for directory in &directories {
        assert!(errors.contains(directory.as_str()), "{errors}");
    }
    assert!(errors.contains("ulimit -f"), "{errors}");
    let finished = fixture.start(&["--oneshot"]).run_blocking();
    assert_eq!(finished.status, Some(0), "the token is still valid: {}", finished.stderr);
}
