//! The messages of Teleport's auth API, declared by hand with only the fields that the agent uses.
//!
//! Field numbers are those of servers 15 to 19; the decoder skips unknown fields.

pub(crate) mod resources;
pub(crate) mod workload_identity;

use std::collections::BTreeMap;

use prost::Message;
use prost_types::Timestamp;

/// `google.protobuf.Empty` and `proto.PingRequest`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Empty {}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PingResponse {
    #[prost(string, tag = "1")]
    pub(crate) cluster_name: String,
    #[prost(string, tag = "2")]
    pub(crate) server_version: String,
    #[prost(string, tag = "4")]
    pub(crate) proxy_public_addr: String,
}

/// Which of the public key fields a server reads depends on its version: see [`UserCertsRequest::with_keys`].
#[derive(Clone, PartialEq, Message)]
pub(crate) struct UserCertsRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) public_key: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(crate) username: String,
    /// Required: a server takes a missing value as the year 1.
    #[prost(message, optional, tag = "3")]
    pub(crate) expires: Option<Timestamp>,
    #[prost(string, tag = "5")]
    pub(crate) route_to_cluster: String,
    #[prost(string, tag = "7")]
    pub(crate) kubernetes_cluster: String,
    #[prost(message, optional, tag = "8")]
    pub(crate) route_to_database: Option<RouteToDatabase>,
    #[prost(message, optional, tag = "11")]
    pub(crate) route_to_app: Option<RouteToApp>,
    #[prost(string, repeated, tag = "12")]
    pub(crate) role_requests: Vec<String>,
    #[prost(bool, tag = "14")]
    pub(crate) use_role_requests: bool,
    #[prost(bytes = "vec", tag = "22")]
    pub(crate) ssh_public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "23")]
    pub(crate) tls_public_key: Vec<u8>,
    /// Servers that do not know this field issue certificates that cannot be reissued.
    #[prost(bool, tag = "27")]
    pub(crate) reissuable_role_impersonation: bool,
}

/// `proto.RouteToDatabase`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RouteToDatabase {
    #[prost(string, tag = "1")]
    pub(crate) service_name: String,
    #[prost(string, tag = "2")]
    pub(crate) protocol: String,
    #[prost(string, tag = "3")]
    pub(crate) username: String,
    #[prost(string, tag = "4")]
    pub(crate) database: String,
}

/// `proto.RouteToApp`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RouteToApp {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// Used by servers up to 15; newer ones create the session themselves.
    #[prost(string, tag = "2")]
    pub(crate) session_id: String,
    #[prost(string, tag = "3")]
    pub(crate) public_addr: String,
    #[prost(string, tag = "4")]
    pub(crate) cluster_name: String,
}

impl UserCertsRequest {
    /// Sets the public keys: one key (an authorized_keys line) for servers up to 16, the SSH line and the TLS PEM from 17 on.
    pub(crate) fn with_keys(self, server_major: u32, ssh_line: String, tls_pem: String) -> Self {
        if server_major <= 16 {
            Self { public_key: ssh_line.into_bytes(), ..self }
        } else {
            Self { ssh_public_key: ssh_line.into_bytes(), tls_public_key: tls_pem.into_bytes(), ..self }
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Certs {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) ssh: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) tls: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(crate) tls_ca_certs: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub(crate) ssh_ca_certs: Vec<Vec<u8>>,
}

/// The response of `GetClusterCACert`: the host CA's certificates in PEM.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ClusterCaCert {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) tls_ca: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GetRoleRequest {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
}

