//! `cargo xtask demo`: one run of `tbot` against a development cluster and a receiver with a temporary SQLite file.
//!
//! Everything listens on loopback, is written to a temporary directory, and is removed at the end.

mod receiver;

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};
use tbot_cluster::{Cluster, ClusterConfig, clock};

use crate::workspace::{cargo, print_line};
use receiver::Receiver;

pub(crate) fn run() -> Result<()> {
    let programs = build()?;
    let directory = tempfile::tempdir().context("cannot create a temporary directory")?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the async runtime")?;
    // The tasks of the cluster and of the receiver run on the runtime until they are dropped.
    let cluster = runtime.block_on(Cluster::start(ClusterConfig::new(clock::system())))?;
    let token = cluster.add_bot("demo", &["access"])?;
    let receiver = runtime.block_on(Receiver::start(&directory.path().join("events.db")))?;
    let demo = Demo { programs, directory: directory.path(), receiver_url: receiver.url() };
    demo.write("web-ca.pem", cluster.web_ca_pem())?;
    demo.write("tbot.yaml", &configuration(&cluster.proxy_addr().to_string(), &token))?;

    print_heading("development cluster and telemetry receiver, both on loopback");
    print_line(&format!("cluster   {} at {}", cluster.name(), cluster.proxy_addr()));
    print_line(&format!("receiver  {}", demo.receiver_url));

    print_heading("tbot.yaml");
    print_line(configuration(&cluster.proxy_addr().to_string(), "...").trim_end());

    demo.run("tbot", &["validate", "tbot.yaml"])?;
    demo.run("tbot", &["telemetry", "preview", "--oneshot", "-c", "tbot.yaml"])?;
    demo.run("tbot", &["start", "--oneshot", "-c", "tbot.yaml"])?;

    print_heading("files written");
    list_files(directory.path(), directory.path())?;
    let generation = cluster.generation("demo").unwrap_or_default();
    print_line(&format!("\ngeneration of the bot in the cluster: {generation}"));

    // Flushes acknowledged events to the file and unlocks it.
    runtime.block_on(receiver.stop())?;
    let starts = demo.run("prehog", &["export", "--store", "sqlite:events.db"])?;
    let today = prehog::day::Day::of(prehog::clock::system()()).to_string();
    demo.run(
        "prehog",
        &[
            &["report", "--store", "sqlite:events.db", "--format", "csv"][..],
            &["--since", &today, "--until", &today, "--min-group", "1"],
        ]
        .concat(),
    )?;
    print_line("\nremoving all files");
    if starts.lines().count() != 1 {
        bail!("the receiver stored {} starts, expected 1", starts.lines().count());
    }
    Ok(())
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

/// Builds `tbot` and `prehog`, and returns the directory of the programs.
fn build() -> Result<PathBuf> {
    let packages = ["--package", "tbot", "--bin", "tbot", "--package", "prehog", "--bin", "prehog"];
    cargo(&[&["build", "--quiet", "--locked"][..], &packages].concat())?;
    // Cargo builds all programs of the workspace into the directory of this one.
    let this_program = std::env::current_exe().context("cannot determine the path of this program")?;
    Ok(this_program.parent().context("the path of this program has no parent directory")?.to_owned())
}

struct Demo<'a> {
    programs: PathBuf,
    directory: &'a Path,
    receiver_url: String,
}

impl Demo<'_> {
    fn write(&self, name: &str, content: &str) -> Result<()> {
        fs::write(self.directory.join(name), content).with_context(|| format!("cannot write {name}"))
    }

    /// Runs a program in the demo's directory, without the surrounding environment, and prints its output. Returns its
    /// standard output.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let command = format!("{program} {}", arguments.join(" "));
        print_heading(&command);
        let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
        let Output { status, stdout, stderr } = Command::new(self.programs.join(file))
            .args(arguments)
            .current_dir(self.directory)
            .env_clear()
            .env("SSL_CERT_FILE", "web-ca.pem")
            .env("TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS", &self.receiver_url)
            .output()
            .with_context(|| format!("cannot run {program}"))?;
        let stdout = String::from_utf8_lossy(&stdout).into_owned();
        for output in [String::from_utf8_lossy(&stderr).as_ref(), &stdout] {
            if !output.trim().is_empty() {
                print_line(output.trim_end());
            }
        }
        if !status.success() {
            bail!("{command} failed: {status}");
        }
        Ok(stdout)
    }
}

fn print_heading(heading: &str) {
    let (bold, reset) = if std::io::stderr().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    print_line(&format!("\n{bold}── {heading}{reset}"));
}

/// Prints the files of the subdirectories of `base`, as far as they are below `directory`.
fn list_files(base: &Path, directory: &Path) -> Result<()> {
    let mut entries: Vec<_> = fs::read_dir(directory)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        // Generation directories and `..data` are internal. Programs open the links to them, which are listed.
        if entry.file_name().to_string_lossy().starts_with("..") {
            continue;
        }
        if path.is_dir() {
            list_files(base, &path)?;
        } else if let Ok(name) = path.strip_prefix(base)
            && name.components().count() > 1
        {
            print_line(&format!("{:>6} bytes  {}", fs::metadata(&path)?.len(), name.display()));
        }
    }
    Ok(())
}
