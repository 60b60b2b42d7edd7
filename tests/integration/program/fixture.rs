//! Runs the program as a process, with its own environment and directory. A test has to choose where telemetry goes, and
//! the fixture makes sure that it never leaves this machine.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;

use regex::Regex;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use tbot_cluster::Cluster;
use tempfile::TempDir;
use url::{Host, Url};

use super::fake_server::FakeServer;

/// A port that nothing listens on.
pub(crate) const CLOSED_PORT: &str = "127.0.0.1:1";

/// A run that fails quickly, before joining: nothing listens on the proxy's address.
pub(crate) const FAILING_START: [&str; 11] = [
    "start",
    "--oneshot",
    "--join-method",
    "token",
    "--token",
    "a-token",
    "--proxy-server",
    CLOSED_PORT,
    "--storage",
    "storage",
    "--destination-dir=out",
];

const TELEMETRY_ADDRESS: &str = "TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS";
const HTTPS_PROXY: &str = "HTTPS_PROXY";

/// Returns the path of the program under test.
///
/// This is the binary that Cargo has built for these tests, unless the environment variable `TBOT_TEST_PROGRAM` names
/// another: `.ci/run` runs these tests a second time against the release binary, which is optimized and aborts on a panic.
pub(crate) fn program() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "chooses the program under test, which no test injects")]
    match std::env::var_os("TBOT_TEST_PROGRAM") {
        // Every run has its own working directory, so a relative path has to be resolved here.
        Some(path) => std::fs::canonicalize(path).unwrap(),
        None => PathBuf::from(env!("CARGO_BIN_EXE_tbot")),
    }
}

