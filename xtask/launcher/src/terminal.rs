//! Output to the terminal.

use std::io::{IsTerminal as _, Write as _};

/// Prints a line to standard error.
pub fn print_line(line: &str) {
    // If standard error is closed, there is nowhere to report it.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Returns the text in bold if standard error is a terminal.
pub fn bold(text: &str) -> String {
    if std::io::stderr().is_terminal() { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
}
