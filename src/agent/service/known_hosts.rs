//! `known_hosts`: which authorities OpenSSH shall believe for which hosts. Pure.

use crate::agent::credential::authority::Authority;

/// One line a trusted key of each cluster's host authority: the own cluster's first, then the leaves'.
pub(super) fn known_hosts(host: &[Authority], clusters: &[String], proxy: &str) -> String {
    let proxy_host = host_of(proxy);
    let mut text = String::new();
    for cluster in clusters {
        for authority in host.iter().filter(|authority| authority.cluster == *cluster) {
            for key in &authority.ssh {
                text.push_str(&format!(
                    "@cert-authority {proxy_host},{cluster},*.{cluster} {key} type=host\n"
                ));
            }
        }
    }
    text
}

/// The host of `host:port`, without the brackets of IPv6.
pub(super) fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::{recorded, recorded_host_authority};

    #[test]
    fn is_the_file_that_the_go_agent_wrote() {
        let ours = known_hosts(&[recorded_host_authority()], &["dev.test".to_owned()], "127.0.0.1:4080");
        assert_eq!(ours, recorded("outputs/identity/known_hosts"));
    }

    #[test]
    fn leaves_that_the_credentials_may_not_see_are_left_out() {
        let leaf = |name: &str| Authority { cluster: name.to_owned(), ..recorded_host_authority() };
        let all = [recorded_host_authority(), leaf("hidden.test"), leaf("leaf.test")];
        let ours = known_hosts(&all, &["dev.test".to_owned(), "leaf.test".to_owned()], "[::1]:3080");
        assert_eq!(ours.lines().count(), 2);
        assert!(ours.contains("\n@cert-authority ::1,leaf.test,*.leaf.test ssh-rsa "), "{ours}");
    }
}
