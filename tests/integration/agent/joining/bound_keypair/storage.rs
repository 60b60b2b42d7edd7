//! Storages that are not those of the last join: old copies, damaged or lost key pairs, and memory.

use serde_json::json;
use tbot::agent::{JoinError, JoinReason, error_line};
use tbot_cluster::proto::join_v1::{self, join_request::Payload};
use tbot_cluster::{BoundKeypairToken, RecoveryMode, method};
use tracing::Level;

use super::super::super::fixture::{BOT, RunningAgent, run_oneshot, wait_until};
use super::super::super::log_capture::LogCapture;
use super::{BoundKeypairBot, SECRET};

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_the_storage_locks_the_token() {
    let bot = BoundKeypairBot::joined(5).await;
    let copy = bot.stored("bkp_state");
    bot.advance_past_expiry();
    bot.run().await.unwrap();
    std::fs::write(bot.fixture.storage().join("bkp_state"), &copy).unwrap();
    bot.advance_past_expiry();
    let (_, outdated) = bot.failed_join().await;
    assert!(bot.token().is_locked);
    let (_, locked) = bot.failed_join().await;
    insta::assert_snapshot!(
        [outdated, locked].map(|error| error_line(&error, error.hint().as_ref())).join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_lost_its_key_pair_gives_up_and_says_so() {
    let bot = BoundKeypairBot::joined(5).await;
    bot.edit(|token| token.recovery_mode = RecoveryMode::Insecure);
    std::fs::remove_dir_all(bot.fixture.storage()).unwrap();
    let (reason, error) = bot.failed_join().await;
    assert_eq!(reason, JoinReason::NothingStored);
    let JoinError::LostKey { public_key, is_static: false, .. } = &error else { panic!("{error:?}") };
    assert_eq!(public_key.to_string(), bot.token().bound_public_key.unwrap());
    assert!(error.hint().is_some());
    let calls = bot.fixture.cluster.wait_for(method::JOIN_V1, 2).await;
    let Some(Payload::GivingUp(giving_up)) = calls[1].decode::<join_v1::JoinRequest>().unwrap().payload
    else {
        panic!("{calls:?}")
    };
    assert_eq!(giving_up.reason(), join_v1::GivingUpReason::ChallengeSolutionFailed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_key_pair_is_named_and_nothing_is_sent() {
    let bot = BoundKeypairBot::joined(0).await;
    let joins = bot.fixture.call_count(method::JOIN_V1);
    std::fs::write(bot.fixture.storage().join("id_bkp"), "hunter2").unwrap();
    let error = bot.run().await.unwrap_err();
    let message = error_line(&error, error.hint().as_ref());
    insta::assert_snapshot!(bot.fixture.normalize(&message));
    assert_eq!(bot.fixture.call_count(method::JOIN_V1), joins);
}

/// The cluster does not expect a join state of a token that no bot has used.
#[tokio::test(flavor = "multi_thread")]
async fn another_token_registers_another_key_pair() {
    let bot = BoundKeypairBot::joined(0).await;
    let old = bot.stored("id_bkp.pub");
    bot.fixture.cluster.add_bound_keypair_token(BOT, "next", BoundKeypairToken::with_secret(SECRET)).unwrap();
    let mut config = bot.config();
    config["onboarding"]["token"] = json!("next");
    bot.fixture.run_oneshot(config.clone()).await.unwrap();
    let bound = bot.fixture.cluster.bound_keypair_token("next").unwrap().bound_public_key.unwrap();
    assert_eq!(bot.stored("id_bkp.pub").trim(), bound);
    assert_ne!(bot.stored("id_bkp.pub"), old);
    bot.fixture.run_oneshot(config).await.unwrap();
}

#[tokio::test]
async fn memory_without_a_static_key_is_a_warning_that_says_what_is_lost() {
    let log = LogCapture::start();
    let bot = BoundKeypairBot::new(BoundKeypairToken::with_secret(SECRET)).await;
    let mut config = bot.config();
    config["storage"] = json!({ "type": "memory" });
    let agent = bot.fixture.agent(config).unwrap();
    run_oneshot(&agent).await.unwrap();
    let warnings = log.events(|event| event.level == Level::WARN);
    insta::assert_snapshot!(warnings[0].message);
    assert!(!log.transcript().contains(SECRET));
    assert_eq!(bot.token().recovery_count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_the_key_pair_while_the_agent_runs() {
    let bot = BoundKeypairBot::new(BoundKeypairToken {
        recovery_limit: 2,
        ..BoundKeypairToken::with_secret(SECRET)
    })
    .await;
    let mut config = bot.config();
    config["storage"] = json!({ "type": "memory" });
    let running = RunningAgent::start(bot.fixture.agent(config).unwrap());
    wait_until("it has joined", || bot.token().recovery_count == 1).await;
    bot.advance_past_expiry();
    wait_until("it has recovered", || bot.token().recovery_count == 2).await;
    running.stop().await.unwrap();
}
