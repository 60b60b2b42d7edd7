//! `tbot ssh-proxy-command`, as the `ssh_config` of an output runs it: the bytes of a connection get through, whatever happens to
//! either side, and a failure is one sentence.

mod openssh;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use tbot_cluster::{Code, method};

use super::bot_fixture::{BOT, BotFixture};
use super::fake_server::FakeServer;
use super::fixture::{Run, Telemetry, tbot};
use crate::agent::fixture::{read, wait_until};

/// Starts a node, which serves each connection on a thread.
pub(crate) fn node(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, serve) = (listener.local_addr().unwrap(), Arc::new(serve));
    std::thread::spawn(move || {
        while let Ok((connection, _)) = listener.accept() {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(connection));
        }
    });
    address
}

/// Sends back what it receives, and ends after the client.
pub(crate) fn echo(mut connection: TcpStream) {
    // Either side may end at any time.
    let _ = std::io::copy(&mut connection.try_clone().unwrap(), &mut connection);
}

/// Returns a cluster of this version with the node `node`, and an output in the directory `out`.
async fn cluster_with_node(version: &str, node: SocketAddr) -> BotFixture {
    let fixture = BotFixture::with_version(version).await;
    fixture.cluster.add_node("node", node);
    write_output(&fixture);
    fixture
}

fn write_output(fixture: &BotFixture) {
    let finished = fixture.start(&["--oneshot"]).run_blocking();
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
}

/// Returns the arguments of the first `ProxyCommand` in a file, as `ssh` passes them for `robot@host` and port 22.
fn proxy_command(ssh_config: &Path, host: &str) -> Vec<String> {
    let config = read(ssh_config);
    let command = config.lines().find_map(|line| line.trim().strip_prefix("ProxyCommand ")).unwrap();
    let expanded = command.replace("%r", BOT).replace("%h", host).replace("%p", "22");
    expanded.split(' ').skip(1).map(|argument| argument.replace('\'', "")).collect()
}

/// Prepares a connection to `host` with the first `ProxyCommand` in a file.
pub(crate) fn connect_by(ssh_config: &Path, host: &str) -> Run {
    let arguments = proxy_command(ssh_config, host);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    tbot(Telemetry::ClosedPort, &arguments)
}

