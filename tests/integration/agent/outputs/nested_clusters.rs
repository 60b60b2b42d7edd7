//! A leaf cluster whose name lies below the name of the root cluster, as OpenSSH sees it in the files of an `identity` output.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::super::fixture::TestCluster;
use super::write;

/// Returns the cluster through which OpenSSH reaches a host.
fn cluster_of(ssh_config: &Path, host: &str) -> String {
    let output = Command::new("ssh").arg("-G").arg("-F").arg(ssh_config).arg(host).output().unwrap();
    let resolved = String::from_utf8(output.stdout).unwrap();
    let cluster = resolved.split("--cluster='").nth(1).and_then(|rest| rest.split('\'').next());
    cluster.unwrap_or_else(|| panic!("{host}: {resolved}")).to_owned()
}

/// Returns the patterns of the lines that vouch for a host.
fn authorities_of(known_hosts: &Path, host: &str) -> Vec<String> {
    let output = Command::new("ssh-keygen").args(["-F", host, "-f"]).arg(known_hosts).output().unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    let lines = found.lines().filter_map(|line| line.strip_prefix("@cert-authority "));
    lines.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_cluster_whose_name_lies_below_another_one_is_reached() {
    let fixture = TestCluster::new().await;
    for leaf in ["eu.dev.test", "west.eu.dev.test"] {
        fixture.cluster.add_leaf_cluster(leaf).unwrap();
    }
    let out = write(&fixture, &json!({ "type": "identity" })).await;
    for cluster in ["dev.test", "eu.dev.test", "west.eu.dev.test"] {
        let host = format!("node.{cluster}");
        assert_eq!(cluster_of(&out.join("ssh_config"), &host), cluster);
        let authorities = authorities_of(&out.join("known_hosts"), &host);
        assert_eq!(authorities.len(), 1, "{host}: {authorities:?}");
        assert!(authorities[0].contains(&format!(",{cluster},*.{cluster}")), "{host}: {authorities:?}");
    }
}
