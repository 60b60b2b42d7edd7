//! Reads the address that a proxy advertises, which the agent writes to `ssh_config` and `known_hosts`.

use crate::config::Address;
use crate::untrusted::escape;

/// Returns the address, or `None` if there is none or it is not valid. The agent then uses the address at which it
/// reaches the proxy itself.
pub(super) fn advertised_address(advertised: &str) -> Option<Address> {
    if advertised.is_empty() {
        return None;
    }
    let address: Result<Address, _> = advertised.parse();
    if let Err(error) = &address {
        tracing::warn!(
            address = %escape(advertised),
            "ignoring the address that the proxy advertises: {error}; check the proxy's public_addr"
        );
    }
    address.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_host_and_a_port_are_accepted() {
        assert_eq!(advertised_address("t.example:3080"), Some(Address::new("t.example", 3080)));
        assert_eq!(advertised_address("[::1]:3080"), Some(Address::new("::1", 3080)));
        for advertised in [
            "",
            "t.example:443\nHost *\n    ProxyCommand sh",
            "t.example,*:443",
            "$(id):443",
            "`id`:443",
            "a b:443",
            "%h:443",
            "!t.example:443",
            "t.example:443 ssh; id",
        ] {
            assert_eq!(advertised_address(advertised), None, "{advertised}");
        }
    }
}
