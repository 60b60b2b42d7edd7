//! NO_PROXY, a list of the hosts that are reached directly, by the rules of Go programs.

use std::net::IpAddr;

/// Returns true if the list names a host, which is a domain or an IP address without brackets. Each entry is `*` for all hosts, a
/// network, or an IP address or a domain with an optional port. A domain includes those below it, and only those if it begins with
/// `.` or `*.`.
pub(super) fn contains(list: &str, host: &str, port: u16) -> bool {
    let host = host.to_ascii_lowercase();
    let address = parse_address(&host);
    list.split(',').any(|entry| {
        let entry = entry.trim().to_ascii_lowercase();
        if let Some(network) = Network::parse(&entry) {
            return address.is_some_and(|address| network.contains(address));
        }
        let (pattern, only_port) = split_port(&entry);
        let is_host = match parse_address(pattern) {
            Some(pattern) => address == Some(pattern),
            // The end of an address is not a domain above it.
            None => address.is_none() && matches_domain(pattern, &host),
        };
        entry == "*" || is_host && only_port.is_none_or(|only| only.parse() == Ok(port))
    })
}

/// Parses an IP address. An IPv4 address in the form of an IPv6 address is the same address.
fn parse_address(address: &str) -> Option<IpAddr> {
    address.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// The addresses that begin with the same bits.
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// Parses a network such as `10.0.0.0/8`.
    fn parse(network: &str) -> Option<Self> {
        let (address, bits) = network.split_once('/')?;
        Some(Self { address: address.parse().ok()?, bits: bits.parse().ok()? })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let common = match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (u32::from(network) ^ u32::from(address)).leading_zeros()
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (u128::from(network) ^ u128::from(address)).leading_zeros()
            }
            _ => return false,
        };
        common >= self.bits
    }
}

/// Splits an entry into the host without brackets, and the port if there is one.
fn split_port(entry: &str) -> (&str, Option<&str>) {
    let (host, port) = match entry.rsplit_once(':') {
        // Otherwise, this is an IPv6 address.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (entry, None),
    };
    let without_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    (without_brackets.unwrap_or(host), port.filter(|port| !port.is_empty()))
}

fn matches_domain(pattern: &str, host: &str) -> bool {
    let is_below = |parent: &str| host.strip_suffix(parent).is_some_and(|name| name.ends_with('.'));
    match pattern.strip_prefix("*.").or_else(|| pattern.strip_prefix('.')) {
        Some(parent) => !parent.is_empty() && is_below(parent),
        None => !pattern.is_empty() && (host == pattern || is_below(pattern)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_name_the_same_hosts_as_in_go() {
        for (list, host, expected) in [
            ("t.example", "t.example", true),
            ("T.Example", "t.example", true),
            ("t.example", "a.t.example", true),
            ("t.example", "not-t.example", false),
            (".t.example", "a.t.example", true),
            (".t.example", "t.example", false),
            ("*.t.example", "a.b.t.example", true),
            ("*.t.example", "t.example", false),
            ("t.example:443", "t.example", true),
            ("*.t.example:443", "a.t.example", true),
            ("t.example:3080", "t.example", false),
            ("t.example:", "t.example", true),
            ("a.example, t.example", "t.example", true),
            ("a.example t.example", "t.example", false),
            ("*", "t.example", true),
            ("a.example,*", "192.0.2.1", true),
            ("*:443", "192.0.2.1", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1:443", "192.0.2.1", true),
            ("192.0.2.1:80", "192.0.2.1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("2.1", "192.0.2.1", false),
            (".2.1", "192.0.2.1", false),
            ("192.0.2.0/24", "192.0.2.1", true),
            ("192.0.2.7/24", "192.0.2.1", true),
            ("192.0.2.1/32", "192.0.2.1", true),
            ("192.0.3.0/24", "192.0.2.1", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("192.0.2.0/24", "t.example", false),
            ("2001:db8::/32", "2001:db8::1", true),
            ("2001:db9::/32", "2001:db8::1", false),
            ("2001:db8::1", "2001:db8::1", true),
            // In Go, only with a port.
            ("[2001:db8::1]", "2001:db8::1", true),
            ("[2001:db8::1]:443", "2001:db8::1", true),
            ("[2001:db8::1]:80", "2001:db8::1", false),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("", "t.example", false),
            (",.,*.,:443", "t.example", false),
        ] {
            assert_eq!(contains(list, host, 443), expected, "{list:?} {host}");
        }
    }
}
