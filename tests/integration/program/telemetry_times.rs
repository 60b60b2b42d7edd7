//! Compares how long the agent takes with endpoints that respond, refuse, are silent, drip or flood, and with telemetry off. The
//! ratios are printed but not asserted. Asserted are the same exit status, and credentials that do not wait for the endpoint.

#![expect(clippy::print_stderr, reason = "figures for `cargo xtask prove`")]

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tbot_cluster::{Cluster, ClusterConfig, clock};
use tokio::net::{TcpSocket, TcpStream};

use super::fake_server::{Behaviour, FakeServer};
use super::fixture::{Run, Telemetry};
use super::telemetry_and_agent::start;
use crate::agent::fixture::wait_until;

/// How often each endpoint is tried. Set `TBOT_TEST_ROUNDS=20` for better figures.
#[expect(clippy::disallowed_methods, reason = "a setting of the test run")]
fn rounds() -> usize {
    std::env::var("TBOT_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// An address that drops every packet: its queue of connections is full, and nobody accepts any.
struct BlackHole {
    address: String,
    _queue: (tokio::net::TcpListener, Vec<TcpStream>),
}

impl BlackHole {
    async fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(connected) =
            tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
        {
            queued.push(connected.unwrap());
        }
        Self { address: format!("http://{address}"), _queue: (listener, queued) }
    }
}

/// The endpoint of a row of the table.
struct Endpoint<'a> {
    name: &'static str,
    is_on: bool,
    telemetry: Telemetry<'a>,
    times: Vec<[Duration; 3]>,
}

/// Runs an agent, and returns the time to its first credentials and to its end, after a signal if it runs continuously.
async fn measure(run: Run, is_oneshot: bool) -> [Duration; 2] {
    let identity = run.path().join("out/identity");
    let started = Instant::now();
    let running = run.spawn();
    wait_until("the output is written", || Path::exists(&identity)).await;
    let credentials = started.elapsed();
    if !is_oneshot {
        running.signal(Signal::TERM);
    }
    let finished = tokio::task::block_in_place(|| running.wait());
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    [credentials, started.elapsed()]
}

fn median(times: &[[Duration; 3]], column: usize) -> f64 {
    let mut times: Vec<_> = times.iter().map(|times| times[column].as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_endpoint_changes_the_exit_status_and_the_times_are_printed() {
    let cluster = Cluster::start(ClusterConfig::new(clock::system())).await.unwrap();
    let black_hole = BlackHole::new().await;
    let servers = [
        ("healthy", Behaviour::ok()),
        ("an error", Behaviour::respond("500 Internal Server Error", "")),
        ("silent", Behaviour::Silence),
        ("slow", Behaviour::Drip),
        ("hostile", Behaviour::Flood { status: "200 OK" }),
    ]
    .map(|(name, behaviour)| (name, FakeServer::new(behaviour)));
    let of_servers = servers.iter().map(|(name, server)| (*name, true, Telemetry::Server(server)));
    let mut endpoints: Vec<_> = [
        ("telemetry off", false, Telemetry::ClosedPort),
        ("refusing", true, Telemetry::ClosedPort),
        ("black-holed", true, Telemetry::Address(&black_hole.address)),
    ]
    .into_iter()
    .chain(of_servers)
    .map(|(name, is_on, telemetry)| Endpoint { name, is_on, telemetry, times: Vec::new() })
    .collect();
    for round in 0..rounds() {
        for (number, endpoint) in endpoints.iter_mut().enumerate() {
            let bot = |kind: &str| format!("{kind}-{round}-{number}");
            let [once, exit] = measure(
                start(&cluster, &bot("once"), (endpoint.telemetry, endpoint.is_on), &["--oneshot"]),
                true,
            )
            .await;
            let [continuous, _] =
                measure(start(&cluster, &bot("daemon"), (endpoint.telemetry, endpoint.is_on), &[]), false)
                    .await;
            endpoint.times.push([once, exit, continuous]);
        }
    }
    eprintln!(
        "figure: {:14} {:>20} {:>20} {:>20}",
        "endpoint", "oneshot credentials", "oneshot exit", "continuous"
    );
    let off: Vec<f64> = (0..3).map(|column| median(&endpoints[0].times, column)).collect();
    for endpoint in &endpoints {
        let cells = (0..3).map(|column| {
            let time = median(&endpoint.times, column);
            format!(" {:>20}", format!("{time:.3} s {:.2}x", time / off[column]))
        });
        eprintln!("figure: {:14}{}", endpoint.name, cells.collect::<String>());
    }
}
