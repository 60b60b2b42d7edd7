//! Renewals never lock the bot: lost responses, crashes, shutdowns, responses that cannot be saved, and two agents with one
//! storage.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FlockOperation, RenameFlags};
use serde_json::json;
use tbot::agent::{
    AgentError, ApiError, DirectoryError, GrpcCode, JoinReason, RenewalError, StorageError, control,
    error_line,
};
use tbot_cluster::{Code, method};
use tracing::Level;

use super::errors::{api_error, directory_error, join_error, renewal_error};
use super::fixture::{BOT, HOUR, RunningAgent, SECOND, TestCluster, read, run_oneshot, wait_until};
use super::log_capture::{LogCapture, LogEvent};

/// A cluster whose bot has joined and has lost the response to its first renewal.
async fn with_lost_renewal() -> TestCluster {
    let fixture = TestCluster::joined().await;
    fixture.cluster.drop_next_response(method::GENERATE_USER_CERTS);
    let error = renewal_error(fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap_err());
    let RenewalError::ResponseLost { error: ApiError::NoResponse { .. }, hint } = &error else {
        panic!("{error:?}")
    };
    let marker = fixture.storage().join("renewal-pending");
    assert!(hint.as_str().contains(marker.to_str().unwrap()), "{hint}");
    assert_eq!(
        (fixture.stored_generation(), fixture.cluster.generation(BOT)),
        (1, Some(2)),
        "the server must have counted the renewal"
    );
    fixture
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_response_the_old_generation_is_never_presented_again() {
    let fixture = with_lost_renewal().await;
    assert!(fixture.has_renewal_marker());
    let renewals = fixture.call_count(method::GENERATE_USER_CERTS);

    // The next run uses the stored identity and requests only the output's certificates.
    fixture.run_oneshot(fixture.config("20m", &[fixture.output("out")])).await.unwrap();
    assert!(fixture.path("out").join("identity").exists());
    assert_eq!(fixture.call_count(method::GENERATE_USER_CERTS), renewals + 1);
    assert!(!fixture.cluster.is_locked(BOT), "presenting generation 1 again locks the bot");
    assert_eq!(fixture.stored_generation(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_the_marker_after_a_counted_renewal_locks_the_bot_and_the_error_explains_it() {
    let fixture = with_lost_renewal().await;
    std::fs::remove_file(fixture.storage().join("renewal-pending")).unwrap();
    let error = fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap_err();
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()));
    let ApiError::Refused { code, .. } = api_error(error) else { panic!("not refused") };
    assert_eq!(code, GrpcCode::PermissionDenied);
    assert!(fixture.cluster.is_locked(BOT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_resumes_renewals_after_a_lost_response() {
    let mut fixture = with_lost_renewal().await;
    fixture.cluster.remove_bot(BOT);
    fixture.token = fixture.cluster.add_bot(BOT, &["access"]).unwrap();
    fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap();
    assert!(!fixture.has_renewal_marker());
    fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap();
    assert_eq!(fixture.stored_generation(), 2);
}

fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(status.success());
}

/// Why docs/operating-tbot.md advises against backups of the storage.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_storage_locks_the_bot_and_a_new_token_helps_after_a_loss() {
    let mut fixture = TestCluster::joined().await;
    let backup = fixture.path("backup");
    copy(&fixture.storage(), &backup);
    fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap();
    assert_eq!(fixture.stored_generation(), 2);

    std::fs::remove_dir_all(fixture.storage()).unwrap();
    copy(&backup, &fixture.storage());
    fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap_err();
    assert!(fixture.cluster.is_locked(BOT));

    fixture.cluster.remove_bot(BOT);
    fixture.token = fixture.cluster.add_bot(BOT, &["access"]).unwrap();
    std::fs::remove_dir_all(fixture.storage()).unwrap();
    fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap();
    assert_eq!(fixture.stored_generation(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_identity_joins_again_instead_of_renewing() {
    let fixture = with_lost_renewal().await;
    fixture.clock.advance(2 * HOUR);
    let (reason, _) = join_error(fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap_err());
    assert_eq!(reason, JoinReason::Expired);
    assert!(!fixture.cluster.is_locked(BOT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_the_server_did_not_count_may_be_repeated() {
    let fixture = TestCluster::joined().await;
    let race = "Database comparison failed, try the request again";
    fixture.cluster.fail_next(method::GENERATE_USER_CERTS, Code::FailedPrecondition, race);
    let error = api_error(fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap_err());
    let ApiError::Refused { code: GrpcCode::FailedPrecondition, message, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(message.to_string(), race);
    assert!(!fixture.has_renewal_marker());
    fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap();
    assert_eq!(fixture.stored_generation(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_before_a_renewal_leaves_no_marker() {
    let fixture = TestCluster::joined().await;
    fixture.cluster.set_down(true);
    fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap_err();
    assert!(!fixture.has_renewal_marker());
    fixture.cluster.set_down(false);
    fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap();
    assert_eq!(fixture.stored_generation(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_during_a_renewal_still_saves_the_response() {
    let fixture = TestCluster::joined().await;
    let mut hold = fixture.cluster.hold_next(method::GENERATE_USER_CERTS);
    let running = fixture.start(fixture.config("20m", &[]));
    hold.arrived().await;
    running.control.shutdown();
    hold.release();
    running.wait().await.unwrap();
    assert_eq!((fixture.stored_generation(), fixture.cluster.generation(BOT)), (2, Some(2)));
    assert!(!fixture.has_renewal_marker());
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_run_during_a_renewal_still_saves_the_response() {
    let fixture = TestCluster::joined().await;
    let mut hold = fixture.cluster.hold_next(method::GENERATE_USER_CERTS);
    {
        let agent = fixture.agent(fixture.config("20m", &[])).unwrap();
        let run = run_oneshot(&agent);
        tokio::pin!(run);
        tokio::select! {
            ended = &mut run => panic!("ended while its renewal was held: {ended:?}"),
            () = hold.arrived() => {}
        }
    }
    hold.release();
    // The storage stays locked until the renewal is saved, so the next agent to get the lock sees the saved identity.
    let next = fixture.agent(fixture.config("20m", &[])).unwrap();
    let run_when_unlocked = async {
        loop {
            match run_oneshot(&next).await {
                Err(AgentError::Storage(StorageError::Directory(DirectoryError::Locked(_)))) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                ended => break ended,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), run_when_unlocked)
        .await
        .expect("the lock is released")
        .unwrap();
    assert_eq!((fixture.stored_generation(), fixture.cluster.generation(BOT)), (3, Some(3)));
}

/// Makes saving an identity fail, even for root and although everything that it needs is reserved, with a file that has the
/// name of the directory that contains a committed set.
fn obstruct_storage(fixture: &TestCluster) -> PathBuf {
    let obstacle = fixture.storage().join(".tbot-commit");
    std::fs::write(&obstacle, "").unwrap();
    obstacle
}

/// Starts an agent whose first renewal succeeds but cannot be saved. Returns the agent and the file that prevents saving.
async fn start_with_unsaved_response(fixture: &TestCluster, log: &LogCapture) -> (RunningAgent, PathBuf) {
    fixture.run_oneshot(fixture.config("30m", &[])).await.unwrap();
    let mut hold = fixture.cluster.hold_next(method::GENERATE_USER_CERTS);
    let running = fixture.start(fixture.config("30m", &[]));
    hold.arrived().await;
    let obstacle = obstruct_storage(fixture);
    hold.release();
    let failed = |event: &LogEvent| event.is_failure_of("identity") && event.message.contains(".tbot-commit");
    wait_until("saving has failed", || log.count(failed) > 0).await;
    assert_eq!((fixture.stored_generation(), fixture.cluster.generation(BOT)), (1, Some(2)));
    (running, obstacle)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_in_which_nothing_can_be_replaced_is_noticed_before_a_renewal_is_requested() {
    for planted in [".tbot-staged", ".tbot-commit"] {
        let fixture = TestCluster::joined().await;
        let obstacle = fixture.storage().join(planted);
        std::fs::write(&obstacle, "").unwrap();
        let error = directory_error(fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap_err());
        assert!(matches!(&error, DirectoryError::Obstructed { path, .. } if *path == obstacle), "{error:?}");
        assert_eq!(fixture.cluster.generation(BOT), Some(1));
        assert!(!fixture.has_renewal_marker());
    }
}

/// Whether the event is an error about something that will not be retried.
fn is_final_error(event: &LogEvent) -> bool {
    event.level == Level::ERROR && event.field("retry").is_none()
}

#[tokio::test]
async fn a_response_that_cannot_be_saved_is_kept_and_saved_later() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let (running, obstacle) = start_with_unsaved_response(&fixture, &log).await;
    std::fs::remove_file(&obstacle).unwrap();
    wait_until("the response is saved", || fixture.stored_generation() == 2).await;
    running.stop().await.unwrap();
    assert_eq!(fixture.call_count(method::GENERATE_USER_CERTS), 1, "a second renewal was requested");
}

#[tokio::test]
async fn a_shutdown_saves_a_response_that_could_not_be_saved_before() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let (running, obstacle) = start_with_unsaved_response(&fixture, &log).await;
    std::fs::remove_file(&obstacle).unwrap();
    running.stop().await.unwrap();
    assert_eq!(fixture.stored_generation(), 2);
    assert!(!fixture.has_renewal_marker());
    assert_eq!(log.count(is_final_error), 0, "{}", log.transcript());
}

#[tokio::test]
async fn a_shutdown_that_cannot_save_a_response_logs_that_the_identity_is_lost() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let (running, _obstacle) = start_with_unsaved_response(&fixture, &log).await;
    running.stop().await.unwrap();
    assert_eq!(fixture.stored_generation(), 1);
    assert!(fixture.has_renewal_marker());
    let [lost] = &log.events(is_final_error)[..] else { panic!("{}", log.transcript()) };
    insta::assert_snapshot!("lost_identity", fixture.normalize(&lost.message));
}

#[tokio::test]
async fn a_oneshot_run_that_cannot_save_a_response_logs_the_remedy() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    fixture.run_oneshot(fixture.config("30m", &[])).await.unwrap();
    let mut hold = fixture.cluster.hold_next(method::GENERATE_USER_CERTS);
    let agent = fixture.agent(fixture.config("30m", &[])).unwrap();
    let run = tokio::spawn(async move { run_oneshot(&agent).await });
    hold.arrived().await;
    let obstacle = obstruct_storage(&fixture);
    hold.release();
    let error = directory_error(run.await.unwrap().unwrap_err());
    assert!(matches!(&error, DirectoryError::Obstructed { path, .. } if *path == obstacle), "{error:?}");
    let [lost] = &log.events(is_final_error)[..] else { panic!("{}", log.transcript()) };
    insta::assert_snapshot!("lost_identity", fixture.normalize(&lost.message));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_a_proxy_that_hangs() {
    let fixture = TestCluster::new().await;
    let mut hold = fixture.cluster.hold_next(method::FIND);
    let running = fixture.start(fixture.config("30m", &[fixture.output("out")]));
    hold.arrived().await;
    running.stop().await.unwrap();
    assert_eq!((fixture.call_count(method::FIND), fixture.call_count(method::JOIN)), (1, 0));
}

/// Locks the storage as a process does that changes it, and returns the path and the file of the lock.
fn lock_storage(fixture: &TestCluster) -> (PathBuf, File) {
    let path = fixture.storage().join(".tbot-lock");
    let lock = File::open(&path).unwrap();
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
    (path, lock)
}

/// Returns how many descriptors of this process are open for a file.
fn open_descriptors(path: &Path) -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    descriptors.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target == path)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_releases_the_storage_before_the_run_ends() {
    let fixture = TestCluster::joined().await;
    let running = fixture.start(fixture.config("20m", &[]));
    wait_until("the identity is renewed", || fixture.stored_generation() == 2).await;
    let (path, lock) = lock_storage(&fixture);
    wait_until("the agent does not use the lock", || open_descriptors(&path) == 1).await;
    running.control.reload();
    wait_until("the agent waits for the lock", || open_descriptors(&path) > 1).await;
    let stop = running.stop();
    tokio::pin!(stop);
    tokio::select! {
        _ = &mut stop => panic!("ended while it used the storage"),
        () = tokio::time::sleep(Duration::from_millis(200)) => {}
    }
    drop(lock);
    stop.await.unwrap();
    fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_the_lock_of_the_storage() {
    let fixture = TestCluster::joined().await;
    let (path, lock) = lock_storage(&fixture);
    let running = fixture.start(fixture.config("20m", &[]));
    wait_until("the agent waits for the lock", || open_descriptors(&path) == 2).await;
    running.stop().await.unwrap();
    // So that the thread that waits for it ends.
    drop(lock);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_interrupts_a_oneshot_run_that_waits_for_the_lock_of_the_storage() {
    let fixture = TestCluster::joined().await;
    let (path, lock) = lock_storage(&fixture);
    let agent = fixture.agent(fixture.config("20m", &[])).unwrap();
    let (control, signals) = control();
    let run = tokio::spawn(async move { agent.run_once(signals).await });
    wait_until("the agent waits for the lock", || open_descriptors(&path) == 2).await;
    control.shutdown();
    assert!(matches!(run.await.unwrap(), Err(AgentError::Interrupted)));
    drop(lock);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_cannot_share_a_storage() {
    let fixture = TestCluster::new().await;
    let running = fixture.start(fixture.config("20m", &[fixture.output("out")]));
    wait_until("the first agent has the storage", || fixture.storage().join("tlscert").exists()).await;
    let error = directory_error(fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap_err());
    assert!(matches!(&error, DirectoryError::Locked(path) if *path == fixture.storage()), "{error:?}");
    running.stop().await.unwrap();
    fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap();
}

#[tokio::test]
async fn a_suspended_renewal_names_the_lock_if_an_old_copy_of_the_storage_caused_it() {
    let log = LogCapture::start();
    let fixture = TestCluster::joined().await;
    copy(&fixture.storage(), &fixture.path("backup"));
    fixture.run_oneshot(fixture.config("30m", &[])).await.unwrap();
    std::fs::remove_dir_all(fixture.storage()).unwrap();
    copy(&fixture.path("backup"), &fixture.storage());
    let running = fixture.start(fixture.config("30m", &[]));
    wait_until("the renewal is refused, then suspended", || {
        fixture.clock.advance(Duration::from_secs(1));
        log.count(|event| event.is_failure_of("identity")) >= 2
    })
    .await;
    running.stop().await.unwrap();
    let failures = log.events(|event| event.is_failure_of("identity"));
    let last = &failures.last().unwrap().message;
    assert!(last.contains("locked") && !last.contains("renewal-pending"), "{}", log.transcript());
}

/// Whether an identity is completely saved.
fn is_saved(fixture: &TestCluster) -> bool {
    fixture.storage().join("tokenhash").exists() && !fixture.storage().join(".tbot-commit").exists()
}

/// Replaces the storage of a running agent that has generation 1, and returns the generation in it after the next renewal.
async fn generation_after(replace: impl AsyncFnOnce(&TestCluster)) -> u64 {
    let fixture = TestCluster::new().await;
    let running = fixture.start(fixture.config("30m", &[]));
    wait_until("the agent has joined", || is_saved(&fixture)).await;
    replace(&fixture).await;
    let renewals = fixture.call_count(method::GENERATE_USER_CERTS);
    running.control.reload();
    wait_until("the identity is renewed", || fixture.call_count(method::GENERATE_USER_CERTS) > renewals)
        .await;
    running.stop().await.unwrap();
    assert_eq!((fixture.call_count(method::JOIN), fixture.cluster.is_locked(BOT)), (1, false));
    assert_eq!(Some(fixture.stored_generation()), fixture.cluster.generation(BOT));
    // The next agent goes on with the directory at the path.
    fixture.run_oneshot(fixture.config("30m", &[])).await.unwrap();
    fixture.stored_generation() - 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_is_removed_while_the_agent_runs_is_created_again() {
    let generation = generation_after(async |fixture| {
        std::fs::remove_dir_all(fixture.storage()).unwrap();
    });
    assert_eq!(generation.await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_is_not_saved_in_a_storage_that_was_moved_away() {
    let generation = generation_after(async |fixture| {
        let moved = fixture.path("moved");
        std::fs::rename(fixture.storage(), &moved).unwrap();
        copy(&moved, &fixture.storage());
    });
    assert_eq!(generation.await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_agent_in_a_storage_that_was_moved_does_not_renew_its_identity() {
    let fixture = TestCluster::new().await;
    let running = fixture.start(fixture.config("30m", &[]));
    wait_until("the agent has joined", || is_saved(&fixture)).await;
    let moved = fixture.path("moved");
    std::fs::rename(fixture.storage(), &moved).unwrap();
    running.control.reload();
    wait_until("the identity is renewed", || fixture.cluster.generation(BOT) == Some(2)).await;
    running.stop().await.unwrap();
    let mut config = fixture.config("30m", &[]);
    config["storage"]["path"] = json!(moved);
    fixture.run_oneshot(config).await.unwrap();
    assert_eq!((fixture.cluster.generation(BOT), fixture.cluster.is_locked(BOT)), (Some(2), false));
    assert_eq!(fixture.stored_generation(), 2);
}

#[tokio::test]
async fn a_storage_that_is_moved_back_before_a_renewal_is_renewed() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let running = fixture.start(fixture.config("30m", &[]));
    wait_until("the agent has joined", || log.count(LogEvent::is_new_identity) == 1).await;
    fixture.cluster.set_down(true);
    let moved = fixture.path("moved");
    std::fs::rename(fixture.storage(), &moved).unwrap();
    running.control.reload();
    wait_until("the agent has left", || moved.join("renewal-pending").exists()).await;
    // In one step, so that the agent never finds a part of a directory.
    rustix::fs::renameat_with(CWD, &moved, CWD, fixture.storage(), RenameFlags::EXCHANGE).unwrap();
    fixture.cluster.set_down(false);
    wait_until("the identity is renewed", || {
        fixture.clock.advance(SECOND);
        fixture.stored_generation() == 2
    })
    .await;
    running.stop().await.unwrap();
    assert_eq!((fixture.cluster.generation(BOT), fixture.has_renewal_marker()), (Some(2), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_the_storage_is_replaced_by_what_the_running_agent_knows() {
    let fixture = TestCluster::new().await;
    let running = fixture.start(fixture.config("30m", &[]));
    wait_until("the agent has joined", || is_saved(&fixture)).await;
    copy(&fixture.storage(), &fixture.path("backup"));
    running.control.reload();
    wait_until("the identity is renewed", || fixture.stored_generation() == 2).await;
    std::fs::rename(fixture.storage(), fixture.path("moved")).unwrap();
    copy(&fixture.path("backup"), &fixture.storage());
    running.control.reload();
    wait_until("the identity is renewed again", || fixture.stored_generation() == 3).await;
    // Into the same directory.
    copy(&fixture.path("backup").join("."), &fixture.storage());
    running.control.reload();
    wait_until("the newer identity is renewed", || fixture.cluster.generation(BOT) == Some(4)).await;
    wait_until("the identity is saved", || is_saved(&fixture) && fixture.stored_generation() == 4).await;
    // After the agent has noticed that there is no identity any more.
    let joins = fixture.call_count(method::JOIN);
    std::fs::remove_file(fixture.storage().join("tlscert")).unwrap();
    running.control.reload();
    wait_until("the agent has tried to join", || fixture.call_count(method::JOIN) > joins).await;
    copy(&fixture.path("backup").join("."), &fixture.storage());
    running.control.reload();
    wait_until("the newest identity is renewed", || fixture.cluster.generation(BOT) == Some(5)).await;
    running.stop().await.unwrap();
    assert!(!fixture.cluster.is_locked(BOT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_identity_in_another_directory_is_used_and_not_overwritten() {
    let generation = generation_after(async |fixture| {
        let other = fixture.path("other");
        copy(&fixture.storage(), &other);
        let mut config = fixture.config("30m", &[]);
        config["storage"]["path"] = json!(other);
        fixture.run_oneshot(config).await.unwrap();
        std::fs::remove_dir_all(fixture.storage()).unwrap();
        std::fs::rename(other, fixture.storage()).unwrap();
    });
    assert_eq!(generation.await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_of_another_bot_is_saved_although_the_storage_is_removed_during_the_join() {
    let mut fixture = TestCluster::joined().await;
    fixture.token = fixture.cluster.add_bot("other", &["access"]).unwrap();
    let mut hold = fixture.cluster.hold_next(method::JOIN);
    let running = fixture.start(fixture.config("30m", &[]));
    hold.arrived().await;
    std::fs::remove_dir_all(fixture.storage()).unwrap();
    hold.release();
    wait_until("an identity is saved", || is_saved(&fixture)).await;
    running.stop().await.unwrap();
    // The token is used up.
    fixture.run_oneshot(fixture.config("30m", &[])).await.unwrap();
    assert_eq!((fixture.call_count(method::JOIN), fixture.cluster.generation("other")), (2, Some(2)));
}

/// The agent has already read the older identity, and must not present it.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_identity_that_appears_before_a_request_is_used_for_it() {
    let fixture = TestCluster::new().await;
    let running = fixture.start(fixture.config("30m", &[]));
    wait_until("the agent has joined", || is_saved(&fixture)).await;
    // From then on, only a renewal sends this request.
    let is_connected = || {
        [method::WATCH_EVENTS, method::SUBMIT_HEARTBEAT].iter().all(|method| fixture.call_count(method) > 0)
    };
    wait_until("the rotation is watched and the first heartbeat is sent", is_connected).await;
    let other = fixture.path("other");
    copy(&fixture.storage(), &other);
    let mut config = fixture.config("30m", &[]);
    config["storage"]["path"] = json!(other);
    fixture.run_oneshot(config).await.unwrap();
    let mut hold = fixture.cluster.hold_next(method::PING);
    running.control.reload();
    hold.arrived().await;
    std::fs::remove_dir_all(fixture.storage()).unwrap();
    std::fs::rename(other, fixture.storage()).unwrap();
    hold.release();
    wait_until("the newer identity is renewed", || {
        fixture.clock.advance(SECOND);
        fixture.stored_generation() == 3
    })
    .await;
    running.stop().await.unwrap();
    assert!(!fixture.cluster.is_locked(BOT));
}

#[tokio::test]
async fn a_pending_renewal_stays_pending_in_another_directory() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let running = fixture.start(fixture.config("30m", &[]));
    wait_until("the agent has joined", || log.count(LogEvent::is_new_identity) == 1).await;
    copy(&fixture.storage(), &fixture.path("backup"));
    fixture.cluster.drop_next_response(method::GENERATE_USER_CERTS);
    running.control.reload();
    wait_until("the renewal is lost", || log.count(|event| event.is_failure_of("identity")) > 0).await;
    for (old, replace) in [("first", None), ("second", Some(copy))] {
        std::fs::rename(fixture.storage(), fixture.path(old)).unwrap();
        if let Some(copy) = replace {
            copy(&fixture.path("backup"), &fixture.storage());
        }
        running.control.reload();
        wait_until("the marker is stored again", || fixture.has_renewal_marker()).await;
    }
    running.stop().await.unwrap();
    assert_eq!((fixture.stored_generation(), fixture.cluster.generation(BOT)), (1, Some(2)));
    assert_eq!(fixture.call_count(method::GENERATE_USER_CERTS), 1);
}

#[tokio::test]
async fn a_directory_that_another_agent_uses_is_not_taken_over() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let running = fixture.start(fixture.config("30m", &[]));
    wait_until("the agent has joined", || log.count(LogEvent::is_new_identity) == 1).await;
    std::fs::rename(fixture.storage(), fixture.path("moved")).unwrap();
    copy(&fixture.path("moved"), &fixture.storage());
    let lock = File::open(fixture.storage().join("lock")).unwrap();
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
    running.control.reload();
    let is_refused =
        |event: &LogEvent| event.is_failure_of("identity") && event.message.contains("was replaced");
    wait_until("the directory is refused", || log.count(is_refused) > 0).await;
    assert_eq!(fixture.call_count(method::GENERATE_USER_CERTS), 0);
    drop(lock);
    running.control.reload();
    wait_until("the identity is renewed", || fixture.stored_generation() == 2).await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_that_was_removed_does_not_prevent_a_renewal() {
    let fixture = TestCluster::new().await;
    let file = fixture.path("token");
    std::fs::write(&file, format!("{}\n", fixture.token)).unwrap();
    let mut config = fixture.config("20m", &[]);
    config["onboarding"]["token"] = json!(file);
    fixture.run_oneshot(config.clone()).await.unwrap();
    let hash = read(&fixture.storage().join("tokenhash"));
    std::fs::remove_file(&file).unwrap();
    fixture.run_oneshot(config).await.unwrap();
    assert_eq!(fixture.stored_generation(), 2);
    assert_eq!(read(&fixture.storage().join("tokenhash")), hash);
}
