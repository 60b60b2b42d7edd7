//! The join method `bound_keypair`: registration, renewals, rotations and recoveries; what is lost when a response is lost; and a
//! storage that is not that of the last join.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tbot::agent::{
    AgentError, ApiError, BoundKeypair, DirectoryError, GrpcCode, JoinError, JoinReason, RenewalError,
    error_line,
};
use tbot_cluster::proto::join_v1::{self, join_request::Payload};
use tbot_cluster::{BoundKeypairToken, Code, KeyRegistration, RecoveryMode, StreamFault, method};
use tracing::Level;

use super::super::certificate::{attribute, generation, subject_attribute};
use super::super::errors::{api_error, directory_error, failed_tests, join_error, renewal_error};
use super::super::fixture::{BOT, HOUR, MINUTE, RunningAgent, TestCluster, read, run_oneshot, wait_until};
use super::super::log_capture::LogCapture;

const VERSION: &str = "19.0.0";
const TOKEN: &str = "bound";
const SECRET: &str = "hunter2-registration";
/// How many messages the cluster sends to register a key pair: the confirmation of the method, a request for a key, a challenge
/// and the result.
const MESSAGES_OF_REGISTRATION: usize = 4;

/// A cluster with a token that binds one key pair.
struct BoundKeypairBot {
    fixture: TestCluster,
}

impl BoundKeypairBot {
    async fn new(token: BoundKeypairToken) -> Self {
        Self::with_version(VERSION, token).await
    }

    async fn with_version(version: &str, token: BoundKeypairToken) -> Self {
        let fixture = TestCluster::with_version(version).await;
        fixture.cluster.set_signature_algorithm_suite("balanced-v1");
        fixture.cluster.add_bound_keypair_token(BOT, TOKEN, token).unwrap();
        Self { fixture }
    }

    /// A bot that has registered its key pair with the secret, and may recover `recoveries` times.
    async fn joined(recoveries: u32) -> Self {
        let bot = Self::new(BoundKeypairToken {
            recovery_limit: 1 + recoveries,
            ..BoundKeypairToken::with_secret(SECRET)
        })
        .await;
        bot.run().await.unwrap();
        bot
    }

    fn config_with(&self, settings: &Value) -> Value {
        let mut config = self.fixture.config("20m", &[self.fixture.output("out")]);
        config["onboarding"] =
            json!({ "join_method": "bound_keypair", "token": TOKEN, "bound_keypair": settings });
        config
    }

    fn config(&self) -> Value {
        self.config_with(&json!({ "registration_secret": SECRET }))
    }

    async fn run(&self) -> Result<(), AgentError> {
        self.fixture.run_oneshot(self.config()).await
    }

    /// Runs an agent whose join fails. Neither the error nor its hint contains the registration secret.
    async fn failed_join(&self) -> (JoinReason, JoinError) {
        let (reason, error) = join_error(self.run().await.unwrap_err());
        let message = error_line(&error, error.hint().as_ref());
        assert!(!message.contains(SECRET), "{message}");
        (reason, error)
    }

    /// Runs an agent that the cluster refuses, and returns the message of the cluster. There is a hint.
    async fn refusal(&self) -> String {
        let (_, error) = self.failed_join().await;
        assert!(error.hint().is_some(), "{error}");
        let JoinError::ServiceRefused { code: GrpcCode::PermissionDenied, message, .. } = error else {
            panic!("{error:?}")
        };
        message.to_string()
    }

    /// Creates a static key in a file.
    async fn new_static_key(&self) -> (BoundKeypair, PathBuf) {
        let config = serde_json::from_value(self.config()).unwrap();
        let key = BoundKeypair::new_static(&config, &self.fixture.options(&[])).await.unwrap();
        let path = self.fixture.path("static-key");
        std::fs::write(&path, key.private_pem()).unwrap();
        (key, path)
    }

