//! Commands that are written as in a shell.

use std::process::{Command, ExitStatus};

use crate::root;
use anyhow::{Context as _, Result, bail};

/// Runs a command in the root directory of the repository, and returns its exit status. See [`parse`] for its syntax.
///
/// # Errors
///
/// Returns an error if the program cannot be run.
pub fn status(command: &str) -> Result<ExitStatus> {
    parse(command)?.status().with_context(|| format!("cannot run `{command}`"))
}

/// Runs a command, like [`status`].
///
/// # Errors
///
/// Returns an error if the program cannot be run or exits with a failure.
pub fn run(command: &str) -> Result<()> {
    if !status(command)?.success() {
        bail!("`{command}` failed");
    }
    Ok(())
}

/// Returns whether a command runs and succeeds. Its output is discarded.
pub fn succeeds(command: &str) -> bool {
    output(command).is_some()
}

/// Returns what a command prints to standard output, or `None` if it does not run or fails.
pub fn output(command: &str) -> Option<String> {
    let output = parse(command).ok()?.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads a command: words without quotes, after any variables of the form `NAME=value`.
///
/// # Errors
///
/// Returns an error if there is no program.
pub fn parse(command: &str) -> Result<Command> {
    let mut words = command.split(' ').peekable();
    let mut variables = Vec::new();
    while let Some(variable) = words.peek().and_then(|word| word.split_once('=')) {
        variables.push(variable);
        words.next();
    }
    let program = words.next().context("no program")?;
    let mut parsed = Command::new(if program == "cargo" { env!("CARGO") } else { program });
    parsed.args(words).envs(variables).current_dir(root()?);
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_precede_the_program() {
        let command = parse("A=1 B=x=y program --flag=value").unwrap();
        let variables: Vec<_> =
            command.get_envs().map(|(name, value)| (name.to_str(), value.unwrap().to_str())).collect();
        assert_eq!(variables, [(Some("A"), Some("1")), (Some("B"), Some("x=y"))]);
        assert_eq!(command.get_program(), "program");
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["--flag=value"]);
    }

    #[test]
    fn a_failing_command_is_reported() {
        assert!(succeeds("true"));
        assert!(!succeeds("false"));
        assert!(!succeeds("/nonexistent/program"));
        assert_eq!(output("echo a"), Some("a\n".to_owned()));
        assert_eq!(output("false"), None);
        assert_eq!(run("false").unwrap_err().to_string(), "`false` failed");
    }
}
