//! How a configuration is loaded. Depends on nothing.

use std::path::{Path, PathBuf};

/// How a configuration is loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// What it is loaded for.
    pub purpose: Purpose,
    /// The process that will use it. `None` compares paths only as text, so that an overlap by a symbolic link or a relative path
    /// is not reported before the agent refuses it.
    pub process: Option<ProcessContext>,
}

/// What a configuration is loaded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To validate it. Flags and environment variables may still set what is missing.
    Validate,
    /// To start the agent, which requires an address and a join method.
    Start,
}

/// The properties of a process that decide what the locations in a configuration refer to.
#[derive(Clone, Debug)]
pub struct ProcessContext {
    /// The directory that relative paths are relative to.
    pub working_directory: PathBuf,
    /// The value of `POD_NAMESPACE`, the namespace of a Kubernetes Secret whose configuration has none.
    pub pod_namespace: Option<String>,
    /// Resolves the symbolic links of an absolute path, as far as it exists. If `None`, only the text of paths is compared.
    pub resolve_links: Option<fn(&Path) -> PathBuf>,
}

impl From<Purpose> for LoadOptions {
    fn from(purpose: Purpose) -> Self {
        Self { purpose, process: None }
    }
}
