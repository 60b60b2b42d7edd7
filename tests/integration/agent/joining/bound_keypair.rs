//! The join method `bound_keypair`: registration, renewals, rotations and recoveries.

mod lost_responses;
mod static_keys;
mod storage;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tbot::agent::{AgentError, BoundKeypair, GrpcCode, JoinError, JoinReason, RenewalError, error_line};
use tbot_cluster::{BoundKeypairToken, Code, KeyRegistration, StreamFault, method};

use super::super::certificate::{attribute, generation, subject_attribute};
use super::super::errors::{failed_tests, join_error};
use super::super::fixture::{BOT, HOUR, MINUTE, TestCluster, read, wait_until};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_has_joined_renews_and_recovers_without_the_file_of_the_secret() {
    let bot = BoundKeypairBot::new(BoundKeypairToken {
        recovery_limit: 2,
        ..BoundKeypairToken::with_secret(SECRET)
    })
    .await;
    let file = bot.fixture.path("secret");
    std::fs::write(&file, SECRET).unwrap();
    let run =
        || bot.fixture.run_oneshot(bot.config_with(&json!({ "registration_secret_path": file.clone() })));
    run().await.unwrap();
    std::fs::write(&file, "").unwrap();
    run().await.unwrap();
    std::fs::remove_file(&file).unwrap();
    run().await.unwrap();
    assert_eq!((bot.token().recovery_count, bot.fixture.cluster.instances(BOT)), (1, vec![3]));
    bot.advance_past_expiry();
    run().await.unwrap();
    bot.assert_in_sync();
    assert_eq!(bot.token().recovery_count, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_join_service_is_an_error_that_names_the_service() {
    for (version, calls) in [("15.0.0", 0), ("17.7.5", 0), ("18.0.0", 1)] {
        let bot = BoundKeypairBot::with_version(version, BoundKeypairToken::with_secret(SECRET)).await;
        let (_, error) = bot.failed_join().await;
        let JoinError::NoJoinService { version: named, .. } = &error else { panic!("{error:?}") };
        assert!(version.starts_with(&named.to_string()) && error.hint().is_some(), "{error}");
        assert_eq!(bot.fixture.call_count(method::JOIN_V1), calls, "{version}");
        assert_eq!(bot.fixture.call_count(method::JOIN), 0, "{version}");
    }
}
