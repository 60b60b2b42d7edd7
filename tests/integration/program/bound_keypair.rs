//! The join method `bound_keypair` with the program: the join URI that `tctl` prints, kills (SIGKILL) at each step of a join, and
//! `tbot keypair create`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::process::Signal;
use serde_json::Value;
use tbot_cluster::{BoundKeypairToken, Cluster, ClusterConfig, RecoveryMode, StreamFault, clock, method};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::fixture::{Finished, Run, Telemetry, tbot};
use crate::agent::fixture::read;

const BOT: &str = "robot";
const TOKEN: &str = "bound";
const SECRET: &str = "hunter2-registration";

struct Fixture {
    cluster: Cluster,
    root: TempDir,
}

impl Fixture {
    async fn new(token: BoundKeypairToken) -> Self {
        let config =
            ClusterConfig { server_version: "19.0.0".to_owned(), ..ClusterConfig::new(clock::system()) };
        let cluster = Cluster::start(config).await.unwrap();
        cluster.set_signature_algorithm_suite("balanced-v1");
        cluster.add_bot(BOT, &["access"]).unwrap();
        cluster.add_bound_keypair_token(BOT, TOKEN, token).unwrap();
        let fixture = Self { cluster, root: tempfile::tempdir().unwrap() };
        std::fs::write(fixture.path("web-ca.pem"), fixture.cluster.web_ca_pem()).unwrap();
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn tbot(&self, arguments: &[&str]) -> Run {
        tbot(Telemetry::ClosedPort, arguments).env("SSL_CERT_FILE", self.path("web-ca.pem"))
    }

    /// Prepares the command that `tctl bots add` prints.
    fn start(&self) -> Run {
        let uri =
            format!("--join-uri=tbot+proxy+bound-keypair://{TOKEN}:{SECRET}@{}", self.cluster.proxy_addr());
        let [storage, out] = ["storage", "out"].map(|name| self.path(name));
        let storage = format!("--storage={}", storage.display());
        let destination = format!("--destination={}", out.display());
        self.tbot(&["start", "identity", "--oneshot", &uri, &storage, &destination])
    }

    fn run(&self) -> Finished {
        let finished = self.start().run_blocking();
        assert!(!finished.stderr.contains(SECRET), "{}", finished.stderr);
        finished
    }

    /// Starts the program, and kills it when the cluster is about to send this message.
    async fn kill_before_message(&self, message: usize) {
        let reached = Arc::new(Notify::new());
        let stall = StreamFault::Stall { response: message, reached: Arc::clone(&reached) };
        self.cluster.break_next_stream(method::JOIN_V1, stall);
        let running = self.start().spawn();
        reached.notified().await;
        running.signal(Signal::KILL);
        tokio::task::block_in_place(|| running.wait());
    }

    fn token(&self) -> BoundKeypairToken {
        self.cluster.bound_keypair_token(TOKEN).unwrap()
    }

    fn assert_in_sync(&self, finished: &Finished) {
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        let token = self.token();
        let storage = self.path("storage");
        assert_eq!(read(&storage.join("id_bkp.pub")).trim(), token.bound_public_key.unwrap());
        let state: Value = serde_json::from_str(&read(&storage.join("bkp_state"))).unwrap();
        assert_eq!(state["recovery_sequence"], token.recovery_count);
        assert!(!token.is_locked && !self.has_marker());
    }

    fn has_marker(&self) -> bool {
        self.path("storage").join("renewal-pending").exists()
    }

    fn create(&self, flags: &[&str]) -> Finished {
        let proxy = format!("--proxy-server={}", self.cluster.proxy_addr());
        self.tbot(&[&["keypair", "create", proxy.as_str()], flags].concat()).run_blocking()
    }

    /// Runs `tbot keypair create` for the storage.
    fn create_in_storage(&self, flags: &[&str]) -> Finished {
        let storage = format!("--storage={}", self.path("storage").display());
        self.create(&[&[storage.as_str()], flags].concat())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_that_tctl_prints_joins_and_renews() {
    let fixture = Fixture::new(BoundKeypairToken::with_secret(SECRET)).await;
    for _ in 0..2 {
        fixture.assert_in_sync(&fixture.run());
    }
    assert_eq!(fixture.token().recovery_count, 1);
    assert!(fixture.path("out").join("identity").exists());
}

/// Until the cluster has the last message of the agent, a registration can be repeated.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_during_a_registration_loses_no_key_pair() {
    for message in 1..=3 {
        let fixture = Fixture::new(BoundKeypairToken::with_secret(SECRET)).await;
        fixture.kill_before_message(message).await;
        fixture.assert_in_sync(&fixture.run());
        assert_eq!(fixture.token().recovery_count, 1, "{message}");
    }
    let fixture = Fixture::new(BoundKeypairToken::with_secret(SECRET)).await;
    fixture.kill_before_message(4).await;
    assert_eq!(fixture.token().recovery_count, 1, "the cluster must have performed the join");
    let refused = fixture.run();
    assert_eq!(refused.status, Some(1));
    assert!(refused.log_at("ERROR")[0].contains("recovery.limit"), "{}", refused.stderr);
    // The key pair was saved before it was announced, so the operator can help at the cluster alone.
    fixture.cluster.edit_bound_keypair_token(TOKEN, |token| token.recovery_mode = RecoveryMode::Insecure);
    fixture.assert_in_sync(&fixture.run());
}

/// A renewal with a rotation: the confirmation of the method, a challenge, the request for a key, a challenge and the result.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_during_a_renewal_presents_no_certificate_twice() {
    for message in 1..=5 {
        let fixture = Fixture::new(BoundKeypairToken::with_secret(SECRET)).await;
        fixture.assert_in_sync(&fixture.run());
        fixture.cluster.edit_bound_keypair_token(TOKEN, |token| {
            token.rotate_after = Some(clock::system()() - std::time::Duration::from_secs(60));
        });
        fixture.kill_before_message(message).await;
        assert_eq!(
            fixture.has_marker(),
            message > 2,
            "the marker is stored before the first signature: {message}"
        );
        let has_renewed = fixture.cluster.instances(BOT) == [2];
        assert_eq!(has_renewed, message == 5);
        let joins = fixture.cluster.requests().len();
        let next = fixture.run();
        if !fixture.has_marker() {
            fixture.assert_in_sync(&next);
            continue;
        }
        // The agent uses its certificate, and names the remedy.
        assert_eq!(next.status, Some(0), "{}", next.stderr);
        let marker = fixture.path("storage").join("renewal-pending");
        let names_remedy = |line: &&str| line.contains(marker.to_str().unwrap());
        assert!(next.log_at("ERROR").iter().any(names_remedy), "{}", next.stderr);
        let requests = fixture.cluster.requests();
        assert!(requests[joins..].iter().all(|call| call.method != method::JOIN_V1), "{message}");
        assert!(!fixture.token().is_locked);
        if !has_renewed {
            std::fs::remove_file(marker).unwrap();
            fixture.assert_in_sync(&fixture.run());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_pair_is_created_once_and_joins() {
    let fixture = Fixture::new(BoundKeypairToken::with_secret("")).await;
    let created = fixture.create_in_storage(&["--format=json"]);
    assert_eq!((created.status, created.stderr.as_str()), (Some(0), ""));
    let keys: Value = serde_json::from_str(&created.stdout).unwrap();
    assert_eq!(keys.as_object().unwrap().len(), 1);
    let line = keys["public_key"].as_str().unwrap();
    assert!(line.starts_with("ssh-ed25519 "));
    let private = fixture.path("storage").join("id_bkp");
    assert_eq!(std::fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);

    let again = fixture.create_in_storage(&[]);
    assert!(again.stdout.contains(line) && again.stderr.contains("--overwrite"), "{}", again.stderr);
    let overwritten = fixture.create_in_storage(&["--overwrite"]);
    assert!(!overwritten.stdout.contains(line) && overwritten.stderr.is_empty(), "{}", overwritten.stderr);
    assert!(!overwritten.stdout.contains(read(&private).lines().nth(1).unwrap()));
    insta::assert_snapshot!(overwritten.stdout.replace(read(&private.with_extension("pub")).trim(), "[key]"));

    fixture.cluster.edit_bound_keypair_token(TOKEN, |token| {
        *token = BoundKeypairToken::with_public_key(&read(&private.with_extension("pub")));
    });
    fixture.assert_in_sync(&fixture.run());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_printed_although_the_reader_of_standard_error_has_gone() {
    let fixture = Fixture::new(BoundKeypairToken::with_secret("")).await;
    let created = fixture.create_in_storage(&["--format=json"]).stdout;
    let proxy = format!("--proxy-server={}", fixture.cluster.proxy_addr());
    let storage = format!("--storage={}", fixture.path("storage").display());
    // The command first notes on standard error that it generates nothing.
    let again = fixture.tbot(&["keypair", "create", &proxy, &storage, "--format=json"]);
    let printed = tokio::task::block_in_place(|| again.stdout_without_stderr());
    assert!(!printed.is_empty());
    assert_eq!(printed, created);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_selects_the_type_of_the_key_pair() {
    let fixture = Fixture::new(BoundKeypairToken::with_secret("")).await;
    for (suite, key_type) in [("fips-v1", "ecdsa-sha2-nistp256 "), ("", "ssh-ed25519 ")] {
        fixture.cluster.set_signature_algorithm_suite(suite);
        let created = fixture.create_in_storage(&["--overwrite", "--format=json"]);
        let keys: Value = serde_json::from_str(&created.stdout).unwrap();
        assert!(keys["public_key"].as_str().unwrap().starts_with(key_type), "{suite}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_key_is_printed_or_written_to_a_file() {
    let fixture = Fixture::new(BoundKeypairToken::with_secret("")).await;
    let created = fixture.create(&["--static", "--format=json"]);
    let keys: Value = serde_json::from_str(&created.stdout).unwrap();
    let [public, private] = ["public_key", "private_key"].map(|name| keys[name].as_str().unwrap().to_owned());
    fixture.cluster.edit_bound_keypair_token(TOKEN, |token| {
        *token = BoundKeypairToken::with_public_key(&public);
        token.recovery_mode = RecoveryMode::Insecure;
    });
    let (first_line, rest) = private.split_at(76);
    for private in [&private, &format!("{first_line}\n{rest}\n")] {
        let joined = fixture.start().env("TBOT_BOUND_KEYPAIR_STATIC_KEY", private).run_blocking();
        assert_eq!(joined.status, Some(0), "{}", joined.stderr);
        assert!(!joined.stderr.contains(first_line));
    }
    assert!(!fixture.path("storage").join("id_bkp").exists());

    let file = fixture.path("static-key");
    let flag = format!("--static-key-path={}", file.display());
    let created = fixture.create(&["--static", &flag]);
    assert_eq!(created.status, Some(0), "{}", created.stderr);
    assert!(!created.stdout.contains("TBOT_BOUND_KEYPAIR_STATIC_KEY") && created.stdout.contains("insecure"));
    let pem = read(&file);
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // A script that creates the key can run again: it gets the same public key, also if the proxy cannot be reached.
    let again =
        tbot(Telemetry::ClosedPort, &["keypair", "create", "--proxy-server=127.0.0.1:1", "--static", &flag])
            .run_blocking();
    assert_eq!((again.status, &again.stdout), (Some(0), &created.stdout), "{}", again.stderr);
    assert!(again.stderr.contains("--overwrite"), "{}", again.stderr);
    assert_eq!(read(&file), pem);
    for content in ["", "not a key"] {
        let other = fixture.path("other");
        std::fs::write(&other, content).unwrap();
        let refused = fixture.create(&["--static", &format!("--static-key-path={}", other.display())]);
        assert_eq!((refused.status, refused.stdout.as_str()), (Some(2), ""), "{}", refused.stderr);
        assert_eq!(read(&other), content);
    }
    // The new key cannot be written.
    let new = fixture.path("static-key.tbot-new");
    std::fs::create_dir(&new).unwrap();
    let failed = fixture.create(&["--static", &flag, "--overwrite"]);
    assert_eq!(failed.status, Some(1), "{}", failed.stderr);
    assert_eq!(read(&file), pem);
    std::fs::remove_dir(&new).unwrap();
    assert_eq!(fixture.create(&["--static", &flag, "--overwrite"]).status, Some(0));
    assert_ne!(read(&file), pem);
    assert!(!new.exists());
}

#[test]
fn arguments_that_cannot_work_are_refused() {
    let run =
        |arguments: &[&str]| tbot(Telemetry::ClosedPort, &[&["keypair", "create"], arguments].concat()).run();
    let proxy = "--proxy-server=127.0.0.1:1";
    for (arguments, status) in [
        (&[][..], 2),
        (&[proxy, "--storage=memory://"], 2),
        (&[proxy, "--storage=storage", "--static"], 1),
        (&[proxy, "--static-key-path=a"], 2),
        (&[proxy, "--storage=storage"], 1),
        (&[proxy, "--static"], 1),
    ] {
        let finished = run(arguments);
        assert_eq!((finished.status, finished.stdout.as_str()), (Some(status), ""), "{arguments:?}");
        assert!(!finished.stderr.is_empty());
        assert!(!finished.has_file("storage/id_bkp"), "{arguments:?}");
    }
}
