//! A development cluster on loopback, for programs that run elsewhere on this machine.

use std::net::{TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tbot_cluster::{Cluster, ClusterConfig, clock};
use tokio::runtime::Runtime;

/// How long a condition may take to become true.
const TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) struct TestCluster {
    cluster: Cluster,
    _runtime: Runtime,
}

impl TestCluster {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let cluster = runtime.block_on(Cluster::start(ClusterConfig::new(clock::system()))).unwrap();
        Self { cluster, _runtime: runtime }
    }

    /// Returns the certificate authority of the cluster's web address.
    pub(crate) fn ca(&self) -> &str {
        self.cluster.web_ca_pem()
    }

    /// Takes the cluster down or brings it back up.
    pub(crate) fn set_down(&self, down: bool) {
        self.cluster.set_down(down);
    }

    pub(crate) fn join_token(&self, bot: &str) -> String {
        self.cluster.add_bot(bot, &["access"]).unwrap()
    }

    /// Returns a configuration with one output, in `/opt/machine-id`, without consent to telemetry.
    pub(crate) fn configuration(&self, token: &str) -> String {
        format!(
            "version: v2\nproxy_server: {}\nonboarding: {{join_method: token, token: {token}}}\n\
             services:\n  - type: identity\n    destination: {{type: directory, path: /opt/machine-id}}\n",
            self.cluster.proxy_addr()
        )
    }

    /// Returns the configuration of a bot that opts in to telemetry and keeps nothing.
    pub(crate) fn configuration_with_telemetry(&self, bot: &str) -> String {
        format!(
            "version: v2\nproxy_server: {}\nonboarding: {{join_method: token, token: {}}}\nstorage: {{type: memory}}\n\
             anonymous_telemetry_opt_in: true\nservices: [{{type: identity, destination: {{type: memory}}}}]\n",
            self.cluster.proxy_addr(),
            self.join_token(bot)
        )
    }
}

/// Returns a port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until a program listens on a port of this machine.
pub(crate) fn wait_for_port(port: u16) {
    wait_until("a program listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
}

#[expect(clippy::disallowed_methods, reason = "other programs do not report when the condition holds")]
pub(crate) fn wait_until(condition: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < TIMEOUT, "still false: {condition}");
        sleep(Duration::from_millis(100));
    }
}
