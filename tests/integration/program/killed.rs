//! `kill -9` at any moment of a renewal, over and over, with a reader that never stops looking.
//!
//! Whatever the moment: a set of files is never mixed, a key always matches its certificate, and the next start goes on.
//! Except where a renewal was asked for and no reply is saved: then the agent serves with what it has, names the cure, and
//! never presents the old generation again by itself. Those rounds are counted apart.

#![expect(clippy::print_stderr, reason = "the counts are worth reading")]

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

use super::run::{Ended, Run};
use super::scene::{BOT, Scene};
use crate::agent::fixture::read;

const FILES: [&str; 4] = ["key", "tlscert", "key-cert.pub", "identity"];

/// How the rounds went.
#[derive(Debug, Default)]
struct Counts {
    /// The next start renewed.
    went_on: u32,
    /// A renewal was noted, and had not reached the server.
    held_back_in_vain: u32,
    /// The server had counted a renewal, and no reply was saved.
    lost: u32,
}

impl Scene {
    fn once(&self) -> Run {
        self.run(&["--oneshot"])
    }

    fn succeeds(&self) -> Ended {
        let ended = tokio::task::block_in_place(|| self.once().end());
        assert_eq!(ended.status, Some(0), "{}", ended.stderr);
        ended
    }

    /// The start after a kill: it goes on, or holds back and says what to do, which is done then.
    fn next_start(&self, counts: &mut Counts) {
        let counted = self.counted();
        let ended = self.succeeds();
        assert!(!self.cluster.is_locked(BOT), "{}", ended.stderr);
        let note = self.path("storage").join("renewal-pending");
        if !ended.stderr.contains("its answer is lost") {
            assert_eq!(self.stored(), self.counted(), "{}", ended.stderr);
            assert!(self.counted() > counted && !note.exists(), "{}", ended.stderr);
            counts.went_on += 1;
            return;
        }
        assert!(
            ended.stderr.contains("new token") && ended.stderr.contains("renewal-pending"),
            "{}",
            ended.stderr
        );
        assert_eq!(self.counted(), counted, "nothing was presented again");
        self.succeeds();
        assert_eq!(self.counted(), counted, "nor at the start after that");
        if self.stored() == counted {
            counts.held_back_in_vain += 1;
            std::fs::remove_file(note).unwrap();
        } else {
            counts.lost += 1;
            self.with_a_new_bot();
        }
        self.succeeds();
        assert_eq!(self.stored(), self.counted());
    }
}

/// One reading of the set: resolved once, then read from what was resolved. None where it was replaced meanwhile.
fn look(out: &Path) -> Option<[String; 4]> {
    let folder = File::open(out.join("..data")).unwrap();
    let mut texts = FILES.map(|_| String::new());
    for (name, text) in FILES.iter().zip(&mut texts) {
        match rustix::fs::openat(&folder, *name, OFlags::RDONLY, Mode::empty()) {
            Ok(file) => {
                File::from(file).read_to_string(text).unwrap();
            }
            Err(error) => {
                let now = std::fs::metadata(out.join("..data")).unwrap().ino();
                assert_ne!(now, folder.metadata().unwrap().ino(), "the set has no {name}: {error}");
                return None;
            }
        }
    }
    Some(texts)
}

/// The public key that belongs to a private one.
fn public(key: &str) -> Vec<u8> {
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    key.public_key().unwrap().to_vec()
}

fn certified(tlscert: &str) -> Vec<u8> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(tlscert.as_bytes()).unwrap();
    pem.parse_x509().unwrap().public_key().raw.to_vec()
}

fn assert_whole([key, tlscert, ssh_cert, identity]: &[String; 4]) {
    assert_eq!(public(key), certified(tlscert), "the key is not the certificate's");
    let parts = [key, ssh_cert, tlscert].map(|part| identity.contains(part.as_str()));
    assert_eq!(parts, [true; 3], "the identity file is of another generation");
}

/// Looks at the files until told to stop; tells how many whole sets it saw.
async fn read_all_the_time(out: PathBuf, mut stop: watch::Receiver<bool>) -> u32 {
    let mut seen = 0;
    let mut pause = tokio::time::interval(Duration::from_millis(1));
    while !*stop.borrow_and_update() {
        pause.tick().await;
        if let Some(set) = look(&out) {
            assert_whole(&set);
            seen += 1;
        }
        // The one file that holds everything, by the name that a program would use.
        let identity = read(&out.join("identity"));
        assert_eq!(
            public(&identity),
            certified(&identity[identity.find("-----BEGIN CERTIFICATE").unwrap()..])
        );
    }
    seen
}

async fn kill_in_every_round(rounds: u32) {
    let scene = Scene::new().await;
    scene.succeeds();
    let started = Instant::now();
    scene.succeeds();
    let whole_run = started.elapsed();
    let (stop, stopped) = watch::channel(false);
    let reader = tokio::spawn(read_all_the_time(scene.path("out"), stopped));

    let mut counts = Counts::default();
    for round in 0..rounds {
        // Spread over the whole run, and no two rounds alike.
        let share = (f64::from(round) + f64::from(round * 7919 % 101) / 101.0) / f64::from(rounds);
        let running = scene.once().spawn();
        tokio::time::sleep(whole_run.mul_f64(share)).await;
        running.signal(Signal::KILL);
        tokio::task::block_in_place(|| running.end());
        assert!(!reader.is_finished(), "{:?}", reader.await);
        scene.next_start(&mut counts);
    }
    stop.send_replace(true);
    let seen = reader.await.unwrap();
    eprintln!("{rounds} kills: {counts:?}; the reader saw {seen} whole sets");
    assert!(seen > rounds);
    assert_eq!(counts.went_on + counts.held_back_in_vain + counts.lost, rounds);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_leave_whole_sets_and_a_bot_that_is_not_locked() {
    kill_in_every_round(20).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: cargo test --test integration five_hundred -- --ignored --nocapture"]
async fn five_hundred_kills_leave_whole_sets_and_a_bot_that_is_not_locked() {
    kill_in_every_round(500).await;
}
