//! Help for a configuration that consists of flags and variables: it names what to set, because there is no file to write to.

use tbot::diagnostic::{Code, Diagnostic};

/// Replaces help that would name a key of a file.
pub(super) fn name_flags(diagnostics: &mut [Diagnostic]) {
    for diagnostic in diagnostics {
        let help = match diagnostic.code {
            Code::MissingAddress => "set `--proxy-server` or `TELEPORT_PROXY`",
            Code::MissingJoinMethod => {
                "set `--join-method` to that of the join token, such as `--join-method token`"
            }
            Code::MissingToken => "set `--token` or `TELEPORT_BOT_TOKEN`",
            Code::UnverifiedAuthServer => {
                "set `--ca-pin` to what `tctl status` prints; if this is the address of a proxy, use `--proxy-server` instead"
            }
            Code::NothingToDeliver => "add a command, such as `identity --destination DIR`",
            _ => continue,
        };
        diagnostic.help = Some(help.to_owned());
    }
}
