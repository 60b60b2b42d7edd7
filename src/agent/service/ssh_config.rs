//! Renders `ssh_config`, with which OpenSSH reaches every host of every cluster through `tbot ssh-proxy-command`, and a file for the
//! hosts of one cluster, which another `ssh_config` can include.

use std::fmt::Write as _;
use std::path::Path;

use super::host_patterns::host_patterns;
use crate::agent::credential::cluster_name::ClusterName;
use crate::agent::teleport::ssh_address::SshAddress;

const RSA_ALGORITHMS: &str =
    "rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,ssh-rsa-cert-v01@openssh.com";

/// The content of the files. OpenSSH expands %-tokens in paths and in the command, so these are escaped.
pub(super) struct SshConfig<'a> {
    /// The absolute path of the output's directory.
    directory: String,
    /// The absolute path of the `tbot` command.
    command: String,
    proxy: &'a SshAddress,
    /// Whether to name the RSA algorithms, which OpenSSH before 8.8 needs for old clusters that have only RSA keys.
    name_rsa_algorithms: bool,
}

impl<'a> SshConfig<'a> {
    /// Returns `None` if a path is not UTF-8 or contains a character that OpenSSH cannot escape.
    pub(super) fn new(
        directory: &Path,
        command: &Path,
        proxy: &'a SshAddress,
        name_rsa_algorithms: bool,
    ) -> Option<Self> {
        let (directory, command) = (escape_tokens(directory)?, escape_tokens(command)?);
        Some(Self { directory, command, proxy, name_rsa_algorithms })
    }

    /// Returns the content of `ssh_config` for these clusters.
    pub(super) fn render(&self, clusters: &[ClusterName]) -> String {
        let host = self.proxy.address.host();
        let mut config = format!("# Begin generated Teleport configuration for {host} by tbot\n\n");
        for cluster in clusters {
            let hosts = host_patterns(cluster, clusters).join(" ");
            // Writing to a `String` cannot fail.
            let _ = self.write_cluster(&mut config, cluster, &hosts);
        }
        config.push_str("\n# End generated Teleport configuration\n");
        config
    }

    /// Returns the content of the file for the hosts of one cluster. The file that includes it selects the hosts.
    pub(super) fn render_for_include(&self, cluster: &ClusterName) -> String {
        let mut config =
            format!("# Generated Teleport configuration for the hosts of {cluster}, to be included\n");
        let _ = self.write_credentials(&mut config, "", &format!("{cluster}.known_hosts"));
        let _ = self.write_route(&mut config, "", cluster);
        config
    }

    fn write_cluster(&self, config: &mut String, cluster: &ClusterName, hosts: &str) -> std::fmt::Result {
        const INDENT: &str = "    ";
        let proxy = self.proxy.address.host();
        writeln!(config, "# Common flags for all {cluster} hosts")?;
        writeln!(config, "Host {hosts} {proxy}")?;
        self.write_credentials(config, INDENT, "known_hosts")?;
        writeln!(config)?;
        writeln!(config, "# Flags for all {cluster} hosts except the proxy")?;
        writeln!(config, "Host {hosts} !{proxy}")?;
        self.write_route(config, INDENT, cluster)
    }

    fn write_credentials(&self, config: &mut String, indent: &str, known_hosts: &str) -> std::fmt::Result {
        let directory = &self.directory;
        writeln!(config, "{indent}UserKnownHostsFile \"{directory}/{known_hosts}\"")?;
        writeln!(config, "{indent}IdentityFile \"{directory}/key\"")?;
        writeln!(config, "{indent}CertificateFile \"{directory}/key-cert.pub\"")?;
        if self.name_rsa_algorithms {
            writeln!(config, "{indent}HostKeyAlgorithms {RSA_ALGORITHMS}")?;
        }
        Ok(())
    }

    fn write_route(&self, config: &mut String, indent: &str, cluster: &ClusterName) -> std::fmt::Result {
        let SshAddress { address, tls_routing, connection_upgrade } = self.proxy;
        let tls_routing = if *tls_routing { "--tls-routing" } else { "--no-tls-routing" };
        let connection_upgrade = match connection_upgrade {
            Some(true) => "--connection-upgrade ",
            Some(false) => "--no-connection-upgrade ",
            None => "",
        };
        writeln!(config, "{indent}Port 3022")?;
        writeln!(
            config,
            "{indent}ProxyCommand {} ssh-proxy-command --destination-dir={} --proxy-server={} --cluster={} \
             {tls_routing} {connection_upgrade}--no-resume --user='%r' --host='%h' --port='%p'",
            shell_quote(&self.command),
            shell_quote(&self.directory),
            shell_quote(&address.to_string()),
            shell_quote(cluster),
        )
    }
}

