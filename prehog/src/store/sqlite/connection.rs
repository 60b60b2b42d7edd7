//! Shared by the SQLite file and its inbox: settings of a connection, migrations, conversion of counts. Depends
//! on rusqlite.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::store::backend::StoreError;

/// How often to retry while another connection writes to the same file. With the delays below, this is about four seconds.
/// Most writes take less than a millisecond.
const BUSY_RETRIES: i32 = 4000;
/// The delay before each of the first [`SHORT_RETRIES`] retries.
const SHORT_DELAY: Duration = Duration::from_micros(100);
const SHORT_RETRIES: i32 = 50;
/// The delay before each further retry.
const LONG_DELAY: Duration = Duration::from_millis(1);

/// How often to retry if the next attempt is soon anyway: for about 50 milliseconds.
const BRIEF_RETRIES: i32 = 95;

/// The size of the write-ahead log, in pages, at which a commit moves it into the file. Afterwards, commits overwrite the log from
/// its beginning. To sync that takes less than half the time of growing a file, so the log is small.
const CHECKPOINT_PAGES: u32 = 1000;

/// The permissions of a new file. SQLite creates its auxiliary files with the permissions of the file itself.
const FILE_MODE: u32 = 0o600;

/// Appended to the name of a file for the name of its write-ahead log.
pub(super) const LOG_SUFFIX: &str = "-wal";
/// Appended to the name of a file for the name of the index of its write-ahead log.
pub(super) const LOG_INDEX_SUFFIX: &str = "-shm";

/// Held while a file is created or opened. Closing a file releases all locks that this process holds on it, including those
/// of SQLite.
static OPENING: Mutex<()> = Mutex::new(());

/// One of the kinds of files that this program creates: the main file of a store or its inbox.
pub(super) struct FileKind {
    /// The migrations that create it, in order.
    pub(super) migrations: &'static [&'static str],
    /// A table that the first of them creates and all later versions have, by which such a file is told from one of another
    /// program.
    pub(super) table: &'static str,
}

/// Whether a file without tables may become a store or an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfEmpty {
    /// Create the tables.
    Create,
    /// Refuse it, as a file of another program.
    Refuse,
}

/// An open file.
pub(super) struct OpenFile {
    pub(super) connection: Connection,
    /// The path of the write-ahead log.
    log: PathBuf,
    /// The paths of the file and its auxiliary files, and their identities when they were opened.
    identities: [(PathBuf, Option<Identity>); 3],
}

/// Identifies a file independently of its path: its device and its inode.
type Identity = (u64, u64);

impl OpenFile {
    /// Opens an existing file and applies the migrations that it does not have yet. Does not change another program's file, except for a
    /// transaction that was interrupted, which SQLite rolls back.
    pub(super) fn open(path: &Path, kind: &FileKind, if_empty: IfEmpty) -> Result<Self, StoreError> {
        let mut connection = {
            let _opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
            let connection = connect(path)?;
            if !is_of_kind(&connection, kind, if_empty)? {
                return Err(StoreError::NotAStore(path.to_owned()));
            }
            configure(&connection)?;
            connection
        };
        migrate(&mut connection, kind.migrations)?;
        let log = with_suffix(path, LOG_SUFFIX);
        let paths = [path.to_owned(), log.clone(), with_suffix(path, LOG_INDEX_SUFFIX)];
        let identities = paths.map(|path| {
            let identity = identity(&path);
            (path, identity)
        });
        Ok(Self { connection, log, identities })
    }

    /// Checks that the paths still lead to the open files. SQLite would continue to write to files that were deleted or
    /// replaced, from which nobody can read.
    pub(super) fn check_in_place(&self) -> Result<(), StoreError> {
        match self.identities.iter().find(|(path, opened)| identity(path) != *opened) {
            Some((path, _)) => Err(StoreError::Replaced(path.clone())),
            None => Ok(()),
        }
    }

    /// Returns true if a path leads to the open file or to one of its auxiliary files.
    pub(super) fn contains(&self, path: &Path) -> bool {
        let found = identity(path);
        found.is_some() && self.identities.iter().any(|(_, identity)| *identity == found)
    }

    /// Returns the number of used bytes in the file and its write-ahead log.
    pub(super) fn size(&self) -> Result<u64, StoreError> {
        let number = |pragma: &str| {
            self.connection.pragma_query_value(None, pragma, |row| row.get(0)).map(count_from_sql)
        };
        let pages = number("page_count")?.saturating_sub(number("freelist_count")?);
        let log = fs::metadata(&self.log).map_or(0, |metadata| metadata.len());
        Ok(pages * number("page_size")? + log)
    }

