//! What the proxy serves to everybody: discovery and the join. Depends on serde and on [`crate::issue`].
//! Sources: protocol facts, sections 1.2, 2.1 and 2.3; recordings `webapi-*.json`, `first-join.json`, `join-refused.http`.

use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::Code;

use crate::issue::{Join, Proof};
use crate::proto::Certs;
use crate::{Failure, Shared};

/// The body of a join. Keys that matter to no bot are not read; every key may be missing or null.
#[derive(Debug, Deserialize)]
struct JoinRequest {
    node_name: Option<String>,
    role: Option<String>,
    token: Option<String>,
    id_token: Option<String>,
    /// Base64 of an authorized_keys line.
    public_ssh_key: Option<String>,
    /// RFC 3339.
    expires: Option<String>,
}

impl Shared {
    /// `GET /webapi/find`: cheap, and says nothing of authentication.
    pub(crate) fn find(&self) -> Value {
        self.discovery(&json!({
            "type": "",
            "private_key_policy": "",
            "piv_slot": "",
            "device_trust": {},
            "has_motd": false,
            "default_session_ttl": "0s",
        }))
    }

    /// `GET /webapi/ping`: the same, with authentication filled in.
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
        json!({
            "auth": auth,
            "proxy": {
                "kube": { "enabled": true, "listen_addr": addr },
                "ssh": {
                    "listen_addr": addr,
                    "tunnel_listen_addr": addr,
                    "web_listen_addr": addr,
                    "public_addr": addr,
                },
                "db": { "postgres_listen_addr": addr, "mysql_listen_addr": addr },
                "tls_routing_enabled": true,
                "assist_enabled": false,
                "access_graph_enabled": false,
            },
            "server_version": self.server_version,
            "min_client_version": "14.0.0",
            "cluster_name": self.name,
            "automatic_upgrades": false,
        })
    }

    /// `POST /webapi/host/credentials`.
    pub(crate) fn web_join(&self, headers: &HeaderMap, body: &[u8]) -> Result<Value, Failure> {
        let content_type =
            headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if content_type.split(';').next().map(str::trim) != Some("application/json") {
            return Err(bad("invalid request"));
        }
        let request: JoinRequest =
            serde_json::from_slice(body).map_err(|error| bad(format!("request: {error}")))?;
        let token = request.token.as_deref().unwrap_or_default();
        if token.is_empty() {
            return Err(bad("missing parameter Token"));
        }
        let host = request.node_name.as_deref().unwrap_or_default();
        let role = request.role.as_deref().unwrap_or_default();
        if role != "Bot" {
            let text =
                format!("{host:?} can not join the cluster with role {role:?}, tokens are for bots here");
            return Err(Failure::new(Code::PermissionDenied, text));
        }
        let ssh_key = request.public_ssh_key.unwrap_or_default();
        let ssh_key =
            BASE64_STANDARD.decode(ssh_key).map_err(|error| bad(format!("public_ssh_key: {error}")))?;
        let expires = request.expires.map(|text| text.parse::<jiff::Timestamp>()).transpose();
        let expires = expires.map_err(|error| bad(format!("expires: {error}")))?.map(SystemTime::from);
        let proof = request.id_token.as_deref().filter(|text| !text.is_empty());
        let proof = proof.map_or(Proof::None, Proof::IdToken);
        let certs = self.join(&Join { token, proof, host, ssh_key: &ssh_key, expires })?;
        Ok(reply(&certs))
    }
}

fn bad(message: impl Into<String>) -> Failure {
    Failure::new(Code::InvalidArgument, message)
}

/// [`Certs`] as the web spells them: every piece in base64.
fn reply(certs: &Certs) -> Value {
    let one = |bytes: &Vec<u8>| BASE64_STANDARD.encode(bytes);
    let all = |list: &[Vec<u8>]| list.iter().map(one).collect::<Vec<_>>();
    json!({
        "ssh": one(&certs.ssh),
        "tls": one(&certs.tls),
        "tls_ca_certs": all(&certs.tls_ca_certs),
        "ssh_ca_certs": all(&certs.ssh_ca_certs),
    })
}
