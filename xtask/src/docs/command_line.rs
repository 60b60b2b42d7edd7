//! docs/man and docs/completions, from the definitions of the command lines.

#[path = "../../../src/bin/tbot/cli/mod.rs"]
#[expect(dead_code, unused_imports, reason = "only the program parses arguments")]
mod cli;
#[path = "../../../prehog/src/bin/prehog/cli.rs"]
mod prehog_cli;

use anyhow::Result;
use clap::{CommandFactory as _, ValueEnum as _};

use super::manual::{Manual, VERSION};
use super::markdown::{code, table};
use crate::generated::GeneratedFile;
use cli::Shell;

const TBOT: Manual = Manual { program: "tbot", title: "Machine ID agent for Teleport" };
const PREHOG: Manual = Manual { program: "prehog", title: "Receiver of usage events of tbot" };

/// Returns a manual page per command, and a completion script per shell.
pub(super) fn files() -> Result<Vec<GeneratedFile>> {
    let mut files = TBOT.pages(cli::command(VERSION.to_owned()))?;
    files.extend(PREHOG.pages(prehog_cli::Cli::command())?);
    files.extend(prehog_completions()?);
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

/// Returns the scripts of prehog, which contain its commands and options.
fn prehog_completions() -> Result<Vec<GeneratedFile>> {
    let shells = [
        (clap_complete::Shell::Bash, "prehog.bash"),
        (clap_complete::Shell::Zsh, "_prehog"),
        (clap_complete::Shell::Fish, "prehog.fish"),
    ];
    let script = |(shell, name)| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut prehog_cli::Cli::command(), "prehog", &mut script);
        Ok(GeneratedFile { path: format!("docs/completions/{name}"), content: String::from_utf8(script)? })
    };
    shells.into_iter().map(script).collect()
}

/// Returns a table of the commands and flags of the Go agent that this program does not have.
pub(super) fn missing_table() -> String {
    let rows: Vec<Vec<String>> =
        cli::MISSING.iter().map(|(name, instead)| vec![code(name), (*instead).to_owned()]).collect();
    table(&["command or flag", "instead"], &rows)
}
