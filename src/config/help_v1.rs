//! Messages and help for a file of version 1. The checks see the file converted to version 2, and name the keys of that version; this
//! table has the words of version 1 for them. Depends on the configuration types and `diagnostic`.

use super::v2::Config;
use crate::diagnostic::{Code, Diagnostic, Target};
use crate::pointer::Pointer;

/// Replaces the keys in diagnostics about a converted file that have other names in version 1.
pub(super) fn use_keys_of_version_1(config: &Config, diagnostics: &mut [Diagnostic]) {
    for diagnostic in diagnostics {
        if matches!(diagnostic.code, Code::EmptyValue | Code::WildcardName) {
            let message = diagnostic.message.replace("`app_name`", "`app`");
            diagnostic.message = message.replace("`path`", "`directory`");
        }
        if let Some(help) = help(config, diagnostic) {
            diagnostic.help = Some(help.to_owned());
        } else if diagnostic.code == Code::SameDestination {
            diagnostic.help = diagnostic.help.take().map(|help| help.replace("`path`", "`directory`"));
        }
    }
}

/// Returns the help for a diagnostic whose pointers refer to version 2.
fn help(config: &Config, diagnostic: &Diagnostic) -> Option<&'static str> {
    let is_about_auth_server = diagnostic.target == Target::Value(Pointer::root().key("auth_server"));
    if is_about_auth_server && config.has_join_uri_of_auth_server() {
        // The file does not contain the address, and the join URI has the same form for both versions.
        return None;
    }
    let is_about_service = || diagnostic.target.pointer().is_some_and(|at| at.tokens().count() > 1);
    Some(match diagnostic.code {
        Code::MissingAddress => {
            "write `auth_server: <host>:443`, which in version 1 also accepts the address of a proxy, or set \
             `--proxy-server` or `TELEPORT_PROXY`"
        }
        Code::UnverifiedAuthServer => {
            "write `ca_pins: [...]` under `onboarding`, with what `tctl status` prints; if this is the address of a \
             proxy, set `--proxy-server` or `TELEPORT_PROXY` instead"
        }
        Code::Deprecated if is_about_auth_server => {
            "if this is a proxy, write it as `proxy_server` in version 2, or set `--proxy-server` or `TELEPORT_PROXY`"
        }
        Code::StorageInMemory => "write `storage: {directory: <path>}`",
        Code::NothingToDeliver if is_about_service() => "write `directory: <path>` instead of `memory`",
        Code::NothingToDeliver => "add an entry to `destinations`, such as `{directory: <path>}`",
        Code::TtlBelowInterval => "set `renewal_interval` to at most half of `certificate_ttl`",
        _ => return None,
    })
}