/// Where telemetry goes.
#[derive(Clone, Copy)]
pub(crate) enum Telemetry<'a> {
    /// To a server of the test.
    Server(&'a FakeServer),
    /// To an address of this machine, or a name that never resolves.
    Address(&'a str),
    /// To a closed port.
    ClosedPort,
    /// To the default endpoint. Allowed only for commands that send nothing.
    Default,
}

/// A run of the program that has not been started.
pub(crate) struct Run {
    command: Command,
    directory: TempDir,
    stdin: Vec<u8>,
}

/// Prepares a run of the program with these arguments, in a new directory.
pub(crate) fn tbot(telemetry: Telemetry<'_>, arguments: &[&str]) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(program());
    // Help and usage errors show the name of the program, whatever its file is called.
    command.arg0("tbot").args(arguments).current_dir(directory.path()).env_clear();
    let address = match telemetry {
        Telemetry::Server(server) => server.url(),
        Telemetry::Address(address) => address.to_owned(),
        Telemetry::ClosedPort => format!("http://{CLOSED_PORT}"),
        Telemetry::Default => {
            assert_eq!(arguments.first(), Some(&"telemetry"), "this may send to the default endpoint");
            String::new()
        }
    };
    assert!(address.is_empty() || stays_on_this_machine(&address), "this may leave the machine: {address}");
    command.env(TELEMETRY_ADDRESS, address);
    // A second safeguard: a request to another machine ends at a closed port.
    command.env(HTTPS_PROXY, format!("http://{CLOSED_PORT}"));
    Run { command, directory, stdin: Vec::new() }
}

fn stays_on_this_machine(address: &str) -> bool {
    match Url::parse(address).ok().as_ref().and_then(Url::host) {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "invalid" || name.ends_with(".invalid"),
        // Nothing can be sent to an address that is not a URL.
        None => true,
    }
}

impl Run {
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        assert!(![TELEMETRY_ADDRESS, HTTPS_PROXY].contains(&name), "{name} is reserved for the fixture");
        self.command.env(name, value);
        self
    }

    pub(crate) fn envs(self, variables: &[(&str, &str)]) -> Self {
        variables.iter().fold(self, |run, (name, value)| run.env(name, value))
    }

    /// Removes the safeguard proxy, so that the program itself resolves the (nonexistent) name of the endpoint.
    pub(crate) fn without_proxy(mut self) -> Self {
        let addresses = self.command.get_envs().filter(|(name, _)| *name == TELEMETRY_ADDRESS);
        let address = addresses.filter_map(|(_, value)| value?.to_str()).next().unwrap();
        assert!(address.ends_with("invalid"), "this may leave the machine: {address}");
        self.command.env_remove(HTTPS_PROXY);
        self
    }

    /// Sends telemetry through this proxy. `user` is `NAME:PASSWORD`.
    pub(crate) fn with_proxy(mut self, proxy: &FakeServer, user: &str) -> Self {
        self.command.env(HTTPS_PROXY, proxy.url().replace("://", &format!("://{user}@")));
        self
    }

    /// Makes the program trust the certificate of this cluster's proxy.
    pub(crate) fn trusting(self, cluster: &Cluster) -> Self {
        self.trusting_ca(cluster.web_ca_pem())
    }

    /// Makes the program trust a certificate authority, given in PEM.
    pub(crate) fn trusting_ca(self, pem: impl AsRef<[u8]>) -> Self {
        let ca_file = self.path().join("web-ca.pem");
        self.file("web-ca.pem", pem).env("SSL_CERT_FILE", ca_file)
    }

    /// Runs the program under `strace`, which writes these system calls to the file `trace`, with the paths of descriptors.
    pub(crate) fn with_strace(self, calls: &str) -> Self {
        self.through("strace", &["-f", "-qq", "-y", "-o", "trace", "-e", &format!("trace={calls}"), "--"])
    }

    /// Runs the program under `strace`, which lets a system call fail. See `inject` in its manual for the expression.
    pub(crate) fn with_failing_call(self, expression: &str) -> Self {
        self.through("strace", &["-f", "-qq", "-o", "trace", "-e", &format!("inject={expression}"), "--"])
    }

    /// Runs the program with files limited to a few KiB.
    pub(crate) fn with_small_files(self) -> Self {
        self.through("sh", &["-c", "ulimit -f 4 && exec \"$@\"", "sh"])
    }

    /// Runs the program with a low limit of open files, which it may raise.
    pub(crate) fn with_few_files(self) -> Self {
        self.through("sh", &["-c", "ulimit -S -n 64 && exec \"$@\"", "sh"])
    }

    /// Runs the program in a terminal.
    pub(crate) fn in_terminal(self) -> Self {
        self.through("sh", &["-c", "exec script --quiet --return --command \"$*\" /dev/null", "sh"])
    }

    /// Runs the program on a machine that has this name, as a user with this number.
    pub(crate) fn for_user_of_machine(self, user: u32, machine: &str) -> Self {
        let user = format!("--map-user={user}");
        let script = "hostname \"$1\" && shift && exec \"$@\"";
        let other_user = ["unshare", "--user", &user, "--"];
        self.through("unshare", &[&["--uts", "sh", "-c", script, "sh", machine][..], &other_user].concat())
    }

    /// Runs the program through another one, to which its path and arguments are passed after `arguments`.
    fn through(mut self, other: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(other);
        command.args(arguments);
        command.arg(self.command.get_program()).args(self.command.get_args());
        command.current_dir(self.directory.path()).env_clear();
        // Needed to find the other program itself.
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        for (name, value) in self.command.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        self.command = command;
        self
    }

    /// Runs this script of a shell instead, in which `tbot` is the program.
    pub(crate) fn with_script(mut self, shell: &[&str], script: &str) -> Self {
        std::fs::create_dir(self.path().join("bin")).unwrap();
        std::os::unix::fs::symlink(program(), self.path().join("bin/tbot")).unwrap();
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg(script).current_dir(self.path()).env_clear();
        command.env("PATH", format!("{}/bin:/usr/local/bin:/usr/bin:/bin", self.path().display()));
        // Some shells write to the home directory.
        command.env("HOME", self.path());
        self.command = command;
        self
    }

    /// Writes a file to the directory.
    pub(crate) fn file(self, name: &str, contents: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.directory.path().join(name), contents).unwrap();
        self
    }

    pub(crate) fn stdin(mut self, stdin: impl Into<Vec<u8>>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// The working directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the program with this standard output.
    pub(crate) fn spawn_with_stdout(mut self, stdout: impl Into<Stdio>) -> Running {
        self.command.stdout(stdout);
        self.start()
    }

    /// Runs the program to completion, with a standard error, or with standard output as well, whose reader has gone. Returns the exit
    /// status.
    pub(crate) fn status_without_reader(mut self, of_both: bool) -> Option<i32> {
        let without_reader = || std::io::pipe().unwrap().1;
        self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(without_reader());
        if of_both {
            self.command.stdout(without_reader());
        }
        self.command.status().unwrap().code()
    }

    /// Runs the program to success, with a standard error whose reader has gone. Returns its standard output.
    pub(crate) fn stdout_without_stderr(mut self) -> String {
        let (_, without_reader) = std::io::pipe().unwrap();
        self.command.stdin(Stdio::null()).stderr(without_reader);
        let output = self.command.output().unwrap();
        assert!(output.status.success(), "{}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts the program with a standard error that nobody reads and that is full already.
    pub(crate) fn spawn_with_blocked_stderr(mut self) -> BlockedChild {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
        rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
        while writer.write(&[b'x'; 4096]).is_ok() {}
        rustix::fs::fcntl_setfl(&writer, flags).unwrap();
        self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
        let child = self.command.spawn().unwrap();
        BlockedChild { child, _stderr: reader, _directory: self.directory }
    }

    /// Starts the program with pipes for its standard input and output.
    pub(crate) fn spawn_with_pipes(mut self) -> PipedChild {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        PipedChild { child: self.command.spawn().unwrap(), _directory: self.directory }
    }

    /// Starts the program and returns at once.
    pub(crate) fn spawn(mut self) -> Running {
        self.command.stdout(Stdio::piped());
        self.start()
    }

    fn start(mut self) -> Running {
        let mut child = self.command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Fails if the program exits without reading it.
        let _ = child.stdin.take().unwrap().write_all(&self.stdin);
        let stderr = Arc::<Mutex<Vec<u8>>>::default();
        let (mut pipe, buffer) = (child.stderr.take().unwrap(), Arc::clone(&stderr));
        let stderr_reader = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut chunk) {
                buffer.lock().unwrap().extend_from_slice(&chunk[..length]);
            }
        });
        Running { child, stderr, stderr_reader, directory: self.directory }
    }

    /// Runs the program to completion.
    pub(crate) fn run(self) -> Finished {
        self.spawn().wait()
    }

    /// Runs the program to completion, while other tasks of the test continue.
    pub(crate) fn run_blocking(self) -> Finished {
        tokio::task::block_in_place(|| self.run())
    }
}

