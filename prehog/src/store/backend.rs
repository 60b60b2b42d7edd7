//! The interface that every store implements. Depends on `start`, `schema` and `day`.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use crate::day::{Day, Week};
use crate::facet::FacetId;
use crate::schema::{ParseStartError, SchemaError};
use crate::start::{Start, Submission};

/// For how many days after the day of its arrival a `distinct_id` is kept.
pub const ID_RETENTION_DAYS: i32 = 1;

/// The maximum number of submissions in one call of [`Store::append`].
pub const MAX_BATCH: usize = 4096;

/// How many submissions are folded together under load: enough that most pages of the store that one submission changes
/// are changed by others as well.
pub const FOLD_BATCH: usize = 65_536;

/// Stores starts. All methods block, and any of them may fail and be retried.
pub trait Store: Send {
    /// Stores a batch and returns when it is durable. A submission whose id is already stored, which is certain if it
    /// arrived on the same day or on the day before, is not counted again.
    ///
    /// # Errors
    ///
    /// Returns an error if any part of the batch may not be durable. The same batch can then be appended again.
    fn append(&mut self, batch: &[Submission]) -> Result<(), StoreError>;

    /// Folds appended submissions into the counts, and removes what connects their ids to their starts. No sender waits for
    /// this, and it can run concurrently with `append` on another instance. It is most efficient with about [`FOLD_BATCH`]
    /// submissions.
    ///
    /// # Errors
    ///
    /// Returns an error if folding is not possible now. Nothing is lost.
    fn fold(&mut self) -> Result<FoldResult, StoreError>;

    /// Counts the starts of these weeks, without values that have fewer than `floor` starts in a week.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read.
    fn tally(&mut self, first: Week, last: Week, floor: u64) -> Result<Tally, StoreError>;

    /// Passes every distinct start of these days to `sink`, in order, with the number of times that it happened on its
    /// day.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read or `sink` fails.
    fn export(&mut self, first: Day, last: Day, sink: &mut Sink<'_>) -> Result<(), StoreError>;

    /// Copies everything that is stored to a file that only its owner can read, and replaces the file if it exists. If that
    /// fails, a file that existed before stays as it was.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written, if it belongs to the store, or if the store is not a file.
    fn back_up(&mut self, file: &Path) -> Result<(), StoreError>;

    /// Removes the starts of all days before `first`, and returns how many starts that were.
    ///
    /// # Errors
    ///
    /// Returns an error if some of them may not be removed.
    fn remove_before(&mut self, first: Day) -> Result<u64, StoreError>;

    /// Removes expired ids. A start that is appended later to a day before `today` counts twice if it is a repetition, and
    /// may be lost if the day had any starts.
    ///
    /// # Errors
    ///
    /// Returns an error if some of them may not be removed.
    fn forget_ids(&mut self, today: Day) -> Result<(), StoreError>;

    /// Records that the store is maintained on a day, by the receiver's clock. Returns the last
    /// [`TRUSTED_AFTER_DAYS`](super::TRUSTED_AFTER_DAYS) of these days up to `today`, the newest first.
    ///
    /// # Errors
    ///
    /// Returns an error if the day may not be recorded.
    fn record_maintenance(&mut self, today: Day) -> Result<Vec<Day>, StoreError>;

    /// Returns the different values of a property, given by its index, in a week. The result may lack the latest submissions,
    /// and is incomplete if there are more than [`MAX_DISTINCT_VALUES`](super::MAX_DISTINCT_VALUES).
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read.
    fn distinct_values(&mut self, week: Week, property: usize) -> Result<HashSet<String>, StoreError>;

    /// Returns how many bytes of disk space the store uses, without free space inside of its files.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read.
    fn size(&mut self) -> Result<u64, StoreError>;

    /// Checks that the store responds and, as far as this is known without storing a submission, is writable.
    ///
    /// # Errors
    ///
    /// Returns an error if it does not respond or is not writable.
    fn probe(&mut self) -> Result<ProbeResult, StoreError>;
}

/// The result of a successful [`Store::probe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// Submissions can be stored.
    Writable,
    /// The store responds, but nothing was written. A batch may still fail, for example because the disk is full.
    Responding,
}

/// The result of [`Store::fold`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoldResult {
    /// How many repeated submissions were found since the last call, by this method or any other one of the same instance;
    /// always 0 if the store cannot tell.
    pub repeated: u64,
    /// Whether the ids and the starts of all folded submissions are separate in every file. If not, another process is
    /// reading the store, and `fold` must be called again.
    pub is_separated: bool,
}

/// Receives the exported starts: the day, the start, and how often it happened.
pub type Sink<'a> = dyn FnMut(Day, &Start, u64) -> std::io::Result<()> + 'a;

