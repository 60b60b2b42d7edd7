//! The demo: a development cluster, the receiver prehog with a temporary SQLite file, and one real run of `tbot`.
//! Everything is on loopback and in a temporary folder, and gone when it ends.

mod receiver;

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};
use tbot_cluster::{Cluster, ClusterConfig, clock};

use crate::generate::{report, root};
use receiver::Receiver;

/// `cargo xtask demo`.
pub(crate) fn demo() -> Result<()> {
    let programs = build()?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    // The tasks of cluster and receiver run on the runtime as long as both live.
    let cluster = runtime.block_on(Cluster::start(ClusterConfig::new(clock::system())))?;
    let token = cluster.add_bot("demo", &["access"])?;
    let receiver = runtime.block_on(Receiver::start(&folder.path().join("events.db")))?;
    let stage = Stage { programs, folder: folder.path(), receiver: receiver.address() };
    stage.write("web-ca.pem", cluster.web_ca_pem())?;
    stage.write("tbot.yaml", &configuration(&cluster.proxy_addr().to_string(), &token))?;

    title("a development cluster and a receiver of telemetry, both on loopback");
    report(&format!("cluster   {} at {}", cluster.name(), cluster.proxy_addr()));
    report(&format!("receiver  {}", stage.receiver));

    title("tbot.yaml");
    report(configuration(&cluster.proxy_addr().to_string(), "...").trim_end());

    stage.run("tbot", &["validate", "tbot.yaml"])?;
    stage.run("tbot", &["telemetry", "preview", "--oneshot", "-c", "tbot.yaml"])?;
    stage.run("tbot", &["start", "--oneshot", "-c", "tbot.yaml"])?;

    title("what was written");
    list(folder.path(), folder.path())?;
    let generation = cluster.generation("demo").unwrap_or_default();
    report(&format!("\nthe cluster knows the bot in generation {generation}"));

    // What was acknowledged is in the file, and the file is free.
    runtime.block_on(receiver.stop())?;
    let stored = stage.run("prehog", &["export", "--store", "sqlite:events.db"])?;
    let today = today();
    let week = ["--since", today.as_str(), "--until", today.as_str(), "--min-group", "1"];
    let ask = ["report", "--store", "sqlite:events.db", "--format", "csv"];
    stage.run("prehog", &[ask.as_slice(), week.as_slice()].concat())?;
    report("\nall of it is removed now");
    if stored.lines().count() != 1 {
        bail!("the receiver stored {} starts, not one", stored.lines().count());
    }
    Ok(())
}

fn today() -> String {
    prehog::day::Day::of(prehog::clock::system()()).to_string()
}

fn configuration(proxy: &str, token: &str) -> String {
    format!(
        "version: v2\n\
         proxy_server: {proxy}\n\
         onboarding:\n  join_method: token\n  token: {token}\n\
         storage:\n  type: directory\n  path: storage\n\
         anonymous_telemetry_opt_in: true # opt in to anonymous usage telemetry; this line can be removed\n\
         services:\n  - type: identity\n    destination:\n      type: directory\n      path: identity\n"
    )
}

/// Builds both programs; returns the folder that they are in.
fn build() -> Result<PathBuf> {
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "tbot",
            "--bin",
            "tbot",
            "--package",
            "prehog",
            "--bin",
            "prehog",
        ])
        .current_dir(root())
        .status()
        .context("cannot run cargo build")?;
    if !status.success() {
        bail!("tbot and prehog do not build");
    }
    // This program stands beside those that were just built.
    let here = std::env::current_exe().context("cannot tell where this program is")?;
    Ok(here.parent().context("this program has no folder")?.to_owned())
}

struct Stage<'a> {
    programs: PathBuf,
    folder: &'a Path,
    receiver: String,
}

impl Stage<'_> {
    fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.folder.join(name), text).with_context(|| format!("cannot write {name}"))
    }

    /// Runs a program in the folder, with nothing of the surrounding environment, and shows what it prints. Returns what
    /// it wrote to standard output.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        title(&format!("{program} {}", arguments.join(" ")));
        let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
        let Output { status, stdout, stderr } = Command::new(self.programs.join(file))
            .args(arguments)
            .current_dir(self.folder)
            .env_clear()
            .env("SSL_CERT_FILE", "web-ca.pem")
            .env("TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS", &self.receiver)
            .output()
            .with_context(|| format!("cannot run {program}"))?;
        let output = String::from_utf8_lossy(&stdout).into_owned();
        for text in [String::from_utf8_lossy(&stderr).as_ref(), &output] {
            if !text.trim().is_empty() {
                report(text.trim_end());
            }
        }
        if !status.success() {
            bail!("{program} {} ended with {status}", arguments.join(" "));
        }
        Ok(output)
    }
}

fn title(text: &str) {
    let (bold, plain) = if std::io::stderr().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    report(&format!("\n{bold}── {text}{plain}"));
}

fn list(base: &Path, folder: &Path) -> Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        // How a set of files is switched; who reads goes by the names that link into it.
        if entry.file_name().to_string_lossy().starts_with("..") {
            continue;
        }
        if path.is_dir() {
            list(base, &path)?;
        } else if let Ok(name) = path.strip_prefix(base)
            && name.components().count() > 1
        {
            report(&format!("{:>6} bytes  {}", fs::metadata(&path)?.len(), name.display()));
        }
    }
    Ok(())
}
