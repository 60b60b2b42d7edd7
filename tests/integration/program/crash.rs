//! Kills the program (SIGKILL) at many different moments of a run, while a reader keeps reading its output.
//!
//! At any moment, the files of an output belong to one set, every key matches its certificate, and the next start renews.
//! The exception is a kill between a renewal request and saving its response: then the agent serves with its old
//! certificate, names the remedy, and never presents the old generation again by itself. Such rounds are counted separately.

#![expect(clippy::print_stderr, reason = "shows how many rounds hit each case")]

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::sync::watch;

use super::bot_fixture::{BOT, BotFixture};
use super::fixture::{Finished, Run};
use crate::agent::fixture::read;

/// How often the program is killed. Set `TBOT_TEST_KILLS=500` for a longer run.
#[expect(clippy::disallowed_methods, reason = "a setting of the test run")]
fn kills() -> u32 {
    std::env::var("TBOT_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(20)
}

const FILES: [&str; 4] = ["key", "tlscert", "key-cert.pub", "identity"];

/// The outcomes of the rounds.
#[derive(Debug, Default)]
struct Counts {
    /// The next start renewed the identity.
    renewed: u32,
    /// Renewals were suspended, although the request had not reached the server.
    suspended_needlessly: u32,
    /// Renewals were suspended because the server had renewed, and the response was not saved.
    response_lost: u32,
}

impl BotFixture {
    fn oneshot(&self) -> Run {
        self.start(&["--oneshot"])
    }

    /// Runs the program to completion, which must succeed.
    fn run_oneshot(&self) -> Finished {
        let finished = self.oneshot().run_blocking();
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        finished
    }

    /// Starts again after a kill. If renewals are suspended, applies the remedy that the log names.
    fn restart(&self, counts: &mut Counts) {
        let generation = self.cluster_generation();
        let finished = self.run_oneshot();
        assert!(!self.cluster.is_locked(BOT), "{}", finished.stderr);
        if !self.has_pending_renewal() {
            assert_eq!(self.stored_generation(), self.cluster_generation(), "{}", finished.stderr);
            assert!(self.cluster_generation() > generation, "{}", finished.stderr);
            counts.renewed += 1;
            return;
        }
        let pending = self.path("storage").join("renewal-pending");
        let names_remedy = |message: &&str| message.contains(pending.to_str().unwrap());
        assert!(finished.log_at("ERROR").iter().any(names_remedy), "{}", finished.stderr);
        assert_eq!(self.cluster_generation(), generation, "the old generation was not presented again");
        self.run_oneshot();
        assert_eq!(self.cluster_generation(), generation, "the next start did not present it either");
        if self.stored_generation() == generation {
            counts.suspended_needlessly += 1;
            std::fs::remove_file(pending).unwrap();
        } else {
            counts.response_lost += 1;
            self.recreate_bot();
        }
        self.run_oneshot();
        assert_eq!(self.stored_generation(), self.cluster_generation());
    }
}

/// Reads the set of files by resolving its directory once. Returns `None` if the set is replaced during the read.
fn read_set(out: &Path) -> Option<[String; 4]> {
    let directory = File::open(out.join("..data")).unwrap();
    let mut contents = FILES.map(|_| String::new());
    for (name, content) in FILES.iter().zip(&mut contents) {
        match rustix::fs::openat(&directory, *name, OFlags::RDONLY, Mode::empty()) {
            Ok(file) => {
                File::from(file).read_to_string(content).unwrap();
            }
            Err(error) => {
                let (now, opened) =
                    (std::fs::metadata(out.join("..data")).unwrap(), directory.metadata().unwrap());
                // A new directory may have the inode of one that was removed.
                let is_replaced = now.ino() != opened.ino() || opened.nlink() == 0;
                assert!(is_replaced, "the set has no {name}: {error}");
                return None;
            }
        }
    }
    Some(contents)
}

/// The public key of a private key.
fn public_key(key: &str) -> Vec<u8> {
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    key.public_key().unwrap().to_vec()
}

fn certified_key(tlscert: &str) -> Vec<u8> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(tlscert.as_bytes()).unwrap();
    pem.parse_x509().unwrap().public_key().raw.to_vec()
}

fn assert_consistent([key, tlscert, ssh_cert, identity]: &[String; 4]) {
    assert_eq!(public_key(key), certified_key(tlscert), "the key does not match the certificate");
    let parts = [key, ssh_cert, tlscert].map(|part| identity.contains(part.as_str()));
    assert_eq!(parts, [true; 3], "the identity file belongs to another set");
}

/// Reads the files until `stop`, and returns how many sets it has read.
async fn read_continuously(out: PathBuf, mut stop: watch::Receiver<bool>) -> u32 {
    let mut sets = 0;
    let mut interval = tokio::time::interval(Duration::from_millis(1));
    while !*stop.borrow_and_update() {
        interval.tick().await;
        if let Some(set) = read_set(&out) {
            assert_consistent(&set);
            sets += 1;
        }
        // The file that contains both the key and the certificate, opened by path as a client opens it.
        let identity = read(&out.join("identity"));
        assert_eq!(
            public_key(&identity),
            certified_key(&identity[identity.find("-----BEGIN CERTIFICATE").unwrap()..])
        );
    }
    sets
}

async fn kill_repeatedly(rounds: u32) {
    let fixture = BotFixture::new().await;
    fixture.run_oneshot();
    let started = Instant::now();
    fixture.run_oneshot();
    let run_time = started.elapsed();
    let (stop, stopped) = watch::channel(false);
    let reader = tokio::spawn(read_continuously(fixture.path("out"), stopped));

    let mut counts = Counts::default();
    for round in 0..rounds {
        // Spreads the kills evenly over the duration of a run, with an offset that differs between rounds.
        let fraction = (f64::from(round) + f64::from(round * 7919 % 101) / 101.0) / f64::from(rounds);
        let running = fixture.oneshot().spawn();
        tokio::time::sleep(run_time.mul_f64(fraction)).await;
        running.signal(Signal::KILL);
        tokio::task::block_in_place(|| running.wait());
        assert!(!reader.is_finished(), "{:?}", reader.await);
        fixture.cluster.wait_until_idle().await;
        fixture.restart(&mut counts);
    }
    stop.send_replace(true);
    let sets = reader.await.unwrap();
    eprintln!("figure: {rounds} kills, {counts:?}; {sets} sets were read meanwhile");
    assert!(sets > rounds);
    assert_eq!(counts.renewed + counts.suspended_needlessly + counts.response_lost, rounds);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_leave_consistent_files_and_do_not_lock_the_bot() {
    kill_repeatedly(kills()).await;
}
