//! The installed tools.

use std::env;
use std::path::{Path, PathBuf};

/// Returns the path of a file below the directory in which `.ci/editors` installs the tools.
#[expect(clippy::disallowed_methods, reason = "`.ci/editors` passes the directory in a variable")]
pub(crate) fn tool(path: &str) -> PathBuf {
    let directory = env::var("TBOT_TEST_EDITORS")
        .unwrap_or_else(|_| panic!("TBOT_TEST_EDITORS is not set; run `.ci/editors cargo test ...`"));
    let tool = Path::new(&directory).join(path);
    assert!(tool.exists(), "{} is missing", tool.display());
    tool
}

/// Returns the path of a file of this repository.
pub(crate) fn repository_file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
