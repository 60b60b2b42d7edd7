//! How the bot finds the cluster and joins it: addresses, `onboarding`, certificate authorities.

use super::{Findings, Purpose};
use crate::config::{Config, Destination, JoinMethod, Location, Onboarding, is_on};
use crate::diagnostic::{Code, Diagnostic, Severity, Target};
use crate::pointer::Pointer;

pub(super) fn check(config: &Config, purpose: Purpose, findings: &mut Findings<'_>) {
    let none = Onboarding::default();
    let onboarding = config.onboarding.as_ref().unwrap_or(&none);
    addresses(config, purpose, findings);
    certificate_authorities(config, onboarding, findings);
    method(config, onboarding, purpose, findings);
    blocks(onboarding, findings);
}

fn written(address: Option<&Location>) -> Option<&str> {
    address.map(Location::as_str).filter(|address| !address.is_empty())
}

fn addresses(config: &Config, purpose: Purpose, findings: &mut Findings<'_>) {
    let proxy = written(config.proxy_server.as_ref());
    let auth = written(config.auth_server.as_ref());
    match (proxy, auth) {
        (Some(_), Some(_)) => findings.at(
            Code::BothAddresses,
            Pointer::root().key("auth_server"),
            "`proxy_server` is there, too, and is the one that is used",
            "remove `auth_server`",
        ),
        (None, None) if purpose == Purpose::Start => findings.report(
            Diagnostic::new(Code::MissingAddress, Target::File, "no address to connect to")
                .with_help("write `proxy_server: <host>:443`, or give `--proxy-server` or `TELEPORT_PROXY`"),
        ),
        _ => {}
    }
    for (key, address) in [("proxy_server", proxy), ("auth_server", auth)] {
        let Some(address) = address else { continue };
        let place = Pointer::root().key(key);
        match port(address) {
            Port::Number => {}
            Port::None => findings.at(
                Code::AddressWithoutPort,
                place,
                "no port in this address; 443 is tried",
                match address.contains(':') && !address.contains("://") {
                    true => "write `[<IPv6 address>]:<port>`",
                    false => "write `<host>:<port>`",
                },
            ),
            Port::Other => findings.report(
                Diagnostic::new(Code::InvalidAddress, Target::Value(place), "the port is not a number")
                    .with_severity(Severity::Warning)
                    .with_help("write `<host>:<port>`, with a port from 1 to 65535"),
            ),
        }
    }
}

/// What stands where an address has its port.
enum Port {
    Number,
    None,
    Other,
}

fn port(address: &str) -> Port {
    let authority = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or(authority);
    // An IPv6 address without brackets has no place for a port.
    if authority.parse::<std::net::Ipv6Addr>().is_ok() {
        return Port::None;
    }
    let after_host = authority.rsplit_once(']').map_or(authority, |(_, after)| after);
    match after_host.rsplit_once(':') {
        None => Port::None,
        Some((_, port)) if port.parse::<u16>().is_ok_and(|port| port != 0) => Port::Number,
        Some(_) => Port::Other,
    }
}

fn certificate_authorities(config: &Config, onboarding: &Onboarding, findings: &mut Findings<'_>) {
    let pins = onboarding.ca_pins.as_ref().is_some_and(|pins| !pins.is_empty());
    let path = written(onboarding.ca_path.as_ref()).is_some();
    let insecure = is_on(config.insecure);
    let place = Pointer::root();
    findings.exclusive(&place, ("onboarding.ca_pins", "insecure"), (pins, insecure));
    findings.exclusive(&place, ("onboarding.ca_path", "insecure"), (path, insecure));
    if !insecure {
        findings.exclusive(&place, ("onboarding.ca_path", "onboarding.ca_pins"), (path, pins));
    }
    if insecure {
        findings.at(
            Code::InsecureConnection,
            Pointer::root().key("insecure"),
            "any certificate of the proxy or auth server is accepted",
            "for tests only; else remove it and make the certificate's authority known to the system",
        );
    }
}

