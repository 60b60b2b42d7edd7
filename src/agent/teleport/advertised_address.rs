//! Reads the address that a proxy advertises, which the agent writes to `ssh_config` and `known_hosts`.

use crate::config::Address;
use crate::untrusted::escape;

/// Returns the address, or `None` if the proxy advertises none.
///
/// # Errors
///
/// Returns a warning if it is not valid. The agent then uses the address at which it reaches the proxy itself.
pub(super) fn advertised_address(advertised: &str) -> Result<Option<Address>, String> {
    if advertised.is_empty() {
        return Ok(None);
    }
    advertised.parse().map(Some).map_err(|error| {
        format!(
            "ignoring the address {} that the proxy advertises: {error}; check the proxy's public_addr",
            escape(advertised)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_host_and_a_port_are_accepted() {
        assert_eq!(advertised_address("t.example:3080"), Ok(Some(Address::new("t.example", 3080))));
        assert_eq!(advertised_address("[::1]:3080"), Ok(Some(Address::new("::1", 3080))));
        assert_eq!(advertised_address(""), Ok(None));
        for advertised in [
            "t.example:443\nHost *\n    ProxyCommand sh",
            "t.example,*:443",
            "$(id):443",
            "`id`:443",
            "a b:443",
            "%h:443",
            "!t.example:443",
            "t.example:443 ssh; id",
        ] {
            let warning = advertised_address(advertised).unwrap_err();
            assert!(!warning.contains('\n'), "{warning}");
        }
    }
}
