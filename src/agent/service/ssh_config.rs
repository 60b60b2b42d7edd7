//! `ssh_config`: how OpenSSH reaches every host of every cluster through our own `proxy` command. Pure.

use std::fmt::Write as _;
use std::path::Path;

use super::known_hosts::host_of;

const RSA_ALGORITHMS: &str =
    "rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,ssh-rsa-cert-v01@openssh.com";

/// What stands in the file.
pub(super) struct SshConfig<'a> {
    /// The output's folder, absolute.
    pub(super) folder: &'a Path,
    /// Our own command, absolute.
    pub(super) command: &'a Path,
    /// `host:port` of the proxy.
    pub(super) proxy: &'a str,
    /// The own cluster first, then the leaves.
    pub(super) clusters: &'a [String],
    /// True for old clusters, whose keys are all RSA: OpenSSH before 8.8 wants to be told.
    pub(super) name_rsa_algorithms: bool,
}

impl SshConfig<'_> {
    /// `None` when a path cannot be written so that OpenSSH reads it back: it knows no escape for these characters.
    pub(super) fn render(&self) -> Option<String> {
        let folder = plain(self.folder)?;
        let command = plain(self.command)?;
        let host = host_of(self.proxy);
        let mut text = format!("# Begin generated Teleport configuration for {host} by tbot\n\n");
        for cluster in self.clusters {
            // Writing to a String cannot fail.
            let _ = self.block(&mut text, cluster, host, folder, command);
        }
        text.push_str("\n# End generated Teleport configuration\n");
        Some(text)
    }

    fn block(
        &self,
        text: &mut String,
        cluster: &str,
        host: &str,
        folder: &str,
        command: &str,
    ) -> std::fmt::Result {
        // OpenSSH takes %-tokens in these paths and in the command.
        let (folder, command) = (folder.replace('%', "%%"), command.replace('%', "%%"));
        writeln!(text, "# Common flags for all {cluster} hosts")?;
        writeln!(text, "Host *.{cluster} {host}")?;
        writeln!(text, "    UserKnownHostsFile \"{folder}/known_hosts\"")?;
        writeln!(text, "    IdentityFile \"{folder}/key\"")?;
        writeln!(text, "    CertificateFile \"{folder}/key-cert.pub\"")?;
        if self.name_rsa_algorithms {
            writeln!(text, "    HostKeyAlgorithms {RSA_ALGORITHMS}")?;
        }
        writeln!(text)?;
        writeln!(text, "# Flags for all {cluster} hosts except the proxy")?;
        writeln!(text, "Host *.{cluster} !{host}")?;
        writeln!(text, "    Port 3022")?;
        writeln!(
            text,
            "    ProxyCommand {} proxy --destination-dir={} --proxy-server={} ssh --cluster={cluster}  %r@%h:%p",
            shell_quoted(&command),
            shell_quoted(&folder),
            self.proxy,
        )
    }
}

fn plain(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| !text.contains(['"', '\n', '\r']))
}

/// OpenSSH gives the command to a shell. Ordinary paths stay readable.
fn shell_quoted(text: &str) -> String {
    let ordinary = |c: char| c.is_ascii_alphanumeric() || "/._-%+@".contains(c);
    if text.chars().all(ordinary) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;

    fn rendered(folder: &str, name_rsa_algorithms: bool) -> Option<String> {
        let config = SshConfig {
            folder: Path::new(folder),
            command: Path::new("/usr/local/bin/tbot-go"),
            proxy: "127.0.0.1:4080",
            clusters: &["dev.test".to_owned()],
            name_rsa_algorithms,
        };
        config.render()
    }

    #[test]
    fn is_the_file_that_the_go_agent_wrote_but_for_our_command_line() {
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
    fn newer_clusters_may_bring_other_keys_than_rsa() {
        assert!(!rendered("/opt/id", false).unwrap().contains("HostKeyAlgorithms"));
    }

    #[test]
    fn odd_paths_are_quoted_or_refused() {
        let spaced = rendered("/opt/machine id/100%", true).unwrap();
        assert!(spaced.contains(r#"IdentityFile "/opt/machine id/100%%/key""#), "{spaced}");
        assert!(spaced.contains("--destination-dir='/opt/machine id/100%%' "), "{spaced}");
        assert_eq!(rendered("/opt/\"", true), None);
    }
}
