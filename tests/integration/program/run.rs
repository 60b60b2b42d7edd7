//! Runs the program as a process, with an environment of its own. It cannot be run without saying where telemetry goes, and
//! that is never anywhere but this machine.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Resource, Rlimit, Signal};
use tempfile::TempDir;
use url::{Host, Url};

use super::receiver::Receiver;

/// Nobody listens there.
pub(crate) const CLOSED: &str = "127.0.0.1:1";

const ADDRESS: &str = "TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS";
const PROXY: &str = "HTTPS_PROXY";

/// Where telemetry goes.
#[derive(Clone, Copy)]
pub(crate) enum Telemetry<'a> {
    /// To a receiver of the test.
    To(&'a Receiver),
    /// To an address of this machine, or to a name that nothing ever has.
    Address(&'a str),
    /// Nowhere: the address is closed.
    Nowhere,
    /// To the default. Only for commands that send nothing.
    Default,
}

/// A run that is not yet one.
pub(crate) struct Run {
    command: Command,
    folder: TempDir,
    input: Vec<u8>,
}

/// Runs the program with these arguments in a folder of its own.
pub(crate) fn tbot(telemetry: Telemetry<'_>, arguments: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tbot"));
    command.args(arguments).current_dir(folder.path()).env_clear();
    let address = match telemetry {
        Telemetry::To(receiver) => receiver.url(),
        Telemetry::Address(address) => address.to_owned(),
        Telemetry::Nowhere => format!("http://{CLOSED}"),
        Telemetry::Default => {
            assert_eq!(arguments.first(), Some(&"telemetry"), "this may send to the default endpoint");
            String::new()
        }
    };
    assert!(address.is_empty() || stays_here(&address), "this may leave the machine: {address}");
    command.env(ADDRESS, address);
    // A second lock: what is not for this machine ends at a closed port.
    command.env(PROXY, format!("http://{CLOSED}"));
    Run { command, folder, input: Vec::new() }
}

/// Whether nothing that is sent to an address can leave this machine.
fn stays_here(address: &str) -> bool {
    match Url::parse(address).ok().as_ref().and_then(Url::host) {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.ends_with(".invalid"),
        // What is no URL goes nowhere.
        None => true,
    }
}

impl Run {
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        assert!(![ADDRESS, PROXY].contains(&name), "{name} is the guard's");
        self.command.env(name, value);
        self
    }

    pub(crate) fn envs(self, variables: &[(&str, &str)]) -> Self {
        variables.iter().fold(self, |run, (name, value)| run.env(name, value))
    }

    /// Without the proxy that would answer instead of a resolver.
    pub(crate) fn resolving(mut self) -> Self {
        let addresses = self.command.get_envs().filter(|(name, _)| *name == ADDRESS);
        let address = addresses.filter_map(|(_, value)| value?.to_str()).next().unwrap();
        assert!(address.ends_with(".invalid"), "this may leave the machine: {address}");
        self.command.env_remove(PROXY);
        self
    }

    /// Through this proxy, as this user.
    pub(crate) fn through(mut self, proxy: &Receiver, user: &str) -> Self {
        self.command.env(PROXY, proxy.url().replace("://", &format!("://{user}@")));
        self
    }

    /// Under `strace`, which writes the calls about files and the network to the file `trace`.
    pub(crate) fn traced(mut self) -> Self {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "trace", "-e", "trace=network,open,openat", "--"]);
        command.arg(self.command.get_program()).args(self.command.get_args());
        command.current_dir(self.folder.path()).env_clear();
        // The tracer itself is looked up here and now.
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        for (name, value) in self.command.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        self.command = command;
        self
    }

    /// With this file in the folder.
    pub(crate) fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it, and does not wait.
    pub(crate) fn spawn(mut self) -> Running {
        let mut child =
            self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Who does not read it closes it.
        let _ = child.stdin.take().unwrap().write_all(&self.input);
        let said = Arc::<Mutex<Vec<u8>>>::default();
        let (mut stderr, hearing) = (child.stderr.take().unwrap(), Arc::clone(&said));
        let hear = std::thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut some) {
                hearing.lock().unwrap().extend_from_slice(&some[..read]);
            }
        });
        Running { child, said, hear, folder: self.folder }
    }

    /// Runs it to its end.
    pub(crate) fn end(self) -> Ended {
        self.spawn().end()
    }
}

/// A run under way.
pub(crate) struct Running {
    child: Child,
    /// What it has written to its standard error.
    said: Arc<Mutex<Vec<u8>>>,
    hear: JoinHandle<()>,
    folder: TempDir,
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// What it has said so far on its standard error.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    /// Sets how much of something the process may use from now on.
    pub(crate) fn limit(&self, what: Resource, new: Rlimit) {
        rustix::process::prlimit(Some(Pid::from_child(&self.child)), what, new).unwrap();
    }

    pub(crate) fn end(self) -> Ended {
        let Output { status, stdout, .. } = self.child.wait_with_output().unwrap();
        self.hear.join().unwrap();
        let stderr = std::mem::take(&mut *self.said.lock().unwrap());
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace(self.folder.path().to_str().unwrap(), "[DIR]")
        };
        Ended { status: status.code(), stdout: text(stdout), stderr: text(stderr), folder: self.folder }
    }
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// None where a signal ended it.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    folder: TempDir,
}

impl Ended {
    /// The folder that it ran in.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file that it left in its folder.
    pub(crate) fn left(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    pub(crate) fn metadata(&self, name: &str) -> std::fs::Metadata {
        std::fs::metadata(self.folder.path().join(name)).unwrap()
    }

    /// Whether it left something of this name in its folder.
    pub(crate) fn has_left(&self, name: &str) -> bool {
        self.folder.path().join(name).exists()
    }

    /// The lines of the log that warn of telemetry, without the time.
    pub(crate) fn telemetry_warnings(&self) -> Vec<&str> {
        let warnings =
            self.stderr.lines().filter_map(|line| line.split_once("  WARN ").map(|(_, said)| said));
        warnings.filter(|said| said.contains("telemetry")).collect()
    }

    /// The lines of the log about telemetry, without the time.
    pub(crate) fn telemetry_lines(&self) -> Vec<&str> {
        let lines = self.stderr.lines().filter(|line| line.to_lowercase().contains("telemetry"));
        lines.map(|line| line.split_once(' ').map_or(line, |(_, said)| said.trim_start())).collect()
    }
}

/// A run that ends at once, having joined nothing: nobody listens at the proxy's address.
pub(crate) const ENDS_AT_ONCE: [&str; 11] = [
    "start",
    "--oneshot",
    "--join-method",
    "token",
    "--token",
    "a-token",
    "--proxy-server",
    CLOSED,
    "--storage",
    "storage",
    "--destination-dir=out",
];

#[test]
fn nothing_else_runs_the_program() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration");
    let mut folders = vec![tests];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("run.rs")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(!text.contains("CARGO_BIN_EXE"), "{}: use run::tbot", path.display());
            }
        }
    }
}
