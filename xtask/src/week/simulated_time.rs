//! The simulated time of the week. It passes at normal speed, and leaps forward while nothing happens.
//!
//! The programs are not changed for this: libfaketime adds an offset, which it reads from a file, to the wall clock and the
//! monotonic clock that a program sees. Between two leaps, the programs are stopped and continued, as if the machine were
//! suspended, so that they look at the clock. A leap only happens while every thread of the agent, of prehog and of the
//! development cluster sleeps, so no request ever takes longer in the simulated time than in real time, however slow the
//! machine is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use prehog::day::Day;
use tbot_cluster::{Clock, clock};

use super::activity::Sleep;

/// The file that contains the offset.
const FILE: &str = "time-offset";
/// The longest leap, and so the longest delay of anything that is due.
pub(super) const LEAP: Duration = Duration::from_secs(30);
/// How long the programs may be busy until this counts as a failure, in real time.
const MAX_BUSY: Duration = Duration::from_secs(60);
/// How often to look whether they still are.
const POLL: Duration = Duration::from_micros(200);

/// Which clocks of a program leap.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Clocks {
    All,
    /// The monotonic clock does not leap. For a program whose threads wait for each other with a time limit, which libfaketime does
    /// not adapt.
    WallClock,
}

/// The simulated time.
pub(super) struct SimulatedTime {
    library: PathBuf,
    file: PathBuf,
    real: Clock,
    offset: Arc<AtomicU64>,
    start: SystemTime,
}

impl SimulatedTime {
    /// Starts the time at midnight of the next Monday. The offset is kept in a file of `directory`.
    ///
    /// # Errors
    ///
    /// Returns an error if libfaketime is missing or the file cannot be written.
    pub(super) fn start(directory: &Path) -> Result<Self> {
        let real = clock::system();
        let now = real().duration_since(UNIX_EPOCH)?;
        let monday = Day::of(real()).week().first_day().plus(7);
        let monday = Duration::from_secs(u64::try_from(monday.0)? * 24 * 60 * 60);
        // Whole seconds, so that the file has no fractions; the week starts in the first second of Monday.
        let offset = (monday - now).as_secs() + 1;
        let time = Self {
            library: find_library()?,
            file: directory.join(FILE),
            real,
            offset: Arc::new(AtomicU64::new(offset)),
            start: UNIX_EPOCH + monday,
        };
        time.write_offset()?;
        Ok(time)
    }

    pub(super) fn now(&self) -> SystemTime {
        (self.real)() + self.offset()
    }

    /// Returns how much time has passed since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.now().duration_since(self.start).unwrap_or_default()
    }

    /// Returns midnight of the first day.
    pub(super) fn first_midnight(&self) -> SystemTime {
        self.start
    }

    /// Returns this time for the development cluster.
    pub(super) fn clock(&self) -> Clock {
        let (real, offset) = (Arc::clone(&self.real), Arc::clone(&self.offset));
        Arc::new(move || real() + Duration::from_secs(offset.load(Ordering::Relaxed)))
    }

    /// Lets a program live in this time.
    pub(super) fn apply(&self, command: &mut Command, clocks: Clocks) {
        command.env("LD_PRELOAD", &self.library);
        command.env("FAKETIME_TIMESTAMP_FILE", &self.file).env("FAKETIME_NO_CACHE", "1");
        // The times of files are left alone.
        command.env("NO_FAKE_STAT", "1");
        if clocks == Clocks::WallClock {
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
    }

    /// Leaps forward. The processes that are affected must be stopped meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written.
    pub(super) fn leap(&self, by: Duration) -> Result<()> {
        self.offset.fetch_add(by.as_secs(), Ordering::Relaxed);
        self.write_offset()
    }

    /// Waits until these processes and the development cluster, which is a part of this process, do nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if a process has ended, or if they are busy for too long.
    #[expect(clippy::disallowed_methods, reason = "nothing tells when other processes have gone to sleep")]
    pub(super) fn settle(processes: &[u32]) -> Result<()> {
        let deadline = Instant::now() + MAX_BUSY;
        let mut before = None;
        loop {
            let after = Sleep::of(processes)?;
            if after.is_some() && after == before {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the programs have been busy for more than {MAX_BUSY:?}");
            }
            std::thread::sleep(POLL);
            before = after;
        }
    }

    fn offset(&self) -> Duration {
        Duration::from_secs(self.offset.load(Ordering::Relaxed))
    }

    fn write_offset(&self) -> Result<()> {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("+{}", self.offset().as_secs()))?;
        // At any moment, a program reads a complete file.
        fs::rename(new, &self.file).context("cannot write the offset of the time")
    }
}

/// Returns the path of libfaketime, where Debian installs it.
fn find_library() -> Result<PathBuf> {
    let directories = fs::read_dir("/usr/lib").context("cannot read /usr/lib")?;
    let mut libraries =
        directories.flatten().map(|directory| directory.path().join("faketime/libfaketimeMT.so.1"));
    libraries.find(|path| path.exists()).context("libfaketime is missing; run `cargo xtask setup`")
}
