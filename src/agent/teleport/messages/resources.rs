//! Messages about applications, databases, Kubernetes clusters, application sessions and host certificates.

use std::collections::BTreeMap;

use prost::Message;

use super::Metadata;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListResourcesRequest {
    /// `app_server`, `db_server` or `kube_server`.
    #[prost(string, tag = "1")]
    pub(crate) resource_type: String,
    #[prost(string, tag = "2")]
    pub(crate) namespace: String,
    #[prost(int32, tag = "3")]
    pub(crate) limit: i32,
    #[prost(string, tag = "4")]
    pub(crate) start_key: String,
    #[prost(btree_map = "string, string", tag = "5")]
    pub(crate) labels: BTreeMap<String, String>,
    #[prost(string, tag = "6")]
    pub(crate) predicate_expression: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListResourcesResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) resources: Vec<PaginatedResource>,
    #[prost(string, tag = "2")]
    pub(crate) next_key: String,
}

/// One field is set: a `oneof` has the same encoding as separate fields.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PaginatedResource {
    #[prost(message, optional, tag = "1")]
    pub(crate) database_server: Option<DatabaseServer>,
    #[prost(message, optional, tag = "2")]
    pub(crate) app_server: Option<AppServer>,
    #[prost(message, optional, tag = "7")]
    pub(crate) kubernetes_server: Option<KubernetesServer>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DatabaseServer {
    #[prost(message, optional, tag = "5")]
    pub(crate) spec: Option<DatabaseServerSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DatabaseServerSpec {
    #[prost(message, optional, tag = "12")]
    pub(crate) database: Option<DatabaseV3>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DatabaseV3 {
    #[prost(message, optional, tag = "4")]
    pub(crate) metadata: Option<Metadata>,
    #[prost(message, optional, tag = "5")]
    pub(crate) spec: Option<DatabaseSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DatabaseSpec {
    #[prost(string, tag = "1")]
    pub(crate) protocol: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AppServer {
    #[prost(message, optional, tag = "5")]
    pub(crate) spec: Option<AppServerSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AppServerSpec {
    #[prost(message, optional, tag = "5")]
    pub(crate) app: Option<App>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct App {
    #[prost(message, optional, tag = "4")]
    pub(crate) metadata: Option<Metadata>,
    #[prost(message, optional, tag = "5")]
    pub(crate) spec: Option<AppSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AppSpec {
    #[prost(string, tag = "2")]
    pub(crate) public_addr: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct KubernetesServer {
    #[prost(message, optional, tag = "5")]
    pub(crate) spec: Option<KubernetesServerSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct KubernetesServerSpec {
    #[prost(message, optional, tag = "5")]
    pub(crate) cluster: Option<KubernetesCluster>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct KubernetesCluster {
    #[prost(message, optional, tag = "4")]
    pub(crate) metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CreateAppSessionRequest {
    #[prost(string, tag = "1")]
    pub(crate) username: String,
    #[prost(string, tag = "3")]
    pub(crate) public_addr: String,
    #[prost(string, tag = "4")]
    pub(crate) cluster_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GetAppSessionRequest {
    #[prost(string, tag = "1")]
    pub(crate) session_id: String,
}

/// The response of `CreateAppSession` and `GetAppSession`, without its keys.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AppSessionReply {
    #[prost(message, optional, tag = "1")]
    pub(crate) session: Option<WebSession>,
}

/// `types.WebSessionV2`; its name is the session ID.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WebSession {
    #[prost(message, optional, tag = "4")]
    pub(crate) metadata: Option<Metadata>,
}

/// `teleport.trust.v1.GenerateHostCertRequest`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GenerateHostCertRequest {
    /// An authorized_keys line.
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) key: Vec<u8>,
    #[prost(string, repeated, tag = "4")]
    pub(crate) principals: Vec<String>,
    #[prost(string, tag = "5")]
    pub(crate) cluster_name: String,
    /// `Node`.
    #[prost(string, tag = "6")]
    pub(crate) role: String,
    #[prost(message, optional, tag = "7")]
    pub(crate) ttl: Option<prost_types::Duration>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GenerateHostCertResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) ssh_certificate: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded_response;

    /// Returns the only resource of a recorded list.
    fn listed(resource_type: &str) -> PaginatedResource {
        let bytes = recorded_response("/ListResources", resource_type);
        let mut reply = ListResourcesResponse::decode(bytes.as_slice()).unwrap();
        assert_eq!((reply.resources.len(), reply.next_key.as_str()), (1, ""));
        reply.resources.remove(0)
    }

    #[test]
    fn resources_decode_as_recorded() {
        let app = listed("app_server").app_server.unwrap().spec.unwrap().app.unwrap();
        assert_eq!(app.metadata.unwrap().name, "dumper");
        assert_eq!(app.spec.unwrap().public_addr, "dumper.127.0.0.1");

        let database = listed("db_server").database_server.unwrap().spec.unwrap().database.unwrap();
        let metadata = database.metadata.unwrap();
        assert_eq!((metadata.name.as_str(), database.spec.unwrap().protocol.as_str()), ("pg", "postgres"));
        assert_eq!(metadata.labels["teleport.dev/origin"], "config-file");

        let kubernetes = listed("kube_server").kubernetes_server.unwrap().spec.unwrap().cluster.unwrap();
        assert_eq!(kubernetes.metadata.unwrap().name, "dev-kube");
    }

    #[test]
    fn the_name_of_a_session_is_its_id() {
        let bytes = recorded_response("/CreateAppSession", "dumper");
        let session = AppSessionReply::decode(bytes.as_slice()).unwrap().session.unwrap();
        assert_eq!(session.metadata.unwrap().name.len(), 64);
    }
}
