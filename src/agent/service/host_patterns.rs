//! The patterns by which `ssh_config` and `known_hosts` select the hosts of a cluster.

use crate::agent::credential::cluster_name::ClusterName;

/// Returns the patterns of the hosts of `cluster`.
///
/// The name of a leaf cluster may lie below that of `cluster`, as `eu.dev.test` lies below `dev.test`. A negated pattern excludes its
/// hosts: OpenSSH uses the first section of `ssh_config` that matches, and every line of `known_hosts`.
pub(super) fn host_patterns(cluster: &ClusterName, clusters: &[ClusterName]) -> Vec<String> {
    let suffix = format!(".{cluster}");
    let nested = clusters.iter().filter(|other| other.ends_with(&suffix));
    std::iter::once(format!("*{suffix}")).chain(nested.map(|other| format!("!*.{other}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clusters_below_a_cluster_are_excluded() {
        let clusters = ["dev.test", "eu.dev.test", "west.eu.dev.test", "otherdev.test"]
            .map(|name| name.parse::<ClusterName>().unwrap());
        let patterns = |index: usize| host_patterns(&clusters[index], &clusters).join(" ");
        assert_eq!(patterns(0), "*.dev.test !*.eu.dev.test !*.west.eu.dev.test");
        assert_eq!(patterns(1), "*.eu.dev.test !*.west.eu.dev.test");
        assert_eq!([patterns(2), patterns(3)], ["*.west.eu.dev.test", "*.otherdev.test"]);
    }
}