/// Returns the path with its %-tokens escaped, unless it cannot be written between double quotes.
fn escape_tokens(path: &Path) -> Option<String> {
    let path = path.to_str().filter(|path| !path.contains(['"', '\n', '\r']))?;
    Some(path.replace('%', "%%"))
}

/// Quotes an argument for the shell that OpenSSH starts.
fn shell_quote(argument: &str) -> String {
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;
    use crate::config::Address;

    const DIRECTORY: &str = "/opt/machine-id/identity";

    fn config<T>(directory: &str, render: impl FnOnce(SshConfig<'_>) -> T) -> Option<T> {
        let web = SshAddress::at_web_address(&Address::new("127.0.0.1", 4080));
        let proxy = SshAddress { connection_upgrade: Some(false), ..web };
        let command = Path::new("/usr/local/bin/tbot-go");
        SshConfig::new(Path::new(directory), command, &proxy, true).map(render)
    }

    fn render(directory: &str) -> Option<String> {
        config(directory, |config| config.render(&["dev.test".parse().unwrap()]))
    }

    #[test]
    fn the_file_matches_the_recording_except_for_the_command() {
        let file = render(DIRECTORY).unwrap();
        let recording = recorded("outputs/identity/ssh_config");
        let without_command = |file: &str| -> Vec<String> {
            file.lines().filter(|line| !line.contains("ProxyCommand")).map(str::to_owned).collect()
        };
        assert_eq!(without_command(&file), without_command(&recording));
        let command = file.lines().find(|line| line.contains("ProxyCommand")).unwrap();
        assert_eq!(
            command,
            "    ProxyCommand '/usr/local/bin/tbot-go' ssh-proxy-command \
             --destination-dir='/opt/machine-id/identity' --proxy-server='127.0.0.1:4080' --cluster='dev.test' \
             --tls-routing --no-connection-upgrade --no-resume --user='%r' --host='%h' --port='%p'"
        );
    }

    #[test]
    fn the_file_of_one_cluster_has_the_same_settings_without_hosts() {
        let file =
            config(DIRECTORY, |config| config.render_for_include(&"dev.test".parse().unwrap())).unwrap();
        let all = render(DIRECTORY).unwrap();
        let settings = all.lines().filter_map(|line| line.strip_prefix("    "));
        let settings: Vec<String> =
            settings.map(|line| line.replace("/known_hosts", "/dev.test.known_hosts")).collect();
        assert_eq!(file.lines().skip(1).collect::<Vec<_>>(), settings);
        assert!(file.starts_with("# "), "{file}");
    }

    #[test]
    fn the_route_and_rsa_algorithms_depend_on_the_cluster() {
        for (connection_upgrade, flags) in [
            (Some(true), " --no-tls-routing --connection-upgrade --no-resume "),
            (Some(false), " --no-tls-routing --no-connection-upgrade --no-resume "),
            (None, " --no-tls-routing --no-resume "),
        ] {
            let proxy =
                SshAddress { address: Address::new("::1", 3023), tls_routing: false, connection_upgrade };
            let file = SshConfig::new(Path::new("/opt/id"), Path::new("/tbot"), &proxy, false).unwrap();
            let file = file.render(&["dev.test".parse().unwrap()]);
            assert!(file.contains("--proxy-server='[::1]:3023' "), "{file}");
            assert!(file.contains(flags), "{file}");
            assert!(!file.contains("HostKeyAlgorithms"), "{file}");
        }
    }

    #[test]
    fn unusual_paths_are_quoted_or_refused() {
        let file = render("/opt/machine id's/100%").unwrap();
        assert!(file.contains(r#"IdentityFile "/opt/machine id's/100%%/key""#), "{file}");
        assert!(file.contains(r"--destination-dir='/opt/machine id'\''s/100%%' "), "{file}");
        assert_eq!(render("/opt/\""), None);
    }
}