/// `types.RoleV6`, down to `spec.allow.impersonate.roles`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Role {
    #[prost(message, optional, tag = "5")]
    pub(crate) spec: Option<RoleSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RoleSpec {
    #[prost(message, optional, tag = "2")]
    pub(crate) allow: Option<RoleConditions>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RoleConditions {
    #[prost(message, optional, tag = "14")]
    pub(crate) impersonate: Option<Impersonate>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Impersonate {
    #[prost(string, repeated, tag = "2")]
    pub(crate) roles: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GetCertAuthoritiesRequest {
    #[prost(string, tag = "1")]
    pub(crate) r#type: String,
    #[prost(bool, tag = "2")]
    pub(crate) include_key: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GetCertAuthoritiesResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) cert_authorities: Vec<CertAuthority>,
}

/// The request of `GetCertAuthority`, whose response is a [`CertAuthority`].
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GetCertAuthorityRequest {
    #[prost(string, tag = "1")]
    pub(crate) r#type: String,
    /// The cluster's name.
    #[prost(string, tag = "2")]
    pub(crate) domain: String,
    #[prost(bool, tag = "3")]
    pub(crate) include_key: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CertAuthority {
    /// The CA type: `host`, `user`, `db`, `spiffe`.
    #[prost(string, tag = "2")]
    pub(crate) sub_kind: String,
    #[prost(message, optional, tag = "5")]
    pub(crate) spec: Option<CertAuthoritySpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CertAuthoritySpec {
    #[prost(string, tag = "2")]
    pub(crate) cluster_name: String,
    /// Absent before the first rotation.
    #[prost(message, optional, tag = "8")]
    pub(crate) rotation: Option<Rotation>,
    #[prost(message, optional, tag = "11")]
    pub(crate) active_keys: Option<CaKeySet>,
    #[prost(message, optional, tag = "12")]
    pub(crate) additional_trusted_keys: Option<CaKeySet>,
}

/// `types.Rotation`, down to the phase.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Rotation {
    #[prost(string, tag = "2")]
    pub(crate) phase: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CaKeySet {
    #[prost(message, repeated, tag = "1")]
    pub(crate) ssh: Vec<SshKeyPair>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) tls: Vec<TlsKeyPair>,
}

/// Only the public half: the agent never requests a CA's private key.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SshKeyPair {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) public_key: Vec<u8>,
}

/// Only the certificate: the agent never requests a CA's private key.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TlsKeyPair {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) cert: Vec<u8>,
}

/// `teleport.presence.v1.ListRemoteClustersRequest`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListRemoteClustersRequest {
    #[prost(int32, tag = "1")]
    pub(crate) page_size: i32,
    #[prost(string, tag = "2")]
    pub(crate) page_token: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListRemoteClustersResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) remote_clusters: Vec<RemoteCluster>,
    #[prost(string, tag = "2")]
    pub(crate) next_page_token: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RemoteCluster {
    #[prost(message, optional, tag = "4")]
    pub(crate) metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metadata {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(btree_map = "string, string", tag = "5")]
    pub(crate) labels: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::{recorded, recorded_response as response};

    #[test]
    fn ping_and_role_decode_as_recorded() {
        let ping = PingResponse::decode(response("/Ping", "").as_slice()).unwrap();
        assert_eq!(ping.cluster_name, "dev.test");
        assert_eq!(ping.server_version, "15.0.0-dev");
        assert_eq!(ping.proxy_public_addr, "127.0.0.1:4080");

        let role = Role::decode(response("/GetRole", "bot-robot3").as_slice()).unwrap();
        assert_eq!(role.spec.unwrap().allow.unwrap().impersonate.unwrap().roles, ["robo"]);
    }

    #[test]
    fn certificates_and_authorities_decode_as_recorded() {
        let certs = Certs::decode(response("/GenerateUserCerts", "").as_slice()).unwrap();
        assert!(certs.ssh.starts_with(b"ssh-rsa-cert-v01@openssh.com "));
        assert!(certs.tls.starts_with(b"-----BEGIN CERTIFICATE-----"));
        assert_eq!(certs.tls_ca_certs.len(), 2, "user and host CA, because a generation is in play");

        let reply =
            GetCertAuthoritiesResponse::decode(response("/GetCertAuthorities", "host").as_slice()).unwrap();
        let spec = reply.cert_authorities[0].spec.clone().unwrap();
        assert_eq!(spec.cluster_name, "dev.test");
        let keys = spec.active_keys.unwrap();
        assert_eq!(keys.tls[0].cert, recorded("outputs/identity/teleport-host-ca.crt").into_bytes());
        assert!(keys.ssh[0].public_key.starts_with(b"ssh-rsa "));
    }

    #[test]
    fn the_key_fields_depend_on_the_servers_version() {
        let with_keys = |major| UserCertsRequest::default().with_keys(major, "line".into(), "pem".into());
        assert_eq!((with_keys(16).public_key.len(), with_keys(16).ssh_public_key.len()), (4, 0));
        assert_eq!((with_keys(17).public_key.len(), with_keys(17).tls_public_key.len()), (0, 3));
    }
}
