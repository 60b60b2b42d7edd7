//! Whole processes of the release build: size, time and memory of `tbot version`, `tbot validate`, a one-shot run and a
//! daemon at rest, both against the development cluster on loopback.
//!
//! `cargo bench --bench process` builds the release binary and prints a table. With `TBOT_BENCH_AGAINST` naming another
//! agent's binary, its `version` is measured beside ours, in turns.

use std::ffi::OsString;
use std::fs;
use std::io::{Write as _, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use tbot_cluster::{Cluster, ClusterConfig, clock, method};

/// Runs of each short command.
const RUNS: usize = 41;

fn main() -> Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let [first, command @ ..] = arguments.as_slice()
        && first == "--measure"
    {
        return measure(command);
    }
    // `cargo test --benches` runs this too, and wants to know no more than that it builds.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let program = release()?;
    let folder = tempfile::tempdir()?;
    let mut table = Table::default();
    let size = fs::metadata(&program)?.len();
    table.row("stripped binary", format!("{:.2} MB", megabytes(size)), String::new());

    table.process("tbot version", &program, &["version"], folder.path())?;
    if let Some(other) = against() {
        table.process("the other's version", Path::new(&other), &["version"], folder.path())?;
    }
    fs::write(folder.path().join("ten.yaml"), ten_outputs())?;
    table.process("tbot validate, ten outputs", &program, &["validate", "ten.yaml"], folder.path())?;

    let runtime = tokio::runtime::Runtime::new()?;
    let cluster = runtime.block_on(Cluster::start(ClusterConfig::new(clock::system())))?;
    cluster_files(&cluster, folder.path())?;
    table.process(
        "one-shot run, second start on",
        &program,
        &["start", "-c", "tbot.yaml", "--oneshot"],
        folder.path(),
    )?;
    table.row(
        "daemon at rest, resident",
        daemon(&program, &cluster, &runtime, folder.path())?,
        String::new(),
    );
    table.print()
}

#[expect(clippy::disallowed_methods, reason = "how a person tells a benchmark what to measure")]
fn against() -> Option<OsString> {
    std::env::var_os("TBOT_BENCH_AGAINST")
}

#[derive(Default)]
struct Table(Vec<[String; 3]>);

impl Table {
    fn row(&mut self, what: &str, value: String, memory: String) {
        self.0.push([what.to_owned(), value, memory]);
    }

    /// Measures in a process of its own, so that the peak of one command is not that of another.
    fn process(&mut self, what: &str, program: &Path, arguments: &[&str], folder: &Path) -> Result<()> {
        let output = Command::new(std::env::current_exe()?)
            .arg("--measure")
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            .env("SSL_CERT_FILE", folder.join("ca.pem"))
            .stderr(Stdio::inherit())
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let (time, memory) =
            text.trim().split_once('|').with_context(|| format!("{what} could not be measured"))?;
        self.row(what, time.to_owned(), memory.to_owned());
        Ok(())
    }

    fn print(&self) -> Result<()> {
        for [what, value, memory] in &self.0 {
            writeln!(stdout(), "{what:32} {value:>36} {memory:>16}")?;
        }
        Ok(())
    }
}

fn measure(command: &[OsString]) -> Result<()> {
    let [program, arguments @ ..] = command else { bail!("nothing to measure") };
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let begin = Instant::now();
        let status = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        times.push(begin.elapsed());
        if !status.success() {
            bail!("{} ended with {status}", program.to_string_lossy());
        }
    }
    times.sort();
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
    let (fastest, median) = (times[0], times[RUNS / 2]);
    writeln!(stdout(), "{fastest:.1?} fastest, {median:.1?} median|{:.1} MiB peak", mebibytes(peak))?;
    Ok(())
}

fn release() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--release", "--package", "tbot", "--bin", "tbot"])
        .current_dir(root)
        .status()?;
    if !status.success() {
        bail!("the release build failed");
    }
    // The benchmark itself lies in target/release/deps.
    let here = std::env::current_exe()?;
    let folder = here.parent().and_then(Path::parent).context("this program has no folder")?;
    Ok(folder.join("tbot"))
}

fn ten_outputs() -> String {
    let outputs: Vec<String> = (0..10)
        .map(|index| format!("  - type: application\n    app_name: app-{index}\n    destination: {{type: directory, path: /opt/{index}}}\n"))
        .collect();
    format!("version: v2\nproxy_server: teleport.example.com:443\nservices:\n{}", outputs.concat())
}

fn cluster_files(cluster: &Cluster, folder: &Path) -> Result<()> {
    fs::write(folder.join("ca.pem"), cluster.web_ca_pem())?;
    let token = cluster.add_bot("bench", &["access"])?;
    let text = format!(
        "version: v2\nproxy_server: {}\nonboarding: {{join_method: token, token: {token}}}\n\
         storage: {{type: directory, path: {storage}}}\n\
         services:\n  - {{type: identity, destination: {{type: directory, path: {out}}}}}\n",
        cluster.proxy_addr(),
        storage = folder.join("storage").display(),
        out = folder.join("out").display(),
    );
    fs::write(folder.join("tbot.yaml"), text)?;
    Ok(())
}

/// Starts a daemon, waits until it has written its output, and reads what it keeps in memory.
fn daemon(
    program: &Path,
    cluster: &Cluster,
    runtime: &tokio::runtime::Runtime,
    folder: &Path,
) -> Result<String> {
    let before = cluster.requests().iter().filter(|call| call.method == method::REMOTE_CLUSTERS).count();
    let child = Command::new(program)
        .args(["start", "-c", "tbot.yaml"])
        .current_dir(folder)
        .env("SSL_CERT_FILE", folder.join("ca.pem"))
        .stderr(Stdio::null())
        .spawn()?;
    let child = Ended(child);
    let asked = runtime.block_on(tokio::time::timeout(
        Duration::from_secs(30),
        tokio::task::unconstrained(cluster.wait_for(method::REMOTE_CLUSTERS, before + 1)),
    ));
    asked.context("the daemon did not write its output within 30 seconds")?;
    // What is left to do after the last call is some milliseconds of writing.
    runtime.block_on(tokio::time::sleep(Duration::from_secs(2)));
    let status = fs::read_to_string(format!("/proc/{}/status", child.0.id()))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kibibytes: i64 = resident.trim().trim_end_matches(" kB").parse()?;
    Ok(format!("{:.1} MiB", mebibytes(kibibytes)))
}

/// A child that does not outlive the benchmark.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It has ended already, or it ends now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people, with two digits")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "for people, with one digit")]
fn mebibytes(kibibytes: i64) -> f64 {
    kibibytes as f64 / 1024.0
}
