//! Oneshot mode: joining, renewing, the files that are written, and outputs that fail.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tbot::agent::{AgentError, RenewalError, control};
use tbot_cluster::{Cluster, ClusterConfig, Code, clock, method};

use super::certificate::{attribute, roles, subject_attribute};
use super::errors::{failed_outputs, renewal_error};
use super::fixture::{BOT, TestCluster, read, run_oneshot};

const OUTPUT_FILES: [&str; 12] = [
    "dev.test.known_hosts",
    "dev.test.ssh_config",
    "identity",
    "key",
    "key-cert.pub",
    "key.pub",
    "known_hosts",
    "ssh_config",
    "teleport-database-ca.crt",
    "teleport-host-ca.crt",
    "teleport-user-ca.crt",
    "tlscert",
];

/// The names of all files in a directory, sorted.
fn all_file_names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Runs a program, which must succeed, and returns what it prints.
fn stdout_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_run_joins_and_writes_every_file() {
    let fixture = TestCluster::new().await;
    fixture.run_oneshot(fixture.config("20m", &[fixture.output("out")])).await.unwrap();

    let out = fixture.path("out");
    let mut expected = ["..1", "..data", ".tbot-lock", ".write-test"].map(str::to_owned).to_vec();
    expected.extend(OUTPUT_FILES.map(str::to_owned));
    assert_eq!(all_file_names(&out), expected);
    for name in OUTPUT_FILES {
        let mode = std::fs::metadata(out.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(
        all_file_names(&fixture.storage()),
        [
            ".tbot-lock",
            ".write-test",
            "key",
            "key-cert.pub",
            "key.pub",
            "lock",
            "sshcacerts",
            "tlscacerts",
            "tlscert",
            "tokenhash"
        ]
    );
    assert_eq!((fixture.stored_generation(), fixture.cluster.generation(BOT)), (1, Some(1)));

    let certificate = out.join("tlscert");
    assert_eq!(roles(&certificate), ["access", "deploy"]);
    assert_eq!(subject_attribute(&certificate, attribute::IMPERSONATOR).as_deref(), Some("bot-robot"));
    let identity = read(&out.join("identity"));
    let key = read(&out.join("key"));
    assert!(identity.starts_with(&key) && key.starts_with("-----BEGIN PRIVATE KEY-----"));
    assert!(identity.contains(&read(&out.join("key-cert.pub"))));
    assert!(identity.contains("@cert-authority dev.test,*.dev.test "));
    assert!(identity.ends_with(&read(&out.join("teleport-host-ca.crt"))));
    assert!(read(&out.join("known_hosts")).starts_with("@cert-authority 127.0.0.1,dev.test,*.dev.test "));
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_and_openssl_accept_the_files_and_their_keys_match() {
    let fixture = TestCluster::new().await;
    fixture.run_oneshot(fixture.config("20m", &[fixture.output("out")])).await.unwrap();
    let out = fixture.path("out");
    let file = |name: &str| out.join(name).to_str().unwrap().to_owned();

    let certificate = stdout_of("ssh-keygen", &["-L", "-f", &file("key-cert.pub")]);
    assert!(
        certificate.contains("Type: ecdsa-sha2-nistp256-cert-v01@openssh.com user certificate"),
        "{certificate}"
    );
    assert!(certificate.contains("Key ID: \"bot-robot\""), "{certificate}");
    let public = stdout_of("ssh-keygen", &["-y", "-f", &file("key")]);
    assert_eq!(public.trim(), read(&out.join("key.pub")).trim());
    let resolved = stdout_of("ssh", &["-G", "-F", &file("ssh_config"), "root@node.dev.test"]);
    assert!(resolved.contains("port 3022\n"), "{resolved}");
    assert!(resolved.contains(&format!("certificatefile {}\n", file("key-cert.pub"))), "{resolved}");

    let of_key = stdout_of("openssl", &["pkey", "-in", &file("key"), "-pubout"]);
    let of_certificate = stdout_of("openssl", &["x509", "-in", &file("tlscert"), "-noout", "-pubkey"]);
    assert_eq!(of_key, of_certificate);
    stdout_of("openssl", &["verify", "-CAfile", &file("teleport-user-ca.crt"), &file("tlscert")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn later_runs_renew_the_stored_identity() {
    let fixture = TestCluster::new().await;
    for generation in [1, 2, 3] {
        fixture.run_oneshot(fixture.config("20m", &[fixture.output("out")])).await.unwrap();
        let generations = (fixture.stored_generation(), fixture.cluster.generation(BOT));
        assert_eq!(generations, (generation, Some(generation)));
    }
    assert_eq!(fixture.call_count(method::JOIN), 1);
    assert!(!fixture.cluster.is_locked(BOT));
    assert!(!fixture.has_renewal_marker());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_says_whether_another_run_may_succeed() {
    let fixture = TestCluster::joined().await;
    let run = || async {
        let error = fixture.run_oneshot(fixture.config("20m", &[fixture.output("out")])).await.unwrap_err();
        error.is_transient()
    };
    fixture.cluster.set_down(true);
    assert!(run().await, "an outage");
    fixture.cluster.set_down(false);
    for (code, is_transient) in
        [(Code::Internal, true), (Code::ResourceExhausted, true), (Code::PermissionDenied, false)]
    {
        // The first use is the output's: a renewal does not ask for the CAs.
        fixture.cluster.fail_next(method::GET_CERT_AUTHORITIES, code, "no");
        assert_eq!(run().await, is_transient, "an output: {code:?}");
    }
    fixture.cluster.fail_next(method::PING, Code::Internal, "no");
    assert!(run().await, "the connection before a renewal");
    fixture.cluster.fail_next(method::GENERATE_USER_CERTS, Code::Internal, "no");
    assert!(!run().await, "the response to the renewal may be lost");

    let fixture = TestCluster::new().await;
    let mut config = fixture.config("20m", &[]);
    config["onboarding"]["token"] = json!("another-token");
    assert!(!fixture.run_oneshot(config).await.unwrap_err().is_transient(), "an unknown token");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_memory_for_storage_and_output_nothing_is_written_to_disk() {
    let fixture = TestCluster::new().await;
    let output = json!({ "type": "identity", "destination": { "type": "memory" }, "roles": ["deploy"] });
    let mut config = fixture.config("20m", &[output]);
    config["storage"] = json!({ "type": "memory" });
    let agent = fixture.agent(config).unwrap();
    run_oneshot(&agent).await.unwrap();
    assert!(!fixture.storage().exists());
    let files = agent.files_in_memory(0);
    assert!(files.contains_key("identity") && files.contains_key("known_hosts"));
    assert!(!files.contains_key("ssh_config"), "it would name files that do not exist");
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_config_off_omits_the_openssh_files() {
    let fixture = TestCluster::new().await;
    let mut output = fixture.output("out");
    output["ssh_config"] = json!("off");
    fixture.run_oneshot(fixture.config("20m", &[output])).await.unwrap();
    let exists =
        ["identity", "ssh_config", "known_hosts"].map(|name| fixture.path("out").join(name).exists());
    assert_eq!(exists, [true, false, false]);
    assert_eq!(fixture.call_count(method::REMOTE_CLUSTERS), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsupported_service_type_is_refused_before_anything_is_joined_or_written() {
    let fixture = TestCluster::new().await;
    let beams = json!({ "type": "beams/vnet", "delegation_session_id": "a" });
    let config = fixture.config("20m", &[fixture.output("out"), beams]);
    let AgentError::Unsupported(unsupported) = fixture.run_oneshot(config).await.unwrap_err() else {
        panic!("another error")
    };
    let [part] = unsupported.parts() else { panic!("{unsupported:?}") };
    assert!(part.pointer.as_str() == "/outputs/1/type" && part.what.contains("beams/vnet"), "{part:?}");
    assert!(fixture.cluster.requests().is_empty());
    assert!(!fixture.storage().exists() && !fixture.path("out").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_web_certificate_is_accepted_only_if_insecure_is_set() {
    let fixture = TestCluster::new().await;
    let other = TestCluster::new().await;
    std::fs::copy(other.path("web-ca.pem"), fixture.path("web-ca.pem")).unwrap();
    let mut config = fixture.config("20m", &[]);
    let error = renewal_error(fixture.run_oneshot(config.clone()).await.unwrap_err());
    assert!(matches!(error, RenewalError::Discovery(_)), "{error:?}");
    assert!(fixture.cluster.requests().is_empty());
    config["insecure"] = json!(true);
    fixture.run_oneshot(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_server_may_be_the_address_of_a_proxy() {
    let fixture = TestCluster::new().await;
    let mut config = fixture.config("20m", &[]);
    config.as_object_mut().unwrap().remove("proxy_server");
    config["auth_server"] = json!(fixture.cluster.proxy_addr().to_string());
    fixture.run_oneshot(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failing_output_does_not_stop_the_others() {
    let fixture = TestCluster::joined().await;
    std::fs::write(fixture.path("broken"), "a file instead of a directory").unwrap();
    let config = fixture.config("20m", &[fixture.output("broken"), fixture.output("out")]);
    assert_eq!(failed_outputs(&fixture.run_oneshot(config).await.unwrap_err()), ["identity-1"]);
    assert!(fixture.path("out").join("identity").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_eight_outputs_are_written_concurrently() {
    // A first join would test all directories.
    let fixture = TestCluster::joined().await;
    let names: Vec<String> = (0..20).map(|number| format!("out-{number}")).collect();
    let outputs: Vec<_> = names.iter().map(|name| fixture.output(name)).collect();
    let mut renewal = fixture.cluster.hold_next(method::GENERATE_USER_CERTS);
    let mut held: Vec<_> = (0..8).map(|_| fixture.cluster.hold_next(method::GENERATE_USER_CERTS)).collect();
    let agent = fixture.agent(fixture.config("20m", &outputs)).unwrap();
    let run = tokio::spawn(async move { run_oneshot(&agent).await });
    renewal.arrived().await;
    drop(renewal);
    for hold in &mut held {
        hold.arrived().await;
    }
    // A ninth output would have prepared its directory, which comes before the call.
    let begun = || names.iter().filter(|name| fixture.path(name).join(".write-test").exists()).count();
    assert_eq!((begun(), fixture.call_count(method::GENERATE_USER_CERTS)), (8, 9));
    drop(held);
    run.await.unwrap().unwrap();
    assert!(names.iter().all(|name| fixture.path(name).join("identity").exists()));
    assert_eq!(fixture.stored_generation(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_share_the_responses_to_what_all_of_them_need() {
    let fixture = TestCluster::joined().await;
    let outputs: Vec<_> = (0..5).map(|number| fixture.output(&format!("out-{number}"))).collect();
    let counts = || {
        [
            method::PING,
            method::GET_ROLE,
            method::GET_CLUSTER_CA_CERT,
            method::GET_CERT_AUTHORITIES,
            method::REMOTE_CLUSTERS,
        ]
        .map(|method| fixture.call_count(method))
    };
    let before = counts();
    fixture.run_oneshot(fixture.config("20m", &outputs)).await.unwrap();
    let requested: Vec<usize> = counts().iter().zip(before).map(|(after, before)| after - before).collect();
    // A ping with the old identity and with the new one, and the CAs of hosts, users and databases.
    assert_eq!(requested, [2, 1, 1, 3, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_share_the_list_of_leaf_clusters_only_if_they_have_the_same_roles() {
    let fixture = TestCluster::new().await;
    let mut outputs = ["all", "one", "same"].map(|name| fixture.output(name));
    for output in &mut outputs[1..] {
        output["roles"] = json!(["access"]);
    }
    fixture.run_oneshot(fixture.config("20m", &outputs)).await.unwrap();
    assert_eq!(fixture.call_count(method::REMOTE_CLUSTERS), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_outputs_are_reported_in_the_order_of_the_configuration() {
    let fixture = TestCluster::joined().await;
    let broken = |name: &str| {
        std::fs::write(fixture.path(name), "a file instead of a directory").unwrap();
        fixture.output(name)
    };
    // The first output fails last, because it calls the server. The others cannot even open their directories.
    let mut refused = fixture.output("refused");
    refused["roles"] = json!(["nobody"]);
    let outputs = [refused, broken("b"), fixture.output("out"), broken("a")];
    let error = fixture.run_oneshot(fixture.config("20m", &outputs)).await.unwrap_err();
    assert_eq!(failed_outputs(&error), ["identity-1", "identity-2", "identity-4"]);
    assert!(fixture.path("out").join("identity").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_cancels_outputs_that_are_being_written() {
    let fixture = TestCluster::new().await;
    let mut held = fixture.cluster.hold_next(method::GET_ROLE);
    let outputs = [fixture.output("out"), fixture.output("other")];
    let agent = fixture.agent(fixture.config("20m", &outputs)).unwrap();
    let (control, signals) = control();
    let run = tokio::spawn(async move { agent.run_once(signals).await });
    held.arrived().await;
    control.shutdown();
    assert!(matches!(run.await.unwrap(), Err(AgentError::Interrupted)));
    // The call was cancelled, and the storage is not locked any more.
    held.abandoned().await;
    fixture.run_oneshot(fixture.config("20m", &[fixture.output("out")])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_of_another_cluster_is_not_used() {
    let fixture = TestCluster::new().await;
    fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap();
    let other =
        ClusterConfig { cluster_name: "other.test".to_owned(), ..ClusterConfig::new(clock::system()) };
    let other = Cluster::start(other).await.unwrap();
    std::fs::write(fixture.path("web-ca.pem"), other.web_ca_pem()).unwrap();
    let mut config = fixture.config("20m", &[]);
    config["proxy_server"] = json!(other.proxy_addr().to_string());
    let error = renewal_error(fixture.run_oneshot(config).await.unwrap_err());
    let RenewalError::OtherCluster { stored, served, .. } = &error else { panic!("{error:?}") };
    assert_eq!((stored.as_str(), served.as_str()), ("dev.test", "other.test"));
}
