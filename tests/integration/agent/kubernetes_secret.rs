//! Outputs and storage in Kubernetes Secrets, against a fake API server on loopback.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;

use rustls::CertificateError;
use serde_json::{Value, json};
use tbot::agent::{
    Agent, AgentError, HttpError, JoinError, JoinReason, KubernetesClusterError, KubernetesSecretError,
    RenewalError, StorageError, error_line,
};
use tbot_cluster::{BoundKeypairToken, Cluster, Code, SERVER_VERSION, WorkloadIdentity, method};

use super::errors::{join_error, renewal_error, secret_error};
use super::fake_kube_api::{Credential, FakeKubeApi};
use super::fixture::{BOT, HOUR, RunningAgent, TestCluster, run_oneshot, wait_until};
use super::log_capture::LogCapture;

struct SecretFixture {
    teleport: TestCluster,
    kubernetes: FakeKubeApi,
}

impl SecretFixture {
    async fn new() -> Self {
        Self::with_version(SERVER_VERSION).await
    }

    async fn with_version(version: &str) -> Self {
        let teleport = TestCluster::with_version(version).await;
        let fixture = Self { teleport, kubernetes: FakeKubeApi::start() };
        let kubeconfig = fixture.kubernetes.kubeconfig().to_string();
        std::fs::write(fixture.teleport.path("kubeconfig"), kubeconfig).unwrap();
        fixture
    }

    fn destination(&self, name: &str) -> Value {
        let kubeconfig = self.teleport.path("kubeconfig");
        json!({ "type": "kubernetes_secret", "name": name, "kubeconfig_path": kubeconfig })
    }

    /// Returns a configuration with an output to the Secret `out`, and a directory as the storage.
    fn config_with_output(&self) -> Value {
        let mut destination = self.destination("out");
        destination["labels"] = json!({ "team": "a" });
        self.teleport.config("20m", &[json!({ "type": "identity", "destination": destination })])
    }

    /// Returns a configuration without outputs, and with the Secret `bot` as the storage.
    fn config_with_storage(&self) -> Value {
        let mut config = self.teleport.config("20m", &[]);
        config["storage"] = self.destination("bot");
        config
    }

    /// Returns a configuration with the Secret `bot` as the storage, and creates the token `bound` that it joins with.
    fn config_with_bound_keypair(&self) -> Value {
        let token = BoundKeypairToken { recovery_limit: 2, ..BoundKeypairToken::with_secret("hunter2") };
        self.teleport.cluster.add_bound_keypair_token(BOT, "bound", token).unwrap();
        let mut config = self.config_with_storage();
        config["onboarding"] = json!({
            "join_method": "bound_keypair",
            "token": "bound",
            "bound_keypair": { "registration_secret": "hunter2" },
        });
        config
    }

    fn agent(&self, config: Value) -> Result<Agent, AgentError> {
        self.teleport.agent_with_env(config, &[("POD_NAMESPACE", "apps")])
    }

    /// Starts an agent without outputs, and with the Secret `bot` as the storage.
    fn start(&self) -> RunningAgent {
        let mut config = self.config_with_storage();
        config["renewal_interval"] = json!("30m");
        RunningAgent::start(self.agent(config).unwrap())
    }

    async fn run_oneshot(&self, config: Value) -> Result<(), AgentError> {
        run_oneshot(&self.agent(config)?).await
    }

    /// The files in the Secret that is the bot's storage.
    fn stored(&self) -> BTreeMap<String, String> {
        self.kubernetes.secret("apps", "bot").unwrap()
    }
}

