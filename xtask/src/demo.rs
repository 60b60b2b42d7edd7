//! The demo: a development cluster, a local endpoint that shows what it receives, and one real run of `tbot`.
//! Everything is on loopback and in a temporary folder, and gone when it ends.

mod endpoint;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};
use tbot_cluster::{Cluster, ClusterConfig, clock};

use crate::generate::{report, root};
use endpoint::Endpoint;

/// `cargo xtask demo`.
pub(crate) fn demo() -> Result<()> {
    let program = build()?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    // The cluster's tasks run on the runtime as long as both live.
    let cluster = runtime.block_on(Cluster::start(ClusterConfig::new(clock::system())))?;
    let token = cluster.add_bot("demo", &["access"])?;
    let endpoint = Endpoint::open()?;
    let stage = Stage { program, folder: folder.path(), endpoint: &endpoint };
    stage.write("web-ca.pem", cluster.web_ca_pem())?;
    stage.write("tbot.yaml", &configuration(&cluster.proxy_addr().to_string(), &token))?;

    title("a development cluster and a telemetry endpoint, both on loopback");
    report(&format!("cluster   {} at {}", cluster.name(), cluster.proxy_addr()));
    report(&format!("endpoint  {}", endpoint.address()));

    title("tbot.yaml");
    report(configuration(&cluster.proxy_addr().to_string(), "...").trim_end());

    stage.run(&["validate", "tbot.yaml"])?;
    stage.run(&["telemetry", "preview", "--oneshot", "-c", "tbot.yaml"])?;
    stage.run(&["start", "--oneshot", "-c", "tbot.yaml"])?;

    title("what the endpoint received");
    let received = endpoint.close();
    for request in &received {
        report(request);
    }
    if received.len() != 1 {
        bail!("the endpoint received {} requests, not one", received.len());
    }

    title("what was written");
    list(folder.path(), folder.path())?;
    let generation = cluster.generation("demo").unwrap_or_default();
    report(&format!("\nthe cluster knows the bot in generation {generation}; all of it is removed now"));
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

fn build() -> Result<PathBuf> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--package", "tbot", "--bin", "tbot"])
        .current_dir(root())
        .status()
        .context("cannot run cargo build")?;
    if !status.success() {
        bail!("tbot does not build");
    }
    // This program stands beside the one that was just built.
    let here = std::env::current_exe().context("cannot tell where this program is")?;
    Ok(here.with_file_name(format!("tbot{}", std::env::consts::EXE_SUFFIX)))
}

struct Stage<'a> {
    program: PathBuf,
    folder: &'a Path,
    endpoint: &'a Endpoint,
}

impl Stage<'_> {
    fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.folder.join(name), text).with_context(|| format!("cannot write {name}"))
    }

    /// Runs `tbot` in the folder, with nothing of the surrounding environment, and shows what it prints.
    fn run(&self, arguments: &[&str]) -> Result<()> {
        title(&format!("tbot {}", arguments.join(" ")));
        let Output { status, stdout, stderr } = Command::new(&self.program)
            .args(arguments)
            .current_dir(self.folder)
            .env_clear()
            .env("SSL_CERT_FILE", "web-ca.pem")
            .env("TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS", self.endpoint.address())
            .output()
            .context("cannot run tbot")?;
        for text in [stderr, stdout] {
            let text = String::from_utf8_lossy(&text);
            if !text.trim().is_empty() {
                report(text.trim_end());
            }
        }
        if !status.success() {
            bail!("tbot {} ended with {status}", arguments.join(" "));
        }
        Ok(())
    }
}

fn title(text: &str) {
    report(&format!("\n\x1b[1m── {text}\x1b[0m"));
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
