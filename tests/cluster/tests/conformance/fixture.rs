//! Clusters with a frozen clock, the requests of a bot, and the refusals that it receives.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tbot_cluster::proto::UserCertsRequest;
use tbot_cluster::{Clock, Cluster, ClusterConfig, Code, MovableClock, clock};

use crate::client::{Bot, Grpc, Key, join};

pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
/// The user name of the bot `robot`.
pub(crate) const USER: &str = "bot-robot";

/// Returns a clock that is frozen at a whole second, so that validity periods are exact.
pub(crate) fn frozen_clock() -> Clock {
    let since_epoch = (clock::system())().duration_since(UNIX_EPOCH).unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs());
    Arc::new(move || now)
}

pub(crate) async fn start_cluster() -> (Cluster, MovableClock) {
    start_cluster_of(tbot_cluster::SERVER_VERSION).await
}

/// Starts a cluster that reports `version`.
pub(crate) async fn start_cluster_of(version: &str) -> (Cluster, MovableClock) {
    let clock = MovableClock::new(frozen_clock());
    let config = ClusterConfig { server_version: version.to_owned(), ..ClusterConfig::new(clock.clock()) };
    (Cluster::start(config).await.unwrap(), clock)
}

/// A cluster whose bot `robot`, which may impersonate the role `access`, has joined.
pub(crate) struct Fixture {
    pub(crate) cluster: Cluster,
    pub(crate) clock: MovableClock,
    pub(crate) bot: Bot,
    /// A connection of the bot.
    pub(crate) grpc: Grpc,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::of(start_cluster().await).await
    }

    /// Lets the bot join a cluster.
    pub(crate) async fn of((cluster, clock): (Cluster, MovableClock)) -> Self {
        let token = cluster.add_bot("robot", &["access"]).unwrap();
        let bot = join(&cluster, &token, Key::p256()).await;
        let grpc = Grpc::connect(&cluster, &bot).await.unwrap();
        Self { cluster, clock, bot, grpc }
    }

    /// Returns a request that renews the identity of `bot`.
    pub(crate) fn renewal(&self, bot: &Bot) -> UserCertsRequest {
        renewal_request(USER, &bot.key, self.clock.now())
    }

    /// Returns a request for the certificates of an output.
    pub(crate) fn output(&self, key: &Key) -> UserCertsRequest {
        output_request(USER, "access", key, self.clock.now())
    }

    /// Returns the bot with the certificates of an output, which have the role `access`.
    pub(crate) async fn impersonate(&self) -> Bot {
        let key = Key::p256();
        let request = self.output(&key);
        impersonate(&self.cluster, &self.bot, key, &request).await
    }
}

pub(crate) fn renewal_request(user: &str, key: &Key, now: SystemTime) -> UserCertsRequest {
    UserCertsRequest {
        public_key: key.line.clone().into(),
        // Servers from version 18 on read only this one.
        ssh_public_key: key.line.clone().into(),
        username: user.to_owned(),
        expires: Some((now + HOUR).into()),
        ..UserCertsRequest::default()
    }
}

pub(crate) fn output_request(user: &str, role: &str, key: &Key, now: SystemTime) -> UserCertsRequest {
    UserCertsRequest {
        role_requests: vec![role.to_owned()],
        use_role_requests: true,
        ..renewal_request(user, key, now)
    }
}

/// Requests the certificates of an output, and returns a client that uses them.
pub(crate) async fn impersonate(cluster: &Cluster, bot: &Bot, key: Key, request: &UserCertsRequest) -> Bot {
    let mut certs = Grpc::connect(cluster, bot).await.unwrap().user_certs(request).await.unwrap();
    // Responses for outputs do not include the host CA.
    certs.tls_ca_certs.clone_from(&bot.certs.tls_ca_certs);
    Bot { key, certs }
}

/// A refusal, for snapshots.
#[derive(Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}", self.code, self.message)
    }
}

/// Returns the refusal of a call. Fails the test if the call succeeded.
pub(crate) fn refusal<T>(result: Result<T, tonic::Status>) -> Refusal {
    let status = result.err().expect("the call must be refused");
    Refusal { code: status.code(), message: status.message().to_owned() }
}

/// Returns the message in the JSON body of a refusal over HTTP.
pub(crate) fn error_message(body: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body["error"]["message"].as_str().unwrap().to_owned()
}
