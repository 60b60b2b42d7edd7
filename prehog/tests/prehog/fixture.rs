//! Shared fixtures: events to send, a server in this process, and `prehog serve` as a separate process.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prehog::clock::Clock;
use prehog::day::Day;
use prehog::report::{DEFAULT_MIN_GROUP, Report, WeekRange};
use prehog::schema::EventSchema;
use prehog::server::Listeners;
use prehog::start::Start;
use prehog::store::{Store, StoreUrl};
use prehog::{Options, serve};
use reqwest::{Client, ClientBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const SUBMIT_PATH: &str = "/prehog.v1alpha.TbotReportingService/SubmitTbotEvent";

/// The names of the files of the store of a test.
pub(crate) const STORE: &str = "events.db";
pub(crate) const INBOX: &str = "events.db.inbox";

/// Returns the URL of the store of a test.
pub(crate) fn sqlite_in(directory: &Path) -> StoreUrl {
    StoreUrl::Sqlite(directory.join(STORE))
}

/// Noon of 2026-11-18, a Wednesday.
pub(crate) fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_003_200)
}

/// Returns the report of weeks that are over at the time of the tests.
pub(crate) fn report_of(store: &mut dyn Store, weeks: WeekRange) -> Report {
    Report::from_store(store, weeks, DEFAULT_MIN_GROUP, Day::of(noon())).unwrap()
}

/// Returns a clock that always returns the same time.
pub(crate) fn fixed_clock(time: SystemTime) -> Clock {
    std::sync::Arc::new(move || time)
}

/// Returns a UUID v4 that contains a number.
pub(crate) fn uuid(number: u64) -> String {
    let (high, low) = (number >> 48, number & 0xFFFF_FFFF_FFFF);
    format!("{high:08x}-0000-4000-8000-{low:012x}")
}

/// Returns a request body that submits a start.
pub(crate) fn body(id: &str) -> Value {
    json!({
        "distinctId": id,
        "start": {
            "runMode": "RUN_MODE_DAEMON",
            "version": "0.1.0",
            "joinType": "github",
            "destinationsOther": 1,
            "destinationsDatabase": 2,
        },
    })
}

/// Returns the schema of the event.
pub(crate) fn schema() -> &'static EventSchema {
    EventSchema::embedded().unwrap()
}

/// Returns a start with these properties. The other ones are absent, or 0 if they are counts.
pub(crate) fn start(properties: Value) -> Start {
    let Value::Object(properties) = properties else { panic!("not an object: {properties}") };
    assert!(properties.keys().all(|name| schema().names().contains(&name.as_str())), "{properties:?}");
    schema().start_from_named(&properties).unwrap()
}

/// A receiver in this process, with its own store.
pub(crate) struct TestReceiver {
    pub(crate) address: SocketAddr,
    pub(crate) report: SocketAddr,
    metrics: SocketAddr,
    pub(crate) store: StoreUrl,
    pub(crate) directory: TempDir,
    client: Client,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl TestReceiver {
    pub(crate) async fn start() -> Self {
        Self::start_with(Options { rate_limit: 0, ..Options::new(fixed_clock(noon())) }).await
    }

    pub(crate) async fn start_with(options: Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = sqlite_in(directory.path());
        Self::start_on(directory, store, options).await
    }

    pub(crate) async fn start_on(directory: TempDir, store: StoreUrl, options: Options) -> Self {
        let listen = || async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            (listener.local_addr().unwrap(), listener)
        };
        let ((address, events), (report, report_listener), (metrics, metrics_listener)) =
            (listen().await, listen().await, listen().await);
        let (stop, stopped) = oneshot::channel::<()>();
        let listeners = Listeners { events, report: Some(report_listener), metrics: Some(metrics_listener) };
        let url = store.clone();
        let served = tokio::spawn(async move {
            let stop = async move { drop(stopped.await) };
            serve(listeners, url, options, stop).await.unwrap();
        });
        let receiver = Self { address, report, metrics, store, directory, client: client(), stop, served };
        // Any response means that the server has started, and that a SQLite store has its tables.
        receiver.get("/readyz").await;
        receiver
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn submit(&self, body: &Value) -> Response {
        submit(&self.client, self.address, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        self.get_from(self.address, path).await
    }

    pub(crate) async fn get_report(&self, path: &str) -> (u16, String) {
        self.get_from(self.report, path).await
    }

    pub(crate) async fn get_metrics(&self, path: &str) -> (u16, String) {
        self.get_from(self.metrics, path).await
    }

    async fn get_from(&self, address: SocketAddr, path: &str) -> (u16, String) {
        let response = self.client.get(format!("http://{address}{path}")).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Returns the value of a metric.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let (_, text) = self.get_metrics("/metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no metric {name} in\n{text}")).parse().unwrap()
    }

    /// Waits until a metric has an expected value, for at most a minute.
    pub(crate) async fn wait_for(&self, name: &str, is_expected: impl Fn(u64) -> bool) {
        let wait = async {
            while !is_expected(self.metric(name).await) {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        let done = tokio::time::timeout(Duration::from_secs(60), wait).await;
        assert!(done.is_ok(), "{name} is still {}", self.metric(name).await);
    }

    /// Returns everything that is stored: the day, the start, and how often it happened.
    pub(crate) fn stored(&self) -> Vec<(String, Value, u64)> {
        stored(&self.store)
    }

    /// Stops the server, and returns the directory of its store.
    pub(crate) async fn stop(self) -> TempDir {
        self.stop.send(()).unwrap();
        self.served.await.unwrap();
        self.directory
    }
}

/// Returns a builder of plain HTTP clients. They read no root certificates, which takes tens of milliseconds in a development
/// build.
pub(crate) fn client_builder() -> ClientBuilder {
    // Reqwest needs it. Fails if another test has already installed it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder().no_proxy().tls_certs_only([])
}

pub(crate) fn client() -> Client {
    client_builder().build().unwrap()
}

pub(crate) async fn submit(client: &Client, address: SocketAddr, body: &Value) -> Response {
    let request = client.post(format!("http://{address}{SUBMIT_PATH}"));
    let request = request.header("Content-Type", "application/json").header("Connect-Protocol-Version", "1");
    request.body(body.to_string()).send().await.unwrap()
}

/// Returns everything that is in a store: the day, the start, and how often it happened.
pub(crate) fn stored(store: &StoreUrl) -> Vec<(String, Value, u64)> {
    let mut all = Vec::new();
    let mut sink = |day: prehog::day::Day, start: &Start, count| {
        all.push((day.to_string(), Value::Object(schema().named_values(start)), count));
        Ok(())
    };
    let (first, last) = (prehog::day::Day(0), prehog::day::Day(i32::from(u16::MAX)));
    store.open().unwrap().export(first, last, &mut sink).unwrap();
    all
}

/// The interval at which a condition is polled. Without a pause, polling would take CPU time from the program under test.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Waits for [`POLL_INTERVAL`], outside of asynchronous code.
#[expect(
    clippy::disallowed_methods,
    reason = "the interval of a poll, not a delay after which something must have happened"
)]
pub(crate) fn wait_to_poll() {
    std::thread::sleep(POLL_INTERVAL);
}

/// Waits until a condition is true, for at most a minute.
pub(crate) async fn wait_until(what: &str, is_true: impl AsyncFn() -> bool) {
    let wait = async {
        while !is_true().await {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), wait).await.is_ok(), "{what} did not happen");
}

