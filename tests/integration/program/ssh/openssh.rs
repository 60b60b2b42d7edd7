//! OpenSSH, with the files of the outputs: those of `identity` for the client, and those of `ssh_host` for the server.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::json;
use tbot_cluster::{Role, method};

use super::super::bot_fixture::BotFixture;
use super::write_output;
use crate::agent::fixture::read;

/// Where Debian installs the server. It must be started by its absolute path.
const SSHD: &str = "/usr/sbin/sshd";
/// An empty directory that a server that runs as root requires.
const RUN_DIRECTORY: &str = "/run/sshd";

/// A cluster with the node `node.dev.test`, at which the user of the tests may log in.
struct OpenSsh {
    fixture: BotFixture,
    user: String,
}

impl OpenSsh {
    async fn start() -> Self {
        let fixture = BotFixture::with_version("18.2.5").await;
        let user = text_of(Command::new("id").arg("-un")).trim().to_owned();
        fixture.cluster.set_role(Role { logins: vec![user.clone()], ..Role::new("access") });
        fixture.cluster.add_leaf_cluster("leaf.test").unwrap();
        let host = fixture.path("host");
        fixture.change_config(|config| {
            let destination = json!({ "type": "directory", "path": host });
            let service =
                json!({ "type": "ssh_host", "principals": ["node.dev.test"], "destination": destination });
            config["services"].as_array_mut().unwrap().push(service);
        });
        write_output(&fixture);
        fixture.cluster.add_node("node", serve(&fixture.path("sshd_config"), &host));
        Self { fixture, user }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.fixture.path(name)
    }

    /// Returns a client, which reads only the configuration of the output, or another one.
    fn client(&self, program: &str, ssh_config: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-F", self.path(ssh_config).to_str().unwrap(), "-o", "BatchMode=yes"]);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("SHELL", "/bin/sh");
        // Neither telemetry nor an agent of the user has a part in it.
        command.env("TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS", "http://127.0.0.1:1");
        command
    }

    /// Returns `ssh` with a command for a host.
    fn ssh(&self, host: &str, command: &str) -> Command {
        let mut ssh = self.client("ssh", "out/ssh_config");
        ssh.args([&format!("{}@{host}", self.user), command]);
        ssh
    }

    fn connections(&self) -> usize {
        let calls = self.fixture.cluster.requests();
        calls.iter().filter(|call| call.method == method::PROXY_SSH).count()
    }
}

/// Starts a server with the files of an `ssh_host` output, which runs one process for each connection.
fn serve(config: &Path, host: &Path) -> SocketAddr {
    let host = host.display();
    let content = format!(
        "HostKey {host}/ssh_host\nHostCertificate {host}/ssh_host-cert.pub\nTrustedUserCAKeys {host}/ssh_host-user-ca.pub\n\
         AuthorizedKeysFile none\nPidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n\
         Subsystem sftp internal-sftp\n"
    );
    std::fs::write(config, content).unwrap();
    // Only root needs it, and only root may create it.
    let _ = std::fs::create_dir(RUN_DIRECTORY);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, config) = (listener.local_addr().unwrap(), config.to_owned());
    std::thread::spawn(move || {
        while let Ok((connection, _)) = listener.accept() {
            let mut server = Command::new(SSHD);
            let streams = [connection.try_clone().unwrap(), connection]
                .map(|stream| Stdio::from(OwnedFd::from(stream)));
            let [input, output] = streams;
            server.args(["-i", "-f"]).arg(&config).stdin(input).stdout(output).stderr(Stdio::null());
            let mut server =
                server.spawn().unwrap_or_else(|error| panic!("{SSHD}: {error}; cargo xtask setup"));
            std::thread::spawn(move || server.wait());
        }
    });
    address
}

/// Runs a program to completion.
fn output_of(command: &mut Command) -> Output {
    tokio::task::block_in_place(|| command.stdin(Stdio::null()).output().unwrap())
}

