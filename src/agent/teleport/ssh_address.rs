//! Discovers where a proxy serves SSH.

use super::proxy_settings::{ProxyPorts, ProxySettings, parse_address};
use super::web_api::WebApiError;
use crate::agent::net::connection_error::ConnectionError;
use crate::agent::net::dialler::Dialler;
use crate::agent::platform::Hint;
use crate::config::Address;

/// The address for SSH of the proxy cannot be discovered.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot discover where the proxy serves SSH (/webapi/ping)")]
pub struct SshAddressError(#[from] WebApiError);

impl SshAddressError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match &self.0 {
            WebApiError::Http(error) => error.hint(),
            _ => None,
        }
    }

    /// Returns true if the proxy did not respond, so the earlier value may still be right.
    pub(crate) fn is_transient(&self) -> bool {
        self.0.is_transient()
    }
}

/// The address at which SSH clients reach the hosts behind a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SshAddress {
    pub(crate) address: Address,
    /// Whether the port serves all protocols, or only SSH.
    pub(crate) tls_routing: bool,
    /// Whether connections to it need the connection upgrade. `None` if this is unknown, so that it must be tested before a
    /// connection.
    pub(crate) connection_upgrade: Option<bool>,
}

impl SshAddress {
    /// Returns the address of a proxy with TLS routing.
    pub(crate) fn at_web_address(web: &Address) -> Self {
        Self { address: web.clone(), tls_routing: true, connection_upgrade: None }
    }

    /// Asks the proxy, whose web address is `web`. If the test for the connection upgrade fails, returns its error as well.
    pub(crate) async fn discover(
        dialler: &Dialler,
        web: &Address,
    ) -> Result<(Self, Option<ConnectionError>), SshAddressError> {
        let settings = ProxySettings::request(dialler, Some(web)).await?;
        let ssh = Self::new(settings.map(|settings| settings.proxy), web);
        if !ssh.tls_routing {
            return Ok((ssh, None));
        }
        Ok(match dialler.needs_upgrade_at(web).await {
            Ok(needs_upgrade) => (Self { connection_upgrade: Some(needs_upgrade), ..ssh }, None),
            Err(error) => (ssh, Some(ConnectionError::new(error))),
        })
    }

    /// Returns this address with what is known about the connection upgrade from `earlier`, if that is the same address.
    pub(crate) fn with_upgrade_of(self, earlier: Option<&Self>) -> Self {
        let same = earlier
            .filter(|earlier| earlier.address == self.address && earlier.tls_routing == self.tls_routing);
        Self { connection_upgrade: same.and_then(|earlier| earlier.connection_upgrade), ..self }
    }

    fn new(ports: Option<ProxyPorts>, web: &Address) -> Self {
        let Some(ports) = ports.filter(|ports| !ports.tls_routing_enabled) else {
            return Self::at_web_address(web);
        };
        let listener = || Some(Address::new(web.host(), parse_address(&ports.ssh.listen_addr)?.port()));
        match parse_address(&ports.ssh.ssh_public_addr).or_else(listener) {
            Some(address) => Self { address, tls_routing: false, connection_upgrade: Some(false) },
            None => Self::at_web_address(web),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;

    #[test]
    fn an_earlier_test_counts_only_for_the_same_address() {
        let tested = |address: &str, connection_upgrade| SshAddress {
            connection_upgrade,
            ..SshAddress::at_web_address(&Address::new(address, 443))
        };
        let untested = tested("t.example", None);
        let upgrade_of =
            |earlier: Option<&SshAddress>| untested.clone().with_upgrade_of(earlier).connection_upgrade;
        assert_eq!(upgrade_of(None), None);
        assert_eq!(upgrade_of(Some(&tested("t.example", Some(true)))), Some(true));
        assert_eq!(upgrade_of(Some(&tested("other.example", Some(true)))), None);
        let other_port = SshAddress { tls_routing: false, ..tested("t.example", Some(false)) };
        assert_eq!(upgrade_of(Some(&other_port)), None);
    }

    #[test]
    fn without_tls_routing_the_address_is_that_of_the_ssh_port() {
        let web = Address::new("t.example", 443);
        let ssh = |tls_routing: bool, public: &str, listener: &str| {
            let mut settings: serde_json::Value =
                serde_json::from_str(&recorded("webapi-ping.json")).unwrap();
            settings["proxy"]["tls_routing_enabled"] = tls_routing.into();
            settings["proxy"]["ssh"]["ssh_public_addr"] = public.into();
            settings["proxy"]["ssh"]["listen_addr"] = listener.into();
            let settings: ProxySettings = serde_json::from_value(settings).unwrap();
            let SshAddress { address, tls_routing, .. } = SshAddress::new(Some(settings.proxy), &web);
            (address.to_string(), tls_routing)
        };
        let own = |address: &str| (address.to_owned(), false);
        assert_eq!(ssh(true, "ssh.example:3023", "0.0.0.0:3023"), ("t.example:443".to_owned(), true));
        assert_eq!(ssh(false, "ssh.example:2023", "0.0.0.0:3023"), own("ssh.example:2023"));
        assert_eq!(ssh(false, "", "0.0.0.0:3023"), own("t.example:3023"));
        assert_eq!(ssh(false, "$(id):1", "[::]:3023"), own("t.example:3023"));
        assert_eq!(ssh(false, "", ""), ("t.example:443".to_owned(), true));
    }
}
