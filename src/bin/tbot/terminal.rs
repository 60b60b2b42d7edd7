//! Determines, from flags, variables and the standard streams, whether text for people is coloured and how wide it is.

use std::os::fd::AsFd;

use rustix::termios::{isatty, tcgetwinsize};
use tbot::agent::Environment;
use tbot::diagnostic::Terminal;

use crate::cli::ColourChoice;

/// The properties of standard output and standard error.
#[derive(Clone, Copy)]
pub(crate) struct OutputStreams {
    pub(crate) stdout: OutputStream,
    pub(crate) stderr: OutputStream,
}

/// The properties of an output stream.
#[derive(Clone, Copy)]
pub(crate) struct OutputStream {
    is_terminal: bool,
    /// The number of columns, if the terminal reports it.
    columns: Option<u16>,
}

impl OutputStream {
    pub(crate) fn new(stream: impl AsFd) -> Self {
        let columns = tcgetwinsize(&stream).ok().map(|size| size.ws_col).filter(|columns| *columns > 0);
        Self { is_terminal: isatty(&stream), columns }
    }
}

/// Returns the terminal that text on a stream is written for. `COLUMNS` takes precedence over the width of the stream.
pub(crate) fn terminal(stream: OutputStream, choice: ColourChoice, environment: &Environment) -> Terminal {
    let from_variable = environment.get("COLUMNS").and_then(|columns| columns.parse().ok());
    let columns = from_variable.filter(|columns| *columns > 0).or(stream.columns);
    Terminal {
        colour: is_coloured(stream, choice, environment),
        columns: columns.map_or(Terminal::default().columns, usize::from),
    }
}

/// Determines whether text is coloured: the flag takes precedence over `NO_COLOR` (<https://no-color.org>), which takes
/// precedence over `FORCE_COLOR` (<https://force-color.org>) and `CLICOLOR_FORCE` (<https://bixense.com/clicolors>). If none
/// of them decides, terminals that can show colours do.
fn is_coloured(stream: OutputStream, choice: ColourChoice, environment: &Environment) -> bool {
    let is_set = |name| environment.get_os(name).is_some_and(|value| value != "0");
    match choice {
        ColourChoice::Always => true,
        ColourChoice::Never => false,
        ColourChoice::Auto if environment.get_os("NO_COLOR").is_some() => false,
        ColourChoice::Auto if is_set("FORCE_COLOR") || is_set("CLICOLOR_FORCE") => true,
        ColourChoice::Auto => {
            stream.is_terminal && environment.get_os("TERM").is_none_or(|terminal| terminal != "dumb")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: OutputStream = OutputStream { is_terminal: false, columns: None };
    const SCREEN: OutputStream = OutputStream { is_terminal: true, columns: Some(120) };

    #[test]
    fn the_flag_wins_over_variables_and_variables_win_over_the_stream() {
        use ColourChoice::{Always, Auto, Never};
        let colour = |stream, choice, variables: &[(&str, &str)]| {
            terminal(stream, choice, &variables.iter().copied().collect()).colour
        };
        for (stream, choice, variables, expected) in [
            (SCREEN, Auto, &[][..], true),
            (FILE, Auto, &[], false),
            (SCREEN, Never, &[("FORCE_COLOR", "1")], false),
            (FILE, Always, &[("NO_COLOR", "1")], true),
            (SCREEN, Auto, &[("NO_COLOR", "1"), ("FORCE_COLOR", "1")], false),
            (SCREEN, Auto, &[("NO_COLOR", "")], true),
            (FILE, Auto, &[("FORCE_COLOR", "1")], true),
            (FILE, Auto, &[("FORCE_COLOR", "0")], false),
            (FILE, Auto, &[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")], true),
            (SCREEN, Auto, &[("TERM", "dumb")], false),
            (SCREEN, Auto, &[("TERM", "xterm-256color")], true),
        ] {
            assert_eq!(colour(stream, choice, variables), expected, "{choice:?} {variables:?}");
        }
    }

    #[test]
    fn the_width_is_that_of_the_variable_or_the_terminal_or_80_columns() {
        let columns = |stream, variable: &str| {
            terminal(stream, ColourChoice::Auto, &[("COLUMNS", variable)].into_iter().collect()).columns
        };
        for (stream, variable, expected) in [
            (SCREEN, "", 120),
            (SCREEN, "40", 40),
            (FILE, "40", 40),
            (FILE, "", 80),
            (SCREEN, "0", 120),
            (FILE, "wide", 80),
            (FILE, "-1", 80),
        ] {
            assert_eq!(columns(stream, variable), expected, "{variable:?}");
        }
    }
}
