//! A cluster, a bot with one output, and folders that every run of the program shares.

use std::path::PathBuf;

use serde_json::json;
use tbot_cluster::{Cluster, ClusterConfig, HeldCall, clock, method};
use tempfile::TempDir;

use super::run::{Run, Telemetry, tbot};
use crate::agent::certificate::generation;

pub(super) const BOT: &str = "robot";

pub(super) struct Scene {
    pub(super) cluster: Cluster,
    root: TempDir,
}

impl Scene {
    pub(super) async fn new() -> Self {
        let cluster = Cluster::start(ClusterConfig::new(clock::system())).await.unwrap();
        let scene = Self { cluster, root: tempfile::tempdir().unwrap() };
        std::fs::write(scene.path("web-ca.pem"), scene.cluster.web_ca_pem()).unwrap();
        scene.with_a_new_bot();
        scene
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(super) fn with_a_new_bot(&self) {
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

    /// A run of the program, which renews and goes on unless the flags say otherwise.
    pub(super) fn run(&self, flags: &[&str]) -> Run {
        let config = self.path("tbot.yaml");
        tbot(Telemetry::Nowhere, &[&["start", "-c", config.to_str().unwrap()], flags].concat())
            .env("SSL_CERT_FILE", self.path("web-ca.pem"))
    }

    /// Holds the next renewal of the identity and that of the output, which ask in the same words and in any order.
    pub(super) fn renewals_held(&self) -> [HeldCall; 2] {
        [method::GENERATE_USER_CERTS; 2].map(|method| self.cluster.hold_next(method))
    }

    /// The generation that is stored; none before the bot has joined.
    pub(super) fn stored(&self) -> Option<u64> {
        let tlscert = self.path("storage").join("tlscert");
        tlscert.exists().then(|| generation(&tlscert))
    }

    /// The generation that the cluster has counted.
    pub(super) fn counted(&self) -> Option<u64> {
        self.cluster.generation(BOT)
    }
}