/// Runs a program, which must succeed, and returns its standard output.
fn text_of(command: &mut Command) -> String {
    let output = output_of(command);
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OpenSSH's server: apt-get install openssh-server"]
async fn ssh_scp_and_sftp_reach_a_node_with_the_written_files() {
    let openssh = OpenSsh::start().await;
    let output = output_of(&mut openssh.ssh("node.dev.test", "echo out; echo err >&2; exit 7"));
    assert_eq!(
        (output.status.code(), output.stdout.as_slice(), output.stderr.as_slice()),
        (Some(7), &b"out\n"[..], &b"err\n"[..])
    );

    let large: Vec<u8> = (0..5_000_000_u32).map(|index| (index % 251) as u8).collect();
    let path = |name: &str| openssh.path(name).to_str().unwrap().to_owned();
    std::fs::write(path("large"), &large).unwrap();
    let remote = |name: &str| format!("{}@node.dev.test:{}", openssh.user, path(name));
    text_of(openssh.client("scp", "out/ssh_config").args([&path("large"), &remote("there")]));
    text_of(openssh.client("scp", "out/ssh_config").args([&remote("there"), &path("back")]));
    assert!(std::fs::read(path("back")).unwrap() == large);

    std::fs::write(path("batch"), format!("put {} {}\n", path("back"), path("again"))).unwrap();
    let host = format!("{}@node.dev.test", openssh.user);
    text_of(openssh.client("sftp", "out/ssh_config").args(["-b", &path("batch"), &host]));
    assert!(std::fs::read(path("again")).unwrap() == large);
    assert_eq!(openssh.connections(), 4);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OpenSSH's server: apt-get install openssh-server"]
async fn the_file_of_one_cluster_can_be_included_and_each_cluster_has_its_own_host_ca() {
    let openssh = OpenSsh::start().await;
    let included = openssh.path("out/dev.test.ssh_config");
    let own = format!("Host short\n    HostName node.dev.test\n    Include {}\n", included.display());
    std::fs::write(openssh.path("own_config"), own).unwrap();
    let host = format!("{}@short", openssh.user);
    assert_eq!(text_of(openssh.client("ssh", "own_config").args([&host, "echo hello"])), "hello\n");
    assert_eq!(read(&openssh.path("out/leaf.test.known_hosts")).lines().count(), 1);

    // The node's certificate was issued by another cluster than the one that the name belongs to.
    let output = output_of(&mut openssh.ssh("node.leaf.test", "true"));
    assert_eq!((output.status.code(), openssh.connections()), (Some(255), 2));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OpenSSH's server: apt-get install openssh-server"]
async fn fifty_sessions_run_at_once_and_others_share_one_connection() {
    let openssh = OpenSsh::start().await;
    let sessions: Vec<_> = (0..50)
        .map(|index| {
            let mut ssh = openssh.ssh("node.dev.test", &format!("echo session {index}"));
            ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    tokio::task::block_in_place(|| {
        for (index, session) in sessions.into_iter().enumerate() {
            let output = session.wait_with_output().unwrap();
            let expected = format!("session {index}\n");
            assert!(
                output.stdout == expected.as_bytes(),
                "{index}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    });
    assert_eq!(openssh.connections(), 50);

    // As Ansible does.
    let control = format!("ControlPath={}", openssh.path("c").display());
    let shared = |arguments: &[&str]| {
        let mut ssh = openssh.client("ssh", "out/ssh_config");
        ssh.args(["-o", "ControlMaster=auto", "-o", "ControlPersist=60s", "-o", &control]).args(arguments);
        // The master keeps the standard error of the first client open.
        ssh.stderr(Stdio::null()).stdin(Stdio::null()).stdout(Stdio::piped());
        let output = tokio::task::block_in_place(|| ssh.spawn().unwrap().wait_with_output().unwrap());
        String::from_utf8(output.stdout).unwrap()
    };
    let host = format!("{}@node.dev.test", openssh.user);
    for _ in 0..3 {
        assert_eq!(shared(&[&host, "echo hello"]), "hello\n");
    }
    shared(&["-O", "exit", &host]);
    assert_eq!(openssh.connections(), 51);
}
