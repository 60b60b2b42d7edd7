//! Shared by the SQLite file and its inbox: settings of a connection, migrations, conversion of counts. Depends
//! on rusqlite.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::store::backend::StoreError;

/// How often to retry while another connection writes to the same file. With the delays below, this is about four seconds.
/// Most writes take less than a millisecond.
const BUSY_RETRIES: i32 = 4000;
/// The delay before each of the first [`SHORT_RETRIES`] retries.
const SHORT_DELAY: Duration = Duration::from_micros(100);
const SHORT_RETRIES: i32 = 50;
/// The delay before each further retry.
const LONG_DELAY: Duration = Duration::from_millis(1);

/// The size of the write-ahead log, in pages, at which a commit moves it into the file. That takes some milliseconds.
const CHECKPOINT_PAGES: u32 = 4000;

/// Opens a file, or creates it if it does not exist.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_handler(Some(wait_while_busy))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "cache_size", -8192)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Replaces SQLite's own busy handler, whose delays grow to a tenth of a second: too long while a sender waits.
#[expect(clippy::disallowed_methods, reason = "SQLite expects a blocking wait, on a thread of the store")]
fn wait_while_busy(retries: i32) -> bool {
    std::thread::sleep(if retries < SHORT_RETRIES { SHORT_DELAY } else { LONG_DELAY });
    retries < BUSY_RETRIES
}

/// Applies the migrations that the file does not have yet. `user_version` in the file is the number of those that it has.
/// `upgrade` runs afterwards, in the same transaction, if the file may already have data.
pub(super) fn migrate(
    connection: &mut Connection,
    migrations: &[&str],
    upgrade: impl FnOnce(&Connection) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
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
    if found > 0 && found < supported {
        upgrade(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", supported)?;
    Ok(transaction.commit()?)
}

/// Moves the write-ahead log into the file and empties it, because removed data would survive in the log. If a reader uses
/// the log for longer than the busy handler waits, this is left to the next call.
pub(super) fn truncate_log(connection: &Connection) -> Result<(), StoreError> {
    let is_busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_busy {
        tracing::warn!("another process is reading the store; removed data will be overwritten later");
    }
    Ok(())
}

pub(super) fn count_to_sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn count_from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
