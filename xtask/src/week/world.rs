//! Everything that takes part in the week: the development cluster, `tbot`, `prehog`, and two disks. All of it is on loopback
//! and in memory.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use serde_json::{Value, json};
use tbot_cluster::{BoundKeypairToken, Cluster, ClusterConfig, Phase, Resource};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use xtask_launcher::root;

use super::output::{OUTPUTS, OutputSpec};
use super::programs::Program;
use super::simulated_time::{Clocks, SimulatedTime};
use super::small_disk::SmallDisk;
use crate::sandbox::programs_directory;

const BOT: &str = "robot";
const TOKEN: &str = "week";
/// The secret of the first join.
pub(super) const SECRET: &str = "hunter2-registration";
/// The authorities that are rotated.
const AUTHORITIES: [&str; 2] = ["host", "user"];
/// The joins without a valid certificate that the cluster allows: the first one, one after the outage of a day, and one too many,
/// so that it would be noticed.
const RECOVERY_LIMIT: u32 = 3;
/// The logs of both programs.
pub(super) const LOGS: [&str; 2] = ["tbot.log", "prehog.log"];
const STORE: &str = "sqlite:events.db";
/// How long a connection through the tunnel may take, in real time.
const TUNNEL_TIMEOUT: Duration = Duration::from_secs(20);

/// Everything that takes part. Dropping it stops everything and removes all files.
pub(super) struct World {
    pub(super) tbot: Option<Program>,
    pub(super) prehog: Option<Program>,
    pub(super) cluster: Cluster,
    pub(super) time: SimulatedTime,
    programs: PathBuf,
    prehog_address: SocketAddr,
    small_disk: SmallDisk,
    disk: SmallDisk,
    _directory: TempDir,
    /// Runs the cluster.
    _runtime: Runtime,
}

