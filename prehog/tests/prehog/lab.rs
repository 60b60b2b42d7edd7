//! What the tests share: events to send, a server in this process, the program as a process of its own.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prehog::clock::Clock;
use prehog::server::Listeners;
use prehog::store::StoreUrl;
use prehog::{Options, serve};
use reqwest::{Client, ClientBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const PATH: &str = "/prehog.v1alpha.TbotReportingService/SubmitTbotEvent";

/// 2026-11-18, a Wednesday, at noon.
pub(crate) fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_003_200)
}

/// A clock that stands still.
pub(crate) fn still(time: SystemTime) -> Clock {
    std::sync::Arc::new(move || time)
}

/// The UUID v4 of a number.
pub(crate) fn id(number: u64) -> String {
    let (high, low) = (number >> 48, number & 0xFFFF_FFFF_FFFF);
    format!("{high:08x}-0000-4000-8000-{low:012x}")
}

/// The body that submits a start.
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

/// A receiver in this process, with a store of its own.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    pub(crate) report: SocketAddr,
    metrics: SocketAddr,
    pub(crate) store: StoreUrl,
    pub(crate) folder: TempDir,
    client: Client,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::start_with(Options { rate_limit: 0, ..Options::new(still(noon())) }).await
    }

    pub(crate) async fn start_with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = StoreUrl::Sqlite(folder.path().join("events.db"));
        Self::start_on(folder, store, options).await
    }

    pub(crate) async fn start_on(folder: TempDir, store: StoreUrl, options: Options) -> Self {
        let listen = || async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            (listener.local_addr().unwrap(), listener)
        };
        let ((address, events), (report, of_report), (metrics, of_metrics)) =
            (listen().await, listen().await, listen().await);
        let (stop, stopped) = oneshot::channel::<()>();
        let listeners = Listeners { events, report: Some(of_report), metrics: Some(of_metrics) };
        let url = store.clone();
        let served = tokio::spawn(async move {
            let stop = async move { drop(stopped.await) };
            serve(listeners, url, options, stop).await.unwrap();
        });
        let receiver = Self { address, report, metrics, store, folder, client: client(), stop, served };
        // An answer, whichever it is, means that it has begun, and has its tables where it has a file.
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
        let answer = self.client.get(format!("http://{address}{path}")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// A metric's value.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let (_, text) = self.get_metrics("/metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no metric {name} in\n{text}")).parse().unwrap()
    }

    /// Waits until a metric is as wanted. A minute means never.
    pub(crate) async fn wait_for(&self, name: &str, wanted: impl Fn(u64) -> bool) {
        let wait = async {
            while !wanted(self.metric(name).await) {
                tokio::task::yield_now().await;
            }
        };
        let done = tokio::time::timeout(Duration::from_secs(60), wait).await;
        assert!(done.is_ok(), "{name} stays {}", self.metric(name).await);
    }

    /// Everything that is stored: lines of the day, the start and how often.
    pub(crate) fn stored(&self) -> Vec<(String, Value, u64)> {
        stored(&self.store)
    }

    pub(crate) async fn stop(self) -> TempDir {
        self.stop.send(()).unwrap();
        self.served.await.unwrap();
        self.folder
    }
}

/// A client of plain HTTP. Where the whole workspace is built, its TLS is the agent's, which brings no provider.
pub(crate) fn client_builder() -> ClientBuilder {
    // Installed already by another test, or by this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder().no_proxy()
}

pub(crate) fn client() -> Client {
    client_builder().build().unwrap()
}

pub(crate) async fn submit(client: &Client, address: SocketAddr, body: &Value) -> Response {
    let request = client.post(format!("http://{address}{PATH}"));
    let request = request.header("Content-Type", "application/json").header("Connect-Protocol-Version", "1");
    request.body(body.to_string()).send().await.unwrap()
}

pub(crate) fn stored(store: &StoreUrl) -> Vec<(String, Value, u64)> {
    let mut all = Vec::new();
    let mut sink = |day: prehog::day::Day, start: &prehog::start::Start, count| {
        all.push((day.to_string(), serde_json::to_value(start).unwrap(), count));
        Ok(())
    };
    let (first, last) = (prehog::day::Day(0), prehog::day::Day(40_000));
    store.open().unwrap().export(first, last, &mut sink).unwrap();
    all
}

/// Sets the permissions of a file or a folder.
pub(crate) fn permit(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The code and the message of a Connect error.
pub(crate) async fn refusal(answer: Response) -> (u16, String, String) {
    let status = answer.status().as_u16();
    let error: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    (status, text("code"), text("message"))
}

/// `prehog serve` as a process, which does not outlive the test.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    log: PathBuf,
}

impl Program {
    /// Starts it, and waits until its log names the address that it listens on.
    pub(crate) fn start(folder: &Path, flags: &[&str]) -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_prehog")), folder, flags)
    }

    /// The same, with a limit on the size of every file that it writes, in bytes.
    pub(crate) fn start_with_room(folder: &Path, bytes: u64) -> Self {
        let mut shell = Command::new("sh");
        // Without the signal, a write beyond the limit fails as one on a full disk does.
        let script = format!("trap '' XFSZ; ulimit -S -f {}; exec \"$0\" \"$@\"", bytes / 512);
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_prehog")]);
        Self::run(shell, folder, &[])
    }

    /// The same, as somebody whom the permissions of files bind. The folder is theirs, too.
    pub(crate) fn start_bound(folder: &Path) -> Self {
        permit(folder, 0o777);
        if !rustix::process::geteuid().is_root() {
            return Self::start(folder, &[]);
        }
        // Where the build is may be closed to others.
        let program = folder.join("prehog");
        fs::copy(env!("CARGO_BIN_EXE_prehog"), &program).unwrap();
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program);
        Self::run(nobody, folder, &[])
    }

    fn run(mut command: Command, folder: &Path, flags: &[&str]) -> Self {
        let log = folder.join("log");
        let child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--store", "sqlite:events.db", "--rate-limit", "0"])
            .args(flags)
            .current_dir(folder)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut program = Self { child, address: ([127, 0, 0, 1], 0).into(), log };
        program.address = program.wait_for_address("receiving events");
        program
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Where it does that, by its log.
    pub(crate) fn wait_for_address(&mut self, what: &str) -> SocketAddr {
        const HOST: &str = "127.0.0.1:";
        let begun = std::time::Instant::now();
        loop {
            let log = self.log();
            if let Some(line) = log.split_inclusive('\n').find(|line| line.contains(what))
                && let Some((_, rest)) = line.split_once(HOST)
                && let Some(end) = rest.find(|char: char| !char.is_ascii_digit())
            {
                return format!("{HOST}{}", &rest[..end]).parse().unwrap();
            }
            assert!(self.child.try_wait().unwrap().is_none(), "it ended: {log}");
            assert!(begun.elapsed() < Duration::from_secs(20), "it says nothing: {log}");
            std::thread::yield_now();
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, in the middle of whatever it does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already, or it ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
