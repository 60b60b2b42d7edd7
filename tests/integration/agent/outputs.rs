//! Output types: their files, compared with those that the Go agent wrote, and what their certificates give access to.

mod failures;
mod kubernetes;
mod nested_clusters;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tbot::agent::{AgentError, ApiError, GrpcCode, IdentityFile, OutputError};
use tbot::config::ServiceType;
use tbot::config::internal::DestinationUse;
use tbot_cluster::{Code, DISCOVERED_NAME_LABEL, Resource, method, proto};
use tracing::Level;

use super::certificate::{attribute, roles, subject_attribute, with_certificate};
use super::errors::output_error;
use super::fixture::{BOT, MINUTE, TestCluster, read, run_oneshot, wait_until};
use super::log_capture::{LogCapture, LogEvent};
use super::outline::{outlines, recorded_outlines};

/// Returns a cluster with applications, databases, Kubernetes clusters and a leaf cluster.
async fn cluster_with_resources() -> TestCluster {
    let fixture = TestCluster::new().await;
    add_resources(&fixture);
    fixture
}

fn add_resources(fixture: &TestCluster) {
    let cluster = &fixture.cluster;
    cluster.add_resource(Resource::application("dumper", "dumper.127.0.0.1"));
    cluster.add_resource(Resource::database("pg", "postgres"));
    cluster
        .add_resource(Resource::database("mongo-eu", "mongodb").with_label(DISCOVERED_NAME_LABEL, "mongo"));
    for (name, env) in [("dev-kube", "dev"), ("prod-eu", "prod"), ("prod-us", "prod")] {
        cluster.add_resource(Resource::kubernetes(name).with_label("env", env));
    }
    cluster.add_leaf_cluster("leaf.test").unwrap();
}

/// Returns `service` with the directory `name` as its destination.
fn with_directory(fixture: &TestCluster, service: &Value, name: &str) -> Value {
    let mut service = service.clone();
    service["destination"] = json!({ "type": "directory", "path": fixture.path(name) });
    service
}

/// Writes an output to the directory `out` and returns its path.
async fn write(fixture: &TestCluster, service: &Value) -> PathBuf {
    let config = fixture.config("20m", &[with_directory(fixture, service, "out")]);
    fixture.run_oneshot(config).await.unwrap();
    assert_declared(service, &fixture.path("out"));
    fixture.path("out")
}

/// Asserts that the table of service types names every file of an output, so that checks of the configuration know them, and no other
/// file, which `tbot init` would create for nothing. The directory of the format `cockroach` depends on a setting, and the files for one
/// cluster have its name.
fn assert_declared(service: &Value, directory: &Path) {
    let service_type = ServiceType::from_name(service["type"].as_str().unwrap()).unwrap();
    let DestinationUse::Files(declared) = service_type.destination else {
        panic!("{service} writes no files")
    };
    let mut declared = declared.concat();
    declared.sort_unstable();
    let entries = std::fs::read_dir(directory).unwrap();
    let mut written: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let is_of_cluster = |name: &str| name.ends_with(".ssh_config") || name.ends_with(".known_hosts");
    written.retain(|name| !name.starts_with('.') && name != "cockroach" && !is_of_cluster(name));
    written.sort_unstable();
    // Settings decide which files these types write.
    if !matches!(service_type.name, "application" | "database") {
        assert_eq!(written, declared, "{service}");
    }
    for name in written {
        assert!(declared.contains(&name.as_str()), "{name} is not in the table");
    }
}

/// Writes an output to memory and returns a function that reads its files.
async fn write_to_memory(fixture: &TestCluster, service: &Value) -> impl Fn(&str) -> String + use<> {
    let mut service = service.clone();
    service["destination"] = json!({ "type": "memory" });
    let agent = fixture.agent(fixture.config("20m", &[service])).unwrap();
    run_oneshot(&agent).await.unwrap();
    let files = agent.files_in_memory(0);
    move |name| String::from_utf8(files[name].clone()).unwrap()
}

