//! A tunnel to a real PostgreSQL server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};
use tbot_cluster::Resource;
use tempfile::TempDir;

use super::super::fixture::{TestCluster, poll_until};
use super::{database_tunnel, start, tunnels};

/// Where Debian installs the programs of PostgreSQL, in one directory per version.
const DEBIAN: &str = "/usr/lib/postgresql";
const SQL: &str = "select sum(n) from generate_series(1, 100000) as n";

/// A server with the user `reports` and the database `sales`, killed on drop.
struct PostgresServer {
    child: Child,
    address: SocketAddr,
    _data: TempDir,
}

impl PostgresServer {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let programs = programs();
        let run = |program: &str| unprivileged(&programs.join(program), data.path());
        let initialized = run("initdb")
            .args(["--username=reports", "--auth=trust", "--no-sync", "--no-instructions", "--pgdata=db"])
            .output()
            .unwrap();
        assert!(initialized.status.success(), "{}", String::from_utf8_lossy(&initialized.stderr));
        // The server cannot choose a free port.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let child = run("postgres")
            .args(["-D", "db", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-p", &address.port().to_string()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, address, _data: data }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // SIGINT disconnects all clients. Fails if the server has ended.
        let _ = rustix::process::kill_process(Pid::from_child(&self.child), Signal::INT);
        let _ = self.child.wait();
    }
}

/// Returns the directory of the newest installed version.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir(DEBIAN).expect("PostgreSQL is installed: cargo xtask setup");
    let newest = versions.map(|version| version.unwrap().path()).max().unwrap();
    newest.join("bin")
}

/// Returns a command that runs in `directory` as its owner. As root, this becomes another user, because the server refuses to
/// run as root.
fn unprivileged(program: &Path, directory: &Path) -> Command {
    const NOBODY: &str = "65534";
    if !rustix::process::geteuid().is_root() {
        let mut command = Command::new(program);
        command.current_dir(directory);
        return command;
    }
    let nobody = NOBODY.parse().unwrap();
    std::os::unix::fs::chown(directory, Some(nobody), Some(nobody)).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
        .arg(program)
        .current_dir(directory);
    command
}

/// Runs a statement with psql, and returns what it prints.
fn query(address: SocketAddr, sql: &str) -> Result<String, String> {
    let (host, port) = (address.ip(), address.port());
    let connection = format!("host={host} port={port} user=reports dbname=postgres sslmode=disable");
    let output = Command::new(programs().join("psql"))
        .args(["--no-psqlrc", "--tuples-only", "--no-align", &connection, "--command", sql])
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: apt-get install postgresql"]
async fn sql_gets_through_to_a_postgresql_server() {
    let server = PostgresServer::start();
    poll_until("the server responds", || async { query(server.address, "select 1").is_ok() }).await;
    let fixture = TestCluster::with_version("18.2.5").await;
    fixture.cluster.add_resource(Resource::database("orders", "postgres").served_by(server.address));
    let running = start(&fixture, fixture.config("20m", &[database_tunnel()])).await;
    let address = running.agent.listen_addr(0).unwrap();
    let result = tokio::task::spawn_blocking(move || query(address, SQL)).await.unwrap();
    assert_eq!(result.unwrap(), "5000050000");
    // A dump is much data in one direction.
    let dump = "copy (select n, repeat('x', 100) from generate_series(1, 100000) as n) to stdout";
    let rows = tokio::task::spawn_blocking(move || query(address, dump)).await.unwrap().unwrap();
    assert_eq!(rows.lines().count(), 100_000);
    running.stop().await.unwrap();
    assert_eq!(tunnels(&fixture), ["teleport-postgres orders user=reports database=sales"; 2]);
}
