//! Checks how the bot connects to the cluster and joins it: addresses, `onboarding`, certificate authorities.

use super::findings::{Findings, Purpose};
use crate::config::destination::Destination;
use crate::config::onboarding::{JoinMethod, Onboarding};
use crate::config::scalar::{Location, is_on};
use crate::config::v2::Config;
use crate::diagnostic::{Code, Diagnostic, Severity, Target};
use crate::pointer::Pointer;

pub(super) fn check(config: &Config, purpose: Purpose, findings: &mut Findings<'_>) {
    let empty = Onboarding::default();
    let onboarding = config.onboarding.as_ref().unwrap_or(&empty);
    check_addresses(config, purpose, findings);
    check_certificate_authorities(config, onboarding, findings);
    check_join_method(config, onboarding, purpose, findings);
    check_token(onboarding, findings);
    check_bound_keypair(onboarding, findings);
    check_generic_oidc(onboarding, findings);
}

fn nonempty(value: Option<&Location>) -> Option<&str> {
    value.map(Location::as_str).filter(|value| !value.is_empty())
}

fn check_addresses(config: &Config, purpose: Purpose, findings: &mut Findings<'_>) {
    let proxy = nonempty(config.proxy_server.as_ref());
    let auth = nonempty(config.auth_server.as_ref());
    match (proxy, auth) {
        (Some(_), Some(_)) => findings.report_value(
            Code::BothAddresses,
            Pointer::root().key("auth_server"),
            "`auth_server` is ignored because `proxy_server` is set",
            "remove `auth_server`",
        ),
        (None, None) if purpose == Purpose::Start => findings.report(
            Diagnostic::new(Code::MissingAddress, Target::File, "no proxy or auth server address is set")
                .with_help("write `proxy_server: <host>:443`, or set `--proxy-server` or `TELEPORT_PROXY`"),
        ),
        _ => {}
    }
    for (key, address) in [("proxy_server", proxy), ("auth_server", auth)] {
        let Some(address) = address else { continue };
        let pointer = Pointer::root().key(key);
        match AddressPort::of(address) {
            AddressPort::Valid => {}
            AddressPort::Missing => findings.report_value(
                Code::AddressWithoutPort,
                pointer,
                "address has no port; assuming 443",
                match address.contains(':') && !address.contains("://") {
                    true => "write `[<IPv6 address>]:<port>`",
                    false => "write `<host>:<port>`",
                },
            ),
            AddressPort::Invalid => findings.report(
                Diagnostic::new(Code::InvalidAddress, Target::Value(pointer), "address has an invalid port")
                    .with_severity(Severity::Warning)
                    .with_help("write `<host>:<port>`, with a port from 1 to 65535"),
            ),
        }
    }
}

/// The port of an address.
enum AddressPort {
    Valid,
    Missing,
    Invalid,
}

impl AddressPort {
    fn of(address: &str) -> Self {
        let authority = address.split_once("://").map_or(address, |(_, rest)| rest);
        let authority = authority.split('/').next().unwrap_or(authority);
        // An IPv6 address without brackets cannot have a port.
        if authority.parse::<std::net::Ipv6Addr>().is_ok() {
            return Self::Missing;
        }
        let after_host = authority.rsplit_once(']').map_or(authority, |(_, after)| after);
        match after_host.rsplit_once(':') {
            None => Self::Missing,
            Some((_, port)) if port.parse::<u16>().is_ok_and(|port| port != 0) => Self::Valid,
            Some(_) => Self::Invalid,
        }
    }
}

fn check_certificate_authorities(config: &Config, onboarding: &Onboarding, findings: &mut Findings<'_>) {
    let has_pins = onboarding.ca_pins.as_ref().is_some_and(|pins| !pins.is_empty());
    let has_path = nonempty(onboarding.ca_path.as_ref()).is_some();
    let insecure = is_on(config.insecure);
    let pointer = Pointer::root();
    findings.exclude_both(&pointer, ("onboarding.ca_pins", "insecure"), (has_pins, insecure));
    findings.exclude_both(&pointer, ("onboarding.ca_path", "insecure"), (has_path, insecure));
    if !insecure {
        findings.exclude_both(&pointer, ("onboarding.ca_path", "onboarding.ca_pins"), (has_path, has_pins));
    }
    if insecure {
        findings.report_value(
            Code::InsecureConnection,
            Pointer::root().key("insecure"),
            "any certificate from the proxy or auth server is accepted",
            "use it for testing only; otherwise remove it, and add the certificate authority to the system's \
             trust store",
        );
    }
}

