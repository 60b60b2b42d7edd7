//! The help, and suggestions for unknown commands.

use xtask_launcher::{COMMANDS, Command};

/// The similarity from which a command is suggested, between 0 and 1.
const MIN_SIMILARITY: f64 = 0.7;

/// Returns the list of all commands.
pub(crate) fn overview() -> String {
    let rows = COMMANDS.iter().map(|command| format!("  {:<10} {}\n", command.name, command.summary));
    format!(
        "Develop and try tbot and prehog\n\n\
         Usage: cargo xtask <command>\n\n\
         {}\n\
         Needs Rust {} or newer and a C compiler. Start with `cargo xtask demo`.\n\
         `cargo xtask <command> --help` prints more.",
        rows.collect::<String>(),
        env!("CARGO_PKG_RUST_VERSION")
    )
}

/// Returns the help of a command.
pub(crate) fn of_command(command: &Command) -> String {
    let mut summary = command.summary.to_owned();
    if let Some(first) = summary.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!("{summary}\n\n{}\n\n{}", usage(command), command.details)
}

/// Returns the usage line of a command.
pub(crate) fn usage(command: &Command) -> String {
    format!("Usage: cargo xtask {} {}", command.name, command.arguments).trim_end().to_owned()
}

/// Returns the message for a command that does not exist.
pub(crate) fn unknown_command(name: &str) -> String {
    let hint = similar(name).map(|similar| format!("did you mean `cargo xtask {similar}`?"));
    let hint = hint.unwrap_or_else(|| "run `cargo xtask` for a list".to_owned());
    format!("error: unknown command `{name}`; {hint}")
}

fn similar(name: &str) -> Option<&'static str> {
    let similarity = |other: &str| strsim::jaro_winkler(name, other);
    let names = COMMANDS.iter().map(|command| command.name);
    let nearest = names.max_by(|a, b| similarity(a).total_cmp(&similarity(b)))?;
    (similarity(nearest) >= MIN_SIMILARITY).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_command_is_recognised() {
        for (mistyped, command) in
            [("dmeo", "demo"), ("schemas", "schema"), ("doc", "docs"), ("picture", "pictures")]
        {
            assert_eq!(similar(mistyped), Some(command));
        }
        assert_eq!(similar("xyz"), None);
    }

    #[test]
    fn help_fits_into_a_terminal() {
        let pages = COMMANDS.iter().map(of_command).chain([overview()]);
        for line in pages.flat_map(|page| page.lines().map(str::to_owned).collect::<Vec<_>>()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
