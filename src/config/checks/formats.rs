//! Recognises string formats: addresses and names.

use std::net::{IpAddr, SocketAddr};

use url::Url;

/// Returns whether a string is of the form `ip:port`.
pub(super) fn is_socket_address(string: &str) -> bool {
    string.parse::<SocketAddr>().is_ok()
}

/// Returns whether a string is a network in CIDR notation.
pub(super) fn is_network(string: &str) -> bool {
    let Some((address, bits)) = string.split_once('/') else { return false };
    let (Ok(address), Ok(bits)) = (address.parse::<IpAddr>(), bits.parse::<u8>()) else { return false };
    bits <= if address.is_ipv4() { 32 } else { 128 }
}

/// Returns whether a string is an Amazon resource name: `arn:partition:service:region:account:resource`.
pub(super) fn is_arn(string: &str) -> bool {
    let parts: Vec<&str> = string.splitn(6, ':').collect();
    matches!(parts.as_slice(), ["arn", partition, service, _, _, resource]
        if !partition.is_empty() && !service.is_empty() && !resource.is_empty())
}

/// Returns whether a string has the form of an AWS region: `eu-central-1`, `us-gov-west-1`.
pub(super) fn is_aws_region(string: &str) -> bool {
    let parts: Vec<&str> = string.split('-').collect();
    let [words @ .., number] = parts.as_slice() else { return false };
    words.len() >= 2
        && words.iter().all(|word| !word.is_empty() && word.bytes().all(|letter| letter.is_ascii_lowercase()))
        && !number.is_empty()
        && number.bytes().all(|letter| letter.is_ascii_digit())
}

/// Returns whether a string is a pin of a certificate authority: the SHA-256 hash of its public key.
pub(super) fn is_ca_pin(string: &str) -> bool {
    let hash = string.strip_prefix("sha256:");
    hash.is_some_and(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Returns whether a string is a DNS label (RFC 1123), as Kubernetes requires for the name of a namespace.
pub(super) fn is_dns_label(string: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    string.len() <= 63
        && string.bytes().next().is_some_and(is_alphanumeric)
        && string.bytes().last().is_some_and(is_alphanumeric)
        && string.bytes().all(|byte| is_alphanumeric(byte) || byte == b'-')
}

/// Returns whether a string is a DNS subdomain (RFC 1123), as Kubernetes requires for the name of a Secret.
pub(super) fn is_dns_subdomain(string: &str) -> bool {
    string.len() <= 253
        && string.split('.').all(|label| {
            let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            label.bytes().next().is_some_and(is_alphanumeric)
                && label.bytes().last().is_some_and(is_alphanumeric)
                && label.bytes().all(|byte| is_alphanumeric(byte) || byte == b'-')
        })
}

/// Returns whether a string can begin a DNS subdomain, as Kubernetes requires for the name of a Secret.
pub(super) fn is_dns_prefix(string: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    string.len() <= 253
        && string.bytes().next().is_some_and(is_alphanumeric)
        && string.bytes().all(|byte| is_alphanumeric(byte) || matches!(byte, b'-' | b'.'))
        && !string.contains("..")
}

/// Returns whether a string is the host of a registry, optionally with a port.
pub(super) fn is_registry(string: &str) -> bool {
    !string.trim().is_empty()
        && !string.contains(['/', ' ', '@'])
        && Url::parse(&format!("https://{string}")).is_ok_and(|url| url.has_host())
}
