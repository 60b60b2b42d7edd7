//! Renders `ssh_config`, with which OpenSSH reaches every host of every cluster through the `tbot proxy` command.

use std::fmt::Write as _;
use std::path::Path;

use crate::agent::credential::cluster_name::ClusterName;
use crate::config::Address;

const RSA_ALGORITHMS: &str =
    "rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,ssh-rsa-cert-v01@openssh.com";

/// The content of the file.
pub(super) struct SshConfig<'a> {
    /// The absolute path of the output's directory.
    pub(super) directory: &'a Path,
    /// The absolute path of the `tbot` command.
    pub(super) command: &'a Path,
    /// The address of the proxy.
    pub(super) proxy: &'a Address,
    /// The names of the root cluster, then of the leaf clusters.
    pub(super) clusters: &'a [ClusterName],
    /// Whether to name the RSA algorithms, which OpenSSH before 8.8 needs for old clusters that have only RSA keys.
    pub(super) name_rsa_algorithms: bool,
}

impl SshConfig<'_> {
    /// Returns the content, or `None` if a path is not UTF-8 or contains a character that OpenSSH cannot escape.
    pub(super) fn render(&self) -> Option<String> {
        let directory = quotable(self.directory)?;
        let command = quotable(self.command)?;
        let host = self.proxy.host();
        let mut config = format!("# Begin generated Teleport configuration for {host} by tbot\n\n");
        for cluster in self.clusters {
            // Writing to a `String` cannot fail.
            let _ = self.write_cluster(&mut config, cluster, host, directory, command);
        }
        config.push_str("\n# End generated Teleport configuration\n");
        Some(config)
    }

    fn write_cluster(
        &self,
        config: &mut String,
        cluster: &ClusterName,
        host: &str,
        directory: &str,
        command: &str,
    ) -> std::fmt::Result {
        // OpenSSH expands %-tokens in these paths and in the command.
        let (directory, command) = (directory.replace('%', "%%"), command.replace('%', "%%"));
        writeln!(config, "# Common flags for all {cluster} hosts")?;
        writeln!(config, "Host *.{cluster} {host}")?;
        writeln!(config, "    UserKnownHostsFile \"{directory}/known_hosts\"")?;
        writeln!(config, "    IdentityFile \"{directory}/key\"")?;
        writeln!(config, "    CertificateFile \"{directory}/key-cert.pub\"")?;
        if self.name_rsa_algorithms {
            writeln!(config, "    HostKeyAlgorithms {RSA_ALGORITHMS}")?;
        }
        writeln!(config)?;
        writeln!(config, "# Flags for all {cluster} hosts except the proxy")?;
        writeln!(config, "Host *.{cluster} !{host}")?;
        writeln!(config, "    Port 3022")?;
        writeln!(
            config,
            "    ProxyCommand {} proxy --destination-dir={} --proxy-server={} ssh --cluster={cluster}  %r@%h:%p",
            shell_quote(&command),
            shell_quote(&directory),
            self.proxy,
        )
    }
}

/// Returns the path as a string, unless it cannot be written between double quotes.
fn quotable(path: &Path) -> Option<&str> {
    path.to_str().filter(|path| !path.contains(['"', '\n', '\r']))
}

/// Quotes an argument for the shell that OpenSSH starts, unless it consists of ordinary characters.
fn shell_quote(argument: &str) -> String {
    let ordinary = |c: char| c.is_ascii_alphanumeric() || "/._-%+@".contains(c);
    if argument.chars().all(ordinary) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;

    fn render(directory: &str, name_rsa_algorithms: bool) -> Option<String> {
        let config = SshConfig {
            directory: Path::new(directory),
            command: Path::new("/usr/local/bin/tbot-go"),
            proxy: &Address::new("127.0.0.1", 4080),
            clusters: &["dev.test".parse().unwrap()],
            name_rsa_algorithms,
        };
        config.render()
    }

    #[test]
    fn the_file_matches_the_recording_except_for_the_command() {
        let file = render("/opt/machine-id/identity", true).unwrap();
        let recording = recorded("outputs/identity/ssh_config");
        let without_command = |file: &str| -> Vec<String> {
            file.lines().filter(|line| !line.contains("ProxyCommand")).map(str::to_owned).collect()
        };
        assert_eq!(without_command(&file), without_command(&recording));
        let command = file.lines().find(|line| line.contains("ProxyCommand")).unwrap();
        assert_eq!(
            command,
            "    ProxyCommand /usr/local/bin/tbot-go proxy --destination-dir=/opt/machine-id/identity \
             --proxy-server=127.0.0.1:4080 ssh --cluster=dev.test  %r@%h:%p"
        );
    }

    #[test]
    fn rsa_algorithms_are_named_only_if_requested() {
        assert!(!render("/opt/id", false).unwrap().contains("HostKeyAlgorithms"));
    }

    #[test]
    fn unusual_paths_are_quoted_or_refused() {
        let file = render("/opt/machine id/100%", true).unwrap();
        assert!(file.contains(r#"IdentityFile "/opt/machine id/100%%/key""#), "{file}");
        assert!(file.contains("--destination-dir='/opt/machine id/100%%' "), "{file}");
        assert_eq!(render("/opt/\"", true), None);
    }
}
