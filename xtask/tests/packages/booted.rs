//! Boots a Debian with systemd, and does there what these pages describe: docs/how-to/packages.md, docs/operating-tbot.md,
//! docs/operating-prehog.md, and, without the packages, docs/how-to/systemd.md. Also boots it while the cluster is down.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use crate::cluster::{TestCluster, free_port, wait_for_port, wait_until};
use crate::{PROGRAMS, dist, files_ending_with, run, starts_in, stripped_programs};

const STORE: &str = "sqlite:/var/lib/prehog/events.db";

/// A Debian in a container, with systemd as its first process and the network of this machine.
struct Debian {
    directory: TempDir,
    container: Child,
    /// The first process, as seen from outside.
    first_process: String,
    _only_one: MutexGuard<'static, ()>,
}

/// Machines have the network and the control group of this one, so only one can run at a time.
static ONLY_ONE: Mutex<()> = Mutex::new(());

impl Debian {
    /// Boots a copy of the system that `prepare` has changed.
    #[expect(clippy::disallowed_methods, reason = "`.ci/debian` passes the directory")]
    fn boot(prepare: impl FnOnce(&Path)) -> Self {
        let Some(system) = std::env::var_os("TBOT_TEST_DEBIAN") else {
            panic!("not run: TBOT_TEST_DEBIAN is not set; run the test with `.ci/debian`");
        };
        let found = Command::new("systemd-nspawn").arg("--version").output();
        assert!(found.is_ok(), "not run: there is no systemd-nspawn; run `cargo xtask setup`");
        let only_one = ONLY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::tempdir().unwrap();
        run(Command::new("cp").arg("--archive").arg(system).arg(directory.path().join("system")));
        prepare(&directory.path().join("system"));
        let container = Command::new("systemd-nspawn")
            .args([
                "--quiet",
                "--boot",
                "--register=no",
                "--keep-unit",
                "--console=pipe",
                "--resolv-conf=off",
            ])
            .arg(format!("--machine={}", directory.path().file_name().unwrap().display()).replace('.', ""))
            .arg("--directory")
            .arg(directory.path().join("system"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C ends the test, which then stops the container.
            .process_group(0)
            .spawn()
            .unwrap();
        let children = format!("/proc/{0}/task/{0}/children", container.id());
        let mut debian = Self { directory, container, first_process: String::new(), _only_one: only_one };
        wait_until("systemd has started", || {
            debian.first_process = fs::read_to_string(&children).unwrap().trim().to_owned();
            let state = debian.command("systemctl is-system-running").output().unwrap().stdout;
            !debian.first_process.is_empty() && state == b"running\n"
        });
        debian
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join("system").join(path)
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--all", "--target", &self.first_process, "/bin/sh", "-euc", script]);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// Runs a script that must succeed.
    fn run(&self, script: &str) -> String {
        run(&mut self.command(script))
    }

    fn fails(&self, script: &str) -> bool {
        !self.command(script).output().unwrap().status.success()
    }

    /// Returns a property of a unit.
    fn show(&self, unit: &str, property: &str) -> String {
        self.run(&format!("systemctl show --property={property} --value {unit}")).trim().to_owned()
    }

    fn is_active(&self, unit: &str) -> bool {
        self.show(unit, "ActiveState") == "active"
    }

    /// Installs packages as the documentation says, with an option of apt-get.
    fn install(&self, packages: &[PathBuf], option: &str) {
        for package in packages {
            fs::copy(package, self.path("root/package.deb")).unwrap();
            self.run(&format!("apt-get install -q -y --no-install-recommends {option} /root/package.deb"));
        }
    }

    /// Waits until systemd has started a unit again.
    fn wait_for_restart(&self, unit: &str, restarts_before: u32) {
        wait_until("the unit was restarted", || {
            self.restarts(unit) > restarts_before && self.is_active(unit)
        });
    }

    fn restarts(&self, unit: &str) -> u32 {
        self.show(unit, "NRestarts").parse().unwrap()
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        // Nothing in it needs an orderly shutdown.
        let _ = Command::new("kill").args(["-KILL", &self.first_process]).status();
        let _ = Command::new("kill").arg(self.container.id().to_string()).status();
        let _ = self.container.wait();
    }
}

#[test]
#[ignore = "needs root, cargo-deb, dpkg and systemd-nspawn, and TBOT_TEST_DEBIAN from .ci/debian"]
fn packages_run_on_a_booted_debian() {
    let programs = stripped_programs();
    let output = dist(programs.path(), |_| {});
    let packages = files_ending_with(output.path(), ".deb");
    assert_eq!(packages.len(), 2, "{packages:?}");
    let cluster = TestCluster::start();
    let debian = Debian::boot(|_| {});

    debian.install(&packages, "");
    for program in PROGRAMS {
        assert_eq!(
            debian.command(&format!("systemctl is-enabled {program}")).output().unwrap().stdout,
            b"disabled\n"
        );
        assert!(!debian.is_active(program));
    }
    start_agent(&debian, &cluster);
    assert_agent_is_supervised(&debian);
    assert_unit_of_the_program(&debian);
    let port = start_receiver(&debian);
    send_event(&debian, &cluster, "first", port);
    assert_backup_and_restore(&debian, &cluster, port);
    assert_upgrade_and_rollback(&debian, &packages);
    assert_removal(&debian);
    assert_setup_without_package(&debian, &cluster, programs.path());
}

/// Does what docs/how-to/systemd.md describes before the first start, and boots while the cluster is down.
#[test]
#[ignore = "needs root and systemd-nspawn, and TBOT_TEST_DEBIAN from .ci/debian"]
fn a_machine_boots_without_its_cluster() {
    let programs = stripped_programs();
    let cluster = TestCluster::start();
    cluster.set_down(true);
    let debian = Debian::boot(|system| {
        let in_system = |script: &str| {
            run(Command::new("chroot").arg(system).args(["/bin/sh", "-euc", script]));
        };
        fs::copy(programs.path().join("tbot"), system.join("usr/local/bin/tbot")).unwrap();
        fs::write(system.join("usr/local/share/ca-certificates/cluster.crt"), cluster.ca()).unwrap();
        fs::write(system.join("etc/tbot.yaml"), cluster.configuration("/etc/tbot.token")).unwrap();
        fs::write(system.join("etc/tbot.token"), cluster.join_token("robot")).unwrap();
        in_system("update-ca-certificates");
        in_system("useradd --system --home-dir /var/lib/teleport --no-create-home tbot");
        in_system("install -d -o tbot -g tbot -m 0700 /opt/machine-id && chown tbot:tbot /etc/tbot.token");
        in_system("tbot install systemd -c /etc/tbot.yaml --user tbot --group tbot --write");
        in_system("systemctl enable tbot");
    });
    let state = || ["ActiveState", "NRestarts", "MainPID"].map(|property| debian.show("tbot", property));
    let booted = state();
    assert_eq!(booted[..2], ["active", "0"]);
    assert!(!debian.path("opt/machine-id/identity").exists());
    assert!(!debian.show("tbot", "StatusText").is_empty());
    // The same process joins at its next attempt, with the token that it still has.
    cluster.set_down(false);
    debian.run("systemctl reload tbot");
    wait_until("the credentials are written", || debian.path("opt/machine-id/identity").exists());
    assert_eq!(state(), booted);
}

/// Does what docs/how-to/packages.md describes.
fn start_agent(debian: &Debian, cluster: &TestCluster) {
    debian.run("systemctl start tbot");
    assert_eq!(debian.show("tbot", "ConditionResult"), "no", "there is no configuration yet");

    fs::write(debian.path("usr/local/share/ca-certificates/cluster.crt"), cluster.ca()).unwrap();
    debian.run("update-ca-certificates");
    let diagnostics = format!("diag_addr: 127.0.0.1:{}\n", free_port());
    fs::write(debian.path("etc/tbot.yaml"), cluster.configuration("/etc/tbot.token") + &diagnostics).unwrap();
    debian.run("install -o tbot -g tbot -m 0600 /dev/null /etc/tbot.token");
    debian.run(&format!("echo {} | tee /etc/tbot.token >/dev/null", cluster.join_token("robot")));
    debian.run("install -d -o tbot -g tbot -m 0700 /opt/machine-id");
    debian.run("tbot validate /etc/tbot.yaml");
    debian.run("systemctl enable --now tbot");
    // The command has returned, so the credentials are written.
    assert!(debian.path("opt/machine-id/identity").exists());
    assert!(debian.is_active("tbot"));
    assert!(!debian.show("tbot", "StatusText").is_empty());
    // The token is not needed again.
    debian.run("rm /etc/tbot.token");
}

fn assert_agent_is_supervised(debian: &Debian) {
    let identity = || fs::read(debian.path("opt/machine-id/identity")).unwrap();
    let before = identity();
    debian.run("systemctl reload tbot");
    wait_until("a reload has renewed the credentials", || identity() != before);
    wait_until("the reload has ended", || debian.is_active("tbot"));

    let restarts = debian.restarts("tbot");
    debian.run("systemctl kill --signal=KILL tbot");
    debian.wait_for_restart("tbot", restarts);

    let drop_in = |content: &str| {
        fs::create_dir_all(debian.path("etc/systemd/system/tbot.service.d")).unwrap();
        fs::write(
            debian.path("etc/systemd/system/tbot.service.d/test.conf"),
            format!("[Service]\n{content}\n"),
        )
        .unwrap();
        debian.run("systemctl daemon-reload");
    };
    drop_in("WatchdogSec=2");
    debian.run("systemctl restart tbot");
    let restarts = debian.restarts("tbot");
    debian.run("systemctl kill --kill-who=main --signal=STOP tbot");
    debian.wait_for_restart("tbot", restarts);

    debian.run("systemctl stop tbot");
    assert_eq!((&*debian.show("tbot", "Result"), &*debian.show("tbot", "ExecMainStatus")), ("success", "0"));
    for (content, status) in [
        ("ExecStart=\nExecStart=/usr/bin/tbot start --no-such-flag", "2"),
        ("ExecStart=\nExecStart=/usr/bin/tbot start -c /etc/fstab", "3"),
    ] {
        drop_in(content);
        assert!(debian.fails("systemctl start tbot"));
        wait_until("the unit has failed", || debian.show("tbot", "ActiveState") == "failed");
        assert_eq!((&*debian.show("tbot", "ExecMainStatus"), debian.restarts("tbot")), (status, 0));
        debian.run("systemctl reset-failed tbot");
    }
    debian.run("rm -r /etc/systemd/system/tbot.service.d");
    debian.run("systemctl daemon-reload && systemctl start tbot");
}

/// Replaces the unit of the package, as docs/how-to/packages.md describes, and goes back.
fn assert_unit_of_the_program(debian: &Debian) {
    debian.run("tbot install systemd -c /etc/tbot.yaml --user tbot --group tbot --write");
    debian.run("systemctl daemon-reload && systemctl restart tbot");
    assert_eq!(debian.show("tbot", "FragmentPath"), "/etc/systemd/system/tbot.service");
    assert!(debian.is_active("tbot"));
    debian.run("rm /etc/systemd/system/tbot.service && systemctl daemon-reload && systemctl restart tbot");
    assert_eq!(debian.show("tbot", "FragmentPath"), "/lib/systemd/system/tbot.service");
}

fn start_receiver(debian: &Debian) -> u16 {
    let defaults = format!("PREHOG_STORE={STORE}\nPREHOG_OPTIONS=--no-such-flag\n");
    fs::write(debian.path("etc/default/prehog"), defaults).unwrap();
    debian.run("systemctl enable --now prehog");
    wait_until("the unit has failed", || debian.show("prehog", "ActiveState") == "failed");
    assert_eq!((&*debian.show("prehog", "ExecMainStatus"), debian.restarts("prehog")), ("2", 0));

    let port = free_port();
    let defaults =
        format!("PREHOG_STORE={STORE}\nPREHOG_OPTIONS=\"--retain-days 400 --listen 127.0.0.1:{port}\"\n");
    fs::write(debian.path("etc/default/prehog"), defaults).unwrap();
    debian.run("systemctl enable --now prehog");
    wait_for_port(port);
    debian.run("systemctl status prehog");
    // The URL of a store can contain a password.
    let arguments = debian.run(&format!("xargs -0 < /proc/{}/cmdline", debian.show("prehog", "MainPID")));
    assert!(arguments.contains("--retain-days") && !arguments.contains("sqlite:"), "{arguments}");
    port
}

fn send_event(debian: &Debian, cluster: &TestCluster, bot: &str, port: u16) {
    let configuration = cluster.configuration_with_telemetry(bot);
    fs::write(debian.path("root/tbot.yaml"), configuration).unwrap();
    let address = format!("TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS=http://127.0.0.1:{port}");
    debian.run(&format!("{address} tbot start --oneshot -c /root/tbot.yaml"));
}

fn stored_events(debian: &Debian) -> u64 {
    debian.run(&format!("prehog report --store {STORE} --format json >/dev/null"));
    starts_in(&debian.run(&format!("prehog export --store {STORE}")))
}

/// Runs the commands of docs/operating-prehog.md.
fn assert_backup_and_restore(debian: &Debian, cluster: &TestCluster, port: u16) {
    for _ in 0..2 {
        debian.run(&format!("prehog backup --store {STORE} /var/backups/prehog.db"));
        assert_eq!(debian.run("stat -c '%a %U' /var/backups/prehog.db").trim(), "600 root");
    }
    send_event(debian, cluster, "second", port);
    assert_eq!(stored_events(debian), 2);

    debian.run("systemctl stop prehog");
    assert_eq!(debian.show("prehog", "Result"), "success");
    let files =
        "events.db events.db-wal events.db-shm events.db.inbox events.db.inbox-wal events.db.inbox-shm";
    debian.run(&format!("sh -c 'cd /var/lib/prehog && rm -f {files}'"));
    debian.run("cp /var/backups/prehog.db /var/lib/prehog/events.db");
    debian.run("chmod 0600 /var/lib/prehog/events.db");
    debian.run("chown --reference=/var/lib/prehog/ /var/lib/prehog/events.db");
    // Creates files as root, which the service must be able to open.
    assert_eq!(stored_events(debian), 1);
    debian.run("systemctl start prehog");
    wait_for_port(port);
    assert_eq!(stored_events(debian), 1);
    send_event(debian, cluster, "third", port);
    assert_eq!(stored_events(debian), 2);

    let restarts = debian.restarts("prehog");
    debian.run("systemctl kill --signal=KILL prehog");
    debian.wait_for_restart("prehog", restarts);
    wait_for_port(port);
    assert_eq!(stored_events(debian), 2);
}

fn assert_upgrade_and_rollback(debian: &Debian, packages: &[PathBuf]) {
    let newer_directory = tempfile::tempdir().unwrap();
    let newer: Vec<_> =
        packages.iter().map(|package| newer_version(package, newer_directory.path())).collect();
    for (packages, option, version) in [(&newer[..], "", "99-1"), (packages, "--allow-downgrades", "0.1.0-1")]
    {
        let processes = PROGRAMS.map(|program| debian.show(program, "MainPID"));
        debian.install(packages, option);
        for (program, before) in PROGRAMS.iter().zip(processes) {
            wait_until("the service runs again", || debian.is_active(program));
            assert_ne!(debian.show(program, "MainPID"), before, "{program} still runs the old program");
            assert_eq!(
                debian.run(&format!("dpkg-query --show --showformat='${{Version}}' {program}")),
                version
            );
            assert_eq!(debian.run(&format!("systemctl is-enabled {program}")), "enabled\n");
        }
        assert!(debian.path("var/lib/teleport/bot").read_dir().unwrap().next().is_some());
        assert_eq!(stored_events(debian), 2);
    }
    assert!(fs::read_to_string(debian.path("etc/default/prehog")).unwrap().contains("--listen"));
}

/// Makes the same package with a higher version.
fn newer_version(package: &Path, directory: &Path) -> PathBuf {
    let content = directory.join("content");
    run(Command::new("dpkg-deb").arg("--raw-extract").arg(package).arg(&content));
    run(Command::new("sed")
        .args(["--in-place", "s/^Version: .*/Version: 99-1/"])
        .arg(content.join("DEBIAN/control")));
    let newer = directory.join(package.file_name().unwrap());
    run(Command::new("dpkg-deb").args(["--root-owner-group", "-Znone", "--build"]).arg(&content).arg(&newer));
    fs::remove_dir_all(content).unwrap();
    newer
}

fn assert_removal(debian: &Debian) {
    // Without these commands, systemd would start the unit at the next boot.
    debian.run(
        "tbot install systemd -c /etc/tbot.yaml --user tbot --group tbot --write && systemctl daemon-reload",
    );
    debian.run("systemctl disable --now tbot && rm /etc/systemd/system/tbot.service");
    debian.run("apt-get remove -q -y tbot prehog");
    for program in PROGRAMS {
        assert!(!debian.is_active(program), "{program} still runs");
    }
    for kept in [
        "var/lib/teleport/bot",
        "opt/machine-id/identity",
        "etc/default/prehog",
        "var/lib/private/prehog/events.db",
    ] {
        assert!(debian.path(kept).exists(), "{kept}");
    }
    debian.run("apt-get purge -q -y tbot prehog");
    let links = "etc/systemd/system/multi-user.target.wants";
    for purged in ["var/lib/teleport", "etc/default/prehog", "var/lib/prehog", "var/lib/private/prehog"] {
        assert!(debian.path(purged).symlink_metadata().is_err(), "{purged}");
    }
    for program in PROGRAMS {
        assert!(debian.path(&format!("{links}/{program}.service")).symlink_metadata().is_err(), "{program}");
    }
    for of_others in ["etc/tbot.yaml", "opt/machine-id/identity"] {
        assert!(debian.path(of_others).exists(), "{of_others}");
    }
    assert_eq!(debian.run("systemctl list-units --failed --quiet --no-legend"), "");
}

/// Does what docs/how-to/systemd.md describes.
fn assert_setup_without_package(debian: &Debian, cluster: &TestCluster, programs: &Path) {
    debian.run("userdel tbot && rm -r /opt/machine-id && useradd deploy");
    fs::copy(programs.join("tbot"), debian.path("root/tbot")).unwrap();
    debian.run("install -m 0755 /root/tbot /usr/local/bin/tbot");
    debian
        .run("useradd --system --home-dir /var/lib/teleport --no-create-home --shell /usr/sbin/nologin tbot");
    let readers = "readers: [{user: deploy}]";
    let configuration = cluster
        .configuration("/etc/tbot.token")
        .replace("/opt/machine-id}", &format!("/opt/machine-id, {readers}}}"));
    fs::write(debian.path("etc/tbot.yaml"), configuration).unwrap();
    debian.run("install -o tbot -g tbot -m 0600 /dev/null /etc/tbot.token");
    debian.run(&format!("echo {} | tee /etc/tbot.token >/dev/null", cluster.join_token("another")));
    debian.run("/usr/local/bin/tbot install systemd -c /etc/tbot.yaml --user tbot --group tbot --write");
    debian.run("systemctl daemon-reload");
    // The command has created the directory of the output. Without it, systemd does not start the unit.
    debian.run("rmdir /opt/machine-id");
    assert!(debian.fails("systemctl enable --now tbot"));
    assert_eq!(debian.show("tbot", "ExecMainStatus"), "226");
    debian.run("systemctl stop tbot");
    debian.run("install -d -o tbot -g tbot -m 0700 /opt/machine-id");
    debian.run("systemctl enable --now tbot");
    debian.run("runuser -u deploy -- cat /opt/machine-id/identity");
    assert!(debian.fails("runuser -u nobody -- cat /opt/machine-id/identity"));
}