/// Returns why an output to the directory `out` cannot be written.
async fn write_error(fixture: &TestCluster, service: &Value) -> OutputError {
    let config = fixture.config("20m", &[with_directory(fixture, service, "out")]);
    output_error(fixture.run_oneshot(config).await.unwrap_err())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_output_type_writes_what_the_go_agent_wrote() {
    for (recorded, service) in [
        ("identity", json!({ "type": "identity" })),
        ("app", json!({ "type": "application", "app_name": "dumper" })),
        ("db", json!({ "type": "database", "service": "pg", "username": "u", "database": "d" })),
        ("kube", json!({ "type": "kubernetes", "kubernetes_cluster": "dev-kube" })),
        ("ssh_host", json!({ "type": "ssh_host", "principals": ["nodename.my.domain"] })),
    ] {
        let fixture = TestCluster::new().await;
        fixture.cluster.add_resource(Resource::application("dumper", "dumper.127.0.0.1"));
        fixture.cluster.add_resource(Resource::database("pg", "postgres"));
        fixture.cluster.add_resource(Resource::kubernetes("dev-kube"));
        let out = write(&fixture, &service).await;
        assert_eq!(outlines(&out), recorded_outlines(recorded), "{recorded}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_certificate_is_for_a_session_that_exists() {
    let fixture = cluster_with_resources().await;
    let service = json!({ "type": "application", "app_name": "dumper", "specific_tls_naming": true });
    let out = write(&fixture, &service).await;
    let certificate = out.join("tlscert");
    assert_eq!(subject_attribute(&certificate, attribute::APP_NAME).as_deref(), Some("dumper"));
    let address = subject_attribute(&certificate, attribute::APP_PUBLIC_ADDR);
    assert_eq!(address.as_deref(), Some("dumper.127.0.0.1"));
    assert_eq!(subject_attribute(&certificate, attribute::APP_SESSION_ID).unwrap().len(), 64);
    // The session is not found at first, so the agent waits for it.
    let calls =
        [method::CREATE_APP_SESSION, method::GET_APP_SESSION].map(|method| fixture.call_count(method));
    assert_eq!(calls, [1, 2]);
    for (name, same) in [("tls.key", "key"), ("tls.crt", "tlscert"), ("tls.cas", "teleport-host-ca.crt")] {
        assert_eq!(read(&out.join(name)), read(&out.join(same)), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_output_has_the_files_of_its_format() {
    let fixture = cluster_with_resources().await;
    let database = |service: &str, format: &str| {
        json!({
            "type": "database", "service": service, "username": "alice", "database": "orders", "format": format,
        })
    };
    let out = write(&fixture, &database("pg", "tls")).await;
    let attributes = [
        attribute::DATABASE_SERVICE,
        attribute::DATABASE_PROTOCOL,
        attribute::DATABASE_USER,
        attribute::DATABASE_NAME,
    ];
    let attributes = attributes.map(|oid| subject_attribute(&out.join("tlscert"), oid).unwrap());
    assert_eq!(attributes, ["pg", "postgres", "alice", "orders"]);
    assert_eq!(read(&out.join("tls.cas")), read(&out.join("teleport-host-ca.crt")));

    let fixture = cluster_with_resources().await;
    let out = write(&fixture, &database("mongo", "mongo")).await;
    let service = subject_attribute(&out.join("tlscert"), attribute::DATABASE_SERVICE);
    assert_eq!(service.as_deref(), Some("mongo-eu"), "`mongo` is the name it was discovered under");
    let both = format!("{}{}", read(&out.join("tlscert")), read(&out.join("key")));
    assert_eq!(read(&out.join("mongo.crt")), both);
    assert_eq!(read(&out.join("mongo.cas")), read(&out.join("teleport-database-ca.crt")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cockroach_format_uses_a_subdirectory_on_disk_and_in_memory() {
    let fixture = cluster_with_resources().await;
    let service = json!({ "type": "database", "service": "pg", "format": "cockroach" });
    let out = write(&fixture, &service).await;
    let in_memory = write_to_memory(&fixture, &service).await;
    for (name, same) in [
        ("cockroach/node.crt", "tlscert"),
        ("cockroach/node.key", "key"),
        ("cockroach/ca.crt", "teleport-database-ca.crt"),
    ] {
        assert_eq!(read(&out.join(name)), read(&out.join(same)), "{name}");
        assert_eq!(in_memory(name), in_memory(same), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ssh_host_output_trusts_the_configured_authority() {
    let fixture = cluster_with_resources().await;
    let service = json!({ "type": "ssh_host", "principals": ["a.test", "b.test"], "ca_type": "openssh" });
    let out = write(&fixture, &service).await;
    let certificate = out.join("ssh_host-cert.pub");
    let output = Command::new("ssh-keygen").arg("-L").arg("-f").arg(&certificate).output().unwrap();
    let certificate = String::from_utf8(output.stdout).unwrap();
    for expected in ["host certificate", "a.test", "b.test"] {
        assert!(certificate.contains(expected), "{expected}: {certificate}");
    }
    assert!(read(&out.join("ssh_host-user-ca.pub")).ends_with(" clustername=dev.test&type=openssh\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_output_may_be_for_a_leaf_cluster_and_may_be_reissued() {
    let fixture = cluster_with_resources().await;
    let service = json!({ "type": "identity", "cluster": "leaf.test", "allow_reissue": true });
    let out = write(&fixture, &service).await;
    let identity = IdentityFile::parse(&read(&out.join("identity"))).unwrap();
    assert_eq!(identity.route_to_cluster(), Some("leaf.test"));
    assert_eq!(subject_attribute(&out.join("tlscert"), attribute::DISALLOW_REISSUE), None);
    let ssh_config = read(&out.join("ssh_config"));
    assert!(
        ssh_config.contains("Host *.dev.test") && ssh_config.contains("Host *.leaf.test"),
        "{ssh_config}"
    );
    assert!(read(&out.join("known_hosts")).contains("leaf.test,*.leaf.test"));
}

#[tokio::test]
async fn a_leaf_cluster_with_an_invalid_name_is_omitted_with_a_warning() {
    for name in ["evil.test\nHost *\n    ProxyCommand id", "*", "a,b", "a;id", "-oProxyCommand=id"] {
        let (log, fixture) = (LogCapture::start(), cluster_with_resources().await);
        fixture.cluster.add_leaf_cluster(name).unwrap();
        let out = write(&fixture, &json!({ "type": "identity" })).await;
        assert_eq!(log.count_level(Level::WARN), 1, "{name:?}: {}", log.transcript());
        let lines =
            |file: &str, part: &str| read(&out.join(file)).lines().filter(|line| line.contains(part)).count();
        assert_eq!(lines("ssh_config", "Host "), 4, "{name:?}");
        assert_eq!(lines("ssh_config", "ProxyCommand "), 2, "{name:?}");
        assert_eq!(lines("known_hosts", ""), 2, "{name:?}");
        assert_eq!(lines("identity", "@cert-authority"), 2, "{name:?}");
    }
}

#[tokio::test]
async fn a_process_that_cannot_reach_the_proxy_keeps_the_files_of_an_earlier_process() {
    let fixture = cluster_with_resources().await;
    fixture.cluster.set_tls_routing(false);
    let out = write(&fixture, &json!({ "type": "identity" })).await;
    let ssh_config = read(&out.join("ssh_config"));
    assert!(ssh_config.contains(" --no-tls-routing "), "{ssh_config}");
    for code in [Code::Unavailable, Code::PermissionDenied] {
        fixture.cluster.fail_next(method::WEB_PING, code, "not now");
        let error = write_error(&fixture, &json!({ "type": "identity" })).await;
        assert!(matches!(error, OutputError::SshAddress(_)), "{error:?}");
        assert_eq!(read(&out.join("ssh_config")), ssh_config);
    }
}

/// A cluster may have several proxies with different addresses. The auth server names the same one to every agent.
#[tokio::test(flavor = "multi_thread")]
async fn ssh_config_and_known_hosts_name_the_proxy_that_the_agent_uses() {
    let fixture = TestCluster::new().await;
    fixture.cluster.name_other_proxy("us.test:443");
    let out = write(&fixture, &json!({ "type": "identity" })).await;
    let proxy = fixture.cluster.proxy_addr();
    let (ssh_config, known_hosts) = (read(&out.join("ssh_config")), read(&out.join("known_hosts")));
    assert!(ssh_config.contains(&format!("--proxy-server='{proxy}' ")), "{ssh_config}");
    assert!(known_hosts.starts_with(&format!("@cert-authority {},", proxy.ip())), "{known_hosts}");
    assert!(!ssh_config.contains("us.test") && !known_hosts.contains("us.test"), "{ssh_config}{known_hosts}");
}

#[tokio::test]
async fn a_renewal_keeps_the_address_for_ssh_if_the_proxy_does_not_respond() {
    let (log, fixture) = (LogCapture::start(), cluster_with_resources().await);
    fixture.cluster.set_tls_routing(false);
    let running = fixture
        .start(fixture.config("20m", &[with_directory(&fixture, &json!({ "type": "identity" }), "out")]));
    let written = |file: &str| std::fs::read_to_string(fixture.path("out").join(file)).unwrap_or_default();
    // The file exists a moment before the wait for the next renewal begins.
    wait_until("the output is written", || log.count(LogEvent::is_write) == 1).await;
    let (identity, ssh_config) = (written("identity"), written("ssh_config"));
    assert!(ssh_config.contains(" --no-tls-routing "), "{ssh_config}");
    for _ in 0..10 {
        fixture.cluster.fail_next(method::WEB_PING, Code::Unavailable, "try again");
    }
    fixture.clock.advance(20 * MINUTE);
    // An output that is renewed before the identity does not ask the proxy.
    wait_until("the identity is renewed", || log.count(LogEvent::is_new_identity) == 2).await;
    running.control.reload();
    let is_warning_of_output =
        |event: &LogEvent| event.level == Level::WARN && event.field("service") == Some("identity-1");
    wait_until("the proxy is asked", || log.count(is_warning_of_output) > 0).await;
    wait_until("the output is renewed", || {
        log.count(LogEvent::is_write) >= 2 && written("identity") != identity
    })
    .await;
    assert_eq!(written("ssh_config"), ssh_config);
    running.stop().await.unwrap();
    assert_eq!(log.count(is_warning_of_output), 1, "{}", log.transcript());
}

/// `ssh` could not reach it either, unless it runs on another machine.
#[tokio::test]
async fn a_public_address_that_the_agent_cannot_reach_is_written_with_a_warning() {
    let (log, fixture) = (LogCapture::start(), cluster_with_resources().await);
    fixture.cluster.advertise_proxy_at("127.0.0.1:1");
    let outputs = ["a", "b"].map(|name| with_directory(&fixture, &json!({ "type": "identity" }), name));
    fixture.run_oneshot(fixture.config("20m", &outputs)).await.unwrap();
    for output in ["a", "b"] {
        let ssh_config = read(&fixture.path(output).join("ssh_config"));
        assert!(ssh_config.contains("--proxy-server='127.0.0.1:1' "), "{ssh_config}");
        assert!(ssh_config.contains(" --tls-routing --no-resume "), "{ssh_config}");
    }
    let warnings = log.events(|event| event.level == Level::WARN);
    let [LogEvent { message, .. }] = warnings.as_slice() else { panic!("{}", log.transcript()) };
    insta::assert_snapshot!(message);
}

/// A proxy limits the rate of these requests.
#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_is_asked_once_for_all_outputs_of_a_renewal() {
    let fixture = cluster_with_resources().await;
    let identities =
        (0..3).map(|index| with_directory(&fixture, &json!({ "type": "identity" }), &format!("out-{index}")));
    let config = fixture.config("20m", &identities.collect::<Vec<_>>());
    for renewals in 1..=2 {
        fixture.run_oneshot(config.clone()).await.unwrap();
        let requests = fixture.cluster.requests().into_iter().filter(|call| call.method == method::WEB_PING);
        assert_eq!(requests.count(), renewals);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_may_set_its_roles_lifetime_and_name() {
    let fixture = cluster_with_resources().await;
    let mut service = json!({
        "type": "database", "service": "pg", "name": "orders", "roles": ["deploy"],
        "credential_ttl": "10m", "renewal_interval": "5m",
    });
    let certificate = write(&fixture, &service).await.join("tlscert");
    assert_eq!(roles(&certificate), ["deploy"]);
    let seconds = with_certificate(&certificate, |certificate| {
        let validity = certificate.validity();
        validity.not_after.timestamp() - validity.not_before.timestamp()
    });
    assert_eq!(seconds, 11 * 60, "the server backdates certificates by a minute");

    service["service"] = json!("nope");
    let config = fixture.config("20m", &[with_directory(&fixture, &service, "out")]);
    let AgentError::Outputs(failures) = fixture.run_oneshot(config).await.unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(failures[0].name, "orders");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_too_large_is_requested_in_smaller_pages() {
    let fixture = TestCluster::with_version("18.2.5").await;
    // 5 MB in total, for a limit of 4 MiB.
    let description = "x".repeat(5000);
    for number in 0..1000 {
        let resource = Resource::kubernetes(&format!("kube-{number}")).with_label("env", "prod");
        fixture.cluster.add_resource(resource.with_label("description", &description));
    }
    let service = json!({ "type": "kubernetes/v2", "selectors": [{ "labels": { "env": "prod" } }] });
    let out = write(&fixture, &service).await;
    let calls = fixture.calls(method::LIST_RESOURCES).into_iter();
    let limits: Vec<_> =
        calls.map(|call| call.decode::<proto::ListResourcesRequest>().unwrap().limit).collect();
    assert_eq!(limits, [1000, 500, 500]);
    let kubeconfig = read(&out.join("kubeconfig.yaml"));
    assert!((0..1000).all(|number| kubeconfig.contains(&format!("kube-{number}\n"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_not_requested_again_immediately_if_the_server_limits_requests() {
    let fixture = cluster_with_resources().await;
    fixture.cluster.fail_next(method::LIST_RESOURCES, Code::ResourceExhausted, "rate limit exceeded");
    let error = write_error(&fixture, &json!({ "type": "database", "service": "pg" })).await;
    let OutputError::Api(ApiError::Refused { code, .. }) = error else { panic!("{error:?}") };
    assert_eq!(code, GrpcCode::ResourceExhausted);
    assert_eq!(fixture.call_count(method::LIST_RESOURCES), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_clusters_get_newer_requests_and_key_types() {
    let fixture = TestCluster::with_version("18.2.5").await;
    add_resources(&fixture);
    let outputs = [
        ("app", json!({ "type": "application", "app_name": "dumper" })),
        ("db", json!({ "type": "database", "service": "pg" })),
        ("host", json!({ "type": "ssh_host", "principals": ["a"] })),
    ];
    let outputs = outputs.map(|(name, service)| with_directory(&fixture, &service, name));
    fixture.run_oneshot(fixture.config("20m", &outputs)).await.unwrap();
    assert_eq!(fixture.call_count(method::CREATE_APP_SESSION), 0, "the server creates the session itself");
    assert!(read(&fixture.path("db").join("key.pub")).starts_with("ssh-rsa "), "databases need RSA keys");
    assert!(read(&fixture.path("app").join("key.pub")).starts_with("ecdsa-sha2-nistp256 "));
    let calls = [method::GENERATE_HOST_CERT, method::HOST_CERTS];
    assert_eq!(calls.map(|method| fixture.call_count(method)), [1, 0]);
    assert!(!fixture.cluster.is_locked(BOT));
}
