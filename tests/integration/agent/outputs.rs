//! Every type of output through the library: its files, compared in kind with those that a real server's agent wrote, what
//! its certificates lead to, and what is said when it cannot be had.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tbot::agent::{AgentError, IdentityFile, OutputError};
use tbot::yaml;
use tbot_cluster::{Code, DISCOVERED_NAME, Resource, Role, method};

use super::lab::{BOT, Lab, attribute, read};

/// A lab with something behind its cluster.
async fn lab() -> Lab {
    let lab = Lab::new().await;
    furnish(&lab);
    lab
}

fn furnish(lab: &Lab) {
    lab.cluster.add_resource(Resource::application("dumper", "dumper.127.0.0.1"));
    lab.cluster.add_resource(Resource::database("pg", "postgres"));
    lab.cluster.add_resource(Resource::database("mongo-eu", "mongodb").with_label(DISCOVERED_NAME, "mongo"));
    for (name, env) in [("dev-kube", "dev"), ("prod-eu", "prod"), ("prod-us", "prod")] {
        lab.cluster.add_resource(Resource::kubernetes(name).with_label("env", env));
    }
    lab.cluster.add_leaf("leaf.test").unwrap();
}

/// An output of `service` to the folder `out`.
fn to_out(lab: &Lab, service: &Value) -> Value {
    let mut service = service.clone();
    service["destination"] = json!({ "type": "directory", "path": lab.path("out") });
    service
}

/// Writes one output and returns its folder.
async fn written(lab: &Lab, service: &Value) -> PathBuf {
    lab.run_once(lab.config("20m", &[to_out(lab, service)])).await.unwrap();
    lab.path("out")
}

/// Why one output cannot be written.
async fn refused(lab: &Lab, service: &Value) -> OutputError {
    match lab.run_once(lab.config("20m", &[to_out(lab, service)])).await.unwrap_err() {
        AgentError::Outputs(mut failures) => failures.remove(0).error,
        other => panic!("{other}"),
    }
}

/// The files of a folder by name, each as the sequence of what it holds: PEM labels, SSH key types, YAML keys.
pub(crate) fn kinds(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
    // What begins with a dot is the agent's: a reader goes by the other names.
    let files = named.filter(|(name, _)| !name.starts_with('.'));
    files.map(|(name, path)| (name, kind(&read(&path)))).collect()
}

fn kind(text: &str) -> Vec<String> {
    if text.starts_with("apiVersion:") {
        let mut keys = Vec::new();
        yaml_keys(&yaml::parse(text).unwrap().value, "", &mut keys);
        return keys;
    }
    let token = |line: &str| {
        let label = line.strip_prefix("-----BEGIN ")?.strip_suffix("-----")?;
        // The real agent's keys are RSA; ours are in PKCS#8.
        Some(if label.ends_with("PRIVATE KEY") { "PRIVATE KEY" } else { label }.to_owned())
    };
    let line = |line: &str| {
        let mut words = line.split(' ');
        let first = words.next()?;
        match first {
            "@cert-authority" => Some("@cert-authority".to_owned()),
            _ if first.contains("-cert-v01@") => Some("certificate".to_owned()),
            _ if first.starts_with("ssh-") || first.starts_with("ecdsa-") => {
                Some(format!("key, {} more words", words.count()))
            }
            // A directive of ssh_config: its name, which must not be lost.
            _ => line.starts_with("    ").then(|| line.split_whitespace().next().map(str::to_owned))?,
        }
    };
    text.lines().filter_map(|text| token(text).or_else(|| line(text))).collect()
}

fn yaml_keys(value: &Value, at: &str, keys: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                keys.push(format!("{at}/{key}"));
                yaml_keys(value, &format!("{at}/{key}"), keys);
            }
        }
        Value::Array(list) => list.iter().for_each(|item| yaml_keys(item, at, keys)),
        _ => {}
    }
}

/// What the real agent wrote to the output `name`.
pub(crate) fn recorded_kinds(name: &str) -> BTreeMap<String, Vec<String>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/teleport-15/outputs");
    let mut kinds = kinds(&Path::new(root).join(name));
    // Every key here is RSA there, and only there it is said to OpenSSH.
    for kind in kinds.values_mut() {
        kind.retain(|line| line != "HostKeyAlgorithms");
    }
    kinds
}