    fn token(&self) -> BoundKeypairToken {
        self.fixture.cluster.bound_keypair_token(TOKEN).unwrap()
    }

    fn edit(&self, edit: impl FnOnce(&mut BoundKeypairToken)) {
        self.fixture.cluster.edit_bound_keypair_token(TOKEN, edit);
    }

    fn stored(&self, name: &str) -> String {
        read(&self.fixture.storage().join(name))
    }

    /// The public keys in the history.
    fn history_len(&self) -> usize {
        let history: Value = serde_json::from_str(&self.stored("bkp_key_history.json")).unwrap();
        history["entries"].as_array().unwrap().len()
    }

    /// Fails the test unless the storage and the output are those of the cluster's last join.
    fn assert_in_sync(&self) {
        let token = self.token();
        assert_eq!(self.stored("id_bkp.pub").trim(), token.bound_public_key.unwrap());
        let state: Value = serde_json::from_str(&self.stored("bkp_state")).unwrap();
        assert_eq!(state["recovery_sequence"], token.recovery_count);
        assert_eq!(state["bot_instance_id"], token.bound_instance.unwrap());
        assert!(!token.is_locked && !self.fixture.has_renewal_marker());
    }

    fn break_message(&self, message: usize) {
        self.fixture.cluster.break_next_stream(method::JOIN_V1, StreamFault::LoseResponse(message));
    }

