//! Builds the container images without a network, and runs them as their user with a read-only file system.
//!
//! The base image is replaced with one that has its name, and of its files those that the programs need.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use xtask_launcher::root;

use crate::cluster::{TestCluster, free_port, wait_for_port, wait_until};
use crate::machine::Machine;
use crate::{PROGRAMS, dist, run, starts_in, stripped_programs};

const BASE_IMAGE: &str = "gcr.io/distroless/cc-debian12:nonroot";
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";
const USER: u32 = 65532;
const STORE: &str = "sqlite:/var/lib/prehog/events.db";

/// A container engine with separate storage.
struct Engine(TempDir);

impl Engine {
    fn new() -> Self {
        let engine = Self(tempfile::tempdir().unwrap());
        let version = engine.podman(&["--version"]).output();
        assert!(version.is_ok(), "not run: there is no podman; run `cargo xtask setup`");
        engine
    }

    fn podman(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("podman");
        command
            .arg("--root")
            .arg(self.0.path().join("storage"))
            .arg("--runroot")
            .arg(self.0.path().join("run"));
        command.args(["--runtime=runc", "--storage-driver=vfs", "--cgroup-manager=cgroupfs"]).args(arguments);
        command
    }

    /// Runs a container, which is on the network of this machine and can write only to its volumes.
    fn run(&self, options: &[&str], image: &str, arguments: &[&str]) -> String {
        // By default, podman raises the limits, for which root needs CAP_SYS_RESOURCE.
        let limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];
        let fixed = ["run", "--pull=never", "--read-only", "--read-only-tmpfs=false"];
        run(self.podman(&[&fixed[..], &limits, options, &[image], arguments].concat()).stdin(Stdio::null()))
    }

    /// Sends SIGTERM to process 1 of a container, and checks that it exits by itself.
    fn stop(&self, container: &str) {
        run(&mut self.podman(&["stop", "--time=60", container]));
        let status = run(&mut self.podman(&["inspect", "--format={{.State.ExitCode}}", container]));
        assert_eq!(status.trim(), "0", "{container}");
        run(&mut self.podman(&["rm", container]));
    }

    fn volume(&self, name: &str) -> PathBuf {
        run(&mut self.podman(&["volume", "inspect", "--format={{.Mountpoint}}", name])).trim().into()
    }

    /// Builds the images of both programs from the output of `cargo xtask dist`.
    fn build(&self) {
        let programs = stripped_programs();
        let context = dist(programs.path(), |_| {});
        self.import_base(programs.path());
        for program in PROGRAMS {
            let file = root().unwrap().join(format!("packaging/containers/{program}.Containerfile"));
            let mut build = self.podman(&["build", "--isolation=chroot", "--pull=never", "--tag", program]);
            run(build.arg("--file").arg(file).arg(context.path()));
            let user = run(&mut self.podman(&["image", "inspect", "--format={{.Config.User}}", program]));
            assert_eq!(user.trim(), format!("{USER}:{USER}"));
        }
    }

    fn import_base(&self, programs: &Path) {
        let base = Machine::new("amd64");
        for program in PROGRAMS {
            base.copy(&programs.join(program), program);
            base.add_libraries(program);
            fs::remove_file(base.path(program)).unwrap();
        }
        base.copy(&Path::new("/").join(CERTIFICATES), CERTIFICATES);
        base.write(
            "etc/passwd",
            "root:x:0:0::/root:/sbin/nologin\nnonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n",
        );
        let home = base.path("home/nonroot");
        fs::create_dir_all(&home).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        chown(&home, Some(USER), Some(USER)).unwrap();
        let archive = self.0.path().join("base.tar");
        run(Command::new("tar")
            .args(["--create", "--file"])
            .arg(&archive)
            .arg("--directory")
            .arg(base.0.path())
            .arg("."));
        run(self.podman(&["import", "--quiet"]).arg(archive).arg(BASE_IMAGE));
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Also unmounts what containers have mounted.
        for arguments in [&["rm", "--all", "--force", "--time=0"][..], &["unmount", "--all", "--force"]] {
            let _ = self.podman(arguments).output();
        }
    }
}

#[test]
#[ignore = "needs root, cargo-deb, dpkg, podman and runc"]
fn images_run_as_their_user_with_a_read_only_file_system() {
    let engine = Engine::new();
    engine.build();
    let cluster = TestCluster::start();
    assert_agent_runs(&engine, &cluster);
    assert_receiver_runs(&engine, &cluster);
}

