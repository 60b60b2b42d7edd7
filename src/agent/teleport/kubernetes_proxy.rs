//! Discovers where a proxy serves Kubernetes.

use super::proxy_settings::{ProxyPorts, ProxySettings, parse_address};
use super::server_version::ServerVersion;
use super::web_api::WebApiError;
use crate::agent::credential::cluster_name::ClusterName;
use crate::agent::net::dialler::Dialler;
use crate::agent::platform::Hint;
use crate::config::Address;
use crate::untrusted::escape;

/// The first version of a proxy that routes by path. The first release of version 18 does, too.
const FIRST_VERSION_WITH_PATH_ROUTING: ServerVersion = ServerVersion::new(17, 2, 7);

/// The Kubernetes address of the proxy cannot be discovered.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot discover where the proxy serves Kubernetes (/webapi/ping)")]
pub struct KubeProxyError(#[from] KubeProxyProblem);

/// Why the Kubernetes address cannot be discovered.
#[derive(Clone, Debug, thiserror::Error)]
enum KubeProxyProblem {
    #[error(transparent)]
    WebApi(#[from] WebApiError),
    #[error("the proxy does not serve Kubernetes")]
    NotServed,
    #[error("the cluster advertises no address of a proxy")]
    NoAddress,
}

impl From<WebApiError> for KubeProxyError {
    fn from(error: WebApiError) -> Self {
        Self(error.into())
    }
}

impl KubeProxyError {
    /// Returns true if the proxy did not respond, so the earlier value may still be right.
    pub(crate) fn is_transient(&self) -> bool {
        match &self.0 {
            KubeProxyProblem::WebApi(error) => error.is_transient(),
            KubeProxyProblem::NotServed | KubeProxyProblem::NoAddress => false,
        }
    }

    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match &self.0 {
            KubeProxyProblem::WebApi(WebApiError::Http(error)) => error.hint(),
            KubeProxyProblem::WebApi(_) => None,
            KubeProxyProblem::NotServed => {
                Some(Hint::new("enable Kubernetes at the proxy (kube_listen_addr)"))
            }
            KubeProxyProblem::NoAddress => Some(Hint::new("set the proxy's public_addr")),
        }
    }
}

/// How clients reach the Kubernetes clusters behind a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KubeProxy {
    /// The name of the proxy's own cluster.
    pub(crate) cluster_name: ClusterName,
    /// The version of the proxy, escaped; empty if it does not say.
    pub(crate) version: String,
    /// `https://host:port`.
    pub(crate) server: String,
    /// The TLS server name (SNI) by which the proxy recognises Kubernetes traffic, and which its certificate must
    /// contain.
    pub(crate) tls_server_name: Option<String>,
}

impl KubeProxy {
    /// Requests the address from the proxy. `advertised` is the address of the proxy according to the auth server, which is needed
    /// only by an agent that connects to that directly. `override_address` replaces the advertised web address if the proxy serves
    /// Kubernetes there.
    pub(crate) async fn discover(
        dialler: &Dialler,
        advertised: Option<&Address>,
        override_address: Option<&Address>,
    ) -> Result<Self, KubeProxyError> {
        let settings = ProxySettings::request(dialler, advertised).await?;
        Self::new(settings.ok_or(KubeProxyProblem::NoAddress)?, override_address)
    }

    pub(crate) fn new(
        settings: ProxySettings,
        override_address: Option<&Address>,
    ) -> Result<Self, KubeProxyError> {
        let ProxySettings { cluster_name, server_version, proxy } = settings;
        let ProxyPorts { kube, ssh, tls_routing_enabled } = proxy;
        if !kube.enabled {
            return Err(KubeProxyProblem::NotServed.into());
        }
        let no_address = || KubeProxyProblem::NoAddress;
        let (address, tls_server_name) = if tls_routing_enabled {
            let advertised = || parse_address(&ssh.web_public_addr);
            let address = override_address.cloned().or_else(advertised).ok_or_else(no_address)?;
            let name = kubernetes_server_name(address.host());
            (address, Some(name))
        } else if let Some(address) = parse_address(&kube.public_addr) {
            (address, None)
        } else {
            let web = parse_address(&ssh.web_public_addr).ok_or_else(no_address)?;
            let listener = parse_address(&kube.listen_addr).ok_or_else(no_address)?;
            (Address::new(web.host(), listener.port()), None)
        };
        let cluster_name = cluster_name
            .parse()
            .map_err(|error| KubeProxyProblem::WebApi(WebApiError::ClusterName(error)))?;
        let version = escape(&server_version).into();
        Ok(Self { cluster_name, version, server: format!("https://{address}"), tls_server_name })
    }

    /// Returns whether the proxy routes a request to a Kubernetes cluster by its path. Older proxies ignore the path and route by
    /// the certificate. A version that cannot be read counts as new.
    pub(crate) fn routes_by_path(&self) -> bool {
        self.version.parse().map_or(true, |version: ServerVersion| version >= FIRST_VERSION_WITH_PATH_ROUTING)
    }
}

/// Returns the SNI by which a proxy recognises Kubernetes traffic. An IP address cannot take the prefix.
fn kubernetes_server_name(host: &str) -> String {
    let host = if host.parse::<std::net::IpAddr>().is_ok() { "teleport.cluster.local" } else { host };
    format!("kube-teleport-proxy-alpn.{host}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;

    fn parse(body: &str, override_address: Option<&Address>) -> Result<KubeProxy, KubeProxyError> {
        KubeProxy::new(serde_json::from_str(body).unwrap(), override_address)
    }

    #[test]
    fn a_recorded_response_is_parsed() {
        let proxy = parse(&recorded("webapi-ping.json"), None).unwrap();
        let expected = KubeProxy {
            cluster_name: "dev.test".parse().unwrap(),
            version: "15.0.0-dev".to_owned(),
            server: "https://127.0.0.1:4080".to_owned(),
            tls_server_name: Some("kube-teleport-proxy-alpn.teleport.cluster.local".to_owned()),
        };
        assert_eq!(proxy, expected);
        let overridden = parse(&recorded("webapi-ping.json"), Some(&Address::new("t.example", 443))).unwrap();
        assert_eq!(overridden.server, "https://t.example:443");
        assert_eq!(overridden.tls_server_name.as_deref(), Some("kube-teleport-proxy-alpn.t.example"));
    }

    #[test]
    fn a_separate_kubernetes_listener_has_its_own_address_and_no_sni() {
        let server = |kube: serde_json::Value| {
            let mut response: serde_json::Value =
                serde_json::from_str(&recorded("webapi-ping.json")).unwrap();
            response["proxy"]["tls_routing_enabled"] = false.into();
            response["proxy"]["kube"] = kube;
            parse(&response.to_string(), None).map(|proxy| proxy.server)
        };
        let enabled = |public: &str| serde_json::json!({ "enabled": true, "public_addr": public, "listen_addr": "0.0.0.0:3026" });
        assert_eq!(server(enabled("kube.example:3026")).unwrap(), "https://kube.example:3026");
        assert_eq!(server(enabled("")).unwrap(), "https://127.0.0.1:3026");
        assert!(server(serde_json::json!({ "enabled": false })).is_err());
    }
}
