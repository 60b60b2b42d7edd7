//! Key pairs that are created before the join: in the storage, or as static keys.

use serde_json::json;
use tbot::agent::{BoundKeypair, DirectoryError, JoinError};
use tbot_cluster::{BoundKeypairToken, RecoveryMode};

use super::super::super::errors::{directory_error, join_error};
use super::super::super::fixture::{BOT, MINUTE, wait_until};
use super::{BoundKeypairBot, names};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_pair_that_was_created_before_is_registered_by_its_public_key() {
    let bot = BoundKeypairBot::new(BoundKeypairToken::with_secret("")).await;
    let (config, options) = (serde_json::from_value(bot.config()).unwrap(), bot.fixture.options(&[]));
    let created = BoundKeypair::in_storage(&config, &options, false).await.unwrap();
    assert!(created.is_new());
    let again = BoundKeypair::in_storage(&config, &options, false).await.unwrap();
    assert_eq!((again.is_new(), again.public_key().unwrap()), (false, created.public_key().unwrap()));
    assert_eq!(bot.stored("id_bkp.pub").trim(), created.public_key().unwrap());

    bot.edit(|token| *token = BoundKeypairToken::with_public_key(&created.public_key().unwrap()));
    bot.run().await.unwrap();
    bot.assert_in_sync();

    // The key pair that is still bound stays usable.
    let other = BoundKeypair::in_storage(&config, &options, true).await.unwrap();
    assert!(other.is_new());
    assert_ne!(other.public_key().unwrap(), created.public_key().unwrap());
    assert_eq!(bot.stored("id_bkp.pub").trim(), other.public_key().unwrap());
    bot.run().await.unwrap();
    bot.assert_in_sync();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_pair_is_not_created_in_the_storage_of_a_running_agent() {
    let bot = BoundKeypairBot::joined(0).await;
    let running = bot.fixture.start(bot.config());
    wait_until("the agent has renewed", || bot.fixture.cluster.instances(BOT) == [2]).await;
    let config = serde_json::from_value(bot.config()).unwrap();
    let error = BoundKeypair::in_storage(&config, &bot.fixture.options(&[]), true).await.unwrap_err();
    assert!(matches!(directory_error(error), DirectoryError::Locked(_)));
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_key_joins_without_any_state() {
    let bot = BoundKeypairBot::joined(0).await;
    let (key, path) = bot.new_static_key().await;
    bot.edit(|token| {
        let mut next = BoundKeypairToken::with_public_key(&key.public_key().unwrap());
        next.recovery_mode = RecoveryMode::Insecure;
        *token = next;
    });
    std::fs::remove_dir_all(bot.fixture.storage()).unwrap();
    let mut config = bot.config_with(&json!({ "static_private_key_path": path }));
    config["storage"] = json!({ "type": "memory" });
    for recoveries in 1..=2 {
        bot.fixture.run_oneshot(config.clone()).await.unwrap();
        assert_eq!(bot.token().recovery_count, recoveries);
    }
    config["storage"] = json!({ "type": "directory", "path": bot.fixture.storage() });
    bot.fixture.run_oneshot(config.clone()).await.unwrap();
    assert!(!names(&bot.fixture.storage()).contains("id_bkp"));

    bot.edit(|token| token.rotate_after = Some(bot.fixture.clock.now() - MINUTE));
    let (_, error) = join_error(bot.fixture.run_oneshot(config).await.unwrap_err());
    assert!(matches!(error, JoinError::StaticKeyRotation), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_key_that_is_not_registered_is_named() {
    let bot = BoundKeypairBot::joined(5).await;
    let (_, path) = bot.new_static_key().await;
    bot.edit(|token| token.recovery_mode = RecoveryMode::Insecure);
    bot.advance_past_expiry();
    let config = bot.config_with(&json!({ "static_private_key_path": path }));
    let (_, error) = join_error(bot.fixture.run_oneshot(config).await.unwrap_err());
    assert!(matches!(error, JoinError::LostKey { is_static: true, .. }), "{error:?}");
}
