//! What keeps a bot from being locked: a lost answer, a crash, two agents, files of a real Go agent.

use std::path::PathBuf;
use std::time::Duration;

use tbot_cluster::method;

use super::lab::{BOT, Lab, Log, Running, listen, read, until};

/// Joins, then loses the answer to the first renewal.
async fn with_a_lost_renewal() -> Lab {
    let lab = Lab::new().await;
    lab.run_once(lab.config("20m", &[])).await.unwrap();
    lab.cluster.drop_reply(method::GENERATE_USER_CERTS);
    let lost = lab.run_once(lab.config("20m", &[])).await.unwrap_err().to_string();
    assert!(lost.contains("new token") && lost.contains("renewal-pending"), "names the cure: {lost}");
    assert_eq!(
        (lab.stored_generation(), lab.cluster.generation(BOT)),
        (1, Some(2)),
        "the server has counted"
    );
    lab
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_answer_the_old_generation_is_never_presented_again() {
    let lab = with_a_lost_renewal().await;
    assert!(lab.storage().join("renewal-pending").exists());
    let renewals = lab.calls(method::GENERATE_USER_CERTS);

    // The next start serves with what it has, and asks for nothing but the output's certificates.
    lab.run_once(lab.config("20m", &[lab.output("out")])).await.unwrap();
    assert!(lab.path("out").join("identity").exists());
    assert_eq!(lab.calls(method::GENERATE_USER_CERTS), renewals + 1);
    assert!(!lab.cluster.is_locked(BOT), "presenting generation 1 again would have locked the bot");
    assert_eq!(lab.stored_generation(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn presenting_it_by_hand_locks_the_bot_and_says_so() {
    let lab = with_a_lost_renewal().await;
    std::fs::remove_file(lab.storage().join("renewal-pending")).unwrap();
    let locked = lab.run_once(lab.config("20m", &[])).await.unwrap_err().to_string();
    assert!(locked.contains("generation mismatch") && locked.contains("recreate the bot"), "{locked}");
    assert!(lab.cluster.is_locked(BOT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_ends_the_holding_back() {
    let mut lab = with_a_lost_renewal().await;
    lab.cluster.remove_bot(BOT);
    lab.token = lab.cluster.add_bot(BOT, &["access"]).unwrap();
    lab.run_once(lab.config("20m", &[])).await.unwrap();
    assert!(!lab.storage().join("renewal-pending").exists());
    lab.run_once(lab.config("20m", &[])).await.unwrap();
    assert_eq!(lab.stored_generation(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_identity_joins_again_instead_of_renewing() {
    let lab = with_a_lost_renewal().await;
    lab.clock.advance(Duration::from_secs(2 * 60 * 60));
    let refused = lab.run_once(lab.config("20m", &[])).await.unwrap_err().to_string();
    assert!(refused.contains("the stored identity has expired"), "{refused}");
    assert!(!lab.cluster.is_locked(BOT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_the_server_turns_away_may_be_asked_for_again() {
    let lab = Lab::new().await;
    lab.run_once(lab.config("20m", &[])).await.unwrap();
    let race = "Database comparison failed, try the request again";
    lab.cluster.fail_next(method::GENERATE_USER_CERTS, tbot_cluster::Code::FailedPrecondition, race);
    let refused = lab.run_once(lab.config("20m", &[])).await.unwrap_err().to_string();
    assert!(refused.contains(race), "{refused}");
    assert!(!lab.storage().join("renewal-pending").exists());
    lab.run_once(lab.config("20m", &[])).await.unwrap();
    assert_eq!(lab.stored_generation(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_before_a_renewal_leaves_no_note() {
    let lab = Lab::new().await;
    lab.run_once(lab.config("20m", &[])).await.unwrap();
    lab.cluster.set_down(true);
    lab.run_once(lab.config("20m", &[])).await.unwrap_err();
    assert!(!lab.storage().join("renewal-pending").exists());
    lab.cluster.set_down(false);
    lab.run_once(lab.config("20m", &[])).await.unwrap();
    assert_eq!(lab.stored_generation(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_of_a_renewal_still_saves_the_answer() {
    let lab = Lab::new().await;
    lab.run_once(lab.config("20m", &[])).await.unwrap();
    let mut hold = lab.cluster.hold_next(method::GENERATE_USER_CERTS);
    let running = lab.start(lab.config("20m", &[]));
    hold.arrived().await;
    running.control.shutdown();
    hold.release();
    running.ended().await.unwrap();
    assert_eq!((lab.stored_generation(), lab.cluster.generation(BOT)), (2, Some(2)));
    assert!(!lab.storage().join("renewal-pending").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_run_in_the_middle_of_a_renewal_still_saves_the_answer() {
    let lab = Lab::new().await;
    lab.run_once(lab.config("20m", &[])).await.unwrap();
    let mut hold = lab.cluster.hold_next(method::GENERATE_USER_CERTS);
    {
        let agent = lab.agent(lab.config("20m", &[])).unwrap();
        let (_control, signals) = tbot::agent::control();
        let run = agent.run_once(signals);
        tokio::pin!(run);
        tokio::select! {
            ended = &mut run => panic!("ended while its renewal was held: {ended:?}"),
            () = hold.arrived() => {}
        }
    }
    hold.release();
    // The storage is locked until the renewal is saved: whoever gets the lock sees it.
    let (_control, signals) = tbot::agent::control();
    let next = lab.agent(lab.config("20m", &[])).unwrap();
    loop {
        match next.run_once(signals.clone()).await {
            Ok(()) => break,
            Err(error) if error.to_string().contains("locked: is another tbot running") => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((lab.stored_generation(), lab.cluster.generation(BOT)), (3, Some(3)));
}

/// A running agent whose renewal is answered and cannot be saved, and what is in the way of that.
async fn with_an_unsaved_answer(lab: &Lab, log: &Log) -> (Running, PathBuf) {
    lab.run_once(lab.config("30m", &[])).await.unwrap();
    let mut hold = lab.cluster.hold_next(method::GENERATE_USER_CERTS);
    let running = lab.start(lab.config("30m", &[]));
    hold.arrived().await;
    // A file where the agent stages a set: saving fails, even for root.
    let obstacle = lab.storage().join(".tbot-staged");
    std::fs::write(&obstacle, "").unwrap();
    hold.release();
    until("saving fails", || log.text().contains("cannot make the folder")).await;
    assert_eq!((lab.stored_generation(), lab.cluster.generation(BOT)), (1, Some(2)));
    (running, obstacle)
}

#[tokio::test]
async fn an_answer_that_cannot_be_saved_is_kept_until_it_can_be() {
    let (log, _listening) = listen();
    let lab = Lab::new().await;
    let (running, obstacle) = with_an_unsaved_answer(&lab, &log).await;
    std::fs::remove_file(&obstacle).unwrap();
    until("the answer is saved", || lab.stored_generation() == 2).await;
    running.stop().await.unwrap();
    assert_eq!(lab.calls(method::GENERATE_USER_CERTS), 1, "nothing was asked for again");
}

#[tokio::test]
async fn a_stop_saves_what_could_not_be_saved_before_or_says_that_it_is_lost() {
    for mended in [true, false] {
        let (log, _listening) = listen();
        let lab = Lab::new().await;
        let (running, obstacle) = with_an_unsaved_answer(&lab, &log).await;
        if mended {
            std::fs::remove_file(&obstacle).unwrap();
        }
        running.stop().await.unwrap();
        assert_eq!(lab.stored_generation(), if mended { 2 } else { 1 });
        let lost = "the bot's new identity is lost, because it cannot be saved: cannot make the folder";
        assert_eq!(log.text().contains(lost), !mended, "{}", log.text());
        assert_eq!(lab.storage().join("renewal-pending").exists(), !mended);
    }
}

#[tokio::test]
async fn a_run_that_cannot_save_an_answer_names_the_cure() {
    let (log, _listening) = listen();
    let lab = Lab::new().await;
    lab.run_once(lab.config("30m", &[])).await.unwrap();
    let mut hold = lab.cluster.hold_next(method::GENERATE_USER_CERTS);
    let agent = lab.agent(lab.config("30m", &[])).unwrap();
    let (_control, signals) = tbot::agent::control();
    let run = tokio::spawn(async move { agent.run_once(signals).await });
    hold.arrived().await;
    std::fs::write(lab.storage().join(".tbot-staged"), "").unwrap();
    hold.release();
    let refused = run.await.unwrap().unwrap_err().to_string();
    assert!(refused.contains("cannot make the folder"), "{refused}");
    let text = log.text();
    assert!(text.contains("the bot's new identity is lost") && text.contains("new token"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_proxy_that_hangs() {
    let lab = Lab::new().await;
    let mut hold = lab.cluster.hold_next(method::FIND);
    let running = lab.start(lab.config("30m", &[lab.output("out")]));
    hold.arrived().await;
    running.stop().await.unwrap();
    assert_eq!(lab.calls(method::FIND), 1);
    assert_eq!(lab.calls(method::JOIN), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_cannot_share_a_storage() {
    let lab = Lab::new().await;
    let running = lab.start(lab.config("20m", &[lab.output("out")]));
    until("the first agent has the storage", || lab.storage().join("tlscert").exists()).await;
    let refused = lab.run_once(lab.config("20m", &[])).await.unwrap_err().to_string();
    assert!(refused.contains("is another tbot running"), "{refused}");
    running.stop().await.unwrap();
    lab.run_once(lab.config("20m", &[])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_that_is_gone_does_not_stop_a_renewal() {
    let lab = Lab::new().await;
    let file = lab.path("token");
    std::fs::write(&file, format!("{}\n", lab.token)).unwrap();
    let mut config = lab.config("20m", &[]);
    config["onboarding"]["token"] = serde_json::json!(file);
    lab.run_once(config.clone()).await.unwrap();
    let hash = read(&lab.storage().join("tokenhash"));
    std::fs::remove_file(&file).unwrap();
    lab.run_once(config).await.unwrap();
    assert_eq!(lab.stored_generation(), 2);
    assert_eq!(read(&lab.storage().join("tokenhash")), hash);
}