fn mount(files: &TempDir, name: &str, to: &str) -> String {
    format!("--volume={}:{to}:ro", files.path().join(name).display())
}

fn assert_agent_runs(engine: &Engine, cluster: &TestCluster) {
    let version = engine.run(&["--rm", "--network=none"], "tbot", &["version"]);
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");

    let files = tempfile::tempdir().unwrap();
    let diagnostics = format!("127.0.0.1:{}", free_port());
    let configuration = cluster.configuration(&cluster.join_token("robot"));
    fs::write(files.path().join("tbot.yaml"), format!("{configuration}diag_addr: {diagnostics}\n")).unwrap();
    fs::write(files.path().join("ca.pem"), cluster.ca()).unwrap();
    let (configuration, ca) =
        (mount(&files, "tbot.yaml", "/etc/tbot.yaml"), mount(&files, "ca.pem", "/etc/ca.pem"));
    let system_ca = mount(&files, "ca.pem", &format!("/{CERTIFICATES}"));
    let volumes = ["--volume=tbot-storage:/var/lib/teleport/bot", "--volume=machine-id:/opt/machine-id"];
    let options = [&["--network=host", &configuration], &volumes[..]].concat();
    engine.run(&["--rm", "--network=none", &configuration], "tbot", &["validate", "/etc/tbot.yaml"]);
    let oneshot = ["start", "--oneshot", "-c", "/etc/tbot.yaml"];
    let with_variable = ["--rm", &ca, "--env=SSL_CERT_FILE=/etc/ca.pem"];
    engine.run(&[&with_variable[..], &options].concat(), "tbot", &oneshot);
    for volume in ["tbot-storage", "machine-id"] {
        let metadata = fs::metadata(engine.volume(volume)).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (USER, 0o700), "{volume}");
    }
    assert_eq!(fs::metadata(engine.volume("machine-id").join("identity")).unwrap().uid(), USER);
    // Uses the root certificates of the image, and the identity of the first run, because the token cannot be used again.
    engine.run(&[&["--rm", &*system_ca], &options[..]].concat(), "tbot", &oneshot);

    engine.run(&[&["--detach", "--name=tbot", &system_ca], &options[..]].concat(), "tbot", &[]);
    engine.run(
        &["--rm", "--network=host"],
        "tbot",
        &["wait", "--diag-addr", &diagnostics, "--timeout", "60s"],
    );
    engine.stop("tbot");
}

fn assert_receiver_runs(engine: &Engine, cluster: &TestCluster) {
    let volume = "--volume=events:/var/lib/prehog";
    // The command of the image, on a separate network.
    engine.run(&["--detach", "--name=prehog", "--network=none", volume], "prehog", &[]);
    let store = engine.volume("events").join("events.db");
    wait_until("there is a store", || store.exists());
    engine.stop("prehog");

    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let start = || {
        let serve = ["serve", "--listen", &listen, "--store", STORE];
        engine.run(&["--detach", "--name=prehog", "--network=host", volume], "prehog", &serve);
        wait_for_port(port);
    };
    let count = || {
        let prehog =
            |arguments: &[&str]| engine.run(&["--rm", "--network=none", volume], "prehog", arguments);
        prehog(&["report", "--store", STORE, "--format", "json"]);
        starts_in(&prehog(&["export", "--store", STORE]))
    };
    start();
    let files = tempfile::tempdir().unwrap();
    fs::write(files.path().join("tbot.yaml"), cluster.configuration_with_telemetry("reporter")).unwrap();
    fs::write(files.path().join("ca.pem"), cluster.ca()).unwrap();
    let options = [
        "--rm",
        "--network=host",
        &mount(&files, "tbot.yaml", "/etc/tbot.yaml"),
        &mount(&files, "ca.pem", "/etc/ca.pem"),
        "--env=SSL_CERT_FILE=/etc/ca.pem",
        &format!("--env=TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS=http://{listen}"),
    ];
    engine.run(&options, "tbot", &["start", "--oneshot", "-c", "/etc/tbot.yaml"]);
    assert_eq!(count(), 1);
    engine.stop("prehog");
    start();
    assert_eq!(count(), 1);
    engine.stop("prehog");
}
