//! The servers under test. Each is a separate process that prints its address.

use std::io::{BufRead as _, BufReader, Write as _, stdout};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use prehog::ingest::Ingest;
use prehog::metrics::Metrics;
use prehog::server::{Connections, Listeners, event_routes};
use prehog::validation::EventValidator;
use prehog::{Options, serve as serve_store};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The store of a server that acknowledges events without storing them.
pub(crate) const NO_STORE: &str = "none";

/// The project of the connect-node server, and a file that exists once it is installed.
const CONNECT_NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/connect-node");
const CONNECT_NODE_INSTALLED: &str = "node_modules/.generated/prehog/v1alpha/tbot_pb.js";

/// The unit of the times in `/proc`, in ticks per second: the same on all processors that Rust supports.
const TICKS_PER_SECOND: u64 = 100;

/// Runs a server with a store until the process is killed.
pub(crate) fn serve(store: &str) -> Result<()> {
    Runtime::new()?.block_on(run(store))
}

async fn run(store: &str) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(stdout(), "{}", listener.local_addr()?)?;
    let options = Options { rate_limit: 0, ..Options::new(prehog::clock::system()) };
    if store != NO_STORE {
        let listeners = Listeners { events: listener, report: None, metrics: None };
        return Ok(serve_store(listeners, store.parse()?, options, std::future::pending()).await?);
    }
    let validator = EventValidator::new()?;
    let metrics = Arc::new(Metrics::new(validator.reasons(), 0));
    let clock = Arc::clone(&options.clock);
    let ingest = Ingest { validator, writer: None, metrics: Arc::clone(&metrics), clock };
    let router = event_routes(ingest, &options);
    let (_stop, stopped) = tokio::sync::watch::channel(());
    Connections::new(&options, metrics).run(listener, router, stopped).await;
    Ok(())
}

pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts the server of a build of this benchmark.
    pub(crate) fn prehog(benchmark: &Path, store: &str) -> Result<Self> {
        Self::start(Command::new(benchmark).args(["--serve", store]))
    }

    /// Starts the connect-node server. Returns `None` if it is not installed.
    pub(crate) fn connect_node() -> Result<Option<Self>> {
        let directory = Path::new(CONNECT_NODE);
        if !directory.join(CONNECT_NODE_INSTALLED).exists() {
            return Ok(None);
        }
        Self::start(Command::new("node").arg(directory.join("server.js"))).map(Some)
    }

    fn start(command: &mut Command) -> Result<Self> {
        let child = command.stdout(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let address = line.trim().parse().context("the server did not print its address")?;
        Ok(Self { child, address })
    }

    /// Returns the CPU time of the process and its children so far, in user and kernel mode.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let id = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        let ids = std::iter::once(Ok(id)).chain(children.split_whitespace().map(str::parse));
        let ticks = ids.map(|id| cpu_ticks(id?)).sum::<Result<u64>>()?;
        Ok(Duration::from_secs(ticks) / u32::try_from(TICKS_PER_SECOND)?)
    }

    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }
}

fn cpu_ticks(id: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name of the program, in parentheses, may contain spaces. The fields after it begin with the third one.
    let (_, fields) = stat.rsplit_once(") ").context("no name")?;
    let mut fields = fields.split(' ').skip(14 - 3);
    let mut ticks = || fields.next().context("no CPU time")?.parse::<u64>().context("no number");
    Ok(ticks()? + ticks()?)
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if it has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