fn check_join_method(
    config: &Config,
    onboarding: &Onboarding,
    purpose: Purpose,
    findings: &mut Findings<'_>,
) {
    let pointer = Pointer::root().key("onboarding");
    let Some(method) = onboarding.join_method else {
        if purpose == Purpose::Start {
            let pointer = if config.onboarding.is_some() { Target::Key(pointer) } else { Target::File };
            findings.report(
                Diagnostic::new(Code::MissingJoinMethod, pointer, "no join method is set").with_help(
                    "write `onboarding: {join_method: token, token: ...}`, or set `--join-method`",
                ),
            );
        }
        return;
    };
    for block in onboarding.settings_keys() {
        if method.settings_key() != Some(block) {
            let message = format!("`join_method: {method}` does not use this block");
            findings.report(
                Diagnostic::new(Code::UnusedBlock, Target::Key(pointer.key(block)), message)
                    .with_help("remove the block, or change `join_method`"),
            );
        }
    }
    if method == JoinMethod::Token
        && !config.is_oneshot()
        && matches!(config.storage, Some(Destination::Memory(_)))
    {
        findings.report_value(
            Code::StorageInMemory,
            Pointer::root().key("storage"),
            "the identity is lost when the agent exits, and a join token can be used only once",
            "write `storage: {type: directory, path: ...}`",
        );
    }
}

/// Reports a token that looks like a path, although only an absolute path is read as a file.
fn check_token(onboarding: &Onboarding, findings: &mut Findings<'_>) {
    if let Some(token) = &onboarding.token {
        let token = token.as_str();
        if !token.starts_with('/') && (token.starts_with('~') || token.contains('/')) {
            findings.report_value(
                Code::RelativeTokenPath,
                Pointer::from("/onboarding/token"),
                "this looks like a path, but only an absolute path is read as a file",
                "write an absolute path if the token is in a file",
            );
        }
    }
}

fn check_bound_keypair(onboarding: &Onboarding, findings: &mut Findings<'_>) {
    if let Some(bound) = &onboarding.bound_keypair {
        let pointer = Pointer::from("/onboarding/bound_keypair");
        findings.exclude_both(
            &pointer,
            ("registration_secret", "registration_secret_path"),
            (
                bound.registration_secret.as_ref().is_some_and(|secret| !secret.is_empty()),
                nonempty(bound.registration_secret_path.as_ref()).is_some(),
            ),
        );
        if bound.static_key_path.is_some() {
            findings.deprecated(
                Target::Key(pointer.key("static_key_path")),
                "`static_key_path` is another name for `static_private_key_path`",
                "write `static_private_key_path`",
            );
            findings.exclude_both(
                &pointer,
                ("static_key_path", "static_private_key_path"),
                (
                    nonempty(bound.static_key_path.as_ref()).is_some(),
                    nonempty(bound.static_private_key_path.as_ref()).is_some(),
                ),
            );
        }
    }
}

fn check_generic_oidc(onboarding: &Onboarding, findings: &mut Findings<'_>) {
    if let Some(oidc) = &onboarding.generic_oidc {
        let pointer = Pointer::from("/onboarding/generic_oidc");
        let has_command = oidc.command.as_ref().is_some_and(|command| !command.is_empty());
        let has_env = oidc.env.as_ref().is_some_and(|env| !env.is_empty());
        findings.require_exactly_one(&pointer, ("env", "command"), (has_env, has_command));
        if oidc.timeout.is_some_and(|timeout| timeout.is_negative()) {
            findings.report_value(
                Code::NegativeDuration,
                pointer.key("timeout"),
                "`timeout` cannot be negative",
                "write a positive duration",
            );
        }
    }
}
