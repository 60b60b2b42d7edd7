//! Notifications for the service manager: a test binds the socket that systemd would.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

use super::bot_fixture::BotFixture;
use super::fixture::Finished;
use crate::agent::fixture::wait_until;

/// The socket of a service manager.
struct Manager(UnixDatagram);

impl Manager {
    fn new(socket: UnixDatagram) -> Self {
        // Only a test that fails waits for so long.
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(socket)
    }

    /// Returns the assignments up to the first that begins with `prefix`, without the status and the watchdog.
    fn until(&self, prefix: &str) -> Vec<String> {
        let mut received = Vec::new();
        let mut buffer = [0; 4096];
        tokio::task::block_in_place(|| {
            loop {
                let length = self.0.recv(&mut buffer).unwrap();
                let message = std::str::from_utf8(&buffer[..length]).unwrap();
                received.extend(message.lines().map(str::to_owned));
                if received.iter().any(|line| line.starts_with(prefix)) {
                    received.retain(|line| {
                        line.starts_with(prefix)
                            || !line.starts_with("STATUS=") && !line.starts_with("WATCHDOG=")
                    });
                    return received;
                }
            }
        })
    }

    /// Returns whether nothing has been received since.
    fn is_silent(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let received = self.0.recv(&mut [0; 1]);
        self.0.set_nonblocking(false).unwrap();
        received.is_err()
    }
}

fn warnings(finished: &Finished) -> Vec<&str> {
    finished.log_at("WARN").into_iter().filter(|message| message.contains("service manager")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_learns_of_the_start_a_reload_and_the_shutdown() {
    let fixture = BotFixture::new().await;
    let socket = fixture.path("notify");
    let manager = Manager::new(UnixDatagram::bind(&socket).unwrap());
    let running = fixture.start(&[]).env("NOTIFY_SOCKET", &socket).spawn();
    assert_eq!(manager.until("STATUS="), ["STATUS=2 of 2 initializing: identity, identity-1"]);
    assert_eq!(manager.until("STATUS=2 of 2 healthy"), ["READY=1", "STATUS=2 of 2 healthy"]);
    assert!(fixture.path("out").join("key").exists());

    let mut held_renewals = fixture.hold_renewals();
    let before = clock_gettime(ClockId::Monotonic);
    running.signal(Signal::HUP);
    let reloading = manager.until("RELOADING=");
    let [first, time] = reloading.as_slice() else { panic!("{reloading:?}") };
    assert_eq!(first, "RELOADING=1");
    let time: i64 = time.strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
    assert!(time >= before.tv_sec * 1_000_000 + before.tv_nsec / 1000);
    let [identity, output] = &mut held_renewals;
    identity.arrived().await;
    output.arrived().await;
    assert!(manager.is_silent());
    drop(held_renewals);
    assert_eq!(manager.until("READY="), ["READY=1"]);

    running.signal(Signal::TERM);
    assert_eq!(manager.until("STOPPING="), ["STOPPING=1"]);
    let finished = tokio::task::block_in_place(|| running.wait());
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    assert!(manager.is_silent() && warnings(&finished).is_empty(), "{}", finished.stderr);
}

/// Until it is ready, the service manager waits, and does not start the agent again.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_waits_for_a_cluster_that_comes_up_after_the_start() {
    let fixture = BotFixture::new().await;
    fixture.cluster.set_down(true);
    let socket = fixture.path("notify");
    let manager = Manager::new(UnixDatagram::bind(&socket).unwrap());
    let running = fixture.start(&[]).env("NOTIFY_SOCKET", &socket).spawn();
    manager.until("STATUS=2 of 2 unhealthy: identity, identity-1");
    fixture.cluster.set_down(false);
    assert_eq!(manager.until("READY="), ["READY=1"]);
    assert!(fixture.path("out").join("key").exists());
    running.signal(Signal::TERM);
    let finished = tokio::task::block_in_place(|| running.wait());
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_is_notified_through_an_abstract_socket() {
    let fixture = BotFixture::new().await;
    let name = fixture.path("notify").display().to_string();
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = Manager::new(UnixDatagram::bind_addr(&address).unwrap());
    let variables = [("NOTIFY_SOCKET", format!("@{name}")), ("WATCHDOG_USEC", "100000".to_owned())];
    let run = variables.into_iter().fold(fixture.start(&[]), |run, (name, value)| run.env(name, value));
    let running = run.spawn();
    manager.until("READY=");
    for _ in 0..3 {
        manager.until("WATCHDOG=1");
    }
    running.signal(Signal::TERM);
    let finished = tokio::task::block_in_place(|| running.wait());
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_cannot_be_used_is_one_warning() {
    let fixture = BotFixture::new().await;
    for socket in ["/nonexistent/notify", "notify", "@tbot-test-nobody-listens", "vsock:2:1234"] {
        fixture.recreate_bot();
        let _ = std::fs::remove_dir_all(fixture.path("storage"));
        let _ = std::fs::remove_dir_all(fixture.path("out"));
        let running = fixture.start(&[]).env("NOTIFY_SOCKET", socket).spawn();
        let key = fixture.path("out").join("key");
        wait_until("the output is written", || key.exists()).await;
        running.signal(Signal::TERM);
        let finished = tokio::task::block_in_place(|| running.wait());
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        assert_eq!(warnings(&finished).len(), 1, "{socket}: {}", finished.stderr);
    }
}
