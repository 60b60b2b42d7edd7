//! A tunnel, next to socat with TLS: the throughput and the time of a round trip of both, one after the other, through the same
//! cluster to the same server; and the memory of connections that are idle.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tbot_cluster::{Cluster, Resource};

use crate::daemon::Daemon;
use crate::fixture::BotDirectory;
use crate::program::Program;
use crate::table::{Table, mebibytes};

/// The amount of data of one measurement.
const LENGTH: usize = 512 << 20;
/// The number of round trips of one measurement.
const ROUND_TRIPS: u32 = 5000;
/// The measurements of each, of which the best counts.
const ROUNDS: usize = 3;
/// The number of idle connections.
const CONNECTIONS: usize = 1000;
/// What each connection transfers in both directions before it is idle.
const EXCHANGED: usize = 64 << 10;
const CHUNK: usize = 64 << 10;

/// Measures a tunnel, and socat if it is installed.
pub(crate) fn measure(program: &Program, cluster: &Cluster, table: &mut Table) -> Result<()> {
    let server = serve()?;
    cluster.add_resource(Resource::application("tunnel", "tunnel.127.0.0.1").served_by(server));
    let tunnel = free_address()?;
    let directory = BotDirectory::with_services(
        cluster,
        "tunnel",
        &[
            json!({ "type": "application-tunnel", "listen": format!("tcp://{tunnel}"), "app_name": "tunnel" }),
            json!({
                "type": "application", "app_name": "tunnel",
                "destination": { "type": "directory", "path": "out-0" },
            }),
        ],
    )?;
    let daemon = Daemon::start(program, &directory)?;
    daemon.wait_for_all(1)?;
    wait_for(tunnel)?;
    idle_connections(&daemon, tunnel, table)?;

    let socat = Socat::start(cluster.proxy_addr(), &directory)?;
    let Some(socat) = socat else {
        table.row("tunnel, next to socat", "socat is not installed".to_owned(), String::new(), "");
        return Ok(());
    };
    wait_for(socat.address)?;
    for (name, transfer) in [("sent", send as fn(SocketAddr) -> Result<()>), ("received", receive)] {
        let (own, other) = best_of_both(transfer, tunnel, socat.address)?;
        let ratio = 100.0 * other.as_secs_f64() / own.as_secs_f64();
        let (own, other) = (rate(own), rate(other));
        table.row(
            &format!("tunnel, {name}"),
            format!("{own}, {ratio:.0} % of socat ({other})"),
            String::new(),
            "",
        );
    }
    let (own, other) = best_of_both(exchange, tunnel, socat.address)?;
    let ratio = 100.0 * own.as_secs_f64() / other.as_secs_f64();
    let (own, other) = (own / ROUND_TRIPS, other / ROUND_TRIPS);
    table.row(
        "tunnel, round trip",
        format!("{own:.1?}, {ratio:.0} % of socat ({other:.1?})"),
        String::new(),
        "",
    );
    Ok(())
}

/// Returns the best times of a transfer through both, measured in turns.
fn best_of_both(
    transfer: fn(SocketAddr) -> Result<()>,
    tunnel: SocketAddr,
    socat: SocketAddr,
) -> Result<(Duration, Duration)> {
    let (mut own, mut other) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        own = own.min(time(transfer, tunnel)?);
        other = other.min(time(transfer, socat)?);
    }
    Ok((own, other))
}

fn idle_connections(daemon: &Daemon, tunnel: SocketAddr, table: &mut Table) -> Result<()> {
    let before = daemon.resident_kib()?;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = TcpStream::connect(tunnel)?;
        client.write_all(b"e")?;
        client.write_all(&vec![7; EXCHANGED])?;
        client.read_exact(&mut vec![0; EXCHANGED])?;
        clients.push(client);
    }
    let resident = daemon.resident_kib()?;
    let per_connection = resident.saturating_sub(before) / u64::try_from(CONNECTIONS)?;
    table.row(&format!("tunnel, {CONNECTIONS} idle connections"), String::new(), mebibytes(resident), "");
    table.row("  per connection", String::new(), format!("{per_connection} KiB"), "40 KiB");
    Ok(())
}

