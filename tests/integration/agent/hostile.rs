//! Folders that somebody has tampered with, and disks that take no more: refused, nothing is written elsewhere, and what
//! was there stays whole.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tbot_cluster::method;

use super::lab::{BOT, Lab, read};

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_was_swapped_for_a_link_is_refused_and_nothing_is_written_behind_it() {
    let lab = Lab::new().await;
    lab.run_once(lab.config("20m", &[lab.output("up/out")])).await.unwrap();
    let whole = read(&lab.path("up/out/identity"));
    let elsewhere = lab.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(lab.path("up"), lab.path("moved")).unwrap();
    symlink(&elsewhere, lab.path("up")).unwrap();

    let refused = lab.run_once(lab.config("20m", &[lab.output("up/out")])).await.unwrap_err().to_string();
    assert!(refused.contains("a symbolic link is in the path"), "{refused}");
    assert!(is_empty(&elsewhere), "not even a folder was made");
    assert_eq!(read(&lab.path("moved/out/identity")), whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_planted_under_the_names_of_files_are_refused_and_stay_unwritten() {
    for planted in ["identity", "..data", ".write-test", ".tbot-lock"] {
        let lab = Lab::new().await;
        let [out, victim] = ["out", "victim"].map(|name| lab.path(name));
        fs::create_dir(&out).unwrap();
        fs::write(&victim, "whole").unwrap();
        symlink(&victim, out.join(planted)).unwrap();
        let refused = lab.run_once(lab.config("20m", &[lab.output("out")])).await.unwrap_err().to_string();
        assert!(refused.contains("symbolic link") && refused.contains(planted), "{refused}");
        assert_eq!(read(&victim), "whole");
        assert!(!out.join("key").exists(), "no file of the set is there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_temporary_names_lead_nowhere() {
    let lab = Lab::new().await;
    let [out, elsewhere] = ["out", "elsewhere"].map(|name| lab.path(name));
    fs::create_dir(&out).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    for planted in ["..1", "..2", "..data_tmp", "..link_tmp", "..replaced_tmp"] {
        symlink(&elsewhere, out.join(planted)).unwrap();
    }
    lab.run_once(lab.config("20m", &[lab.output("out")])).await.unwrap();
    assert!(is_empty(&elsewhere));
    assert!(read(&out.join("identity")).starts_with(&read(&out.join("key"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn links_in_the_storage_are_refused_before_anything_is_asked() {
    let lab = Lab::new().await;
    fs::create_dir(lab.storage()).unwrap();
    fs::write(lab.path("victim"), "whole").unwrap();
    symlink(lab.path("victim"), lab.storage().join("key")).unwrap();
    let refused = lab.run_once(lab.config("20m", &[])).await.unwrap_err().to_string();
    assert!(refused.contains("symbolic link"), "{refused}");
    assert_eq!(read(&lab.path("victim")), "whole");
    assert_eq!(lab.calls(method::JOIN), 0);
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "a test that cannot run here says so")]
async fn a_folder_that_may_not_be_written_leaves_the_old_set_and_hinders_nobody() {
    let lab = Lab::new().await;
    let config = || lab.config("20m", &[lab.output("out"), lab.output("other")]);
    lab.run_once(config()).await.unwrap();
    let [whole, other] = ["out", "other"].map(|name| read(&lab.path(name).join("identity")));
    let out = lab.path("out");
    // Root is let in everywhere, but not where nobody may change anything.
    let sealed = Command::new("chattr").arg("+i").arg(&out).status().is_ok_and(|status| status.success());
    if !sealed {
        fs::set_permissions(&out, fs::Permissions::from_mode(0o500)).unwrap();
        if fs::write(out.join("probe"), "").is_ok() {
            eprintln!("skipped: this user may write everywhere, and chattr does not work here");
            return;
        }
    }
    let refused = lab.run_once(config()).await.unwrap_err().to_string();
    if sealed {
        assert!(Command::new("chattr").arg("-i").arg(&out).status().unwrap().success());
    } else {
        fs::set_permissions(&out, fs::Permissions::from_mode(0o700)).unwrap();
    }
    assert!(refused.contains("output identity-1: cannot ") && !refused.contains("identity-2"), "{refused}");
    assert_eq!(read(&out.join("identity")), whole);
    assert_ne!(read(&lab.path("other").join("identity")), other);
    lab.run_once(config()).await.unwrap();
}

/// A file system of 256 KiB, for as long as this lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where this user may not mount.
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(&path).output();
        mount.is_ok_and(|mount| mount.status.success()).then_some(Self(path))
    }

    /// Fills it up, but for this many bytes.
    fn fill(&self, but: u64) -> PathBuf {
        let ballast = self.0.join("ballast");
        fs::write(&ballast, vec![0; 1 << 20]).unwrap_err();
        let file = fs::File::options().write(true).open(&ballast).unwrap();
        file.set_len(file.metadata().unwrap().len() - but).unwrap();
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "a test that cannot run here says so")]
async fn a_full_disk_leaves_the_old_sets_and_nothing_is_asked_that_could_not_be_saved() {
    let lab = Lab::new().await;
    let Some(disk) = SmallDisk::mount(lab.path("disk")) else {
        eprintln!("skipped: this user may not mount");
        return;
    };
    let mut config = lab.config("20m", &[lab.output("disk/out")]);
    config["storage"] = json!({ "type": "directory", "path": lab.path("disk/storage") });
    lab.run_once(config.clone()).await.unwrap();
    let whole = read(&lab.path("disk/out/identity"));
    let stored = read(&lab.path("disk/storage/tlscert"));

    for room in [0, 4096] {
        let ballast = disk.fill(room);
        let refused = lab.run_once(config.clone()).await.unwrap_err().to_string();
        assert!(refused.contains("disk is full"), "{refused}");
        assert_eq!(lab.cluster.generation(BOT), Some(1), "a renewal was asked for that had no room");
        assert_eq!(read(&lab.path("disk/out/identity")), whole);
        assert_eq!(read(&lab.path("disk/storage/tlscert")), stored);
        fs::remove_file(ballast).unwrap();
    }

    // The identity has room where it is, and the output has none.
    config["storage"] = json!({ "type": "directory", "path": lab.storage() });
    copy(&lab.path("disk/storage"), &lab.storage());
    let ballast = disk.fill(4096);
    let refused = lab.run_once(config.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("output identity-1") && refused.contains("disk is full"), "{refused}");
    assert_eq!(read(&lab.path("disk/out/identity")), whole);
    fs::remove_file(ballast).unwrap();
    lab.run_once(config).await.unwrap();
    assert_ne!(read(&lab.path("disk/out/identity")), whole);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
