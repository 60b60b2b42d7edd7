//! A connection of an SSH client to a host: the CPU time of `tbot ssh-proxy-command`, next to that of `tbot proxy`, which runs `tsh`.
//!
//! The development cluster does not know the protocol of `tsh`, so the comparison needs a real cluster: `TBOT_BENCH_TSH` names
//! `tsh`, and `TBOT_BENCH_SSH` the directory of an `identity` output, the proxy, the cluster, the host and its port.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tbot_cluster::Cluster;

use crate::fixture::{BotDirectory, identity_outputs};
use crate::program::{Program, certificates, cpu_time, env_path};
use crate::table::Table;

/// The connections of each, made in turns. The median counts.
const CONNECTIONS: usize = 11;

/// Measures connections, next to `tsh` if a real cluster is named.
pub(crate) fn measure(program: &Program, cluster: &Cluster, table: &mut Table) -> Result<()> {
    cluster.add_node("node", serve()?);
    let directory = BotDirectory::new(cluster, "ssh", &identity_outputs(1))?;
    cpu_time(&mut tbot(program, directory.path(), &["start", "-c", "tbot.yaml", "--oneshot"]))?;
    let proxy = cluster.proxy_addr().to_string();
    let own = own_connection(program, directory.path(), &["out-0", &proxy, cluster.name(), "node", "22"])?;
    table.row("SSH connection", format!("{own:.1?} of CPU"), String::new(), "");
    let (Some(tsh), Some(target)) = (env_path("TBOT_BENCH_TSH"), env_path("TBOT_BENCH_SSH")) else {
        return Ok(());
    };
    let target = target.into_string().ok().context("TBOT_BENCH_SSH is not UTF-8")?;
    let Ok(target): Result<[&str; 5], _> = target.split_whitespace().collect::<Vec<_>>().try_into() else {
        bail!("TBOT_BENCH_SSH must be: DIRECTORY PROXY CLUSTER HOST PORT");
    };
    let [output, proxy, cluster, host, port] = target;
    let (cluster, host) = (format!("--cluster={cluster}"), format!("{host}:{port}"));
    let with_tsh = ["proxy", "--destination-dir", output, "--proxy-server", proxy, "ssh", &cluster, &host];
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        own.push(own_connection(program, Path::new("."), &target)?);
        other.extend(cpu_time(tbot(program, Path::new("."), &with_tsh).env("TSH", &tsh))?);
    }
    let (own, other) = median(own).zip(median(other)).context("a program to measure is missing")?;
    let entries = vec![("tbot ssh-proxy-command".to_owned(), Some(own)), ("tsh".to_owned(), Some(other))];
    table.compare("ssh", "CPU time of an SSH connection", "0.1", entries);
    Ok(())
}

/// Returns the CPU time of a connection with `tbot ssh-proxy-command`.
fn own_connection(
    program: &Program,
    directory: &Path,
    [output, proxy, cluster, host, port]: &[&str; 5],
) -> Result<Duration> {
    let arguments = [
        &["ssh-proxy-command", "--destination-dir", output, "--proxy-server", proxy, "--cluster", cluster][..],
        &["--no-connection-upgrade", "--user", "root", "--host", host, "--port", port],
    ];
    cpu_time(&mut tbot(program, directory, &arguments.concat()))?.context("the program to measure is missing")
}

/// Returns a command that sends no telemetry, without input and output.
fn tbot(program: &Program, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program.path());
    command.args(arguments).current_dir(directory).env("TELEPORT_ANONYMOUS_TELEMETRY", "0");
    command.envs(certificates(directory));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort();
    times.get(times.len() / 2).copied()
}

/// Starts a host that greets each client and ends the connection.
fn serve() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            // The client may hang up.
            let _ = connection.write_all(b"SSH-2.0-Greeting\r\n");
        }
    });
    Ok(address)
}
