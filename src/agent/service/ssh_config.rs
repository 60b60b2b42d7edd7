//! Renders `ssh_config`, by which OpenSSH reaches every host of every cluster through the `tbot proxy` command.

use std::fmt::Write as _;
use std::path::Path;

use super::known_hosts::host_of;

const RSA_ALGORITHMS: &str =
    "rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,ssh-rsa-cert-v01@openssh.com";

/// The content of the file.
pub(super) struct SshConfig<'a> {
    /// The output's directory, absolute.
    pub(super) directory: &'a Path,
    /// The `tbot` command, absolute.
    pub(super) command: &'a Path,
    /// `host:port` of the proxy.
    pub(super) proxy: &'a str,
    /// The root cluster first, then the leaf clusters.
    pub(super) clusters: &'a [String],
    /// Whether to name the RSA algorithms, which OpenSSH before 8.8 needs for old clusters with RSA keys only.
    pub(super) name_rsa_algorithms: bool,
}

impl SshConfig<'_> {
    /// Returns `None` if a path contains a character that OpenSSH cannot escape.
    pub(super) fn render(&self) -> Option<String> {
        let directory = plain(self.directory)?;
        let command = plain(self.command)?;
        let host = host_of(self.proxy);
        let mut config = format!("# Begin generated Teleport configuration for {host} by tbot\n\n");
        for cluster in self.clusters {
            // Writing to a `String` cannot fail.
            let _ = self.block(&mut config, cluster, host, directory, command);
        }
        config.push_str("\n# End generated Teleport configuration\n");
        Some(config)
    }

    fn block(
        &self,
        config: &mut String,
        cluster: &str,
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
            shell_quoted(&command),
            shell_quoted(&directory),
            self.proxy,
        )
    }
}

fn plain(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| !text.contains(['"', '\n', '\r']))
}

/// Quotes an argument for the shell that OpenSSH starts. Ordinary paths stay as they are.
fn shell_quoted(argument: &str) -> String {
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

    fn rendered(directory: &str, name_rsa_algorithms: bool) -> Option<String> {
        let config = SshConfig {
            directory: Path::new(directory),
            command: Path::new("/usr/local/bin/tbot-go"),
            proxy: "127.0.0.1:4080",
            clusters: &["dev.test".to_owned()],
            name_rsa_algorithms,
        };
        config.render()
    }

    #[test]
    fn the_file_is_the_recorded_one_except_for_the_command_line() {
        let ours = rendered("/opt/machine-id/identity", true).unwrap();
        let theirs = recorded("outputs/identity/ssh_config");
        let without_command = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.contains("ProxyCommand")).map(str::to_owned).collect()
        };
        assert_eq!(without_command(&ours), without_command(&theirs));
        let command = ours.lines().find(|line| line.contains("ProxyCommand")).unwrap();
        assert_eq!(
            command,
            "    ProxyCommand /usr/local/bin/tbot-go proxy --destination-dir=/opt/machine-id/identity \
             --proxy-server=127.0.0.1:4080 ssh --cluster=dev.test  %r@%h:%p"
        );
    }

    #[test]
    fn newer_clusters_may_use_other_keys_than_rsa() {
        assert!(!rendered("/opt/id", false).unwrap().contains("HostKeyAlgorithms"));
    }

    #[test]
    fn unusual_paths_are_quoted_or_refused() {
        let spaced = rendered("/opt/machine id/100%", true).unwrap();
        assert!(spaced.contains(r#"IdentityFile "/opt/machine id/100%%/key""#), "{spaced}");
        assert!(spaced.contains("--destination-dir='/opt/machine id/100%%' "), "{spaced}");
        assert_eq!(rendered("/opt/\"", true), None);
    }
}
