//! Who is to read a folder's files: names of users and groups, looked up as the system knows them. One I/O edge.

use crate::agent::destination::permissions::Grant;
use crate::agent::destination::posix_acl::ReaderId;
use crate::config::{self, AclMode};

/// A reader that cannot be given access.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReaderError {
    /// The system does not know the name.
    #[error("readers: there is no {kind} {name} on this machine: create it, or name another")]
    Unknown {
        /// `user` or `group`.
        kind: &'static str,
        /// The name or number.
        name: String,
    },
    /// The look-up failed.
    #[error("readers: cannot look up the {kind} {name}: {error}")]
    LookUp {
        /// `user` or `group`.
        kind: &'static str,
        /// The name or number.
        name: String,
        /// What the system answered.
        error: String,
    },
}

/// A folder's `acls` and `readers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) mode: AclMode,
    readers: Vec<Reader>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reader {
    User(String),
    Group(String),
}

impl Access {
    pub(crate) fn new(directory: &config::Directory) -> Self {
        let readers = directory.readers.iter().flatten().flat_map(|reader| {
            let user = reader.user.as_ref().map(|user| Reader::User(user.as_str().to_owned()));
            user.into_iter()
                .chain(reader.group.as_ref().map(|group| Reader::Group(group.as_str().to_owned())))
        });
        let mode =
            directory.acls.unwrap_or(if cfg!(target_os = "linux") { AclMode::Try } else { AclMode::Off });
        Self { mode, readers: readers.collect() }
    }

    /// True where somebody is to be given access.
    pub(crate) fn has_readers(&self) -> bool {
        !self.readers.is_empty()
    }

    pub(crate) fn is_required(&self) -> bool {
        self.mode == AclMode::Required
    }

    /// Looks everybody up. With `acls: try`, who is not known is left out, and the first of them is told beside.
    pub(crate) fn grant(&self) -> Result<(Grant, Option<ReaderError>), ReaderError> {
        if self.mode == AclMode::Off {
            return Ok((Grant::default(), None));
        }
        let mut unknown = None;
        let mut known = std::collections::BTreeSet::new();
        for reader in &self.readers {
            match reader.id() {
                Ok(id) => {
                    known.insert(id);
                }
                Err(error) if self.is_required() => return Err(error),
                Err(error) => unknown = unknown.or(Some(error)),
            }
        }
        Ok((Grant::new(known, self.is_required()), unknown))
    }
}

impl Reader {
    /// A name goes before a number of the same spelling.
    fn id(&self) -> Result<ReaderId, ReaderError> {
        use nix::unistd::{Group, User};
        let (kind, name, found) = match self {
            Self::User(name) => {
                let found = User::from_name(name).map(|user| user.map(|user| user.uid.as_raw()));
                ("user", name, found)
            }
            Self::Group(name) => {
                let found = Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw()));
                ("group", name, found)
            }
        };
        let found = found.map_err(|error| ReaderError::LookUp {
            kind,
            name: name.clone(),
            error: error.to_string(),
        })?;
        let id = found
            .or_else(|| name.parse().ok())
            .ok_or_else(|| ReaderError::Unknown { kind, name: name.clone() })?;
        Ok(match self {
            Self::User(_) => ReaderId::User(id),
            Self::Group(_) => ReaderId::Group(id),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(acls: &str, readers: &serde_json::Value) -> Access {
        let directory = serde_json::json!({ "path": "/out", "acls": acls, "readers": readers });
        Access::new(&serde_json::from_value(directory).unwrap())
    }

    #[test]
    fn names_and_numbers_are_looked_up() {
        assert_eq!(Reader::User("root".to_owned()).id(), Ok(ReaderId::User(0)));
        assert_eq!(Reader::Group("54321".to_owned()).id(), Ok(ReaderId::Group(54321)));
        let refused = Reader::User("nobody-of-this-name".to_owned()).id().unwrap_err().to_string();
        assert!(refused.contains("no user nobody-of-this-name"), "{refused}");
    }

    #[test]
    fn an_unknown_reader_fails_only_where_lists_are_required() {
        let readers = serde_json::json!([{ "user": "root" }, { "group": "nobody-of-this-name" }]);
        assert!(access("required", &readers).grant().is_err());
        let (_, unknown) = access("try", &readers).grant().unwrap();
        assert!(unknown.is_some());
        let (_, unknown) = access("off", &readers).grant().unwrap();
        assert_eq!(unknown, None, "nobody is looked up");
    }
}
