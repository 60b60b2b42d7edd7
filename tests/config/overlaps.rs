//! Locations that overlap, however they are written.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tbot::config::{LoadOptions, ProcessContext, Purpose, load};
use tbot::diagnostic::{Code, Severity};

const ERROR: Severity = Severity::Error;
const WARNING: Severity = Severity::Warning;
const SAME: Code = Code::SameDestination;
const NESTED: Code = Code::NestedDestination;
const FILE: Code = Code::FileInDestination;

/// Returns the findings about overlaps in a configuration, as seen from the directory `/srv` in the namespace `pod`, in
/// which `/link` is a link to `/storage`.
fn overlaps(config: &Value) -> Vec<(Severity, Code)> {
    let resolve_links: fn(&Path) -> PathBuf = |path| match path.strip_prefix("/link") {
        Ok(rest) => Path::new("/storage").join(rest),
        Err(_) => path.to_owned(),
    };
    let process = ProcessContext {
        working_directory: PathBuf::from("/srv"),
        pod_namespace: Some("pod".to_owned()),
        resolve_links: Some(resolve_links),
    };
    let options = LoadOptions { purpose: Purpose::Validate, process: Some(process) };
    let found = load(Some(&config.to_string()), &[], options).diagnostics.into_iter();
    let found = found.filter(|found| [SAME, NESTED, FILE].contains(&found.code));
    found.map(|found| (found.severity, found.code)).collect()
}

fn directory(path: &str) -> Value {
    json!({ "type": "directory", "path": path })
}

fn identity(path: &str) -> Value {
    json!({ "type": "identity", "destination": directory(path) })
}

fn multiplexer(path: &str) -> Value {
    json!({ "type": "ssh-multiplexer", "destination": directory(path) })
}

fn with_services(storage: &Value, services: &[Value]) -> Value {
    json!({ "version": "v2", "storage": storage, "services": services })
}

#[test]
fn nothing_else_may_be_in_the_storage_however_its_path_is_written() {
    for (storage, path, expected) in [
        ("/storage", "/storage", Some(SAME)),
        ("/storage", "/storage/", Some(SAME)),
        ("/storage", "//storage/./a/..", Some(SAME)),
        ("/storage", "/../storage", Some(SAME)),
        ("/storage", "../storage", Some(SAME)),
        ("./bot", "/srv/bot", Some(SAME)),
        ("bot", "./bot", Some(SAME)),
        ("/storage", "/link", Some(SAME)),
        ("/storage", "/link/out", Some(NESTED)),
        ("/storage", "/storage/out", Some(NESTED)),
        ("/storage", "/storage/a/b", Some(NESTED)),
        ("/storage", "/storage2", None),
        ("/storage", "/", None),
        ("/srv/bot", "/srv", None),
        // A place that the output overwrites.
        ("/srv/identity", "/srv", Some(NESTED)),
    ] {
        for service in [identity(path), multiplexer(path)] {
            // A multiplexer creates nothing with this name.
            let is_free =
                path == "/srv" && storage == "/srv/identity" && service["type"] == "ssh-multiplexer";
            let expected = expected.filter(|_| !is_free).map(|code| (ERROR, code));
            let found = overlaps(&with_services(&directory(storage), &[service]));
            assert_eq!(found, Vec::from_iter(expected), "{storage} and {path}");
        }
    }
    let default_storage = json!({ "version": "v2", "services": [identity("/var/lib/teleport/bot/out")] });
    assert_eq!(overlaps(&default_storage), [(ERROR, NESTED)]);
}

#[test]
fn an_output_may_be_below_another_unless_the_other_overwrites_that_path() {
    for (inner, expected) in [
        ("/out", Some((WARNING, SAME))),
        ("/out/app", None),
        ("/out/app/tlscert", None),
        ("/out/tlscert", Some((ERROR, NESTED))),
        ("/out/tlscert/a", Some((ERROR, NESTED))),
        ("/out/..data", Some((ERROR, NESTED))),
        ("/out/..5/a", Some((ERROR, NESTED))),
        ("/out/.tbot-commit", Some((ERROR, NESTED))),
        ("/out/.tbot-staged", Some((ERROR, NESTED))),
        ("/out/.tbot-lock", Some((ERROR, NESTED))),
    ] {
        for services in [[identity("/out"), identity(inner)], [identity(inner), identity("/out")]] {
            let found = overlaps(&with_services(&json!({ "type": "memory" }), &services));
            assert_eq!(found, Vec::from_iter(expected), "{inner}");
        }
    }
}