fn method(config: &Config, onboarding: &Onboarding, purpose: Purpose, findings: &mut Findings<'_>) {
    let place = Pointer::root().key("onboarding");
    let Some(method) = onboarding.join_method else {
        if purpose == Purpose::Start {
            let place = if config.onboarding.is_some() { Target::Key(place) } else { Target::File };
            findings.report(
                Diagnostic::new(Code::MissingJoinMethod, place, "no join method").with_help(
                    "write `onboarding: {join_method: token, token: ...}`, or give `--join-method`",
                ),
            );
        }
        return;
    };
    let used = |block: &str| match block {
        "azure" => method == JoinMethod::Azure,
        "terraform" => method == JoinMethod::TerraformCloud,
        "gitlab" => method == JoinMethod::Gitlab,
        "bound_keypair" => method == JoinMethod::BoundKeypair,
        "kubernetes" => method == JoinMethod::Kubernetes,
        _ => method == JoinMethod::GenericOidc,
    };
    let blocks = [
        ("azure", onboarding.azure.is_some()),
        ("terraform", onboarding.terraform.is_some()),
        ("gitlab", onboarding.gitlab.is_some()),
        ("bound_keypair", onboarding.bound_keypair.is_some()),
        ("kubernetes", onboarding.kubernetes.is_some()),
        ("generic_oidc", onboarding.generic_oidc.is_some()),
    ];
    for (block, there) in blocks {
        if there && !used(block) {
            let message = format!("`join_method: {method}` does not use this block");
            findings.report(
                Diagnostic::new(Code::UnusedBlock, Target::Key(place.key(block)), message)
                    .with_help("remove the block, or correct `join_method`"),
            );
        }
    }
    if method == JoinMethod::Token
        && !config.is_oneshot()
        && matches!(config.storage, Some(Destination::Memory(_)))
    {
        findings.at(
            Code::StorageInMemory,
            Pointer::root().key("storage"),
            "the identity is lost when the agent ends, and a join token works only once",
            "write `storage: {type: directory, path: ...}`",
        );
    }
}

fn blocks(onboarding: &Onboarding, findings: &mut Findings<'_>) {
    let place = Pointer::root().key("onboarding");
    if let Some(token) = &onboarding.token {
        let text = token.as_str();
        let like_a_path = !text.starts_with('/')
            && (text.starts_with("./")
                || text.starts_with("../")
                || text.starts_with('~')
                || text.contains('/'));
        if like_a_path {
            findings.at(
                Code::RelativeTokenPath,
                place.key("token"),
                "this looks like a file's path, but is taken for the token itself",
                "write an absolute path if the token is in a file",
            );
        }
    }
    if let Some(bound) = &onboarding.bound_keypair {
        let place = place.key("bound_keypair");
        findings.exclusive(
            &place,
            ("registration_secret", "registration_secret_path"),
            (
                bound.registration_secret.as_ref().is_some_and(|secret| !secret.is_empty()),
                written(bound.registration_secret_path.as_ref()).is_some(),
            ),
        );
        if bound.static_key_path.is_some() {
            findings.deprecated(
                Target::Key(place.key("static_key_path")),
                "`static_key_path` is another spelling of `static_private_key_path`",
                "write `static_private_key_path`",
            );
            findings.exclusive(
                &place,
                ("static_key_path", "static_private_key_path"),
                (
                    written(bound.static_key_path.as_ref()).is_some(),
                    written(bound.static_private_key_path.as_ref()).is_some(),
                ),
            );
        }
    }
    if let Some(oidc) = &onboarding.generic_oidc {
        let command = oidc.command.as_ref().is_some_and(|command| !command.is_empty());
        let env = oidc.env.as_ref().is_some_and(|env| !env.is_empty());
        findings.exactly_one(&place.key("generic_oidc"), ("env", "command"), (env, command));
        if oidc.timeout.is_some_and(|timeout| timeout.is_negative()) {
            findings.at(
                Code::NegativeDuration,
                place.key("generic_oidc").key("timeout"),
                "a command cannot take a negative time",
                "write a positive duration",
            );
        }
    }
}
