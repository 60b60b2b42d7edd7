//! Resolves the configured readers of a directory to user and group ids.

use nix::unistd::{Group, User};

use crate::agent::destination::permissions::ReaderGrant;
use crate::agent::destination::posix_acl::ReaderId;
use crate::agent::platform::Hint;
use crate::config::{self, AclMode};

/// A user or group that is named in the configuration or by a flag cannot be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReaderError {
    /// The system has no user or group of this name.
    #[error("there is no {user_or_group} {name} on this machine")]
    Unknown {
        /// `user` or `group`.
        user_or_group: &'static str,
        /// The name or number.
        name: String,
    },
    /// The user or group database could not be read.
    #[error("cannot look up the {user_or_group} {name}: {error}")]
    Lookup {
        /// `user` or `group`.
        user_or_group: &'static str,
        /// The name or number.
        name: String,
        /// The error of the lookup.
        error: String,
    },
}

impl ReaderError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        matches!(self, Self::Unknown { .. }).then(|| Hint::new("create it, or name another"))
    }
}

/// The `acls` and `readers` of a configured directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReaderAccess {
    pub(crate) mode: AclMode,
    readers: Vec<ReaderName>,
}

/// The name or number of a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ReaderName {
    User(String),
    Group(String),
}

impl ReaderAccess {
    pub(crate) fn new(directory: &config::Directory) -> Self {
        let readers = directory.readers.iter().flatten().flat_map(|reader| {
            let user = reader.user.as_ref().map(|user| ReaderName::User(user.as_str().to_owned()));
            let group = reader.group.as_ref().map(|group| ReaderName::Group(group.as_str().to_owned()));
            user.into_iter().chain(group)
        });
        let mode =
            directory.acls.unwrap_or(if cfg!(target_os = "linux") { AclMode::Try } else { AclMode::Off });
        Self { mode, readers: readers.collect() }
    }

    pub(crate) fn has_readers(&self) -> bool {
        !self.readers.is_empty()
    }

    pub(crate) fn is_required(&self) -> bool {
        self.mode == AclMode::Required
    }

    /// Resolves all readers. With `acls: try`, readers that cannot be resolved are skipped, and the first error is
    /// returned together with the grant.
    ///
    /// # Errors
    ///
    /// Returns the first error, but only if `acls` is `required`.
    pub(crate) fn resolve(&self) -> Result<(ReaderGrant, Option<ReaderError>), ReaderError> {
        if self.mode == AclMode::Off {
            return Ok((ReaderGrant::default(), None));
        }
        let mut first_error = None;
        let mut ids = std::collections::BTreeSet::new();
        for reader in &self.readers {
            match reader.resolve() {
                Ok(id) => {
                    ids.insert(id);
                }
                Err(error) if self.is_required() => return Err(error),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Ok((ReaderGrant::new(ids, self.is_required()), first_error))
    }
}

impl ReaderName {
    fn resolve(&self) -> Result<ReaderId, ReaderError> {
        match self {
            Self::User(name) => user_ids(name).map(|(user, _)| ReaderId::User(user)),
            Self::Group(name) => group_id(name).map(ReaderId::Group),
        }
    }
}

/// Returns the ids of a user and of its group. A number is an id only if no user has it as its name; the group then has the same
/// one.
///
/// # Errors
///
/// Returns an error if there is no such user, or if the system's users cannot be read.
pub fn user_ids(name: &str) -> Result<(u32, u32), ReaderError> {
    let found = User::from_name(name).map_err(|error| lookup("user", name, error))?;
    let found = found.map(|user| (user.uid.as_raw(), user.gid.as_raw()));
    found.or_else(|| name.parse().ok().map(|id| (id, id))).ok_or_else(|| unknown("user", name))
}

/// Returns the id of a group. A number is an id only if no group has it as its name.
///
/// # Errors
///
/// Returns an error if there is no such group, or if the system's groups cannot be read.
pub fn group_id(name: &str) -> Result<u32, ReaderError> {
    let found = Group::from_name(name).map_err(|error| lookup("group", name, error))?;
    found.map(|group| group.gid.as_raw()).or_else(|| name.parse().ok()).ok_or_else(|| unknown("group", name))
}

fn lookup(user_or_group: &'static str, name: &str, error: nix::Error) -> ReaderError {
    ReaderError::Lookup { user_or_group, name: name.to_owned(), error: error.to_string() }
}

fn unknown(user_or_group: &'static str, name: &str) -> ReaderError {
    ReaderError::Unknown { user_or_group, name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(acls: &str, readers: &serde_json::Value) -> ReaderAccess {
        let directory = serde_json::json!({ "path": "/out", "acls": acls, "readers": readers });
        ReaderAccess::new(&serde_json::from_value(directory).unwrap())
    }

    fn unknown(user_or_group: &'static str) -> ReaderError {
        ReaderError::Unknown { user_or_group, name: "nobody-of-this-name".to_owned() }
    }

    #[test]
    fn names_and_numbers_are_resolved() {
        assert_eq!(ReaderName::User("root".to_owned()).resolve(), Ok(ReaderId::User(0)));
        assert_eq!(ReaderName::Group("54321".to_owned()).resolve(), Ok(ReaderId::Group(54321)));
        assert_eq!(ReaderName::User("nobody-of-this-name".to_owned()).resolve(), Err(unknown("user")));
    }

    #[test]
    fn an_unknown_reader_is_an_error_only_if_acls_are_required() {
        let readers = serde_json::json!([{ "user": "root" }, { "group": "nobody-of-this-name" }]);
        assert_eq!(access("required", &readers).resolve().unwrap_err(), unknown("group"));
        let (_, error) = access("try", &readers).resolve().unwrap();
        assert_eq!(error, Some(unknown("group")));
        let (_, error) = access("off", &readers).resolve().unwrap();
        assert_eq!(error, None, "no reader is resolved");
    }
}