/// Sets the permissions of a file or a directory.
pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Returns the HTTP status, the code and the message of a Connect error.
pub(crate) async fn connect_error(response: Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    let error: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let field = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    (status, field("code"), field("message"))
}

/// `prehog serve` as a separate process, which is killed at the end of the test.
pub(crate) struct ServeProcess {
    child: Child,
    pub(crate) address: SocketAddr,
    log: PathBuf,
}

impl ServeProcess {
    /// Starts the program, and waits until its log contains the address that it listens on.
    pub(crate) fn start(directory: &Path, flags: &[&str]) -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_prehog")), directory, flags)
    }

    /// Like `start`, but does not wait, for a program that exits by itself.
    pub(crate) fn spawn(directory: &Path, flags: &[&str]) -> Self {
        Self::spawn_command(Command::new(env!("CARGO_BIN_EXE_prehog")), directory, flags)
    }

    /// Like `start`, with a umask in octal.
    pub(crate) fn start_with_umask(directory: &Path, umask: &str) -> Self {
        let mut shell = Command::new("sh");
        let script = format!("umask {umask}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_prehog")]);
        Self::run(shell, directory, &[])
    }

    /// Like `start`, with a limit on the size of every file that the program writes, in bytes.
    pub(crate) fn start_with_file_size_limit(directory: &Path, bytes: u64) -> Self {
        let mut shell = Command::new("sh");
        // With the signal ignored, a write beyond the limit fails like one on a full disk.
        let script = format!("trap '' XFSZ; ulimit -S -f {}; exec \"$0\" \"$@\"", bytes / 512);
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_prehog")]);
        Self::run(shell, directory, &[])
    }

    /// Like `start`, as a user other than root, who is subject to file permissions. The directory becomes writable for all.
    pub(crate) fn start_unprivileged(directory: &Path) -> Self {
        set_mode(directory, 0o777);
        if !rustix::process::geteuid().is_root() {
            return Self::start(directory, &[]);
        }
        // The user may have no access to the build directory.
        let program = directory.join("prehog");
        fs::copy(env!("CARGO_BIN_EXE_prehog"), &program).unwrap();
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program);
        Self::run(nobody, directory, &[])
    }

    fn run(command: Command, directory: &Path, flags: &[&str]) -> Self {
        let mut process = Self::spawn_command(command, directory, flags);
        process.address = process.wait_for_address("receiving events");
        process
    }

    fn spawn_command(mut command: Command, directory: &Path, flags: &[&str]) -> Self {
        let log = directory.join("log");
        let child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--rate-limit", "0"])
            .args(if flags.contains(&"--store") { &[][..] } else { &["--store", "sqlite:events.db"] })
            .args(flags)
            .current_dir(directory)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, address: ([127, 0, 0, 1], 0).into(), log }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until a message is logged, and returns the address that is logged with it.
    pub(crate) fn wait_for_address(&mut self, message: &str) -> SocketAddr {
        const HOST: &str = "127.0.0.1:";
        let started = std::time::Instant::now();
        loop {
            let log = self.log();
            if let Some(line) = log.split_inclusive('\n').find(|line| line.contains(message))
                && let Some((_, rest)) = line.split_once(HOST)
                && let Some(end) = rest.find(|char: char| !char.is_ascii_digit())
            {
                return format!("{HOST}{}", &rest[..end]).parse().unwrap();
            }
            assert!(self.child.try_wait().unwrap().is_none(), "prehog exited: {log}");
            assert!(started.elapsed() < Duration::from_secs(20), "`{message}` was not logged: {log}");
            wait_to_poll();
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the program exits by itself, for at most a minute, and returns its exit code.
    pub(crate) fn wait_for_exit(mut self) -> Option<i32> {
        let started = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(started.elapsed() < Duration::from_secs(60), "prehog does not exit: {}", self.log());
            wait_to_poll();
        }
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(self.pid().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Sends SIGKILL and waits for the end of the process.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for ServeProcess {
    fn drop(&mut self) {
        // Fails only if it has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
