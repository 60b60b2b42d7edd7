//! Configurations, and the folders that they are run in.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use tbot_cluster::{Cluster, Resource};
use tempfile::TempDir;

/// A folder with a configuration for a new bot of a cluster, and the authority of that cluster.
pub(crate) struct Scene(TempDir);

impl Scene {
    /// `outputs` are services without their destinations: each has the folder `out-<number>`.
    pub(crate) fn new(cluster: &Cluster, bot: &str, outputs: &[Value]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("ca.pem"), cluster.web_ca_pem())?;
        for resource in [
            Resource::application("app", "app.127.0.0.1"),
            Resource::database("database", "postgres"),
            Resource::kubernetes("kubernetes"),
        ] {
            cluster.add_resource(resource);
        }
        let services = outputs.iter().enumerate().map(|(number, service)| {
            let mut service = service.clone();
            service["destination"] = json!({ "type": "directory", "path": format!("out-{number}") });
            service
        });
        let config = json!({
            "version": "v2",
            "proxy_server": cluster.proxy_addr().to_string(),
            "onboarding": { "join_method": "token", "token": cluster.add_bot(bot, &["access"])? },
            "storage": { "type": "directory", "path": "storage" },
            "services": services.collect::<Vec<_>>(),
        });
        fs::write(folder.path().join("tbot.yaml"), config.to_string())?;
        Ok(Self(folder))
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }
}

pub(crate) fn identity_outputs(count: usize) -> Vec<Value> {
    vec![json!({ "type": "identity" }); count]
}

/// One of each type that needs something of its own.
pub(crate) fn five_outputs() -> Vec<Value> {
    vec![
        json!({ "type": "identity" }),
        json!({ "type": "application", "app_name": "app" }),
        json!({ "type": "database", "service": "database", "username": "alice", "database": "orders" }),
        json!({ "type": "kubernetes", "kubernetes_cluster": "kubernetes" }),
        json!({ "type": "ssh_host", "principals": ["node.example.com"] }),
    ]
}

/// A configuration that is only read.
pub(crate) fn ten_outputs() -> String {
    let outputs: Vec<String> = (0..10)
        .map(|index| format!("  - type: application\n    app_name: app-{index}\n    destination: {{type: directory, path: /opt/{index}}}\n"))
        .collect();
    format!("version: v2\nproxy_server: teleport.example.com:443\nservices:\n{}", outputs.concat())
}
