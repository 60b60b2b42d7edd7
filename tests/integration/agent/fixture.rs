//! The fixture of these tests: a development cluster, a bot with a join token, and a temporary directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tbot::agent::{
    Agent, AgentError, AgentOptions, Clock, Control, HealthMonitor, Randomness, Signals, control,
};
use tbot_cluster::{Call, Cluster, ClusterConfig, MovableClock, SERVER_VERSION, clock};
use tempfile::TempDir;

use super::certificate::generation;

pub(super) const BOT: &str = "robot";
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);

/// A cluster with one bot. Agents started here and the cluster share one clock.
pub(super) struct TestCluster {
    pub(super) cluster: Cluster,
    pub(super) clock: MovableClock,
    /// A join token of the bot that has not been used.
    pub(super) token: String,
    root: TempDir,
}

impl TestCluster {
    /// Starts a cluster with a bot that may impersonate the roles `access` and `deploy`.
    pub(super) async fn new() -> Self {
        Self::with_version(SERVER_VERSION).await
    }

    /// Starts such a cluster, whose bot has joined.
    pub(super) async fn joined() -> Self {
        let fixture = Self::new().await;
        fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap();
        fixture
    }

    /// Starts a cluster that reports `version`.
    pub(super) async fn with_version(version: &str) -> Self {
        let clock = MovableClock::new(clock::system());
        let config = ClusterConfig::new(clock.clock());
        Self::with_config(ClusterConfig { server_version: version.to_owned(), ..config }, clock).await
    }

    /// Starts a cluster with these settings, which contain `clock`.
    pub(super) async fn with_config(config: ClusterConfig, clock: MovableClock) -> Self {
        let cluster = Cluster::start(config).await.unwrap();
        let token = cluster.add_bot(BOT, &["access", "deploy"]).unwrap();
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("web-ca.pem"), cluster.web_ca_pem()).unwrap();
        Self { cluster, clock, token, root }
    }

    /// Returns the path of `name` in the temporary directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The directory that [`config`](Self::config) sets as the bot's storage.
    pub(super) fn storage(&self) -> PathBuf {
        self.path("storage")
    }

    /// Whether the storage has the marker of a pending renewal.
    pub(super) fn has_renewal_marker(&self) -> bool {
        self.storage().join("renewal-pending").exists()
    }

    /// Returns an `identity` output that writes to the directory `name`.
    pub(super) fn output(&self, name: &str) -> Value {
        json!({ "type": "identity", "destination": { "type": "directory", "path": self.path(name) } })
    }

    /// Returns a configuration with `outputs` and `renewal_interval: <interval>`.
    pub(super) fn config(&self, interval: &str, outputs: &[Value]) -> Value {
        json!({
            "version": "v2",
            "proxy_server": self.cluster.proxy_addr().to_string(),
            "onboarding": { "join_method": "token", "token": self.token },
            "storage": { "type": "directory", "path": self.storage() },
            "outputs": outputs,
            "credential_ttl": "1h",
            "renewal_interval": interval,
        })
    }

    pub(super) fn agent(&self, config: Value) -> Result<Agent, AgentError> {
        self.agent_with_env(config, &[])
    }

    /// Returns an agent whose environment has `variables` in addition to `SSL_CERT_FILE`.
    pub(super) fn agent_with_env(
        &self,
        config: Value,
        variables: &[(&str, &str)],
    ) -> Result<Agent, AgentError> {
        Agent::new(&serde_json::from_value(config).unwrap(), self.options(variables))
    }

    /// Returns the options of an agent whose environment has `variables` in addition to `SSL_CERT_FILE`.
    pub(super) fn options(&self, variables: &[(&str, &str)]) -> AgentOptions {
        let clock = self.clock.clock();
        let roots = self.path("web-ca.pem");
        let roots = [("SSL_CERT_FILE", roots.to_str().unwrap())];
        AgentOptions {
            environment: roots.iter().chain(variables).copied().collect(),
            clock: Clock::from_fn(move || clock()).with_poll_interval(Duration::from_millis(5)),
            randomness: Randomness::from_fn(|| 0.0),
            command: PathBuf::from("/usr/local/bin/tbot"),
        }
    }

    /// Runs an agent in oneshot mode.
    pub(super) async fn run_oneshot(&self, config: Value) -> Result<(), AgentError> {
        run_oneshot(&self.agent(config)?).await
    }

    /// Starts an agent in continuous mode.
    pub(super) fn start(&self, config: Value) -> RunningAgent {
        RunningAgent::start(self.agent(config).unwrap())
    }

    /// Returns the calls of `method` that reached the cluster.
    pub(super) fn calls(&self, method: &str) -> Vec<Call> {
        let mut calls = self.cluster.requests();
        calls.retain(|call| call.method == method);
        calls
    }

    pub(super) fn call_count(&self, method: &str) -> usize {
        self.calls(method).len()
    }

    /// The generation in the stored certificate.
    pub(super) fn stored_generation(&self) -> u64 {
        generation(&self.storage().join("tlscert"))
    }

    /// Replaces the parts of a message that differ between runs: the proxy's address and the temporary directory.
    pub(super) fn normalize(&self, text: &str) -> String {
        text.replace(&self.cluster.proxy_addr().to_string(), "[proxy]")
            .replace(self.root.path().to_str().unwrap(), "[dir]")
    }
}

/// Runs `agent` in oneshot mode, without a way to stop it.
pub(super) async fn run_oneshot(agent: &Agent) -> Result<(), AgentError> {
    let (_control, signals) = control();
    agent.run_once(signals).await
}

/// An agent in continuous mode, running on its own task.
pub(super) struct RunningAgent {
    pub(super) control: Control,
    pub(super) agent: Arc<Agent>,
    signals: Signals,
    task: tokio::task::JoinHandle<Result<(), AgentError>>,
}

impl RunningAgent {
    pub(super) fn start(agent: Agent) -> Self {
        let agent = Arc::new(agent);
        let (control, signals) = control();
        let (running, of_agent) = (Arc::clone(&agent), signals.clone());
        Self { control, agent, signals, task: tokio::spawn(async move { running.run(of_agent).await }) }
    }

    /// Follows the health of the agent.
    pub(super) fn monitor(&self) -> HealthMonitor {
        self.agent.health(&self.signals)
    }

    /// Whether a service has still to renew after a reload.
    pub(super) fn is_reloading(&self) -> bool {
        self.monitor().report().is_reloading
    }

    /// Asks the agent to shut down and waits until it has.
    pub(super) async fn stop(self) -> Result<(), AgentError> {
        self.control.shutdown();
        self.task.await.unwrap()
    }

    /// Waits until the agent ends by itself.
    pub(super) async fn wait(self) -> Result<(), AgentError> {
        self.task.await.unwrap()
    }
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Polls `condition` until it holds. Fails the test after 20 seconds; `what` completes the message
/// "timed out waiting until".
pub(crate) async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    poll_until(what, || std::future::ready(condition())).await;
}

/// Like [`wait_until`], for a condition that takes time to find out.
pub(super) async fn poll_until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "timed out waiting until {what}");
}
