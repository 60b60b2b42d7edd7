//! A cluster, a bot with one output, and directories that all runs of the program share.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::json;
use tbot_cluster::{Cluster, ClusterConfig, HeldCall, SERVER_VERSION, clock, method};
use tempfile::TempDir;

use super::fixture::{Run, Telemetry, tbot};
use crate::agent::certificate::generation;
use crate::agent::fixture::read;

pub(super) const BOT: &str = "robot";

pub(super) struct BotFixture {
    pub(super) cluster: Cluster,
    root: TempDir,
}

impl BotFixture {
    pub(super) async fn new() -> Self {
        Self::with_version(SERVER_VERSION).await
    }

    /// Starts a cluster that reports `version`.
    pub(super) async fn with_version(version: &str) -> Self {
        let config =
            ClusterConfig { server_version: version.to_owned(), ..ClusterConfig::new(clock::system()) };
        let cluster = Cluster::start(config).await.unwrap();
        let fixture = Self { cluster, root: tempfile::tempdir().unwrap() };
        std::fs::write(fixture.path("web-ca.pem"), fixture.cluster.web_ca_pem()).unwrap();
        fixture.recreate_bot();
        fixture
    }

    /// The directory of all files of the bot.
    pub(super) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Replaces the bot with a new one of the same name, and puts its join token into the configuration.
    pub(super) fn recreate_bot(&self) {
        self.cluster.remove_bot(BOT);
        let config = json!({
            "version": "v2",
            "proxy_server": self.cluster.proxy_addr().to_string(),
            "onboarding": { "join_method": "token", "token": self.cluster.add_bot(BOT, &["access"]).unwrap() },
            "storage": { "type": "directory", "path": self.path("storage") },
            "services": [{ "type": "identity", "destination": { "type": "directory", "path": self.path("out") } }],
        });
        std::fs::write(self.path("tbot.yaml"), config.to_string()).unwrap();
    }

    /// Changes the configuration.
    pub(super) fn change_config(&self, change: impl FnOnce(&mut serde_json::Value)) {
        let path = self.path("tbot.yaml");
        let mut config = serde_json::from_str(&read(&path)).unwrap();
        change(&mut config);
        std::fs::write(path, config.to_string()).unwrap();
    }

    /// Prepares a `tbot start`, which runs continuously unless the flags say otherwise.
    pub(super) fn start(&self, flags: &[&str]) -> Run {
        let config = self.path("tbot.yaml");
        tbot(Telemetry::ClosedPort, &[&["start", "-c", config.to_str().unwrap()], flags].concat())
            .env("SSL_CERT_FILE", self.path("web-ca.pem"))
    }

    /// Replaces the parts of a line of the log that differ between runs: the time, addresses and paths, durations, and why a
    /// connection failed.
    pub(super) fn normalize_log(&self, line: &str) -> String {
        static VARYING: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
            [
                (r"^\d{4}-\S+Z ", ""),
                (r#"next_renewal(=|":")[0-9a-z.]+"#, "next_renewal$1[time]"),
                (r"(retry=|works again after )[0-9a-z.]+", "$1[time]"),
                (r"(cannot reach [^:]+): .+( service=)", "$1: [cause and hint]$2"),
            ]
            .map(|(pattern, replacement)| (Regex::new(pattern).unwrap(), replacement))
        });
        let line = line
            .replace(&self.cluster.proxy_addr().to_string(), "[proxy]")
            .replace(self.root.path().to_str().unwrap(), "[dir]");
        VARYING
            .iter()
            .fold(line, |line, (pattern, replacement)| pattern.replace(&line, *replacement).into_owned())
    }

    /// Holds the next two renewals: those of the identity and of the output, in either order.
    pub(super) fn hold_renewals(&self) -> [HeldCall; 2] {
        [method::GENERATE_USER_CERTS; 2].map(|method| self.cluster.hold_next(method))
    }

    /// The generation in the storage, or `None` before the bot has joined.
    pub(super) fn stored_generation(&self) -> Option<u64> {
        let tlscert = self.path("storage").join("tlscert");
        tlscert.exists().then(|| generation(&tlscert))
    }

    /// The generation that the cluster expects.
    pub(super) fn cluster_generation(&self) -> Option<u64> {
        self.cluster.generation(BOT)
    }

    /// Whether the storage has the marker of a renewal whose response has not been saved.
    pub(super) fn has_pending_renewal(&self) -> bool {
        self.path("storage").join("renewal-pending").exists()
    }
}
