//! The sandbox of demos and pictures: a development cluster and a receiver of telemetry, both on loopback, and a temporary
//! directory with a configuration.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use tbot_cluster::{Cluster, ClusterConfig, clock};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::receiver::Receiver;

/// The name of the bot in the cluster.
const BOT: &str = "demo";
/// The certificate authority of the cluster's web address, in the directory.
const CA_FILE: &str = "web-ca.pem";
/// The store of the receiver, in the directory.
pub(crate) const STORE: &str = "sqlite:events.db";
/// The comment after the key for consent in all examples.
const CONSENT: &str =
    "anonymous_telemetry_opt_in: true # opt in to anonymous usage telemetry; this line can be removed\n";

/// Whether the configuration opts in to telemetry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    Given,
    NotGiven,
}

/// A running cluster and receiver, and a directory, which is removed on drop.
pub(crate) struct Sandbox {
    directory: TempDir,
    cluster: Cluster,
    receiver: Receiver,
    /// The directory of the programs.
    programs: PathBuf,
    token: String,
}

impl Sandbox {
    /// Starts everything. Its tasks run on the runtime.
    ///
    /// # Errors
    ///
    /// Returns an error if the directory cannot be created or no port is free.
    pub(crate) fn start(runtime: &Runtime, consent: Consent) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("tbot-demo-").tempdir();
        let directory = directory.context("cannot create a temporary directory")?;
        let cluster = runtime.block_on(Cluster::start(ClusterConfig::new(clock::system())))?;
        let token = cluster.add_bot(BOT, &["access"])?;
        let receiver = runtime.block_on(Receiver::start(&directory.path().join("events.db")))?;
        let sandbox = Self { directory, cluster, receiver, programs: programs_directory()?, token };
        sandbox.write(CA_FILE, sandbox.cluster.web_ca_pem())?;
        sandbox.write("tbot.yaml", &sandbox.configuration(consent))?;
        Ok(sandbox)
    }

    fn configuration(&self, consent: Consent) -> String {
        let consent = if consent == Consent::Given { CONSENT } else { "" };
        let (proxy, token) = (self.cluster.proxy_addr(), &self.token);
        format!(
            "version: v2\n\
             proxy_server: {proxy}\n\
             onboarding:\n  join_method: token\n  token: {token}\n\
             storage:\n  type: directory\n  path: storage\n\
             {consent}\
             services:\n  - type: identity\n    ssh_config: off\n    destination:\n      type: directory\n      path: identity\n"
        )
    }

    /// Writes a file in the directory.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file.
    pub(crate) fn write(&self, name: &str, content: &str) -> Result<()> {
        fs::write(self.path().join(name), content).with_context(|| format!("cannot write {name}"))
    }

    /// Returns a command that runs in the directory, with the cluster and the receiver in its environment and nothing else.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.program(program));
        command.current_dir(self.path()).env_clear().envs(self.environment());
        command
    }

    /// Returns the path of a program of the workspace, or else the name that was passed.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let path = self.programs.join(name);
        if path.exists() { path } else { name.into() }
    }

    /// Returns the variables of a command.
    pub(crate) fn environment(&self) -> [(&'static str, String); 2] {
        [("SSL_CERT_FILE", CA_FILE.to_owned()), ("TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS", self.receiver.url())]
    }

    /// Returns a search path that contains the programs of the workspace, and those of the system.
    pub(crate) fn path_variable(&self) -> Result<OsString> {
        let system = ["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from);
        std::env::join_paths([self.programs.clone()].into_iter().chain(system))
            .context("the path of the programs contains `:`")
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the join token, which output must not show.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub(crate) fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// Stops the receiver and removes the directory.
    ///
    /// # Errors
    ///
    /// Returns an error if the receiver failed or a file cannot be removed.
    pub(crate) fn close(self, runtime: &Runtime) -> Result<()> {
        let Self { directory, receiver, .. } = self;
        runtime.block_on(receiver.stop())?;
        let path = directory.path().to_owned();
        directory.close().with_context(|| format!("cannot remove {}", path.display()))
    }
}

/// Returns the directory of the programs of the workspace: that of this program, because cargo builds all of them there.
///
/// # Errors
///
/// Returns an error if the system does not know it.
pub(crate) fn programs_directory() -> Result<PathBuf> {
    let this_program = std::env::current_exe().context("cannot determine the path of this program")?;
    let directory = this_program.parent().context("the path of this program has no parent directory")?;
    Ok(directory.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_sandbox_leaves_no_file() {
        let runtime = Runtime::new().unwrap();
        let sandbox = Sandbox::start(&runtime, Consent::NotGiven).unwrap();
        let directory = sandbox.path().to_owned();
        assert!(directory.join("tbot.yaml").exists());
        sandbox.close(&runtime).unwrap();
        assert!(!directory.exists());
    }

    #[test]
    fn the_configuration_opts_in_only_with_consent() {
        let runtime = Runtime::new().unwrap();
        let opts_in = |consent| {
            let sandbox = Sandbox::start(&runtime, consent).unwrap();
            let configuration = fs::read_to_string(sandbox.path().join("tbot.yaml")).unwrap();
            sandbox.close(&runtime).unwrap();
            configuration.contains("anonymous_telemetry_opt_in: true")
        };
        assert!(opts_in(Consent::Given));
        assert!(!opts_in(Consent::NotGiven));
    }
}
