//! One-shot runs: joining, renewing, every file, every refusal.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tbot::agent::{AgentError, RenewalError};
use tbot_cluster::method;

use super::lab::{BOT, Lab, attribute, read, with_cert};

const OUTPUT_FILES: [&str; 10] = [
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

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn succeeds(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_joins_and_writes_every_file() {
    let lab = Lab::new().await;
    lab.run_once(lab.config("20m", &[lab.output("out")])).await.unwrap();

    let out = lab.path("out");
    let mut expected = ["..1", "..data", ".tbot-lock", ".write-test"].map(str::to_owned).to_vec();
    expected.extend(OUTPUT_FILES.map(str::to_owned));
    assert_eq!(names(&out), expected);
    for name in OUTPUT_FILES {
        let mode = std::fs::metadata(out.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(
        names(&lab.storage()),
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
    assert_eq!((lab.stored_generation(), lab.cluster.generation(BOT)), (1, Some(1)));

    let roles = with_cert(&out.join("tlscert"), |cert| {
        let mut roles: Vec<String> =
            cert.subject().iter_organization().map(|role| role.as_str().unwrap().to_owned()).collect();
        roles.sort();
        roles
    });
    assert_eq!(roles, ["access", "deploy"]);
    assert_eq!(attribute(&out.join("tlscert"), "1.3.9999.2.7").as_deref(), Some("bot-robot"), "impersonator");

    let identity = read(&out.join("identity"));
    let key = read(&out.join("key"));
    assert!(identity.starts_with(&key) && key.starts_with("-----BEGIN PRIVATE KEY-----"));
    assert!(identity.contains(&read(&out.join("key-cert.pub"))));
    assert!(identity.contains("@cert-authority dev.test,*.dev.test "));
    assert!(identity.ends_with(&read(&out.join("teleport-host-ca.crt"))));
    assert!(read(&out.join("known_hosts")).starts_with("@cert-authority 127.0.0.1,dev.test,*.dev.test "));
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_and_openssl_agree_that_the_files_belong_together() {
    let lab = Lab::new().await;
    lab.run_once(lab.config("20m", &[lab.output("out")])).await.unwrap();
    let out = lab.path("out");
    let file = |name: &str| out.join(name).to_str().unwrap().to_owned();

    let shown = succeeds("ssh-keygen", &["-L", "-f", &file("key-cert.pub")]);
    assert!(shown.contains("Type: ecdsa-sha2-nistp256-cert-v01@openssh.com user certificate"), "{shown}");
    assert!(shown.contains("Key ID: \"bot-robot\""), "{shown}");
    let public = succeeds("ssh-keygen", &["-y", "-f", &file("key")]);
    assert_eq!(public.trim(), read(&out.join("key.pub")).trim());
    let resolved = succeeds("ssh", &["-G", "-F", &file("ssh_config"), "root@node.dev.test"]);
    assert!(resolved.contains("port 3022\n"), "{resolved}");
    assert!(resolved.contains(&format!("certificatefile {}\n", file("key-cert.pub"))), "{resolved}");

    let of_key = succeeds("openssl", &["pkey", "-in", &file("key"), "-pubout"]);
    let of_cert = succeeds("openssl", &["x509", "-in", &file("tlscert"), "-noout", "-pubkey"]);
    assert_eq!(of_key, of_cert);
    succeeds("openssl", &["verify", "-CAfile", &file("teleport-user-ca.crt"), &file("tlscert")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_renews_what_is_stored() {
    let lab = Lab::new().await;
    for generation in [1, 2, 3] {
        lab.run_once(lab.config("20m", &[lab.output("out")])).await.unwrap();
        assert_eq!((lab.stored_generation(), lab.cluster.generation(BOT)), (generation, Some(generation)));
    }
    assert_eq!(lab.calls(method::JOIN), 1);
    assert!(!lab.cluster.is_locked(BOT));
    assert!(!lab.storage().join("renewal-pending").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_everything_off_the_disk() {
    let lab = Lab::new().await;
    let output = json!({ "type": "identity", "destination": { "type": "memory" }, "roles": ["deploy"] });
    let mut config = lab.config("20m", &[output]);
    config["storage"] = json!({ "type": "memory" });
    let agent = lab.agent(config).unwrap();
    let (_control, signals) = tbot::agent::control();
    agent.run_once(signals).await.unwrap();
    assert!(!lab.storage().exists());
    assert!(agent.in_memory(0, "identity").is_some() && agent.in_memory(0, "known_hosts").is_some());
    assert_eq!(agent.in_memory(0, "ssh_config"), None, "it would name files that are nowhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_files_can_be_left_out() {
    let lab = Lab::new().await;
    let mut output = lab.output("out");
    output["ssh_config"] = json!("off");
    lab.run_once(lab.config("20m", &[output])).await.unwrap();
    let out = lab.path("out");
    assert!(
        out.join("identity").exists()
            && !out.join("ssh_config").exists()
            && !out.join("known_hosts").exists()
    );
    assert_eq!(lab.calls(method::REMOTE_CLUSTERS), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_token_is_refused_with_what_to_do() {
    let lab = Lab::new().await;
    lab.run_once(lab.config("20m", &[])).await.unwrap();
    std::fs::remove_dir_all(lab.storage()).unwrap();
    let refused = lab.run_once(lab.config("20m", &[])).await.unwrap_err().to_string();
    assert!(refused.contains("no identity is stored"), "{refused}");
    assert!(refused.contains("token expired or not found"), "{refused}");
    assert!(refused.contains("create a new one"), "{refused}");
    assert!(!refused.contains(&lab.token), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_run_is_refused_before_anything_is_joined() {
    let lab = Lab::new().await;
    let beams = json!({ "type": "beams/vnet", "delegation_session_id": "a" });
    let refused = lab.run_once(lab.config("20m", &[lab.output("out"), beams])).await.unwrap_err();
    assert!(matches!(refused, AgentError::Unsupported(_)));
    assert!(refused.to_string().contains("the service type beams/vnet (at /outputs/1)"), "{refused}");
    assert!(lab.cluster.requests().is_empty());
    assert!(!lab.storage().exists() && !lab.path("out").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_without_a_trusted_certificate_is_refused_unless_told_otherwise() {
    let lab = Lab::new().await;
    let other = Lab::new().await;
    std::fs::copy(other.path("web-ca.pem"), lab.path("web-ca.pem")).unwrap();
    let mut config = lab.config("20m", &[]);
    let refused = lab.run_once(config.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("proxy_server") && refused.to_lowercase().contains("certificate"), "{refused}");
    assert!(lab.cluster.requests().is_empty());
    config["insecure"] = json!(true);
    lab.run_once(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_server_that_is_a_proxy_works_and_one_that_is_none_is_explained() {
    let lab = Lab::new().await;
    let mut config = lab.config("20m", &[]);
    config.as_object_mut().unwrap().remove("proxy_server");
    config["auth_server"] = json!(lab.cluster.proxy_addr().to_string());
    lab.run_once(config.clone()).await.unwrap();

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    drop(silent);
    config["auth_server"] = json!(address.to_string());
    let refused = lab.run_once(config).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("auth_server: asked https://{address}/webapi/find")), "{refused}");
    assert!(refused.contains("set proxy_server"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_broken_output_does_not_stop_the_others() {
    let lab = Lab::new().await;
    std::fs::write(lab.path("broken"), "a file where a folder is wanted").unwrap();
    let config = lab.config("20m", &[lab.output("broken"), lab.output("out")]);
    let AgentError::Outputs(failures) = lab.run_once(config).await.unwrap_err() else { panic!("outputs") };
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].name, "identity-1");
    assert!(lab.path("out").join("identity").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_are_written_at_the_same_time_and_a_few_at_once() {
    let lab = Lab::new().await;
    let names: Vec<String> = (0..20).map(|number| format!("out-{number}")).collect();
    let outputs: Vec<_> = names.iter().map(|name| lab.output(name)).collect();
    let mut held: Vec<_> = (0..8).map(|_| lab.cluster.hold_next(method::GET_ROLE)).collect();
    let agent = lab.agent(lab.config("20m", &outputs)).unwrap();
    let (_control, signals) = tbot::agent::control();
    let run = tokio::spawn(async move { agent.run_once(signals).await });
    for hold in &mut held {
        hold.arrived().await;
    }
    // No ninth one has begun: it would have made its folder ready, which comes before the call.
    let begun = || names.iter().filter(|name| lab.path(name).join(".write-test").exists()).count();
    assert_eq!((begun(), lab.calls(method::GET_ROLE)), (8, 8));
    drop(held);
    run.await.unwrap().unwrap();
    assert!(names.iter().all(|name| lab.path(name).join("identity").exists()));
    assert_eq!(lab.stored_generation(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_output_that_failed_is_named_in_the_order_of_the_configuration() {
    let lab = Lab::new().await;
    let broken = |name: &str| {
        std::fs::write(lab.path(name), "a file where a folder is wanted").unwrap();
        lab.output(name)
    };
    // The first one fails last: it has to ask the server, and the others cannot even open their folders.
    let mut refused = lab.output("refused");
    refused["roles"] = json!(["nobody"]);
    let outputs = [refused, broken("b"), lab.output("out"), broken("a")];
    let AgentError::Outputs(failures) = lab.run_once(lab.config("20m", &outputs)).await.unwrap_err() else {
        panic!("outputs")
    };
    let failed: Vec<_> = failures.iter().map(|failure| failure.name.as_str()).collect();
    assert_eq!(failed, ["identity-1", "identity-2", "identity-4"]);
    assert!(lab.path("out").join("identity").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_told_to_stop_leaves_nothing_under_way() {
    let lab = Lab::new().await;
    let mut held = lab.cluster.hold_next(method::GET_ROLE);
    let agent = lab.agent(lab.config("20m", &[lab.output("out"), lab.output("other")])).unwrap();
    let (control, signals) = tbot::agent::control();
    let run = tokio::spawn(async move { agent.run_once(signals).await });
    held.arrived().await;
    control.shutdown();
    assert!(matches!(run.await.unwrap(), Err(AgentError::Interrupted)));
    // The call was taken back, and the storage is free for the next agent at once.
    held.abandoned().await;
    lab.run_once(lab.config("20m", &[lab.output("out")])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_storage_of_another_cluster_is_recognised() {
    let lab = Lab::new().await;
    lab.run_once(lab.config("20m", &[])).await.unwrap();
    let clock = tbot_cluster::clock::system();
    let config = tbot_cluster::ClusterConfig {
        cluster_name: "other.test".to_owned(),
        ..tbot_cluster::ClusterConfig::new(clock)
    };
    let other = tbot_cluster::Cluster::start(config).await.unwrap();
    std::fs::write(lab.path("web-ca.pem"), other.web_ca_pem()).unwrap();
    let mut config = lab.config("20m", &[]);
    config["proxy_server"] = json!(other.proxy_addr().to_string());
    let refused = lab.run_once(config).await.unwrap_err();
    assert!(matches!(refused, AgentError::Renewal(RenewalError::OtherCluster { .. })), "{refused}");
}
