//! One cluster, one bot, and folders for it; a test says only what is special about it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use tbot::agent::{Agent, AgentError, AgentOptions, Clock, Control, Randomness, control};
use tbot_cluster::{Cluster, ClusterConfig, MovableClock, SERVER_VERSION, clock};
use tempfile::TempDir;

pub(super) const BOT: &str = "robot";

pub(super) struct Lab {
    pub(super) cluster: Cluster,
    pub(super) clock: MovableClock,
    pub(super) token: String,
    root: TempDir,
}

impl Lab {
    /// A cluster with a bot that may act with the roles `access` and `deploy`, and a fresh token for it.
    pub(super) async fn new() -> Self {
        Self::of_version(SERVER_VERSION).await
    }

    /// The same with a cluster that says it is of this version.
    pub(super) async fn of_version(version: &str) -> Self {
        let clock = MovableClock::new(clock::system());
        let config =
            ClusterConfig { server_version: version.to_owned(), ..ClusterConfig::new(clock.clock()) };
        let cluster = Cluster::start(config).await.unwrap();
        let token = cluster.add_bot(BOT, &["access", "deploy"]).unwrap();
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("web-ca.pem"), cluster.web_ca_pem()).unwrap();
        Self { cluster, clock, token, root }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(super) fn storage(&self) -> PathBuf {
        self.path("storage")
    }

    /// An identity output to the folder `name`.
    pub(super) fn output(&self, name: &str) -> Value {
        json!({ "type": "identity", "destination": { "type": "directory", "path": self.path(name) } })
    }

    /// A configuration with these outputs, renewed every `interval`.
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
        self.agent_with(config, &[])
    }

    /// An agent that sees these variables, too.
    pub(super) fn agent_with(&self, config: Value, variables: &[(&str, &str)]) -> Result<Agent, AgentError> {
        let clock = self.clock.clock();
        let roots = self.path("web-ca.pem");
        let roots = [("SSL_CERT_FILE", roots.to_str().unwrap())];
        let options = AgentOptions {
            environment: roots.iter().chain(variables).copied().collect(),
            clock: Clock::from_fn(move || clock()).with_poll_interval(Duration::from_millis(5)),
            randomness: Randomness::from_fn(|| 0.0),
            command: PathBuf::from("/usr/local/bin/tbot"),
        };
        Agent::new(&serde_json::from_value(config).unwrap(), options)
    }

    /// One run to its end.
    pub(super) async fn run_once(&self, config: Value) -> Result<(), AgentError> {
        let (_control, signals) = control();
        self.agent(config)?.run_once(signals).await
    }

    /// A running agent.
    pub(super) fn start(&self, config: Value) -> Running {
        let agent = Arc::new(self.agent(config).unwrap());
        let (control, signals) = control();
        let running = Arc::clone(&agent);
        Running { control, agent, task: tokio::spawn(async move { running.run(signals).await }) }
    }

    /// How many calls of `method` the cluster has got.
    pub(super) fn calls(&self, method: &str) -> usize {
        self.cluster.requests().iter().filter(|call| call.method == method).count()
    }

    /// The generation in the stored certificate.
    pub(super) fn stored_generation(&self) -> u64 {
        generation(&self.storage().join("tlscert"))
    }
}

pub(super) struct Running {
    pub(super) control: Control,
    pub(super) agent: Arc<Agent>,
    task: tokio::task::JoinHandle<Result<(), AgentError>>,
}

impl Running {
    /// Tells it to stop, and waits until it has.
    pub(super) async fn stop(self) -> Result<(), AgentError> {
        self.control.shutdown();
        self.task.await.unwrap()
    }

    /// Waits until it ends by itself.
    pub(super) async fn ended(self) -> Result<(), AgentError> {
        self.task.await.unwrap()
    }
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The generation that stands in a bot's certificate.
pub(crate) fn generation(tlscert: &Path) -> u64 {
    attribute(tlscert, "1.3.9999.1.14").expect("a generation").parse().unwrap()
}

pub(super) fn attribute(tlscert: &Path, id: &str) -> Option<String> {
    with_cert(tlscert, |cert| {
        let mut all = cert.subject().iter_attributes();
        let found = all.find(|attribute| attribute.attr_type().to_id_string() == id)?;
        Some(found.as_str().unwrap().to_owned())
    })
}

pub(super) fn with_cert<T>(
    tlscert: &Path,
    read_it: impl FnOnce(&x509_parser::certificate::X509Certificate<'_>) -> T,
) -> T {
    let text = read(tlscert);
    let (_, pem) = x509_parser::pem::parse_x509_pem(text.as_bytes()).unwrap();
    read_it(&pem.parse_x509().unwrap())
}

/// Waits until something is so, and fails when that takes too long to be expected any more.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "still waiting until {what}");
}

/// What was logged.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Listens to everything that this thread logs, so the test must run on one.
pub(super) fn listen() -> (Log, tracing::subscriber::DefaultGuard) {
    // While there is only one listener, tracing asks no other thread's than the one that comes first to a line whether
    // anybody wants it, and a test on a thread without one would silence that line for this one.
    static ANOTHER: OnceLock<tracing::Dispatch> = OnceLock::new();
    ANOTHER.get_or_init(|| tracing_subscriber::fmt().with_writer(io::sink).finish().into());
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}
