//! Help for a configuration that consists of flags and variables: it names what to set, because there is no file to write to.

use tbot::diagnostic::{Code, Diagnostic};

/// Replaces the help of diagnostics about what is missing.
pub(super) fn name_flags(diagnostics: &mut [Diagnostic]) {
    for diagnostic in diagnostics {
        let help = match diagnostic.code {
            Code::MissingAddress => "set `--proxy-server` or `TELEPORT_PROXY`",
            Code::MissingJoinMethod => {
                "set `--join-method` to that of the join token, such as `--join-method token`"
            }
            Code::MissingToken => "set `--token` or `TELEPORT_BOT_TOKEN`",
            Code::NothingToDeliver => "add a command, such as `identity --destination DIR`",
            _ => continue,
        };
        diagnostic.help = Some(help.to_owned());
    }
}
