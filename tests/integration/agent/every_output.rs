//! One output of each type, for tests of a whole run.

use serde_json::{Value, json};
use tbot::config::ServiceType;
use tbot::config::internal::DestinationUse;
use tbot_cluster::{Resource, WorkloadIdentity};

use super::fixture::TestCluster;

/// The outputs of every server, with a file that each of them writes.
const OUTPUTS: [(&str, &str); 5] = [
    ("identity", "identity"),
    ("app", "tlscert"),
    ("db", "tlscert"),
    ("kube", "kubeconfig.yaml"),
    ("host", "ssh_host-cert.pub"),
];
/// The outputs of servers from version 17 on, in the same form.
const NEWER_OUTPUTS: [(&str, &str); 3] =
    [("kube2", "kubeconfig.yaml"), ("x509", "svid.pem"), ("jwt", "jwt_svid")];

/// Adds the resources that [`outputs`] name: an application, a database, a Kubernetes cluster, a leaf cluster and a workload identity.
pub(super) fn add_resources(fixture: &TestCluster) {
    fixture.cluster.add_resource(Resource::application("dumper", "dumper.127.0.0.1"));
    fixture.cluster.add_resource(Resource::database("pg", "postgres"));
    fixture.cluster.add_resource(Resource::kubernetes("dev-kube"));
    fixture.cluster.add_leaf_cluster("leaf.test").unwrap();
    fixture.cluster.set_workload_identity(WorkloadIdentity::new("web", "/svc/web"));
}

/// Returns the outputs that every server supports.
pub(super) fn outputs(fixture: &TestCluster) -> Vec<Value> {
    OUTPUTS.iter().map(|(name, _)| output(fixture, name)).collect()
}

/// Returns the outputs that servers support from version 17 on.
pub(super) fn newer_outputs(fixture: &TestCluster) -> Vec<Value> {
    NEWER_OUTPUTS.iter().map(|(name, _)| output(fixture, name)).collect()
}

fn output(fixture: &TestCluster, name: &str) -> Value {
    let mut output = without_destination(name);
    output["destination"] = json!({ "type": "directory", "path": fixture.path(name) });
    output
}

fn without_destination(name: &str) -> Value {
    match name {
        "identity" => json!({ "type": "identity" }),
        "app" => json!({ "type": "application", "app_name": "dumper" }),
        "db" => json!({ "type": "database", "service": "pg" }),
        "kube" => json!({ "type": "kubernetes", "kubernetes_cluster": "dev-kube" }),
        "kube2" => json!({ "type": "kubernetes/v2", "selectors": [{ "name": "dev-kube" }] }),
        "host" => json!({ "type": "ssh_host", "principals": ["a"] }),
        "x509" => json!({ "type": "workload-identity-x509", "selector": { "name": "web" } }),
        "jwt" => {
            json!({ "type": "workload-identity-jwt", "selector": { "name": "web" }, "audiences": ["a"] })
        }
        _ => panic!("no output {name}"),
    }
}

#[test]
fn every_type_of_outputs_is_listed() {
    let names = OUTPUTS.iter().chain(&NEWER_OUTPUTS).map(|(name, _)| name);
    let listed: Vec<Value> = names.map(|name| without_destination(name)["type"].take()).collect();
    let writes_files = |one: &&ServiceType| matches!(one.destination, DestinationUse::Files(_));
    for one in ServiceType::ALL.iter().filter(|one| one.supported).filter(writes_files) {
        assert!(listed.contains(&json!(one.name)), "add an output of type {} to this file", one.name);
    }
}

/// Whether all [`outputs`] are written.
pub(super) fn are_written(fixture: &TestCluster) -> bool {
    OUTPUTS.iter().all(|(name, file)| fixture.path(name).join(file).exists())
}

/// Whether all [`newer_outputs`] are written.
pub(super) fn newer_outputs_are_written(fixture: &TestCluster) -> bool {
    NEWER_OUTPUTS.iter().all(|(name, file)| fixture.path(name).join(file).exists())
}