/// Serves connections, whose first byte says what to do: `e` sends everything back, `s` reads everything and then responds with
/// one byte, and `r` sends [`LENGTH`] bytes.
fn serve() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            // The client may hang up.
            thread::spawn(move || drop(serve_one(connection)));
        }
    });
    Ok(address)
}

fn serve_one(mut connection: TcpStream) -> Result<()> {
    let mut kind = [0];
    connection.read_exact(&mut kind)?;
    let mut buffer = vec![0; CHUNK];
    match kind {
        [b's'] => {
            let mut left = LENGTH;
            while left > 0 {
                left -= connection.read(&mut buffer)?.max(1);
            }
            connection.write_all(b"s")?;
        }
        [b'r'] => {
            for _ in 0..LENGTH / CHUNK {
                connection.write_all(&buffer)?;
            }
        }
        _ => loop {
            match connection.read(&mut buffer)? {
                0 => break,
                length => connection.write_all(&buffer[..length])?,
            }
        },
    }
    Ok(())
}

fn send(address: SocketAddr) -> Result<()> {
    let mut client = TcpStream::connect(address)?;
    client.write_all(b"s")?;
    let buffer = vec![7; CHUNK];
    for _ in 0..LENGTH / CHUNK {
        client.write_all(&buffer)?;
    }
    Ok(client.read_exact(&mut [0])?)
}

fn receive(address: SocketAddr) -> Result<()> {
    let mut client = TcpStream::connect(address)?;
    client.write_all(b"r")?;
    let mut buffer = vec![0; CHUNK];
    let mut left = LENGTH;
    while left > 0 {
        match client.read(&mut buffer)? {
            0 => bail!("the connection ended early"),
            length => left -= length,
        }
    }
    Ok(())
}

/// Sends a byte and waits until it is back, again and again.
fn exchange(address: SocketAddr) -> Result<()> {
    let mut client = TcpStream::connect(address)?;
    client.set_nodelay(true)?;
    client.write_all(b"e")?;
    for _ in 0..ROUND_TRIPS {
        client.write_all(b"b")?;
        client.read_exact(&mut [0])?;
    }
    Ok(())
}

fn time(transfer: fn(SocketAddr) -> Result<()>, address: SocketAddr) -> Result<Duration> {
    let started = Instant::now();
    transfer(address)?;
    Ok(started.elapsed())
}

#[expect(clippy::cast_precision_loss, reason = "rounded")]
fn rate(time: Duration) -> String {
    format!("{:.0} MB/s", LENGTH as f64 / 1e6 / time.as_secs_f64())
}

/// Waits until a connection gets through to the server.
#[expect(clippy::disallowed_methods, reason = "a benchmark polls another process")]
fn wait_for(address: SocketAddr) -> Result<()> {
    for _ in 0..500 {
        let mut received = [0; 2];
        let exchanged = TcpStream::connect(address).and_then(|mut client| {
            client.write_all(b"eok")?;
            client.read_exact(&mut received)
        });
        if exchanged.is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!("nothing gets through {address}")
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// socat, with the certificate of an `application` output. Killed on drop.
struct Socat {
    child: Child,
    address: SocketAddr,
}

impl Socat {
    /// Returns `None` if socat is not installed.
    fn start(proxy: SocketAddr, directory: &BotDirectory) -> Result<Option<Self>> {
        let address = free_address()?;
        let child = Command::new("socat")
            // The default size of its buffer is 8 KiB.
            .args(["-b", "16384"])
            .arg(format!("TCP-LISTEN:{},bind=127.0.0.1,reuseaddr,fork,nodelay", address.port()))
            .arg(format!("OPENSSL:{proxy},verify=0,cert=out-0/tlscert,key=out-0/key,nodelay"))
            .current_dir(directory.path())
            .stderr(Stdio::null())
            .spawn();
        match child {
            Ok(child) => Ok(Some(Self { child, address })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("cannot run socat"),
        }
    }
}

impl Drop for Socat {
    fn drop(&mut self) {
        // Fails only if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
