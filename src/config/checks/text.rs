//! Texts with a form of their own: URLs, templates, names, addresses. Each says whether a text is one.

use std::net::{IpAddr, SocketAddr};

use url::Url;

/// Whether a text is a URL to listen at.
pub(super) fn is_url(text: &str) -> bool {
    Url::parse(text).is_ok()
}

/// Whether a text is `ip:port`.
pub(super) fn is_socket_address(text: &str) -> bool {
    text.parse::<SocketAddr>().is_ok()
}

/// Whether a text is a network in CIDR notation.
pub(super) fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let (Ok(address), Ok(bits)) = (address.parse::<IpAddr>(), bits.parse::<u8>()) else { return false };
    bits <= if address.is_ipv4() { 32 } else { 128 }
}

/// Whether a text is an Amazon resource name: `arn:partition:service:region:account:resource`.
pub(super) fn is_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    matches!(parts.as_slice(), ["arn", partition, service, _, _, resource]
        if !partition.is_empty() && !service.is_empty() && !resource.is_empty())
}

/// Whether a text has the form of an AWS region: `eu-central-1`, `us-gov-west-1`.
pub(super) fn is_aws_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [words @ .., number] = parts.as_slice() else { return false };
    words.len() >= 2
        && words.iter().all(|word| !word.is_empty() && word.bytes().all(|letter| letter.is_ascii_lowercase()))
        && !number.is_empty()
        && number.bytes().all(|letter| letter.is_ascii_digit())
}

/// Whether a text is a DNS label: what Kubernetes wants of a namespace (RFC 1123).
pub(super) fn is_dns_label(text: &str) -> bool {
    let edge = |letter: Option<u8>| {
        letter.is_some_and(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    };
    text.len() <= 63
        && edge(text.bytes().next())
        && edge(text.bytes().last())
        && text.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-')
}

/// Whether a text may begin a DNS subdomain: what Kubernetes wants of a Secret's name.
pub(super) fn is_dns_prefix(text: &str) -> bool {
    let allowed =
        |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, b'-' | b'.');
    text.len() <= 253
        && text.bytes().all(allowed)
        && text.bytes().next().is_some_and(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
        && !text.contains("..")
}

/// Whether a text is a registry's host, with a port where it has one.
pub(super) fn is_registry(text: &str) -> bool {
    !text.trim().is_empty()
        && !text.contains(['/', ' ', '@'])
        && Url::parse(&format!("https://{text}")).is_ok_and(|url| url.has_host())
}

/// What is wrong with a Go template whose actions may only name variables; nothing where it is right.
pub(super) fn template_mistake(template: &str, variables: &[&str]) -> Option<String> {
    let mut rest = template;
    while let Some((_, after)) = rest.split_once("{{") {
        let Some((action, after)) = after.split_once("}}") else {
            return Some("`{{` is not closed by `}}`".to_owned());
        };
        let action = action.trim_start_matches("- ").trim_end_matches(" -").trim();
        let is_comment = action.starts_with("/*") && action.ends_with("*/");
        let name = action.strip_prefix('.').map(|name| name.split(['.', ' ', '|']).next().unwrap_or(name));
        match name {
            _ if is_comment => {}
            _ if action.is_empty() => return Some("an action is empty".to_owned()),
            Some(name) if variables.contains(&name) => {}
            Some(_) => {
                return Some(format!("a variable is not one of {}", list(variables)));
            }
            // Functions and control structures are left to the agent that executes the template.
            None => {}
        }
        rest = after;
    }
    None
}

fn list(variables: &[&str]) -> String {
    variables.iter().map(|name| format!("`.{name}`")).collect::<Vec<_>>().join(", ")
}
