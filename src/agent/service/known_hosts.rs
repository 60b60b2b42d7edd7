//! Renders `known_hosts`, which tells OpenSSH which CAs to trust for which hosts.

use super::host_patterns::host_patterns;
use crate::agent::credential::authority::CertAuthority;
use crate::agent::credential::cluster_name::ClusterName;
use crate::config::Address;

/// Returns one line per trusted key of each cluster's host CA, in the order of `clusters`.
pub(super) fn known_hosts(host_cas: &[CertAuthority], clusters: &[ClusterName], proxy: &Address) -> String {
    let proxy_host = proxy.host();
    let mut lines = String::new();
    for cluster in clusters {
        let hosts = host_patterns(cluster, clusters).join(",");
        for ca in host_cas.iter().filter(|ca| ca.cluster == *cluster) {
            for key in &ca.ssh {
                lines.push_str(&format!("@cert-authority {proxy_host},{cluster},{hosts} {key} type=host\n"));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::{recorded, recorded_host_authority};

    #[test]
    fn the_file_matches_the_recording() {
        let file = known_hosts(
            &[recorded_host_authority()],
            &["dev.test".parse().unwrap()],
            &Address::new("127.0.0.1", 4080),
        );
        assert_eq!(file, recorded("outputs/identity/known_hosts"));
    }

    #[test]
    fn only_the_given_clusters_are_listed() {
        let leaf = |name: &str| CertAuthority { cluster: name.parse().unwrap(), ..recorded_host_authority() };
        let all = [recorded_host_authority(), leaf("hidden.test"), leaf("leaf.test")];
        let file = known_hosts(
            &all,
            &["dev.test", "leaf.test"].map(|name| name.parse().unwrap()),
            &Address::new("::1", 3080),
        );
        assert_eq!(file.lines().count(), 2);
        assert!(file.contains("\n@cert-authority ::1,leaf.test,*.leaf.test ssh-rsa "), "{file}");
    }
}
