//! Requests the settings of a proxy: `GET /webapi/ping`.

use serde::Deserialize;

use super::web_api::{self, WebApiError};
use crate::agent::net::dialler::Dialler;
use crate::agent::net::known_server::ServerKind;
use crate::config::Address;

/// The response of a proxy.
#[derive(Deserialize)]
pub(crate) struct ProxySettings {
    pub(super) cluster_name: String,
    #[serde(default)]
    pub(super) server_version: String,
    pub(super) proxy: ProxyPorts,
}

/// The protocols that a proxy serves, and where.
#[derive(Deserialize)]
pub(super) struct ProxyPorts {
    #[serde(default)]
    pub(super) kube: KubePort,
    pub(super) ssh: SshPort,
    /// Whether one port serves all protocols.
    #[serde(default)]
    pub(super) tls_routing_enabled: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct KubePort {
    pub(super) enabled: bool,
    pub(super) public_addr: String,
    pub(super) listen_addr: String,
}

#[derive(Deserialize)]
pub(super) struct SshPort {
    /// Despite the name of the object, this is the web address.
    #[serde(default, rename = "public_addr")]
    pub(super) web_public_addr: String,
    #[serde(default)]
    pub(super) ssh_public_addr: String,
    #[serde(default)]
    pub(super) listen_addr: String,
}

impl ProxySettings {
    /// Requests the settings. An agent that is connected to an auth server needs the address of the proxy that it `advertised`;
    /// without one, returns `None`.
    pub(super) async fn request(
        dialler: &Dialler,
        advertised: Option<&Address>,
    ) -> Result<Option<Self>, WebApiError> {
        let web = match (dialler.kind(), advertised) {
            (ServerKind::Proxy, _) => dialler.web().clone(),
            (ServerKind::Auth, None) => return Ok(None),
            (ServerKind::Auth, Some(address)) => dialler.web().for_other(address).await?,
        };
        Self::parse(&web_api::get(&web, "/webapi/ping").await?).map(Some)
    }

    pub(crate) fn parse(body: &[u8]) -> Result<Self, WebApiError> {
        web_api::parse(body)
    }
}

/// Returns an address that a proxy advertises, if it is valid.
pub(super) fn parse_address(address: &str) -> Option<Address> {
    address.parse().ok()
}
