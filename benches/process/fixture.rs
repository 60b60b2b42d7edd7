//! Configurations for the benchmarks, and the directories in which the agent runs.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use tbot_cluster::{Cluster, Resource};
use tempfile::TempDir;

/// A temporary directory with `tbot.yaml` for a new bot, and `ca.pem`, the authority that issued the web certificate of
/// its cluster's proxy.
pub(crate) struct BotDirectory(TempDir);

impl BotDirectory {
    /// Adds a bot to the cluster and writes its configuration.
    ///
    /// `outputs` are services without a destination. Each gets its own directory, `out-<index>`.
    pub(crate) fn new(cluster: &Cluster, bot: &str, outputs: &[Value]) -> Result<Self> {
        for resource in [
            Resource::application("app", "app.127.0.0.1"),
            Resource::database("database", "postgres"),
            Resource::kubernetes("kubernetes"),
        ] {
            cluster.add_resource(resource);
        }
        let services = outputs.iter().enumerate().map(|(index, service)| {
            let mut service = service.clone();
            service["destination"] = json!({ "type": "directory", "path": format!("out-{index}") });
            service
        });
        Self::with_services(cluster, bot, &services.collect::<Vec<_>>())
    }

    /// Adds a bot to the cluster and writes its configuration.
    pub(crate) fn with_services(cluster: &Cluster, bot: &str, services: &[Value]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join("ca.pem"), cluster.web_ca_pem())?;
        let config = json!({
            "version": "v2",
            "proxy_server": cluster.proxy_addr().to_string(),
            "onboarding": { "join_method": "token", "token": cluster.add_bot(bot, &["access"])? },
            "storage": { "type": "directory", "path": "storage" },
            "services": services,
        });
        fs::write(directory.path().join("tbot.yaml"), config.to_string())?;
        Ok(Self(directory))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

pub(crate) fn identity_outputs(count: usize) -> Vec<Value> {
    vec![json!({ "type": "identity" }); count]
}

/// Five outputs, each of a type that writes other certificates and files.
pub(crate) fn five_outputs() -> Vec<Value> {
    vec![
        json!({ "type": "identity" }),
        json!({ "type": "application", "app_name": "app" }),
        json!({ "type": "database", "service": "database", "username": "alice", "database": "orders" }),
        json!({ "type": "kubernetes", "kubernetes_cluster": "kubernetes" }),
        json!({ "type": "ssh_host", "principals": ["node.example.com"] }),
    ]
}

/// A configuration with ten outputs, for validation only.
pub(crate) fn ten_outputs_config() -> String {
    let outputs: Vec<String> = (0..10)
        .map(|index| format!("  - type: application\n    app_name: app-{index}\n    destination: {{type: directory, path: /opt/{index}}}\n"))
        .collect();
    let join = "onboarding:\n  join_method: token\n  token: 0123456789abcdef0123456789abcdef\n";
    format!("version: v2\nproxy_server: teleport.example.com:443\n{join}services:\n{}", outputs.concat())
}
