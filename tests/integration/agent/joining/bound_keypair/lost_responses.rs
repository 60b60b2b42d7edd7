//! What happens if a response of the cluster is lost during a registration, a recovery or a renewal.

use tbot::agent::{ApiError, GrpcCode, JoinError, JoinReason, RenewalError, error_line};
use tbot_cluster::{BoundKeypairToken, RecoveryMode, method};

use super::super::super::errors::{api_error, renewal_error};
use super::super::super::fixture::{BOT, MINUTE, read, wait_until};
use super::{BoundKeypairBot, MESSAGES_OF_REGISTRATION, SECRET};

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_is_lost_before_its_result_is_repeated() {
    for message in 1..MESSAGES_OF_REGISTRATION {
        let bot = BoundKeypairBot::new(BoundKeypairToken::with_secret(SECRET)).await;
        bot.break_message(message);
        let (_, error) = bot.failed_join().await;
        assert!(matches!(error, JoinError::NoResponse { .. }), "{message}: {error:?}");
        bot.run().await.unwrap();
        bot.assert_in_sync();
        assert_eq!(bot.token().recovery_count, 1, "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_result_of_the_registration_is_explained_and_the_operator_can_help_at_the_server_alone() {
    let bot = BoundKeypairBot::new(BoundKeypairToken::with_secret(SECRET)).await;
    bot.fixture.cluster.drop_next_response(method::JOIN_V1);
    let (_, lost) = bot.failed_join().await;
    assert!(matches!(lost, JoinError::NoResponse { .. }), "{lost:?}");
    assert_eq!(bot.token().recovery_count, 1, "the cluster must have performed the join");
    let (_, refused) = bot.failed_join().await;
    let messages = [lost.hint().unwrap().to_string(), error_line(&refused, refused.hint().as_ref())];
    insta::assert_snapshot!(messages.join("\n"));
    bot.edit(|token| token.recovery_mode = RecoveryMode::Insecure);
    bot.run().await.unwrap();
    bot.edit(|token| token.recovery_mode = RecoveryMode::Standard);
    bot.assert_in_sync();
    bot.run().await.unwrap();
}

/// With a rotation, the cluster sends five messages, the last of which is the result.
#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_is_lost_before_its_result_is_repeated() {
    for message in 1..5 {
        let bot = BoundKeypairBot::joined(1).await;
        bot.advance_past_expiry();
        bot.edit(|token| token.rotate_after = Some(bot.fixture.clock.now() - MINUTE));
        bot.break_message(message);
        let (reason, error) = bot.failed_join().await;
        assert_eq!(reason, JoinReason::Expired);
        assert!(matches!(error, JoinError::NoResponse { .. }), "{message}: {error:?}");
        bot.run().await.unwrap();
        bot.assert_in_sync();
        assert_eq!(bot.token().recovery_count, 2, "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_result_of_a_recovery_with_a_rotation_loses_neither_key_pair() {
    let bot = BoundKeypairBot::joined(5).await;
    let old = bot.stored("id_bkp.pub");
    bot.advance_past_expiry();
    bot.edit(|token| token.rotate_after = Some(bot.fixture.clock.now() - MINUTE));
    bot.fixture.cluster.drop_next_response(method::JOIN_V1);
    bot.failed_join().await;
    assert_ne!(bot.token().bound_public_key.unwrap(), old.trim(), "the cluster must have rotated");
    assert_eq!(bot.stored("id_bkp.pub"), old);
    // The join state is outdated, so the cluster locks the token, and the error says what to do.
    assert_eq!(bot.refusal().await, "join state verification failed");
    assert!(bot.token().is_locked);
    bot.edit(|token| {
        token.is_locked = false;
        token.recovery_mode = RecoveryMode::Insecure;
    });
    bot.run().await.unwrap();
    bot.assert_in_sync();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_is_lost_before_the_first_challenge_is_repeated() {
    let bot = BoundKeypairBot::joined(0).await;
    for message in 1..3 {
        bot.break_message(message);
        let (reason, error) = bot.failed_join().await;
        assert_eq!(reason, JoinReason::NotRenewable);
        assert!(matches!(error, JoinError::NoResponse { hint: None, .. }), "{message}: {error:?}");
        assert!(!bot.fixture.has_renewal_marker());
        bot.run().await.unwrap();
        bot.assert_in_sync();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_whose_result_is_lost_is_suspended_until_the_certificate_expires_and_then_recovers() {
    let bot = BoundKeypairBot::joined(1).await;
    bot.fixture.cluster.drop_next_response(method::JOIN_V1);
    let error = renewal_error(bot.run().await.unwrap_err());
    let RenewalError::JoinResponseLost { error: JoinError::NoResponse { .. }, hint } = &error else {
        panic!("{error:?}")
    };
    let marker = bot.fixture.storage().join("renewal-pending");
    assert!(hint.as_str().contains(marker.to_str().unwrap()) && hint.as_str().contains("recovery.limit"));
    assert_eq!(bot.fixture.cluster.instances(BOT), [2], "the cluster must have performed the join");

    // Until then, the agent uses its certificate, and does not present it for another join.
    let joins = bot.fixture.call_count(method::JOIN_V1);
    std::fs::remove_dir_all(bot.fixture.path("out")).unwrap();
    bot.run().await.unwrap();
    assert!(bot.fixture.path("out").join("identity").exists());
    assert_eq!(bot.fixture.call_count(method::JOIN_V1), joins);

    bot.advance_past_expiry();
    bot.run().await.unwrap();
    bot.assert_in_sync();
    assert_eq!(bot.token().recovery_count, 2);
}

/// The server refuses the join state only after it has the solution of its challenge, but before it issues anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_is_refused_for_its_join_state_was_not_performed() {
    let bot = BoundKeypairBot::joined(0).await;
    let state = bot.fixture.storage().join("bkp_state");
    let current = read(&state);
    std::fs::write(&state, "{}").unwrap();
    let (reason, error) = bot.failed_join().await;
    assert_eq!(reason, JoinReason::NotRenewable);
    assert!(
        matches!(&error, JoinError::ServiceRefused { message, .. } if message.to_string().contains("join state"))
    );
    assert!(error.hint().unwrap().as_str().contains("recovery.mode"), "{error}");
    assert!(bot.token().is_locked && !bot.fixture.has_renewal_marker());
    // The lock applies to the certificate as well, until an administrator removes it.
    assert!(matches!(api_error(bot.run().await.unwrap_err()), ApiError::Refused { .. }));
    bot.edit(|token| token.is_locked = false);
    std::fs::write(&state, current).unwrap();
    bot.run().await.unwrap();
    assert_eq!((bot.token().recovery_count, bot.fixture.cluster.instances(BOT)), (1, vec![2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_created_again_under_its_old_name_is_explained() {
    for registers_by_secret in [true, false] {
        let bot = BoundKeypairBot::joined(0).await;
        let public_key = bot.stored("id_bkp.pub");
        bot.edit(|token| {
            *token = if registers_by_secret {
                BoundKeypairToken::with_secret(SECRET)
            } else {
                BoundKeypairToken::with_public_key(&public_key)
            };
        });
        let (_, error) = bot.failed_join().await;
        let hint = error.hint().unwrap();
        assert!(hint.as_str().contains("remove the file tlscert"), "{hint}");
        assert!(!bot.fixture.has_renewal_marker());
        std::fs::remove_file(bot.fixture.storage().join("tlscert")).unwrap();
        bot.run().await.unwrap();
        bot.assert_in_sync();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_recovers_from_a_lost_renewal_by_itself() {
    let bot = BoundKeypairBot::joined(1).await;
    std::fs::remove_dir_all(bot.fixture.path("out")).unwrap();
    bot.fixture.cluster.drop_next_response(method::JOIN_V1);
    let running = bot.fixture.start(bot.config());
    wait_until("the renewal is lost", || bot.fixture.has_renewal_marker()).await;
    wait_until("the agent uses the stored identity", || bot.fixture.path("out").join("identity").exists())
        .await;
    bot.advance_past_expiry();
    wait_until("the bot has recovered", || bot.token().recovery_count == 2).await;
    wait_until("the identity is saved", || !bot.fixture.has_renewal_marker()).await;
    running.stop().await.unwrap();
    bot.assert_in_sync();
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_the_marker_after_a_counted_renewal_locks_the_token_and_the_error_explains_it() {
    let bot = BoundKeypairBot::joined(1).await;
    bot.fixture.cluster.drop_next_response(method::JOIN_V1);
    renewal_error(bot.run().await.unwrap_err());
    std::fs::remove_file(bot.fixture.storage().join("renewal-pending")).unwrap();
    assert!(bot.refusal().await.contains("generation mismatch"));
    assert!(bot.token().is_locked);
    // The lock also applies to the certificate.
    std::fs::remove_file(bot.fixture.storage().join("renewal-pending")).unwrap();
    let error = api_error(bot.run().await.unwrap_err());
    assert!(matches!(error, ApiError::Refused { code: GrpcCode::PermissionDenied, .. }), "{error:?}");
}
