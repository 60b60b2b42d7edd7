//! The proxy's web API: discovery and the join with a secret token or an ID token. Follows the recordings
//! `webapi-*.json`, `first-join.json` and `join-refused.http`.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::join_request::{Attestation, JoinRequest};
use crate::proto::Certs;
use crate::shared::Shared;

/// The body of a join request. Keys that bots do not use are ignored; every key may be missing or null.
#[derive(Debug, Deserialize)]
struct JoinBody {
    node_name: Option<String>,
    role: Option<String>,
    token: Option<String>,
    id_token: Option<String>,
    /// An authorized_keys line in base64.
    public_ssh_key: Option<String>,
    /// A PEM public key in base64.
    public_tls_key: Option<String>,
    /// RFC 3339.
    expires: Option<String>,
}

impl Shared {
    /// Serves `GET /webapi/find`, which does not include the authentication settings.
    pub(crate) fn find(&self) -> Value {
        let mut auth = json!({
            "type": "",
            "private_key_policy": "",
            "piv_slot": "",
            "device_trust": {},
            "has_motd": false,
            "default_session_ttl": "0s",
        });
        let suite = self.state().signature_algorithm_suite.clone();
        if !suite.is_empty() {
            auth["signature_algorithm_suite"] = suite.into();
        }
        self.discovery(&auth)
    }

    /// Serves `GET /webapi/ping`: the same with the authentication settings.
    pub(crate) fn web_ping(&self) -> Value {
        self.discovery(&json!({
            "type": "local",
            "second_factor": "off",
            "local": { "name": "" },
            "private_key_policy": "none",
            "piv_slot": "",
            "device_trust_disabled": true,
            "device_trust": { "disabled": true },
            "has_motd": false,
            "default_session_ttl": "12h0m0s",
        }))
    }

    fn discovery(&self, auth: &Value) -> Value {
        let addr = self.addr.to_string();
        let has_tls_routing = self.has_tls_routing.load(Ordering::Relaxed);
        let ssh_addr = if has_tls_routing { addr.clone() } else { self.ssh_addr.to_string() };
        json!({
            "auth": auth,
            "proxy": {
                "kube": { "enabled": true, "listen_addr": addr },
                "ssh": {
                    "listen_addr": ssh_addr,
                    "tunnel_listen_addr": addr,
                    "web_listen_addr": addr,
                    "public_addr": self.proxy_public_addr(),
                },
                "db": { "postgres_listen_addr": addr, "mysql_listen_addr": addr },
                "tls_routing_enabled": has_tls_routing,
                "assist_enabled": false,
                "access_graph_enabled": false,
            },
            "server_version": self.server_version,
            "min_client_version": "14.0.0",
            "cluster_name": self.name,
            "automatic_upgrades": false,
        })
    }

    /// Serves `POST /webapi/host/credentials`.
    pub(crate) fn web_join(&self, headers: &HeaderMap, body: &[u8]) -> Result<Value, ApiError> {
        let content_type =
            headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if content_type.split(';').next().map(str::trim) != Some("application/json") {
            return Err(ApiError::invalid_argument("invalid request"));
        }
        let request: JoinBody = serde_json::from_slice(body)
            .map_err(|error| ApiError::invalid_argument(format!("request: {error}")))?;
        let token = request.token.as_deref().unwrap_or_default();
        if token.is_empty() {
            return Err(ApiError::invalid_argument("missing parameter Token"));
        }
        let host = request.node_name.as_deref().unwrap_or_default();
        let role = request.role.as_deref().unwrap_or_default();
        if role != "Bot" {
            return Err(ApiError::permission_denied(format!(
                "{host:?} can not join the cluster with role {role:?}, only bots can join the development cluster"
            )));
        }
        let decode = |name: &str, key: Option<String>| {
            let key = BASE64_STANDARD.decode(key.unwrap_or_default());
            key.map_err(|error| ApiError::invalid_argument(format!("{name}: {error}")))
        };
        let ssh_key = decode("public_ssh_key", request.public_ssh_key)?;
        let tls_key = decode("public_tls_key", request.public_tls_key)?;
        let keys = self.join_keys(&ssh_key, &tls_key)?;
        let expires = request.expires.map(|time| time.parse::<jiff::Timestamp>()).transpose();
        let expires = expires
            .map_err(|error| ApiError::invalid_argument(format!("expires: {error}")))?
            .map(SystemTime::from);
        let id_token = request.id_token.as_deref().filter(|token| !token.is_empty());
        let attestation = id_token.map_or(Attestation::None, Attestation::IdToken);
        let certs = self.join(&JoinRequest { token, attestation, host, keys, expires, caller: None })?;
        Ok(to_json(&certs))
    }
}

/// Encodes [`Certs`] as JSON, with every certificate and key in base64.
fn to_json(certs: &Certs) -> Value {
    let one = |bytes: &Vec<u8>| BASE64_STANDARD.encode(bytes);
    let all = |list: &[Vec<u8>]| list.iter().map(one).collect::<Vec<_>>();
    json!({
        "ssh": one(&certs.ssh),
        "tls": one(&certs.tls),
        "tls_ca_certs": all(&certs.tls_ca_certs),
        "ssh_ca_certs": all(&certs.ssh_ca_certs),
    })
}
