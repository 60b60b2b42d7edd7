//! Where starts are stored: the trait that a store keeps, its two stores, the thread that writes to them, and the thread
//! that keeps them.
//! Depends on `start` and `day`; each store on its own client.
//!
//! A store keeps how often each start happened on each day, and nothing by which two of them could be told apart. So that
//! a repeated submission counts once, it keeps every `distinct_id` for a day: with its start until that is counted, and
//! apart from it then.

mod clickhouse;
mod keeper;
mod sqlite;
mod writer;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::day::{Day, Week};
use crate::start::{Facet, Start, Submission};

pub use clickhouse::ClickHouse;
pub use keeper::{FOLD_WITHIN, GRACE, settled_day};
pub use sqlite::Sqlite;
pub use writer::{NotStored, Writer};

/// Where events go unless told otherwise.
pub const DEFAULT_STORE: &str = "sqlite:prehog.db";

/// For how many days beside the one of its arrival a `distinct_id` is kept.
pub const ID_DAYS: i32 = 1;

/// How many submissions are written at once, at most.
pub const LARGEST_BATCH: usize = 4096;

/// How many submissions are folded at once where they come fast: so many that most pages of the store that one of them
/// changes are changed by others, too.
pub const FOLD: usize = 65_536;

/// A place that keeps starts. Calls block; each may fail and be tried again.
pub trait Store: Send {
    /// Stores a batch, and returns when it is durable. A submission whose id was stored on its day or the day before is
    /// never counted again.
    ///
    /// # Errors
    ///
    /// Where the batch, or any of it, may not be durable. The same batch may then be given again.
    fn append(&mut self, batch: &[Submission]) -> Result<(), StoreError>;

    /// Does for what was appended since what nobody needs to wait for, beside others who append. It is best done for about
    /// [`FOLD`] submissions at a time. Returns how many repetitions were found since it was last called, by this or on the
    /// way to something else; 0 where the store cannot tell.
    ///
    /// # Errors
    ///
    /// Where it cannot be done now. Nothing is lost by that.
    fn fold(&mut self) -> Result<u64, StoreError>;

    /// What the starts of these weeks amount to: a value that has fewer than `floor` starts in a week is not in it.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read.
    fn tally(&mut self, first: Week, last: Week, floor: u64) -> Result<Tally, StoreError>;

    /// Gives every start of these days, in order, and how often it happened on its day.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read, or the sink fails.
    fn export(&mut self, first: Day, last: Day, sink: &mut Sink<'_>) -> Result<(), StoreError>;

    /// Removes every start of a day before this one. Returns how many starts that were.
    ///
    /// # Errors
    ///
    /// Where not all of them may be gone.
    fn retain(&mut self, first: Day) -> Result<u64, StoreError>;

    /// Removes the ids that are no longer kept. No start of a day before this one may be stored after it.
    ///
    /// # Errors
    ///
    /// Where some of them may still be there.
    fn forget_ids(&mut self, today: Day) -> Result<(), StoreError>;

    /// Whether the store answers and could be written to.
    ///
    /// # Errors
    ///
    /// Where it does not.
    fn probe(&mut self) -> Result<(), StoreError>;
}

/// Takes what is exported.
pub type Sink<'a> = dyn FnMut(Day, &Start, u64) -> std::io::Result<()> + 'a;

/// A store cannot do what it was asked for. Holds nothing of an event.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite failed.
    #[error("the SQLite store failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The ClickHouse server cannot be reached, or its answer is cut off.
    #[error("the ClickHouse server does not answer: {0}")]
    Unreachable(String),
    /// The ClickHouse server refused a statement.
    #[error("the ClickHouse server refused: {0}")]
    Refused(String),
    /// What is stored was not written by this program.
    #[error("the store holds what this version cannot read: {0}")]
    Foreign(String),
    /// What is exported cannot be written.
    #[error("cannot write the export: {0}")]
    Export(#[from] std::io::Error),
}

/// What the starts of some weeks amount to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The weeks that have any start.
    pub weeks: BTreeMap<Week, WeekTally>,
}

/// What the starts of one week amount to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WeekTally {
    /// Each day that has any.
    pub days: BTreeMap<Day, u64>,
    /// Each value that has at least the tally's floor of starts.
    pub facets: BTreeMap<Facet, BTreeMap<String, u64>>,
}

impl WeekTally {
    /// All starts of the week.
    pub fn total(&self) -> u64 {
        self.days.values().sum()
    }
}

/// Names a store: `sqlite:PATH` or `clickhouse:http://[USER[:PASSWORD]@]HOST:PORT/DATABASE`.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A file.
    Sqlite(PathBuf),
    /// A server's HTTP interface.
    ClickHouse(url::Url),
}

/// A text names no store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoStore {
    /// It names none of the known ones.
    #[error("this is no store: write sqlite:PATH or clickhouse:http://HOST:8123/DATABASE")]
    Unknown,
    /// The address after `clickhouse:` is none that can be used.
    #[error("this is no address of a ClickHouse server: write clickhouse:http://HOST:8123/DATABASE ({0})")]
    Address(&'static str),
}

impl FromStr for StoreUrl {
    type Err = NoStore;

    fn from_str(text: &str) -> Result<Self, NoStore> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            return if path.is_empty() { Err(NoStore::Unknown) } else { Ok(Self::Sqlite(path.into())) };
        }
        let address = text.strip_prefix("clickhouse:").ok_or(NoStore::Unknown)?;
        let url: url::Url = address.parse().map_err(|_| NoStore::Address("it is no URL"))?;
        if url.scheme() != "http" || url.host_str().is_none() {
            return Err(NoStore::Address(
                "it must begin with http://; a tunnel or a proxy beside it does TLS",
            ));
        }
        let name = url.path().trim_matches('/');
        let is_plain = |name: &str| name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
        if !is_plain(name) || name.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(NoStore::Address("the database's name has letters, digits and _ only"));
        }
        Ok(Self::ClickHouse(url))
    }
}

/// Without the user and the password.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::ClickHouse(url) => {
                let (host, path) = (url.host_str().unwrap_or_default(), url.path());
                write!(
                    f,
                    "clickhouse:http://{host}:{}{path}",
                    url.port_or_known_default().unwrap_or_default()
                )
            }
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl StoreUrl {
    /// Whether it names a file that is not there: for those who only read, and would make an empty one.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Sqlite(path) if !path.exists())
    }

    /// Opens the store, and brings its tables up to date.
    ///
    /// # Errors
    ///
    /// Where it cannot be opened, or was written by a newer version of this program.
    pub fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        Ok(match self {
            Self::Sqlite(path) => Box::new(Sqlite::open(path)?),
            Self::ClickHouse(url) => Box::new(ClickHouse::open(url)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_named_by_its_url() {
        let sqlite: StoreUrl = "sqlite:/var/lib/prehog/events.db".parse().unwrap();
        assert_eq!(sqlite.to_string(), "sqlite:/var/lib/prehog/events.db");
        let clickhouse: StoreUrl = "clickhouse:http://me:hunter2@127.0.0.1:8123/prehog".parse().unwrap();
        assert_eq!(format!("{clickhouse} {clickhouse:?}").matches("hunter2").count(), 0);
        for text in [
            "",
            "sqlite:",
            "postgres://x",
            "clickhouse:https://x/y",
            "clickhouse:http://x/a;b",
            "clickhouse:x",
        ] {
            assert!(text.parse::<StoreUrl>().is_err(), "{text}");
        }
    }
}
