//! Resolves the configured readers of a directory to user and group ids.

use crate::agent::destination::permissions::ReaderGrant;
use crate::agent::destination::posix_acl::ReaderId;
use crate::agent::platform::Hint;
use crate::config::{self, AclMode};

/// A configured reader that cannot be given access.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReaderError {
    /// The system has no user or group of this name.
    #[error("readers: there is no {user_or_group} {name} on this machine")]
    Unknown {
        /// `user` or `group`.
        user_or_group: &'static str,
        /// The name or number.
        name: String,
    },
    /// The user or group database could not be read.
    #[error("readers: cannot look up the {user_or_group} {name}: {error}")]
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
    /// Returns the id of the user or group. A number is an id only if no user or group has it as its name.
    fn resolve(&self) -> Result<ReaderId, ReaderError> {
        use nix::unistd::{Group, User};
        let (user_or_group, name, id) = match self {
            Self::User(name) => {
                ("user", name, User::from_name(name).map(|user| user.map(|user| user.uid.as_raw())))
            }
            Self::Group(name) => {
                ("group", name, Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw())))
            }
        };
        let id = id.map_err(|error| ReaderError::Lookup {
            user_or_group,
            name: name.clone(),
            error: error.to_string(),
        })?;
        let id = id
            .or_else(|| name.parse().ok())
            .ok_or_else(|| ReaderError::Unknown { user_or_group, name: name.clone() })?;
        Ok(match self {
            Self::User(_) => ReaderId::User(id),
            Self::Group(_) => ReaderId::Group(id),
        })
    }
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
