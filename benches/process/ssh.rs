//! A connection of an SSH client to a host: the CPU time of `tbot ssh-proxy-command`, next to that of `tbot proxy`, which runs `tsh`.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tbot_cluster::Cluster;

use crate::fixture::{BotDirectory, identity_outputs};
use crate::program::{Program, cpu_time, env_path};
use crate::table::Table;

/// The number of connections with each program, which take turns. The median counts.
const CONNECTIONS: usize = 21;

/// Measures connections; those with `tsh` only if `TBOT_BENCH_TSH` names it.
pub(crate) fn measure(program: &Program, cluster: &Cluster, table: &mut Table) -> Result<()> {
    cluster.add_node("node", serve()?);
    let directory = BotDirectory::new(cluster, "ssh", &identity_outputs(1))?;
    let tbot = |arguments: &[&str]| {
        let mut command = Command::new(program.path());
        command.args(arguments).current_dir(directory.path()).env("TELEPORT_ANONYMOUS_TELEMETRY", "0");
        command.env("SSL_CERT_FILE", directory.path().join("ca.pem"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    cpu_time(&mut tbot(&["start", "-c", "tbot.yaml", "--oneshot"]))?;
    let (proxy, name) = (cluster.proxy_addr().to_string(), cluster.name());
    let to_output = ["--destination-dir", "out-0", "--proxy-server", &proxy, "--cluster", name];
    let own_arguments = [
        &["ssh-proxy-command"][..],
        &to_output,
        &["--no-connection-upgrade", "--user", "alice", "--host", "node", "--port", "22"],
    ];
    let own_arguments = own_arguments.concat();
    let tsh_arguments = [&["proxy"][..], &to_output, &["ssh", "alice@node:22"]].concat();
    let tsh = env_path("TBOT_BENCH_TSH");
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        own.extend(cpu_time(&mut tbot(&own_arguments))?);
        if let Some(tsh) = &tsh {
            other.extend(cpu_time(tbot(&tsh_arguments).env("TSH", tsh))?);
        }
    }
    let own = median(own).context("the program to measure is missing")?;
    table.row("SSH connection", format!("{own:.1?} of CPU"), String::new(), "");
    let with_tsh = match median(other) {
        Some(other) => format!("{other:.1?} of CPU, {:.0} times", other.as_secs_f64() / own.as_secs_f64()),
        None => "TBOT_BENCH_TSH does not name it".to_owned(),
    };
    table.row("the same with tsh", with_tsh, String::new(), "");
    Ok(())
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
