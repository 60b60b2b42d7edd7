//! Where files go: directories, whose files change as one set, Kubernetes Secrets, and memory.
//!
//! May import `net` and the layers below it, and the configuration of destinations. Does not know what is in a file.

pub(crate) mod atomic_write;
pub(crate) mod directory;
pub(crate) mod generation;
pub(crate) mod in_place;
pub(crate) mod kubernetes_secret;
pub(crate) mod permissions;
pub(crate) mod posix_acl;
pub(crate) mod readers;
pub(crate) mod staging;
pub(crate) mod writer;