impl World {
    /// Starts the cluster. The programs do not run yet.
    ///
    /// # Errors
    ///
    /// Returns an error if something is missing, or if the disks cannot be mounted.
    pub(super) fn create() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("tbot-week-").tempdir()?;
        let disk = SmallDisk::mount(directory.path().join("disk"), "256m")?;
        let small_disk = SmallDisk::mount(disk.path().join("small"), "1m")?;
        let time = SimulatedTime::start(disk.path())?;
        let runtime = Runtime::new().context("cannot start the async runtime")?;
        let config =
            ClusterConfig { server_version: "19.0.0".to_owned(), ..ClusterConfig::new(time.clock()) };
        let cluster = runtime.block_on(Cluster::start(config))?;
        cluster.set_signature_algorithm_suite("balanced-v1");
        cluster.add_resource(Resource::application("app", "app.127.0.0.1"));
        cluster.add_resource(Resource::kubernetes("kube"));
        cluster.add_resource(Resource::tcp_application("echo", "echo.127.0.0.1").served_by(echo()?));
        cluster.add_bot(BOT, &["access"])?;
        let token =
            BoundKeypairToken { recovery_limit: RECOVERY_LIMIT, ..BoundKeypairToken::with_secret(SECRET) };
        cluster.add_bound_keypair_token(BOT, TOKEN, token)?;
        // Another process could take the port before prehog does, which would then not start.
        let prehog_address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let world = Self {
            tbot: None,
            prehog: None,
            cluster,
            time,
            programs: programs_directory()?,
            prehog_address,
            small_disk,
            disk,
            _directory: directory,
            _runtime: runtime,
        };
        fs::write(world.path("web-ca.pem"), world.cluster.web_ca_pem())?;
        fs::write(world.path("tbot.yaml"), world.configuration()?.to_string())?;
        Ok(world)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.disk.path().join(name)
    }

    pub(super) fn output_directory(&self, output: &OutputSpec) -> PathBuf {
        let disk = if output.is_on_small_disk { &self.small_disk } else { &self.disk };
        disk.path().join(output.name)
    }

    fn configuration(&self) -> Result<Value> {
        let outputs = OUTPUTS.iter().map(|output| output.configuration(&self.output_directory(output)));
        let mut services = outputs.collect::<Result<Vec<_>>>()?;
        services.push(json!({
            "type": "application-tunnel",
            "app_name": "echo",
            "listen": format!("unix://{}", self.path("tunnel.sock").display()),
        }));
        Ok(json!({
            "version": "v2",
            "proxy_server": self.cluster.proxy_addr().to_string(),
            "onboarding": {
                "join_method": "bound_keypair",
                "token": TOKEN,
                "bound_keypair": { "registration_secret": SECRET },
            },
            "storage": { "type": "directory", "path": self.small_disk.path().join("storage") },
            // Long enough for the identity to outlast the full disk, and too short to outlast the outage of the cluster.
            "credential_ttl": "12h",
            "renewal_interval": "20m",
            "anonymous_telemetry_opt_in": true,
            "services": services,
        }))
    }

    /// Returns a command that runs a program of the workspace in the simulated time, with nothing else in its environment.
    fn command(&self, program: &str, clocks: Clocks) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.disk.path()).env_clear();
        self.time.apply(&mut command, clocks);
        command
    }

    /// Starts the agent.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be started.
    pub(super) fn start_agent(&mut self) -> Result<()> {
        let mut command = self.command("tbot", Clocks::All);
        command.args(["start", "-c", "tbot.yaml"]).env("SSL_CERT_FILE", "web-ca.pem");
        command.env("TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS", format!("http://{}", self.prehog_address));
        self.tbot = Some(Program::start("tbot", command, &self.path("tbot.log"), self.time.elapsed())?);
        Ok(())
    }

    /// Starts prehog.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be started.
    pub(super) fn start_prehog(&mut self) -> Result<()> {
        // Threads of its store wait for each other with time limits.
        let mut command = self.command("prehog", Clocks::WallClock);
        command.args(["serve", "--store", STORE, "--listen", &self.prehog_address.to_string()]);
        self.prehog = Some(Program::start("prehog", command, &self.path("prehog.log"), self.time.elapsed())?);
        Ok(())
    }

    /// Returns the starts that prehog has counted, as the days and the number of starts.
    ///
    /// # Errors
    ///
    /// Returns an error if prehog fails.
    pub(super) fn exported_starts(&self) -> Result<Vec<(String, u64)>> {
        let output = self.command("prehog", Clocks::WallClock).args(["export", "--store", STORE]).output()?;
        if !output.status.success() {
            bail!("prehog export failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let lines = String::from_utf8(output.stdout)?;
        let parse = |line: &str| -> Result<(String, u64)> {
            let line: Value = serde_json::from_str(line)?;
            let day = line["day"].as_str().context("no day")?.to_owned();
            Ok((day, line["starts"].as_u64().context("prehog printed no number of starts")?))
        };
        lines.lines().map(parse).collect()
    }

    /// Sends SIGHUP to the agent.
    ///
    /// # Errors
    ///
    /// Returns an error if it does not run.
    pub(super) fn reload_agent(&self) -> Result<()> {
        self.tbot.as_ref().context("the agent does not run")?.signal(Signal::HUP)
    }

    /// Moves the authorities to a phase of a rotation.
    ///
    /// # Errors
    ///
    /// Returns an error if the phase cannot follow the current one.
    pub(super) fn rotate(&self, phase: Phase) -> Result<()> {
        AUTHORITIES.iter().try_for_each(|authority| Ok(self.cluster.rotate(authority, phase)?))
    }

    pub(super) fn small_disk(&self) -> &SmallDisk {
        &self.small_disk
    }

    /// Returns how often the cluster has been asked for certificates.
    pub(super) fn certificate_requests(&self) -> usize {
        use tbot_cluster::method::{GENERATE_HOST_CERT, GENERATE_USER_CERTS, JOIN_V1};
        let methods = [GENERATE_HOST_CERT, GENERATE_USER_CERTS, JOIN_V1];
        self.cluster.requests().iter().filter(|call| methods.contains(&call.method.as_str())).count()
    }

    /// Returns the token as the cluster has it.
    ///
    /// # Errors
    ///
    /// Returns an error if it does not exist.
    pub(super) fn token(&self) -> Result<BoundKeypairToken> {
        self.cluster.bound_keypair_token(TOKEN).context("no token")
    }

    /// Sends bytes through the tunnel, which must come back.
    ///
    /// # Errors
    ///
    /// Returns an error if they do not.
    pub(super) fn use_tunnel(&self) -> Result<()> {
        let mut connection = UnixStream::connect(self.path("tunnel.sock"))?;
        connection.set_read_timeout(Some(TUNNEL_TIMEOUT))?;
        connection.write_all(b"bytes")?;
        let mut received = [0; 5];
        connection.read_exact(&mut received)?;
        if &received != b"bytes" {
            bail!("the tunnel returned other bytes than were sent");
        }
        Ok(())
    }

    /// Copies the logs to a directory that stays, and returns its path.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be copied.
    pub(super) fn keep_logs(&self) -> Result<PathBuf> {
        let directory = root()?.join("target/week");
        fs::create_dir_all(&directory)?;
        for name in LOGS {
            fs::copy(self.path(name), directory.join(name)).with_context(|| format!("cannot copy {name}"))?;
        }
        Ok(directory)
    }

    /// Returns the programs that run.
    pub(super) fn running(&self) -> impl Iterator<Item = &Program> {
        self.tbot.iter().chain(&self.prehog)
    }

    /// Waits until everything that was caused has happened.
    ///
    /// # Errors
    ///
    /// Returns an error if a program has ended by itself, or is busy for too long.
    pub(super) fn settle(&self) -> Result<()> {
        let processes: Vec<u32> = self.running().map(Program::id).collect();
        SimulatedTime::settle(&processes)
    }

    /// Leaps forward, and waits until everything that was due has happened.
    ///
    /// # Errors
    ///
    /// Returns an error if a program has ended by itself, or is busy for too long.
    pub(super) fn leap(&self, by: Duration) -> Result<()> {
        // prehog needs no help to notice a new time: no thread of it waits for one.
        self.tbot.iter().try_for_each(Program::freeze)?;
        self.time.leap(by)?;
        self.tbot.iter().try_for_each(Program::thaw)?;
        self.settle()
    }
}

/// Starts a server that sends back what it receives, and returns its address.
fn echo() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || {
                // The client may hang up.
                let _ = std::io::copy(&mut &connection, &mut &connection);
            });
        }
    });
    Ok(address)
}