/// An error of a store. Contains no part of an event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// This program does not support the event's schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// SQLite failed.
    #[error("the SQLite store failed: {0}")]
    Sqlite(rusqlite::Error),
    /// The SQLite file does not exist.
    #[error("{0} does not exist")]
    Missing(PathBuf),
    /// A SQLite file, or the inbox next to it, was not created by this program.
    #[error("{0} is empty, damaged or not a store of prehog; check the path")]
    NotAStore(PathBuf),
    /// The SQLite file cannot be created.
    #[error("cannot create {path}: {error}")]
    Create {
        /// The path of the file.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// A backup cannot be written.
    #[error("cannot write {path}: {error}")]
    Backup {
        /// The path of the file.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// A backup would replace a file of this store.
    #[error("{0} belongs to the store; write the backup to another file")]
    BackupReplacesStore(PathBuf),
    /// A backup would replace the file of another store, or one that was opened as a store.
    #[error(
        "{0} belongs to another store; write the backup to another file, or remove {0} if no prehog uses that store"
    )]
    BackupReplacesOtherStore(PathBuf),
    /// Another process writes a backup to the same file, or was killed while it did so.
    #[error("{0} exists; another backup is running, or was killed: remove the file if none is running")]
    BackupRunning(PathBuf),
    /// A ClickHouse store cannot be copied to a file.
    #[error(
        "prehog cannot back up a ClickHouse store: use the server's own backups, such as BACKUP DATABASE"
    )]
    BackupUnsupported,
    /// A file of a SQLite store was deleted or replaced while it was open.
    #[error("{0} was deleted or replaced while the store was open")]
    Replaced(PathBuf),
    /// The ClickHouse server is unreachable, or its response was cut off.
    #[error("the ClickHouse server does not respond: {0}")]
    Unreachable(String),
    /// The connection to the ClickHouse server needs TLS, but no root certificate can be read. Contains the first problem, if
    /// any.
    #[error(
        "no trusted root certificate found{0}; install the system's CA certificates, or set SSL_CERT_FILE"
    )]
    NoRootCertificates(String),
    /// The ClickHouse server rejected a statement.
    #[error("the ClickHouse server rejected a statement: {message}")]
    Rejected {
        /// The code of the error, or 0 if there is none.
        code: u32,
        /// The beginning of the message of the server.
        message: String,
    },
    /// The ClickHouse server does not know a cluster.
    #[error("the ClickHouse server does not know the cluster `{cluster}`; its clusters: {known}")]
    UnknownCluster {
        /// The name of the cluster.
        cluster: String,
        /// The names of the clusters that the server knows, separated by commas, or `none`.
        known: String,
    },
    /// No insert could ever reach the quorum.
    #[error("a shard of the cluster `{cluster}` has only {replicas} replicas, fewer than `quorum={quorum}`")]
    QuorumTooLarge {
        /// The name of the cluster.
        cluster: String,
        /// How many replicas must have an event.
        quorum: u64,
        /// How many replicas the smallest shard has.
        replicas: u64,
    },
    /// The tables of a ClickHouse database are on one server, but the URL of the store names a cluster.
    #[error(
        "the tables of the database `{0}` are not on a cluster; remove `cluster` from the URL of the store, or choose \
         another database"
    )]
    NotOnCluster(String),
    /// The tables of a ClickHouse database are on a cluster that the URL of the store does not name.
    #[error(
        "the tables of the database `{database}` are on a cluster; add `?cluster={cluster}` to the URL of the store, or \
         choose another database"
    )]
    OnOtherCluster {
        /// The name of the database.
        database: String,
        /// The name of the cluster that the tables are on.
        cluster: String,
    },
    /// Not all servers of a cluster have applied a migration in time. It is repeated when the store is opened again.
    #[error(
        "not all servers of the cluster `{cluster}` have applied a migration; start those that are down: {message}"
    )]
    MigrationIncomplete {
        /// The name of the cluster.
        cluster: String,
        /// The message of the server that coordinates the migration.
        message: String,
    },
    /// The store was written by a newer version of this program.
    #[error(
        "the store has schema version {found}, but this version of prehog supports only up to {supported}"
    )]
    NewerVersion {
        /// The version of the store's schema.
        found: usize,
        /// The newest version that this program supports.
        supported: usize,
    },
    /// The store contains data that this program did not write.
    #[error("the store contains unexpected data: {0}")]
    UnexpectedData(String),
    /// The export cannot be written.
    #[error("cannot write the export")]
    Export(#[from] std::io::Error),
}

impl StoreError {
    /// Returns true if only a change of the configuration or of this program can resolve the error, whereas a server that is
    /// down may recover.
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Schema(_)
                | Self::NoRootCertificates(_)
                | Self::NotAStore(_)
                | Self::NewerVersion { .. }
                | Self::UnknownCluster { .. }
                | Self::QuorumTooLarge { .. }
                | Self::NotOnCluster(_)
                | Self::OnOtherCluster { .. }
        )
    }
}

/// Without the error as a source, whose own source repeats it.
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<ParseStartError> for StoreError {
    fn from(error: ParseStartError) -> Self {
        Self::UnexpectedData(error.to_string())
    }
}

/// The numbers of starts in some weeks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The weeks that have any starts.
    pub weeks: BTreeMap<Week, WeekTally>,
}

/// The numbers of starts in one week.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WeekTally {
    /// Starts per day; only days that have any.
    pub days: BTreeMap<Day, u64>,
    /// Starts per value of each facet; only values that have at least the tally's floor of starts.
    pub facets: BTreeMap<FacetId, BTreeMap<String, u64>>,
}

impl WeekTally {
    /// Returns the number of starts in the week.
    pub fn total(&self) -> u64 {
        self.days.values().sum()
    }
}