/// A running program whose standard error blocks.
pub(crate) struct BlockedChild {
    child: Child,
    _stderr: std::io::PipeReader,
    _directory: TempDir,
}

impl BlockedChild {
    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Returns the exit status if the program has ended.
    pub(crate) fn try_wait(&mut self) -> Option<Option<i32>> {
        self.child.try_wait().unwrap().map(|status| status.code())
    }
}

impl Drop for BlockedChild {
    fn drop(&mut self) {
        // Fails if the program has ended, as it should.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running program whose standard input and output the test uses.
pub(crate) struct PipedChild {
    child: Child,
    _directory: TempDir,
}

impl PipedChild {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Takes the standard input.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// Takes the standard output.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    /// Waits until the program ends, and returns its exit status.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for PipedChild {
    fn drop(&mut self) {
        // Fails if the program has ended, as it should.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running program.
pub(crate) struct Running {
    child: Child,
    stderr: Arc<Mutex<Vec<u8>>>,
    stderr_reader: JoinHandle<()>,
    directory: TempDir,
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The standard error output so far.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().unwrap()).into_owned()
    }

    /// Changes a resource limit of the process.
    pub(crate) fn set_limit(&self, resource: Resource, limit: Rlimit) {
        rustix::process::prlimit(Some(Pid::from_child(&self.child)), resource, limit).unwrap();
    }

    /// Whether the program has exited.
    pub(crate) fn has_exited(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn wait(self) -> Finished {
        let Output { status, stdout, .. } = self.child.wait_with_output().unwrap();
        self.stderr_reader.join().unwrap();
        let stderr = std::mem::take(&mut *self.stderr.lock().unwrap());
        let normalize = |bytes: Vec<u8>| {
            String::from_utf8(bytes).unwrap().replace(self.directory.path().to_str().unwrap(), "[DIR]")
        };
        Finished {
            status: status.code(),
            stdout: normalize(stdout),
            stderr: normalize(stderr),
            directory: self.directory,
        }
    }
}

/// A finished run. In its output, `[DIR]` replaces the path of its directory.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit status; `None` if a signal killed the process.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    directory: TempDir,
}

impl Finished {
    /// The working directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Reads a file in the directory.
    pub(crate) fn read_file(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).unwrap()
    }

    pub(crate) fn metadata(&self, name: &str) -> std::fs::Metadata {
        std::fs::metadata(self.directory.path().join(name)).unwrap()
    }

    /// Whether the directory contains a file or directory of this name.
    pub(crate) fn has_file(&self, name: &str) -> bool {
        self.directory.path().join(name).exists()
    }

    /// The codes of the diagnostics on standard error, with their severities, such as `error[unknown-key]`.
    pub(crate) fn diagnostic_codes(&self) -> Vec<&str> {
        static CODE: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"(?m)^(error|warning|note)\[[a-z0-9-]+\]").unwrap());
        CODE.find_iter(&self.stderr).map(|code| code.as_str()).collect()
    }

    /// The lines of the log without their timestamps, such as `WARN message`.
    pub(crate) fn log(&self) -> Vec<&str> {
        static TIMESTAMP: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\d{4}-\S+Z +").unwrap());
        let messages = self.stderr.lines().filter_map(|line| Some(&line[TIMESTAMP.find(line)?.end()..]));
        messages.collect()
    }

    /// The messages of the log at this level, such as `WARN`.
    pub(crate) fn log_at(&self, level: &str) -> Vec<&str> {
        let messages = self.log().into_iter().filter_map(|line| line.strip_prefix(level)?.strip_prefix(' '));
        messages.collect()
    }

    /// The warnings about telemetry.
    pub(crate) fn telemetry_warnings(&self) -> Vec<&str> {
        self.log_at("WARN").into_iter().filter(|message| message.contains("telemetry")).collect()
    }

    /// The lines of the log about telemetry.
    pub(crate) fn telemetry_log(&self) -> Vec<&str> {
        self.log().into_iter().filter(|line| line.to_lowercase().contains("telemetry")).collect()
    }
}

#[test]
fn only_the_fixture_runs_the_program() {
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension() == Some(OsStr::new("rs")) && !path.ends_with("program/fixture.rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                assert!(!source.contains("CARGO_BIN_EXE"), "{}: use fixture::tbot", path.display());
            }
        }
    }
}
