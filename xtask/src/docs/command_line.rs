//! docs/man and docs/completions, from the definition of the command line.

#[path = "../../../src/bin/tbot/cli/mod.rs"]
#[expect(dead_code, unused_imports, reason = "only the program parses arguments")]
mod cli;

use anyhow::Result;
use clap::ValueEnum as _;

use super::manual::{self, VERSION};
use super::markdown::{code, table};
use crate::generated::GeneratedFile;
use cli::Shell;

/// Returns a manual page per command, and a completion script per shell.
pub(super) fn files() -> Result<Vec<GeneratedFile>> {
    let mut files = manual::pages(cli::command(VERSION.to_owned()))?;
    files.extend(Shell::value_variants().iter().map(|shell| {
        let name = match shell {
            Shell::Bash => "tbot.bash",
            Shell::Zsh => "_tbot",
            Shell::Fish => "tbot.fish",
        };
        GeneratedFile { path: format!("docs/completions/{name}"), content: shell.script().to_owned() }
    }));
    Ok(files)
}

/// Returns a table of the commands and flags of the Go agent that this program does not have.
pub(super) fn missing_table() -> String {
    let rows: Vec<Vec<String>> =
        cli::MISSING.iter().map(|(name, instead)| vec![code(name), (*instead).to_owned()]).collect();
    table(&["command or flag", "instead"], &rows)
}
