//! The URL that names a store, and how to open it. Depends on the two stores.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::backend::{Store, StoreError};
use super::clickhouse::{ClickHouse, ClickHouseUrl};
use super::sqlite::Sqlite;

/// The store that is used by default.
pub const DEFAULT_STORE: &str = "sqlite:prehog.db";

/// The URL of a store: `sqlite:PATH`, or `clickhouse:` followed by a [`ClickHouseUrl`].
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// The path of a SQLite file.
    Sqlite(PathBuf),
    /// The address of a ClickHouse server, and how the store uses it.
    ClickHouse(ClickHouseUrl),
}

/// An error that occurs when parsing the URL of a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseStoreUrlError {
    /// The scheme is neither `sqlite:` nor `clickhouse:`, or the path is empty.
    #[error("not the URL of a store: write sqlite:PATH or clickhouse:https://HOST:8443/DATABASE")]
    UnknownScheme,
    /// The path after `sqlite:` has a special meaning for SQLite, such as a database in memory, which keeps nothing.
    #[error("`{0}` is not the path of a file; for a file with this name, write sqlite:./{0}")]
    SpecialPath(String),
    /// The address after `clickhouse:` cannot be used.
    #[error("invalid address of a ClickHouse server: {0}; write clickhouse:https://HOST:8443/DATABASE")]
    InvalidAddress(&'static str),
}

impl FromStr for StoreUrl {
    type Err = ParseStoreUrlError;

    fn from_str(string: &str) -> Result<Self, ParseStoreUrlError> {
        if let Some(path) = string.strip_prefix("sqlite:") {
            return match path {
                "" => Err(ParseStoreUrlError::UnknownScheme),
                path if path.starts_with(':') || path.starts_with("file:") => {
                    Err(ParseStoreUrlError::SpecialPath(path.to_owned()))
                }
                path => Ok(Self::Sqlite(path.into())),
            };
        }
        let address = string.strip_prefix("clickhouse:").ok_or(ParseStoreUrlError::UnknownScheme)?;
        let url = ClickHouseUrl::parse(address).map_err(ParseStoreUrlError::InvalidAddress)?;
        Ok(Self::ClickHouse(url))
    }
}

/// Omits the user and the password.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::ClickHouse(url) => write!(f, "clickhouse:{url}"),
        }
    }
}

/// Omits the user and the password.
impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl StoreUrl {
    /// Opens the store, or creates it if it does not exist, and applies pending migrations.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be opened or was written by a newer version of this program.
    pub fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        Ok(match self {
            Self::Sqlite(path) => Box::new(Sqlite::open(path)?),
            Self::ClickHouse(url) => {
                let store = ClickHouse::open(url)?;
                store.warn_about_logs();
                Box::new(store)
            }
        })
    }

    /// Like [`open_existing`](Self::open_existing), for a thread that senders wait for.
    pub(super) fn open_for_senders(&self) -> Result<Box<dyn Store>, StoreError> {
        match self {
            Self::Sqlite(_) => self.open_existing(),
            Self::ClickHouse(url) => Ok(Box::new(ClickHouse::open_for_senders(url)?)),
        }
    }

    /// Like [`open`](Self::open), but does not create a SQLite file, and warns about nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if the file does not exist, and for the same reasons as [`open`](Self::open).
    pub fn open_existing(&self) -> Result<Box<dyn Store>, StoreError> {
        match self {
            Self::Sqlite(path) => Ok(Box::new(Sqlite::open_existing(path)?)),
            Self::ClickHouse(url) => Ok(Box::new(ClickHouse::open(url)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_shows_no_password() {
        let sqlite: StoreUrl = "sqlite:/var/lib/prehog/events.db".parse().unwrap();
        assert_eq!(sqlite.to_string(), "sqlite:/var/lib/prehog/events.db");
        let clickhouse: StoreUrl = "clickhouse:http://me:hunter2@127.0.0.1:8123/prehog".parse().unwrap();
        assert_eq!(format!("{clickhouse} {clickhouse:?}").matches("hunter2").count(), 0);
    }

    #[test]
    fn a_url_is_displayed_with_its_port_and_its_parameters() {
        for (url, displayed) in [
            ("clickhouse:http://x/y", "clickhouse:http://x:8123/y"),
            ("clickhouse:https://x/y", "clickhouse:https://x:8443/y"),
            ("clickhouse:https://me:80@x/y", "clickhouse:https://x:8443/y"),
            ("clickhouse:http://x:80/y", "clickhouse:http://x:80/y"),
            ("clickhouse:https://x:443", "clickhouse:https://x:443/"),
            ("clickhouse:https://[::1]/y", "clickhouse:https://[::1]:8443/y"),
            ("clickhouse:https://x/y?cluster=z", "clickhouse:https://x:8443/y?cluster=z"),
            (
                "clickhouse:https://x/y?quorum=1&cluster=z.1",
                "clickhouse:https://x:8443/y?cluster=z.1&quorum=1",
            ),
        ] {
            assert_eq!(url.parse::<StoreUrl>().unwrap().to_string(), displayed);
        }
    }

    #[test]
    fn an_invalid_url_is_rejected() {
        for string in [
            "",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:file:events.db?mode=memory",
            "postgres://x",
            "clickhouse:ftp://x/y",
            "clickhouse:http://x/a;b",
            "clickhouse:http://x/1a",
            "clickhouse:x",
            "clickhouse:http://x/y?clutser=z",
            "clickhouse:http://x/y?cluster=",
            "clickhouse:http://x/y?cluster=a'b",
            "clickhouse:http://x/y?quorum=2",
            "clickhouse:http://x/y?cluster=z&quorum=0",
        ] {
            assert!(string.parse::<StoreUrl>().is_err(), "{string}");
        }
    }
}
