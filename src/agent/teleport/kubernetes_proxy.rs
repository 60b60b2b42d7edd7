//! Asks a proxy where it serves Kubernetes: `GET /webapi/ping`. One I/O edge.

use serde::Deserialize;

use crate::agent::net::address::Address;
use crate::agent::net::web::WebClient;
use crate::agent::platform::error_text::describe_json_error;
use crate::agent::teleport::error_body::error_message;

/// Kubernetes behind the proxy cannot be named in a kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("asked the proxy (/webapi/ping) where it serves Kubernetes, but {0}")]
pub struct KubeProxyError(String);

/// Where Kubernetes clusters are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KubeProxy {
    /// The proxy's own cluster.
    pub(crate) cluster_name: String,
    /// `https://host:port`.
    pub(crate) server: String,
    /// What to verify its certificate against, and to name in TLS: by this the proxy knows what is wanted.
    pub(crate) tls_server_name: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    cluster_name: String,
    proxy: ProxySettings,
}

#[derive(Deserialize)]
struct ProxySettings {
    #[serde(default)]
    kube: KubeSettings,
    ssh: SshSettings,
    #[serde(default)]
    tls_routing_enabled: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct KubeSettings {
    enabled: bool,
    public_addr: String,
    listen_addr: String,
}

/// Despite its name this part holds the web address.
#[derive(Deserialize)]
struct SshSettings {
    #[serde(default)]
    public_addr: String,
}

impl KubeProxy {
    /// `ours` is named instead of the advertised web address, where that carries Kubernetes.
    pub(crate) async fn ask(web: &WebClient, ours: Option<&str>) -> Result<Self, KubeProxyError> {
        let answer = web.get("/webapi/ping").await.map_err(|error| KubeProxyError(error.to_string()))?;
        if !answer.status.is_success() {
            let message = error_message(&answer.body);
            return Err(KubeProxyError(format!("the answer was {}: {message}", answer.status)));
        }
        Self::parse(&answer.body, ours)
    }

    pub(crate) fn parse(body: &[u8], ours: Option<&str>) -> Result<Self, KubeProxyError> {
        let refused = |what: &str| KubeProxyError(what.to_owned());
        let Answer { cluster_name, proxy } = serde_json::from_slice(body).map_err(|error| {
            KubeProxyError(format!(
                "the answer is not that of a Teleport proxy: {}",
                describe_json_error(&error)
            ))
        })?;
        let ProxySettings { kube, ssh, tls_routing_enabled } = proxy;
        if !kube.enabled {
            return Err(refused("it does not serve Kubernetes: enable it on the proxy (kube_listen_addr)"));
        }
        let no_address = || refused("it advertises no address: set public_addr on the proxy");
        let (address, tls_server_name) = if tls_routing_enabled {
            let address = read(ours.unwrap_or(&ssh.public_addr)).ok_or_else(no_address)?;
            let name = kubernetes_server_name(address.host());
            (address, Some(name))
        } else if let Some(address) = read(&kube.public_addr) {
            (address, None)
        } else {
            let host = read(&ssh.public_addr).ok_or_else(no_address)?;
            let port = read(&kube.listen_addr).ok_or_else(no_address)?;
            (Address::new(host.host(), port.port()), None)
        };
        Ok(Self { cluster_name, server: format!("https://{address}"), tls_server_name })
    }
}

fn read(address: &str) -> Option<Address> {
    address.parse().ok()
}

/// A proxy knows by this name that Kubernetes is meant; an IP address takes no prefix.
fn kubernetes_server_name(host: &str) -> String {
    let host = if host.parse::<std::net::IpAddr>().is_ok() { "teleport.cluster.local" } else { host };
    format!("kube-teleport-proxy-alpn.{host}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;

    #[test]
    fn a_recorded_answer_is_understood() {
        let proxy = KubeProxy::parse(recorded("webapi-ping.json").as_bytes(), None).unwrap();
        let expected = KubeProxy {
            cluster_name: "dev.test".to_owned(),
            server: "https://127.0.0.1:4080".to_owned(),
            tls_server_name: Some("kube-teleport-proxy-alpn.teleport.cluster.local".to_owned()),
        };
        assert_eq!(proxy, expected);
        let named = KubeProxy::parse(recorded("webapi-ping.json").as_bytes(), Some("t.example:443")).unwrap();
        assert_eq!(named.server, "https://t.example:443");
        assert_eq!(named.tls_server_name.as_deref(), Some("kube-teleport-proxy-alpn.t.example"));
    }

    #[test]
    fn separate_listeners_have_their_own_address_and_no_name() {
        let server = |kube: serde_json::Value| {
            let mut answer: serde_json::Value = serde_json::from_str(&recorded("webapi-ping.json")).unwrap();
            answer["proxy"]["tls_routing_enabled"] = false.into();
            answer["proxy"]["kube"] = kube;
            KubeProxy::parse(answer.to_string().as_bytes(), None).map(|proxy| proxy.server)
        };
        let enabled = |public: &str| serde_json::json!({ "enabled": true, "public_addr": public, "listen_addr": "0.0.0.0:3026" });
        assert_eq!(server(enabled("kube.example:3026")).unwrap(), "https://kube.example:3026");
        assert_eq!(server(enabled("")).unwrap(), "https://127.0.0.1:3026");
        let refused = server(serde_json::json!({ "enabled": false })).unwrap_err().to_string();
        assert!(refused.contains("does not serve Kubernetes"), "{refused}");
    }
}
