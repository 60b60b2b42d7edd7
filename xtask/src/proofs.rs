//! The claims of this project, and the commands that check them: the only source of docs/proofs.md and `cargo xtask prove`.

mod claims;
mod needs;
#[cfg(test)]
mod tests;

pub(crate) use claims::CLAIMS;

/// Something that this project claims.
pub(crate) struct Claim {
    /// The name, which is a heading of the page.
    pub(crate) name: &'static str,
    /// What is claimed, in Markdown.
    pub(crate) statement: &'static str,
    /// What checks it.
    pub(crate) checks: &'static [Check],
    /// What the checks do not show, each without a full stop.
    pub(crate) not_shown: &'static [&'static str],
}

/// A command that fails if the claim is not true.
pub(crate) struct Check {
    /// What it shows.
    pub(crate) shows: &'static str,
    /// The command, as it is typed in the root directory. Words without quotes, after any variables.
    pub(crate) command: &'static str,
    /// What a machine needs for the command besides Rust and a C compiler: root, or the names of programs.
    pub(crate) needs: &'static [&'static str],
    /// The long version.
    pub(crate) full: Full,
    /// What the last run has counted, without a full stop.
    pub(crate) figure: &'static str,
    /// The mutation that was tried, after "Fails if".
    pub(crate) mutation: &'static str,
}

/// The long version of a check.
pub(crate) enum Full {
    /// The same command.
    Same,
    /// Another command.
    Command(&'static str),
    /// Another command, which also needs a C++ compiler, because it runs fuzz tests with libFuzzer.
    Fuzz(&'static str),
    /// The same command, which takes so long that only the long version runs it.
    Only,
}

impl Check {
    /// Returns the command of the long version.
    pub(crate) const fn full_command(&self) -> &'static str {
        match self.full {
            Full::Same | Full::Only => self.command,
            Full::Command(command) | Full::Fuzz(command) => command,
        }
    }

    /// Returns what the command needs.
    pub(crate) fn needs(&self, is_full: bool) -> Vec<&'static str> {
        let of_full: &[&str] =
            if is_full && matches!(self.full, Full::Fuzz(_)) { &[needs::CPP_COMPILER] } else { &[] };
        [self.needs, of_full].concat()
    }

    /// Returns what the command needs and this machine does not have.
    pub(crate) fn missing(&self, is_full: bool) -> Vec<&'static str> {
        self.needs(is_full).into_iter().filter(|need| !needs::is_present(need)).collect()
    }

    /// Whether the check runs.
    pub(crate) const fn runs(&self, is_full: bool) -> bool {
        is_full || !matches!(self.full, Full::Only)
    }

    /// Whether a command changes code, to see whether its tests notice.
    pub(crate) fn is_of_mutants(command: &str) -> bool {
        command.starts_with("cargo mutants ")
    }

    /// Whether a command runs tests.
    pub(crate) fn is_test(command: &str) -> bool {
        command.split(' ').any(|word| word == "test")
    }

    /// Returns the words of a command that select tests by name.
    pub(crate) fn filters(command: &str) -> impl Iterator<Item = &str> {
        let arguments = command.split(' ').skip_while(|word| *word != "--").skip(1);
        arguments.filter(|word| !word.starts_with('-'))
    }
}