    /// Moves the write-ahead log into the file and empties it, because removed data would survive in the log. Returns false
    /// if a reader uses the log for longer than the busy handler waits; this is then left to the next call.
    pub(super) fn truncate_log(&self) -> Result<bool, StoreError> {
        let is_busy: bool =
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(!is_busy)
    }

    /// Like [`truncate_log`](Self::truncate_log), but waits only briefly: writers would wait for the same reader.
    pub(super) fn try_truncate_log(&self) -> Result<bool, StoreError> {
        self.connection.busy_handler(Some(wait_briefly_while_busy))?;
        let is_truncated = self.truncate_log();
        self.connection.busy_handler(Some(wait_while_busy))?;
        is_truncated
    }
}

/// Appends a suffix to the name of a file.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn identity(path: &Path) -> Option<Identity> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Creates an empty file if it does not exist, which only its owner can read.
pub(super) fn create(path: &Path) -> io::Result<()> {
    let _opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    create_new(path).map(drop).or_else(ignore_existing)
}

/// Like `create`, for a file that belongs to another one. If root creates it, it gets the owner of that one, as SQLite's own
/// auxiliary files do: otherwise, a service without privileges could not open it.
pub(super) fn create_next_to(main: &Path, path: &Path) -> io::Result<()> {
    let _opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    let create = || {
        let file = create_new(path)?;
        let owner = fs::metadata(main)?;
        // Only root may do this.
        let _ = fchown(&file, Some(owner.uid()), Some(owner.gid()));
        Ok(())
    };
    create().or_else(ignore_existing)
}

/// Creates an empty file, which only its owner can read.
///
/// # Errors
///
/// Returns an error if the file exists or cannot be created.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    // Independently of the umask.
    file.set_permissions(fs::Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

fn ignore_existing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_handler(Some(wait_while_busy))?;
    // Until it is known whose file this is: closing it would move a write-ahead log that another program has left into the file.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// Returns true if this program created the file as one of the kind, or if it is empty and may become such a file.
fn is_of_kind(connection: &Connection, kind: &FileKind, if_empty: IfEmpty) -> Result<bool, StoreError> {
    // One statement, so that another process cannot create the tables in between.
    let found = connection.query_row(
        "SELECT count(*), count(*) FILTER (WHERE type = 'table' AND name = ?1),
                (SELECT user_version FROM pragma_user_version)
         FROM sqlite_schema",
        [kind.table],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    );
    match found {
        Ok((0_i64, _, 0_i64)) => Ok(if_empty == IfEmpty::Create),
        Ok((_, has_table, version)) => Ok(has_table && version > 0),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    let journal_mode = use_write_ahead_log(connection)?;
    if journal_mode != "wal" {
        return Err(StoreError::UnexpectedData(format!("the journal mode is `{journal_mode}`, not `wal`")));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    // Temporary files could contain ids.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -8192)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// Turns on the write-ahead log, and returns the resulting journal mode. SQLite does not call the busy handler here while another
/// process does the same to a new file.
fn use_write_ahead_log(connection: &Connection) -> rusqlite::Result<String> {
    let mut retries = 0;
    connection.busy_handler(None)?;
    let journal_mode = loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && wait_while_busy(retries) =>
            {
                retries += 1;
            }
            result => break result,
        }
    };
    connection.busy_handler(Some(wait_while_busy))?;
    journal_mode
}

/// Replaces SQLite's own busy handler, whose delays grow to a tenth of a second: too long while a sender waits.
#[expect(clippy::disallowed_methods, reason = "SQLite expects a blocking wait, on a thread of the store")]
pub(super) fn wait_while_busy(retries: i32) -> bool {
    std::thread::sleep(if retries < SHORT_RETRIES { SHORT_DELAY } else { LONG_DELAY });
    retries < BUSY_RETRIES
}

fn wait_briefly_while_busy(retries: i32) -> bool {
    wait_while_busy(retries) && retries < BRIEF_RETRIES
}

/// Applies the migrations that the file does not have yet. `user_version` in the file is the number of those that it has.
fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), StoreError> {
    let version = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, usize>(0))
    };
    let supported = migrations.len();
    if version(connection)? == supported {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    if found > supported {
        return Err(StoreError::NewerVersion { found, supported });
    }
    for migration in migrations.iter().skip(found) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", supported)?;
    Ok(transaction.commit()?)
}

pub(super) fn count_to_sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn count_from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