    fn advance_past_expiry(&self) {
        self.fixture.clock.advance(2 * HOUR);
    }
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_secret_binds_a_new_key_pair_and_renewals_keep_the_instance() {
    use std::os::unix::fs::PermissionsExt as _;
    let bot = BoundKeypairBot::joined(0).await;
    bot.assert_in_sync();
    assert_eq!(bot.token().recovery_count, 1);
    let certificate = bot.fixture.storage().join("tlscert");
    assert_eq!(subject_attribute(&certificate, attribute::RENEWABLE), None);
    for expected in 2..=3 {
        bot.run().await.unwrap();
        bot.assert_in_sync();
        assert_eq!(generation(&certificate), expected);
    }
    assert_eq!((bot.token().recovery_count, bot.fixture.cluster.instances(BOT)), (1, vec![3]));
    assert_eq!(bot.fixture.call_count(method::JOIN), 0);
    for name in ["id_bkp", "bkp_key_history.json", "bkp_state"] {
        let mode = std::fs::metadata(bot.fixture.storage().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(bot.stored("id_bkp.pub").starts_with("ssh-ed25519 "));
    let leftovers = names(&bot.fixture.storage()).into_iter().filter(|name| name.starts_with(".tbot-"));
    assert_eq!(leftovers.collect::<Vec<_>>(), [".tbot-lock"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signature_algorithm_suite_selects_the_type_of_the_key_pair() {
    let bot = BoundKeypairBot::new(BoundKeypairToken::with_secret(SECRET)).await;
    bot.fixture.cluster.set_signature_algorithm_suite("fips-v1");
    bot.run().await.unwrap();
    bot.assert_in_sync();
    assert!(bot.stored("id_bkp.pub").starts_with("ecdsa-sha2-nistp256 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_or_late_registration_secret_is_refused() {
    let bot = BoundKeypairBot::new(BoundKeypairToken::with_secret("another")).await;
    assert_eq!(bot.refusal().await, "a valid registration secret is required");
    bot.edit(|token| {
        let must_register_before = Some(bot.fixture.clock.now() - MINUTE);
        token.registration = KeyRegistration::Secret { secret: SECRET.to_owned(), must_register_before };
    });
    assert_eq!(bot.refusal().await, "a valid registration secret is required");
    assert!(!bot.fixture.path("out").join("identity").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registration_secret_appears_in_no_error_and_no_log() {
    let bot = BoundKeypairBot::new(BoundKeypairToken::with_secret(SECRET)).await;
    bot.fixture.cluster.fail_next(method::JOIN_V1, Code::PermissionDenied, SECRET);
    let (_, error) = bot.failed_join().await;
    let JoinError::ServiceRefused { message, .. } = &error else { panic!("{error:?}") };
    assert_eq!(message.to_string(), "...");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_replaces_the_key_pair_at_a_renewal_and_keeps_the_old_one_in_the_history() {
    let bot = BoundKeypairBot::joined(0).await;
    let old = bot.stored("id_bkp");
    bot.edit(|token| token.rotate_after = Some(bot.fixture.clock.now() - MINUTE));
    bot.run().await.unwrap();
    bot.assert_in_sync();
    assert_ne!(bot.stored("id_bkp"), old);
    assert_eq!((bot.history_len(), generation(&bot.fixture.storage().join("tlscert"))), (2, 2));
    let old_pem = old.replace('\n', "\\n");
    assert!(bot.stored("bkp_key_history.json").contains(&old_pem));
    bot.run().await.unwrap();
    assert_eq!(bot.history_len(), 2, "rotated only once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_identity_recovers_until_the_limit_is_used_up() {
    let bot = BoundKeypairBot::joined(1).await;
    bot.advance_past_expiry();
    bot.run().await.unwrap();
    bot.assert_in_sync();
    assert_eq!((bot.token().recovery_count, bot.fixture.cluster.instances(BOT).len()), (2, 2));
    bot.advance_past_expiry();
    assert_eq!(bot.refusal().await, "no rejoins remaining");
    let (reason, _) = bot.failed_join().await;
    assert_eq!(reason, JoinReason::Expired);
    bot.edit(|token| token.recovery_limit += 1);
    bot.run().await.unwrap();
    bot.assert_in_sync();
}

/// The limit is checked only when the bot must recover, so a running agent is not affected by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_renews_although_no_recovery_is_left() {
    let bot = BoundKeypairBot::joined(0).await;
    let mut config = bot.config();
    config["renewal_interval"] = json!("100ms");
    let running = bot.fixture.start(config);
    wait_until("it has renewed twice", || bot.fixture.cluster.instances(BOT) >= vec![3]).await;
    running.stop().await.unwrap();
    bot.assert_in_sync();
    assert_eq!(bot.token().recovery_count, 1);
}

/// Everything that the first join needs is tested before it, because it counts as a recovery.
#[tokio::test(flavor = "multi_thread")]
async fn the_requirements_of_the_first_join_are_tested_before_it() {
    let bot = BoundKeypairBot::new(BoundKeypairToken::with_secret(SECRET)).await;
    let missing = bot.fixture.path("missing");
    std::fs::write(bot.fixture.path("out"), "").unwrap();
    let config = bot.config_with(&json!({ "registration_secret_path": missing }));
    let failures = failed_tests(bot.fixture.run_oneshot(config).await.unwrap_err());
    let is_expected = |failure: &RenewalError| {
        matches!(failure, RenewalError::Destination(_) | RenewalError::BoundKeypair { .. })
    };
    assert!(failures.len() == 2 && failures.iter().all(is_expected), "{failures:?}");
    assert_eq!(bot.fixture.call_count(method::JOIN_V1), 0);
}

// Lost responses.

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

// The storage.

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

// Other ways to register.

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

// Servers that cannot.

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_join_service_is_refused_by_name() {
    for (version, calls) in [("15.0.0", 0), ("17.7.5", 0), ("18.0.0", 1)] {
        let bot = BoundKeypairBot::with_version(version, BoundKeypairToken::with_secret(SECRET)).await;
        let (_, error) = bot.failed_join().await;
        let JoinError::NoJoinService { version: named, .. } = &error else { panic!("{error:?}") };
        assert!(version.starts_with(&named.to_string()) && error.hint().is_some(), "{error}");
        assert_eq!(bot.fixture.call_count(method::JOIN_V1), calls, "{version}");
        assert_eq!(bot.fixture.call_count(method::JOIN), 0, "{version}");
    }
}
