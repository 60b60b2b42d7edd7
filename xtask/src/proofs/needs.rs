//! What checks need besides Rust and a C compiler: root, and programs.

use xtask_launcher::{shell, tools};

pub(super) const CPP_COMPILER: &str = "C++ compiler";

/// What `cargo xtask setup` does not install, and for each a command that succeeds if it is present.
const OTHERS: [(&str, &str); 5] = [
    // Mounting a file system is what the tests do as root.
    ("root", "unshare --mount true"),
    ("script", "script --version"),
    ("dpkg", "dpkg --version"),
    ("cargo-mutants", "cargo mutants --version"),
    (CPP_COMPILER, "c++ --version"),
];

/// Returns whether this machine has something that a check needs.
pub(super) fn is_present(need: &str) -> bool {
    command(need).is_some_and(shell::succeeds)
}

/// Returns the command that looks for something, or `None` if nothing has this name.
pub(super) fn command(need: &str) -> Option<&'static str> {
    let tools = tools::TOOLS.iter().map(|tool| (tool.name, tool.check));
    OTHERS.into_iter().chain(tools).find(|(name, _)| *name == need).map(|(_, command)| command)
}