#[test]
fn a_directory_may_be_shared_by_services_that_create_different_names() {
    let agent = json!({ "type": "identity/key-agent", "destination": directory("/out") });
    let database = json!({ "type": "database", "service": "a", "destination": directory("/out") });
    let svid = |kind: &str| json!({ "type": kind, "selector": { "name": "a" }, "audiences": ["b"], "destination": directory("/out") });
    let (x509, jwt) = (svid("workload-identity-x509"), svid("workload-identity-jwt"));
    let host = json!({ "type": "ssh_host", "principals": ["a"], "destination": directory("/out") });
    let application = json!({ "type": "application", "app_name": "a", "destination": directory("/out") });
    for (services, expected) in [
        ([database.clone(), agent.clone()], None),
        ([database, multiplexer("/out")], None),
        // An X.509 SVID and a JWT-SVID have files of different names, and so have an identity and the certificate of a host.
        ([x509.clone(), jwt], None),
        ([identity("/out"), host], None),
        ([x509.clone(), x509], Some((WARNING, SAME))),
        // Both write `identity`.
        ([identity("/out"), application], Some((WARNING, SAME))),
        // Both write `ssh_config`.
        ([identity("/out"), multiplexer("/out")], Some((WARNING, SAME))),
        // Both create `agent.sock`.
        ([agent, multiplexer("/out")], Some((WARNING, SAME))),
    ] {
        let found = overlaps(&with_services(&json!({ "type": "memory" }), &services));
        assert_eq!(found, Vec::from_iter(expected), "{services:?}");
    }
}

#[test]
fn secrets_are_compared_by_namespace_name_and_cluster() {
    let secret = |extra: Value| {
        let mut secret = json!({ "type": "kubernetes_secret", "name": "bot" });
        secret.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        secret
    };
    for (one, other, is_same) in [
        (json!({}), json!({}), true),
        (json!({}), json!({ "namespace": "pod" }), true),
        (json!({ "namespace": "" }), json!({ "namespace": "pod" }), true),
        (json!({ "namespace": "a" }), json!({ "namespace": "b" }), false),
        (json!({}), json!({ "kubeconfig_path": "/kube" }), false),
        (json!({ "kubeconfig_path": "kube" }), json!({ "kubeconfig_path": "/srv/kube" }), true),
        (json!({ "kubeconfig_context": "a" }), json!({ "kubeconfig_context": "b" }), false),
    ] {
        let output = json!({ "type": "identity", "destination": secret(other.clone()) });
        let found = overlaps(&with_services(&secret(one.clone()), std::slice::from_ref(&output)));
        assert_eq!(found, Vec::from_iter(is_same.then_some((ERROR, SAME))), "{one} and {other}");
        let first = json!({ "type": "identity", "destination": secret(one.clone()) });
        let found = overlaps(&with_services(&json!({ "type": "memory" }), &[first, output]));
        assert_eq!(found, Vec::from_iter(is_same.then_some((WARNING, SAME))), "{one} and {other}");
    }
}

#[test]
fn a_secret_has_one_writer_because_each_replaces_all_its_files() {
    let secret = json!({ "type": "kubernetes_secret", "name": "bot" });
    let host = json!({ "type": "ssh_host", "principals": ["a"], "destination": secret });
    let identity = json!({ "type": "identity", "destination": secret });
    let found = overlaps(&with_services(&json!({ "type": "memory" }), &[identity, host]));
    assert_eq!(found, [(WARNING, SAME)]);
}

#[test]
fn a_file_that_the_agent_reads_must_not_be_where_it_writes() {
    let files = |file: &str| {
        [
            json!({ "token": file }),
            json!({ "ca_path": file }),
            json!({ "bound_keypair": { "registration_secret_path": file } }),
            json!({ "bound_keypair": { "static_private_key_path": file } }),
            json!({ "kubernetes": { "token_path": file } }),
        ]
    };
    for (file, expected) in [
        ("/out/token", Some((WARNING, FILE))),
        ("/out/a/token", Some((WARNING, FILE))),
        ("/out/key", Some((ERROR, FILE))),
        ("/out/..data/key", Some((ERROR, FILE))),
        ("/storage/token", None),
        ("/storage/key", Some((ERROR, FILE))),
        ("/link/tlscert", Some((ERROR, FILE))),
        ("/other/key", None),
    ] {
        for onboarding in files(file) {
            let mut config = with_services(&directory("/storage"), &[identity("/out")]);
            config["onboarding"] = onboarding;
            assert_eq!(overlaps(&config), Vec::from_iter(expected), "{config}");
        }
    }
}