fn names(folder: &Path) -> Vec<String> {
    kinds(folder).into_keys().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_output_writes_what_the_go_agent_wrote() {
    for (recorded, service) in [
        ("identity", json!({ "type": "identity" })),
        ("app", json!({ "type": "application", "app_name": "dumper" })),
        ("db", json!({ "type": "database", "service": "pg", "username": "u", "database": "d" })),
        ("kube", json!({ "type": "kubernetes", "kubernetes_cluster": "dev-kube" })),
        ("ssh_host", json!({ "type": "ssh_host", "principals": ["nodename.my.domain"] })),
    ] {
        let lab = Lab::new().await;
        lab.cluster.add_resource(Resource::application("dumper", "dumper.127.0.0.1"));
        lab.cluster.add_resource(Resource::database("pg", "postgres"));
        lab.cluster.add_resource(Resource::kubernetes("dev-kube"));
        let out = written(&lab, &service).await;
        assert_eq!(kinds(&out), recorded_kinds(recorded), "{recorded}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_has_a_session_that_is_waited_for() {
    let lab = lab().await;
    let service = json!({ "type": "application", "app_name": "dumper", "specific_tls_naming": true });
    let out = written(&lab, &service).await;
    let cert = out.join("tlscert");
    assert_eq!(attribute(&cert, "1.3.9999.1.10").as_deref(), Some("dumper"));
    assert_eq!(attribute(&cert, "1.3.9999.1.6").as_deref(), Some("dumper.127.0.0.1"));
    assert_eq!(attribute(&cert, "1.3.9999.1.4").unwrap().len(), 64);
    assert_eq!((lab.calls(method::CREATE_APP_SESSION), lab.calls(method::GET_APP_SESSION)), (1, 2));
    for (ours, same) in [("tls.key", "key"), ("tls.crt", "tlscert"), ("tls.cas", "teleport-host-ca.crt")] {
        assert_eq!(read(&out.join(ours)), read(&out.join(same)), "{ours}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_written_in_the_form_that_its_clients_want() {
    let lab = lab().await;
    let database = |service: &str, format: &str| json!({ "type": "database", "service": service, "username": "alice", "database": "orders", "format": format });
    let out = written(&lab, &database("pg", "tls")).await;
    let attributes =
        ["1", "2", "3", "4"].map(|last| attribute(&out.join("tlscert"), &format!("1.3.9999.2.{last}")));
    assert_eq!(attributes.map(Option::unwrap), ["pg", "postgres", "alice", "orders"]);
    assert_eq!(read(&out.join("tls.cas")), read(&out.join("teleport-host-ca.crt")));

    let lab = self::lab().await;
    let out = written(&lab, &database("mongo", "mongo")).await;
    assert_eq!(attribute(&out.join("tlscert"), "1.3.9999.2.1").as_deref(), Some("mongo-eu"), "discovered");
    let both = format!("{}{}", read(&out.join("tlscert")), read(&out.join("key")));
    assert_eq!(read(&out.join("mongo.crt")), both);
    assert_eq!(read(&out.join("mongo.cas")), read(&out.join("teleport-database-ca.crt")));
}

#[tokio::test(flavor = "multi_thread")]
async fn cockroach_has_a_folder_of_its_own() {
    let lab = lab().await;
    let service = json!({ "type": "database", "service": "pg", "format": "cockroach" });
    let out = written(&lab, &service).await;
    for (theirs, ours) in
        [("node.crt", "tlscert"), ("node.key", "key"), ("ca.crt", "teleport-database-ca.crt")]
    {
        assert_eq!(read(&out.join("cockroach").join(theirs)), read(&out.join(ours)), "{theirs}");
    }

    let mut output = service;
    output["destination"] = json!({ "type": "memory" });
    let agent = lab.agent(lab.config("20m", &[output])).unwrap();
    let (_control, signals) = tbot::agent::control();
    agent.run_once(signals).await.unwrap();
    let file = |name: &str| agent.in_memory(0, name).unwrap();
    assert_eq!(file("cockroach/node.crt"), file("tlscert"));
    assert_eq!(file("cockroach/node.key"), file("key"));
    assert_eq!(file("cockroach/ca.crt"), file("teleport-database-ca.crt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_runs_our_command_or_holds_the_credentials() {
    let lab = lab().await;
    let service = json!({ "type": "kubernetes", "kubernetes_cluster": "prod-eu" });
    let out = written(&lab, &service).await;
    assert_eq!(attribute(&out.join("tlscert"), "1.3.9999.1.3").as_deref(), Some("prod-eu"));
    let config = yaml::parse(&read(&out.join("kubeconfig.yaml"))).unwrap().value;
    let exec = &config["users"][0]["user"]["exec"];
    assert_eq!(exec["command"], "/usr/local/bin/tbot");
    assert_eq!(exec["args"], json!(["kube", "credentials", format!("--destination-dir={}", out.display())]));
    assert_eq!(config["clusters"][0]["cluster"]["server"], format!("https://{}", lab.cluster.proxy_addr()));
    assert_eq!(config["current-context"], "dev.test-prod-eu");

    let embedded = |config: Value| {
        let user = &config["users"][0]["user"];
        assert!(user["client-certificate-data"].is_string() && user["client-key-data"].is_string(), "{user}");
        assert!(user.get("exec").is_none(), "{user}");
    };
    let mut without = service.clone();
    without["disable_exec_plugin"] = json!(true);
    let out = written(&lab, &without).await;
    embedded(yaml::parse(&read(&out.join("kubeconfig.yaml"))).unwrap().value);

    let mut in_memory = service;
    in_memory["destination"] = json!({ "type": "memory" });
    let agent = lab.agent(lab.config("20m", &[in_memory])).unwrap();
    let (_control, signals) = tbot::agent::control();
    agent.run_once(signals).await.unwrap();
    let config = String::from_utf8(agent.in_memory(0, "kubeconfig.yaml").unwrap()).unwrap();
    embedded(yaml::parse(&config).unwrap().value);
}

#[tokio::test(flavor = "multi_thread")]
async fn selectors_give_a_context_each() {
    let lab = Lab::of_version("18.2.5").await;
    furnish(&lab);
    let service = json!({
        "type": "kubernetes/v2",
        "selectors": [
            { "name": "dev-kube", "default_namespace": "apps" },
            { "labels": { "env": "prod" } },
            { "labels": { "env": "nowhere" } },
        ],
        "context_name_template": "{{.KubeName}}@{{.ClusterName}}",
    });
    let out = written(&lab, &service).await;
    let expected =
        ["identity", "key", "key-cert.pub", "key.pub", "kubeconfig.yaml", "teleport-host-ca.crt", "tlscert"];
    assert_eq!(names(&out), expected);
    let config = yaml::parse(&read(&out.join("kubeconfig.yaml"))).unwrap().value;
    let contexts: Vec<&str> = config["contexts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|context| context["name"].as_str().unwrap())
        .collect();
    assert_eq!(contexts, ["dev-kube@dev.test", "prod-eu@dev.test", "prod-us@dev.test"]);
    assert_eq!(config["contexts"][0]["context"]["namespace"], "apps");
    assert_eq!(config["contexts"][1]["context"].get("namespace"), None);
    assert_eq!(config["users"].as_array().unwrap().len(), 1);
    let server = config["clusters"][1]["cluster"]["server"].as_str().unwrap();
    assert!(server.ends_with("/v1/teleport/ZGV2LnRlc3Q/cHJvZC1ldQ"), "{server}");

    let missing = json!({ "type": "kubernetes/v2", "selectors": [{ "name": "nope" }] });
    let missing = refused(&lab, &missing).await.to_string();
    assert!(missing.starts_with("kubernetes cluster \"nope\" not found: "), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_that_an_old_cluster_would_mix_up_are_refused() {
    let lab = lab().await;
    let service = json!({ "type": "kubernetes/v2", "selectors": [{ "name": "dev-kube" }] });
    let refused = refused(&lab, &service).await.to_string();
    assert!(
        refused.contains("Teleport 15") && refused.contains("an output of type kubernetes for each"),
        "{refused}"
    );
    assert!(!lab.path("out").join("kubeconfig.yaml").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ssh_host_trusts_the_authority_that_was_asked_for() {
    let lab = lab().await;
    let service = json!({ "type": "ssh_host", "principals": ["a.test", "b.test"], "ca_type": "openssh" });
    let out = written(&lab, &service).await;
    let shown = std::process::Command::new("ssh-keygen")
        .args(["-L", "-f", out.join("ssh_host-cert.pub").to_str().unwrap()])
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("host certificate") && shown.contains("a.test") && shown.contains("b.test"),
        "{shown}"
    );
    assert!(read(&out.join("ssh_host-user-ca.pub")).ends_with(" clustername=dev.test&type=openssh\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_can_lead_to_a_leaf_and_may_be_reissued() {
    let lab = lab().await;
    let out =
        written(&lab, &json!({ "type": "identity", "cluster": "leaf.test", "allow_reissue": true })).await;
    let identity = IdentityFile::parse(&read(&out.join("identity"))).unwrap();
    assert_eq!(identity.route_to_cluster(), Some("leaf.test"));
    assert_eq!(attribute(&out.join("tlscert"), "1.3.9999.2.9"), None, "nothing forbids a reissue");
    let ssh_config = read(&out.join("ssh_config"));
    assert!(
        ssh_config.contains("Host *.dev.test") && ssh_config.contains("Host *.leaf.test"),
        "{ssh_config}"
    );
    assert!(read(&out.join("known_hosts")).contains("leaf.test,*.leaf.test"));

    let refused = refused(&lab, &json!({ "type": "identity", "cluster": "lief.test" })).await.to_string();
    assert_eq!(refused, "leaf cluster \"lief.test\" not found: visible are leaf.test");
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_have_their_own_roles_lifetimes_and_names() {
    let lab = lab().await;
    let service = json!({
        "type": "database", "service": "pg", "name": "orders", "roles": ["deploy"],
        "credential_ttl": "10m", "renewal_interval": "5m",
    });
    let out = written(&lab, &service).await;
    let (roles, seconds) = super::lab::with_cert(&out.join("tlscert"), |cert| {
        let roles: Vec<String> =
            cert.subject().iter_organization().map(|role| role.as_str().unwrap().to_owned()).collect();
        let validity = cert.validity();
        (roles, validity.not_after.timestamp() - validity.not_before.timestamp())
    });
    assert_eq!((roles, seconds), (vec!["deploy".to_owned()], 11 * 60), "with the minute before");

    let mut missing = service;
    missing["service"] = json!("nope");
    let AgentError::Outputs(failures) =
        lab.run_once(lab.config("20m", &[to_out(&lab, &missing)])).await.unwrap_err()
    else {
        panic!("an output")
    };
    assert_eq!(failures[0].name, "orders");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_is_said_with_what_to_do() {
    let lab = lab().await;
    for name in ["pg-a", "pg-b"] {
        lab.cluster.add_resource(Resource::database(name, "postgres").with_label(DISCOVERED_NAME, "orders"));
    }
    for (service, words) in [
        (json!({ "type": "application", "app_name": "nope" }), "app \"nope\" not found: "),
        (json!({ "type": "database", "service": "nope" }), "database \"nope\" not found: "),
        (json!({ "type": "database", "service": "orders" }), "could be any of pg-a, pg-b: name one of these"),
        (
            json!({ "type": "kubernetes", "kubernetes_cluster": "nope" }),
            "kubernetes cluster \"nope\" not found: ",
        ),
        (json!({ "type": "identity", "roles": ["editor"] }), "give it these (tctl bots update --add-roles)"),
    ] {
        let refused = refused(&lab, &service).await.to_string();
        assert!(refused.contains(words), "{refused}");
    }
    for role in ["access", "deploy"] {
        lab.cluster.set_role(Role { host_cert: false, ..Role::new(role) });
    }
    let refused = refused(&lab, &json!({ "type": "ssh_host", "principals": ["a"] })).await.to_string();
    assert!(refused.contains("`resources: [host_cert], verbs: [create]`"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_asked_for_in_smaller_pieces() {
    let lab = lab().await;
    lab.cluster.fail_next(method::LIST_RESOURCES, Code::ResourceExhausted, "message larger than max");
    written(&lab, &json!({ "type": "database", "service": "pg" })).await;
    let limits: Vec<i32> = lab
        .cluster
        .requests()
        .iter()
        .filter(|call| call.method == method::LIST_RESOURCES)
        .map(|call| call.decode::<tbot_cluster::proto::ListResourcesRequest>().unwrap().limit)
        .collect();
    assert_eq!(limits, [1000, 500]);
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_clusters_are_asked_in_newer_ways_first() {
    let lab = Lab::of_version("18.2.5").await;
    furnish(&lab);
    let outputs: Vec<Value> = [
        ("app", json!({ "type": "application", "app_name": "dumper" })),
        ("db", json!({ "type": "database", "service": "pg" })),
        ("host", json!({ "type": "ssh_host", "principals": ["a"] })),
    ]
    .into_iter()
    .map(|(folder, mut service)| {
        service["destination"] = json!({ "type": "directory", "path": lab.path(folder) });
        service
    })
    .collect();
    lab.run_once(lab.config("20m", &outputs)).await.unwrap();
    assert_eq!(lab.calls(method::CREATE_APP_SESSION), 0, "the server makes the session itself");
    assert!(read(&lab.path("db").join("key.pub")).starts_with("ssh-rsa "), "databases want RSA keys");
    assert!(read(&lab.path("app").join("key.pub")).starts_with("ecdsa-sha2-nistp256 "));
    let generate = "/teleport.trust.v1.TrustService/GenerateHostCert";
    assert_eq!(
        (lab.calls(generate), lab.calls(method::HOST_CERTS)),
        (1, 1),
        "gRPC first, then what there is"
    );
    assert!(!lab.cluster.is_locked(BOT));
}
