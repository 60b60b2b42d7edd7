//! Writes file sets to destinations: directories, Kubernetes Secrets, and memory.
//!
//! May import `net` and the layers below it, and the configuration of destinations. Never interprets the content of a
//! file.

pub(crate) mod atomic_write;
pub(crate) mod directory;
mod directory_writer;
pub(crate) mod error;
pub(crate) mod generation;
pub(crate) mod in_place;
pub(crate) mod kubernetes_secret;
pub(crate) mod permissions;
pub(crate) mod posix_acl;
pub(crate) mod preparation;
pub(crate) mod readers;
pub(crate) mod reservation;
pub(crate) mod staging;
pub(crate) mod target;
mod write_test;
pub(crate) mod writer;