// On one thread, like the program.
#[tokio::test]
async fn an_output_is_applied_as_one_set_after_dry_runs() {
    let fixture = SecretFixture::new().await;
    fixture.run_oneshot(fixture.config_with_output()).await.unwrap();
    let files = fixture.kubernetes.secret("apps", "out").unwrap();
    assert!(files["identity"].starts_with(&files["key"]));
    assert!(files.contains_key("known_hosts") && !files.contains_key("ssh_config"));
    let object = fixture.kubernetes.object("apps", "out");
    assert_eq!((&object["type"], &object["metadata"]["labels"]), (&json!("Opaque"), &json!({ "team": "a" })));
    let targets: Vec<String> =
        fixture.kubernetes.requests().into_iter().map(|request| request.target).collect();
    let path = "/api/v1/namespaces/apps/secrets/out?fieldManager=tbot&force=true";
    // Before the join, and before the credentials are issued.
    let dry_run = format!("{path}&dryRun=All");
    assert_eq!(targets, [dry_run.clone(), dry_run, path.to_owned()]);

    fixture.run_oneshot(fixture.config_with_output()).await.unwrap();
    assert_ne!(fixture.kubernetes.secret("apps", "out").unwrap()["key"], files["key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_revocations_that_is_not_available_leaves_the_old_one_in_the_secret() {
    let fixture = SecretFixture::with_version("18.2.5").await;
    fixture.teleport.cluster.set_workload_identity(WorkloadIdentity::new("web", "/svc/web"));
    fixture.teleport.cluster.revoke_x509_svid(&[1]).unwrap();
    let destination = fixture.destination("out");
    let output = json!({ "type": "workload-identity-x509", "selector": { "name": "web" }, "destination": destination });
    let config = fixture.teleport.config("20m", &[output]);
    fixture.run_oneshot(config.clone()).await.unwrap();
    let before = fixture.kubernetes.secret("apps", "out").unwrap();
    fixture.teleport.cluster.fail_next(method::STREAM_SIGNED_CRL, Code::PermissionDenied, "access denied");
    fixture.run_oneshot(config.clone()).await.unwrap();
    let after = fixture.kubernetes.secret("apps", "out").unwrap();
    assert!(before.keys().eq(after.keys()), "{:?}", after.keys());
    assert_ne!(after["svid.pem"], before["svid.pem"]);
    assert_eq!(after["svid_crl.pem"], before["svid_crl.pem"]);

    // If the Secret cannot be read, the certificate is written without the list.
    fixture.teleport.cluster.fail_next(method::STREAM_SIGNED_CRL, Code::PermissionDenied, "access denied");
    fixture.kubernetes.fail_next("GET", 403, "no permission to get");
    fixture.run_oneshot(config).await.unwrap();
    let last = fixture.kubernetes.secret("apps", "out").unwrap();
    assert_ne!(last["svid.pem"], after["svid.pem"]);
    assert!(!last.contains_key("svid_crl.pem"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configured_context_may_authenticate_with_a_certificate() {
    let fixture = SecretFixture::new().await;
    let mut config = fixture.config_with_output();
    config["outputs"][0]["destination"]["kubeconfig_context"] = json!("by-certificate");
    config["outputs"][0]["destination"]["namespace"] = json!("other");
    fixture.run_oneshot(config).await.unwrap();
    assert!(fixture.kubernetes.secret("other", "out").is_some());
    let requests = fixture.kubernetes.requests();
    assert!(requests.iter().all(|request| request.credential == Credential::Certificate), "{requests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_write_keeps_the_old_set_and_names_the_missing_permission() {
    let fixture = SecretFixture::new().await;
    fixture.run_oneshot(fixture.config_with_output()).await.unwrap();
    let written = fixture.kubernetes.secret("apps", "out");
    fixture.kubernetes.fail_next("PATCH", 403, "secrets \"out\" is forbidden");
    let error = secret_error(fixture.run_oneshot(fixture.config_with_output()).await.unwrap_err());
    let KubernetesSecretError::Refused { status, message, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*status, message.to_string()), (403, "secrets \"out\" is forbidden".to_owned()));
    let address = fixture.kubernetes.address.to_string();
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()).replace(&address, "[kubernetes]"));
    assert_eq!(fixture.kubernetes.secret("apps", "out"), written);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_namespace_the_agent_does_not_join() {
    let fixture = SecretFixture::new().await;
    let error = fixture.teleport.run_oneshot(fixture.config_with_output()).await.unwrap_err();
    let KubernetesSecretError::NoNamespace(secret) = secret_error(error) else { panic!("another error") };
    assert_eq!(secret, "out");
    assert!(fixture.teleport.cluster.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_kubernetes_cluster_the_agent_does_not_join() {
    let fixture = SecretFixture::new().await;
    let mut config = fixture.config_with_output();
    config["outputs"][0]["destination"].as_object_mut().unwrap().remove("kubeconfig_path");
    let error = secret_error(fixture.run_oneshot(config).await.unwrap_err());
    assert!(
        matches!(error, KubernetesSecretError::Cluster(KubernetesClusterError::NotConfigured)),
        "{error:?}"
    );
    assert!(fixture.teleport.cluster.requests().is_empty());
}

/// Why rustls refused the certificate of the server, if it did.
fn refused_certificate<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CertificateError> {
    if let Some(rustls::Error::InvalidCertificate(problem)) = error.downcast_ref() {
        return Some(problem);
    }
    // `source` of an I/O error skips the error that it contains.
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => refused_certificate(inner),
        None => refused_certificate(error.source()?),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_the_kubeconfig_does_not_trust_gets_no_token() {
    let fixture = SecretFixture::new().await;
    let mut kubeconfig = fixture.kubernetes.kubeconfig();
    let other = FakeKubeApi::start();
    kubeconfig["clusters"][0]["cluster"]["server"] = json!(format!("https://{}", other.address));
    std::fs::write(fixture.teleport.path("kubeconfig"), kubeconfig.to_string()).unwrap();
    let error = secret_error(fixture.run_oneshot(fixture.config_with_output()).await.unwrap_err());
    let KubernetesSecretError::NoResponse { error: HttpError::Connection(error), .. } = &error else {
        panic!("{error:?}")
    };
    assert!(
        matches!(refused_certificate(error.get_ref()), Some(CertificateError::BadSignature)),
        "{error:?}"
    );
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn a_password_in_the_address_of_the_api_server_is_not_shown() {
    let log = LogCapture::start();
    let fixture = SecretFixture::new().await;
    for server in [
        "http://u:hunter2@example.com",
        "https://u:hunter2@127.0.0.1:1",
        "https://u:hunter2@bad host",
        "https://u:hunter2?#@host/",
        "u:hunter2@x",
        "https://127.0.0.1:1/?token=hunter2",
    ] {
        let mut kubeconfig = fixture.kubernetes.kubeconfig();
        kubeconfig["clusters"][0]["cluster"]["server"] = json!(server);
        std::fs::write(fixture.teleport.path("kubeconfig"), kubeconfig.to_string()).unwrap();
        let error = fixture.run_oneshot(fixture.config_with_output()).await.unwrap_err();
        let shown = error_line(&error, error.hint().as_ref());
        assert!(!format!("{shown} {error:?}").contains("hunter2"), "{error:?}");
    }
    assert!(!log.transcript().contains("hunter2"), "{}", log.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_stored_in_a_secret_is_joined_once_and_then_renewed() {
    let fixture = SecretFixture::new().await;
    for generation in [1, 2, 3] {
        fixture.run_oneshot(fixture.config_with_storage()).await.unwrap();
        assert_eq!(fixture.teleport.cluster.generation(BOT), Some(generation));
    }
    assert_eq!(fixture.teleport.call_count(method::JOIN), 1);
    let names: Vec<String> = fixture.stored().into_keys().collect();
    let expected = ["key", "key-cert.pub", "key.pub", "sshcacerts", "tlscacerts", "tlscert", "tokenhash"];
    assert_eq!(names, expected, "the files of the Go agent, without the marker of a pending renewal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_renewal_is_marked_in_the_secret_and_never_repeated() {
    let fixture = SecretFixture::new().await;
    fixture.run_oneshot(fixture.config_with_storage()).await.unwrap();
    fixture.teleport.cluster.drop_next_response(method::GENERATE_USER_CERTS);
    let error = renewal_error(fixture.run_oneshot(fixture.config_with_storage()).await.unwrap_err());
    let RenewalError::ResponseLost { hint, .. } = &error else { panic!("{error:?}") };
    let hint = hint.as_str();
    assert!(hint.contains("renewal-pending") && hint.contains("apps/bot"), "{hint}");
    assert!(fixture.stored().contains_key("renewal-pending"));
    fixture.run_oneshot(fixture.config_with_storage()).await.unwrap();
    assert_eq!(fixture.teleport.call_count(method::GENERATE_USER_CERTS), 1);
    assert!(!fixture.teleport.cluster.is_locked(BOT));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_agents_with_one_secret_only_one_requests_a_renewal() {
    let fixture = SecretFixture::new().await;
    fixture.run_oneshot(fixture.config_with_storage()).await.unwrap();
    // Both agents have read the Secret, and the other one writes its renewal marker first.
    let mut hold = fixture.teleport.cluster.hold_next(method::PING);
    let agent = fixture.agent(fixture.config_with_storage()).unwrap();
    let run = run_oneshot(&agent);
    tokio::pin!(run);
    tokio::select! {
        ended = &mut run => panic!("ended while it was held: {ended:?}"),
        () = hold.arrived() => {}
    }
    fixture.kubernetes.touch("apps", "bot");
    hold.release();
    let error = secret_error(run.await.unwrap_err());
    let KubernetesSecretError::Refused { status, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*status, 409);
    assert_eq!(fixture.teleport.call_count(method::GENERATE_USER_CERTS), 0);
    assert_eq!(fixture.teleport.cluster.generation(BOT), Some(1));
    fixture.run_oneshot(fixture.config_with_storage()).await.unwrap();
}

#[tokio::test]
async fn the_marker_of_another_agent_suspends_renewals_even_after_a_conflict() {
    let log = LogCapture::start();
    let fixture = SecretFixture::new().await;
    fixture.run_oneshot(fixture.config_with_storage()).await.unwrap();
    let mut hold = fixture.teleport.cluster.hold_next(method::PING);
    let running = fixture.start();
    hold.arrived().await;
    // Another agent with the same Secret renews, and does not get the response.
    fixture.teleport.cluster.drop_next_response(method::GENERATE_USER_CERTS);
    let lost = renewal_error(fixture.run_oneshot(fixture.config_with_storage()).await.unwrap_err());
    assert!(matches!(lost, RenewalError::ResponseLost { .. }), "{lost:?}");
    let marker = fixture.stored()["renewal-pending"].clone();
    hold.release();
    let says = |part: &str| log.transcript().contains(part);
    wait_until("the next attempt has ended", || says("renewal suspended") || says("mismatch")).await;
    assert!(says("(HTTP 409)"), "{}", log.transcript());
    running.stop().await.unwrap();
    assert_eq!(fixture.teleport.call_count(method::GENERATE_USER_CERTS), 1);
    assert!(!fixture.teleport.cluster.is_locked(BOT));
    assert_eq!(fixture.stored()["renewal-pending"], marker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_that_was_written_although_the_request_failed_does_not_suspend_renewals() {
    let fixture = SecretFixture::new().await;
    fixture.run_oneshot(fixture.config_with_storage()).await.unwrap();
    fixture.kubernetes.lose_next_response("PATCH");
    let running = fixture.start();
    wait_until("the bot is renewed", || fixture.teleport.cluster.generation(BOT) == Some(2)).await;
    wait_until("the identity is saved", || !fixture.stored().contains_key("renewal-pending")).await;
    running.stop().await.unwrap();
    assert_eq!(fixture.teleport.call_count(method::GENERATE_USER_CERTS), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_the_api_server_rejects_is_kept_and_saved_later() {
    let fixture = SecretFixture::new().await;
    fixture.run_oneshot(fixture.config_with_storage()).await.unwrap();
    let mut hold = fixture.teleport.cluster.hold_next(method::GENERATE_USER_CERTS);
    let running = fixture.start();
    hold.arrived().await;
    let before = fixture.stored()["tlscert"].clone();
    fixture.kubernetes.fail_next("PATCH", 503, "etcd is unavailable");
    hold.release();
    wait_until("the response is saved", || fixture.stored()["tlscert"] != before).await;
    running.stop().await.unwrap();
    assert_eq!(fixture.teleport.call_count(method::GENERATE_USER_CERTS), 1, "a second renewal was requested");
    assert!(!fixture.stored().contains_key("renewal-pending"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_keeps_a_bound_key_pair_and_its_join_state() {
    let fixture = SecretFixture::with_version("19.0.0").await;
    let cluster = &fixture.teleport.cluster;
    let config = fixture.config_with_bound_keypair();
    fixture.run_oneshot(config.clone()).await.unwrap();
    let registered = fixture.stored();
    assert_eq!(registered["id_bkp.pub"].trim(), bound(cluster));

    let now = fixture.teleport.clock.now();
    cluster.edit_bound_keypair_token("bound", |token| token.rotate_after = Some(now));
    fixture.run_oneshot(config.clone()).await.unwrap();
    let rotated = fixture.stored();
    assert_eq!(rotated["id_bkp.pub"].trim(), bound(cluster));
    assert_ne!(rotated["id_bkp"], registered["id_bkp"]);

    // A join with another method in between does not lose the key pair.
    fixture.run_oneshot(fixture.config_with_storage()).await.unwrap();
    assert_eq!(fixture.stored()["id_bkp"], rotated["id_bkp"]);
    assert_eq!(fixture.stored()["bkp_key_history.json"], rotated["bkp_key_history.json"]);
    fixture.teleport.clock.advance(2 * HOUR);
    fixture.run_oneshot(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_with_a_bound_key_pair_is_not_lost_if_its_marker_cannot_be_stored() {
    let fixture = SecretFixture::with_version("19.0.0").await;
    let cluster = &fixture.teleport.cluster;
    let config = fixture.config_with_bound_keypair();
    fixture.run_oneshot(config.clone()).await.unwrap();
    fixture.kubernetes.fail_next("PATCH", 503, "etcd is unavailable");
    let (reason, error) = join_error(fixture.run_oneshot(config.clone()).await.unwrap_err());
    assert_eq!(reason, JoinReason::NotRenewable);
    let JoinError::Storage(StorageError::Secret(KubernetesSecretError::Refused { status: 503, .. })) = &error
    else {
        panic!("{error:?}")
    };
    assert!(!fixture.stored().contains_key("renewal-pending"));
    fixture.run_oneshot(config).await.unwrap();
    let token = cluster.bound_keypair_token("bound").unwrap();
    assert_eq!((token.recovery_count, cluster.instances(BOT)), (1, vec![2]));
}

/// The agent reads its key pairs after it has decided to renew, and another agent may have begun to renew in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_changes_before_the_key_pairs_are_read_prevents_the_renewal() {
    let fixture = SecretFixture::with_version("19.0.0").await;
    let config = fixture.config_with_bound_keypair();
    fixture.run_oneshot(config.clone()).await.unwrap();
    fixture.kubernetes.touch_after_dry_run("apps", "bot");
    let error = secret_error(fixture.run_oneshot(config.clone()).await.unwrap_err());
    assert!(matches!(error, KubernetesSecretError::Refused { status: 409, .. }), "{error:?}");
    assert_eq!(fixture.teleport.cluster.instances(BOT), [1]);
    fixture.run_oneshot(config).await.unwrap();
    assert_eq!(fixture.teleport.cluster.instances(BOT), [2]);
}

/// The public key that the token `bound` has bound.
fn bound(cluster: &Cluster) -> String {
    cluster.bound_keypair_token("bound").unwrap().bound_public_key.unwrap()
}