/// Prepares a connection to `host` with the files of the output. `SSL_CERT_FILE` is not set: the CAs in the files are enough.
fn connect(fixture: &BotFixture, host: &str) -> Run {
    connect_by(&fixture.path("out/ssh_config"), host)
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_and_their_end_get_through_and_nothing_else_is_written() {
    let fixture = cluster_with_node("18.2.5", node(echo)).await;
    let finished = connect(&fixture, "node.dev.test").stdin("hello\0 world").run_blocking();
    assert_eq!(
        (finished.status, finished.stdout.as_str(), finished.stderr.as_str()),
        (Some(0), "hello\0 world", "")
    );
    let calls = fixture.cluster.wait_for(method::PROXY_SSH, 1).await;
    assert_eq!(calls[0].summary, "node:22 cluster=dev.test login=robot");
    assert_eq!(calls[0].user.as_deref(), Some("bot-robot"));
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_has_no_part_in_a_connection() {
    let fixture = cluster_with_node("18.2.5", node(echo)).await;
    let server = FakeServer::ok();
    let arguments = proxy_command(&fixture.path("out/ssh_config"), "node");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let run = tbot(Telemetry::Server(&server), &arguments).env("TELEPORT_ANONYMOUS_TELEMETRY", "1");
    let finished = run.stdin("hello").run_blocking();
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("hello", ""));
    assert_eq!(server.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_with_the_node_and_soon_after_the_client() {
    let says_bye = node(|mut connection| {
        let _ = connection.write_all(b"bye");
    });
    // Servers of this version do not tell the node about the end of the input.
    let fixture = cluster_with_node("15.0.0-dev", says_bye).await;
    let mut child = connect(&fixture, "node").spawn_with_pipes();
    let _open_input = child.stdin();
    let mut received = String::new();
    tokio::task::block_in_place(|| child.stdout().read_to_string(&mut received).unwrap());
    assert_eq!((received.as_str(), child.wait()), ("bye", Some(0)));

    fixture.cluster.add_node("idle", node(|mut connection| drop(connection.read(&mut [0]))));
    let finished = connect(&fixture, "idle").run_blocking();
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_nobody_reads_ends_the_connection() {
    let endless = node(|mut connection| while connection.write_all(&[7; 4096]).is_ok() {});
    let fixture = cluster_with_node("18.2.5", endless).await;
    let mut child = connect(&fixture, "node").spawn_with_pipes();
    let _open_input = child.stdin();
    drop(child.stdout());
    assert_eq!(tokio::task::block_in_place(|| child.wait()), Some(0));
}

/// Transfers more than all buffers on the way, in both directions.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_side_stops_the_other_one_and_takes_no_memory() {
    const LENGTH: usize = 64 << 20;
    let (sent, read) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let progress = Arc::clone(&sent);
    // Reads nothing until the client has been stopped.
    let slow = node(move |mut connection| {
        let mut last = 0;
        while last == 0 || progress.load(Ordering::Relaxed) != last {
            last = progress.load(Ordering::Relaxed);
            #[expect(clippy::disallowed_methods, reason = "nothing tells that the client has been stopped")]
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        let mut received = Vec::new();
        connection.read_to_end(&mut received).unwrap();
        read.store(received.len(), Ordering::Relaxed);
        connection.write_all(&received).unwrap();
    });
    let fixture = cluster_with_node("18.2.5", slow).await;
    let mut child = connect(&fixture, "node").spawn_with_pipes();
    let (mut input, mut output) = (child.stdin(), child.stdout());
    let writer = std::thread::spawn(move || {
        for _ in 0..LENGTH / 4096 {
            input.write_all(&[7; 4096]).unwrap();
            sent.fetch_add(4096, Ordering::Relaxed);
        }
    });
    tokio::task::block_in_place(|| {
        writer.join().unwrap();
        let mut received = Vec::new();
        let mut chunk = vec![0; 1 << 20];
        while let Ok(length @ 1..) = output.read(&mut chunk) {
            received.extend_from_slice(&chunk[..length]);
            if received.len() > LENGTH / 2 && received.len() - length <= LENGTH / 2 {
                let status = read_status(child.id());
                let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
                let peak: usize = peak.split(' ').next().unwrap().parse().unwrap();
                assert!(peak < 48 << 10, "{peak} KiB");
            }
        }
        assert!(received.len() == LENGTH && received.iter().all(|byte| *byte == 7), "{}", received.len());
        assert_eq!(child.wait(), Some(0));
    });
}

fn read_status(process: u32) -> String {
    read(Path::new(&format!("/proc/{process}/status")))
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_succeed_while_the_files_are_replaced() {
    let fixture = cluster_with_node("18.2.5", node(echo)).await;
    let agent = fixture.start(&[]).spawn();
    for round in 0..20 {
        agent.signal(Signal::HUP);
        let finished = connect(&fixture, "node").stdin("hello").run_blocking();
        assert_eq!(
            (finished.stdout.as_str(), finished.stderr.as_str()),
            ("hello", ""),
            "{round}: {:?}",
            finished.status
        );
    }
    agent.signal(Signal::TERM);
    tokio::task::block_in_place(|| agent.wait());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_routing_the_port_for_ssh_is_used() {
    let fixture = BotFixture::with_version("18.2.5").await;
    fixture.cluster.set_tls_routing(false);
    fixture.cluster.add_node("node", node(echo));
    write_output(&fixture);
    let arguments = proxy_command(&fixture.path("out/ssh_config"), "node");
    let ssh_addr = fixture.cluster.ssh_addr();
    for expected in ["--no-tls-routing".to_owned(), format!("--proxy-server={ssh_addr}")] {
        assert!(arguments.contains(&expected), "{expected}: {arguments:?}");
    }
    let finished = connect(&fixture, "node").stdin("hello").run_blocking();
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("hello", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_arguments_of_the_go_agent_are_accepted() {
    let fixture = cluster_with_node("18.2.5", node(echo)).await;
    let (out, proxy) = (fixture.path("out"), fixture.cluster.proxy_addr());
    let (out, proxy) = (format!("--destination-dir={}", out.display()), format!("--proxy-server={proxy}"));
    let all = [
        "ssh-proxy-command",
        &out,
        &proxy,
        "--cluster=dev.test",
        "--tls-routing",
        "--no-connection-upgrade",
        "--resume",
        "--user=robot",
        "--host=node.dev.test",
        "--port=",
    ];
    let few = ["ssh-proxy-command", &out, &proxy, "--user=robot", "--host=node"];
    for arguments in [&all[..], &few] {
        let finished = tbot(Telemetry::ClosedPort, arguments).stdin("hello").run_blocking();
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("hello", ""), "{arguments:?}");
    }
    for call in fixture.cluster.wait_for(method::PROXY_SSH, 2).await {
        assert_eq!(call.summary, "node:0 cluster=dev.test login=robot");
    }
    for missing in ["--proxy-templates=templates.yaml", "--fips"] {
        let arguments = [&few[..], &[missing]].concat();
        assert_eq!(tbot(Telemetry::ClosedPort, &arguments).run_blocking().status, Some(2), "{missing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_is_one_sentence_with_a_hint() {
    let fixture = cluster_with_node("15.0.0-dev", node(echo)).await;
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/teleport-15/outputs/identity");
    let proxy = format!("--proxy-server={}", fixture.cluster.proxy_addr());
    let with_directory = |directory: &str, proxy: &str| {
        let directory = format!("--destination-dir={directory}");
        tbot(Telemetry::ClosedPort, &["ssh-proxy-command", &directory, proxy, "--user=a", "--host=node"])
    };
    let out = fixture.path("out");
    let identity = read(&out.join("identity"));
    let without_cas = &identity[..identity.find("@cert-authority").unwrap()];
    let mut reasons = String::new();
    let mut run = |run: Run, status| {
        let finished = run.run_blocking();
        assert_eq!((finished.status, finished.stdout.as_str()), (Some(status), ""), "{}", finished.stderr);
        reasons += &finished.stderr.replace(&fixture.cluster.proxy_addr().to_string(), "[proxy]");
    };
    run(with_directory(".", &proxy), 2);
    run(with_directory(".", &proxy).file("identity", "hunter2"), 1);
    run(with_directory(".", &proxy).file("identity", without_cas), 1);
    run(connect(&fixture, "nowhere.dev.test"), 1);
    fixture.cluster.fail_next(method::PROXY_SSH, Code::Unimplemented, "unknown service");
    run(connect(&fixture, "node"), 1);
    fixture.cluster.fail_next(method::PROXY_SSH, Code::PermissionDenied, "access denied\n\u{1b}[31m");
    run(connect(&fixture, "node"), 1);
    run(with_directory(out.to_str().unwrap(), "--proxy-server=127.0.0.1:1"), 1);
    insta::assert_snapshot!(reasons);

    // How long ago the credentials expired, and how the connection was closed, is not in a snapshot.
    let expired = with_directory(recorded, &proxy);
    fixture.cluster.set_down(true);
    for run in [expired, connect(&fixture, "node")] {
        let finished = run.run_blocking();
        assert_eq!((finished.status, finished.stderr.lines().count()), (Some(1), 2), "{}", finished.stderr);
    }
    let calls = fixture.cluster.requests().into_iter().filter(|call| call.method == method::PROXY_SSH);
    assert_eq!(calls.count(), 3);
}

/// The load on a machine with few processors is high, but every connection succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_connections_at_once_succeed() {
    let fixture = cluster_with_node("18.2.5", node(echo)).await;
    let running: Vec<_> =
        (0..50).map(|index| connect(&fixture, "node").stdin(format!("connection {index}")).spawn()).collect();
    tokio::task::block_in_place(|| {
        for (index, running) in running.into_iter().enumerate() {
            let finished = running.wait();
            assert_eq!(finished.stdout, format!("connection {index}"), "{}", finished.stderr);
        }
    });
    wait_until("all calls have ended", || {
        let calls = fixture.cluster.requests();
        calls.iter().filter(|call| call.method == method::PROXY_SSH).count() == 50
    })
    .await;
}
