//! Looks up applications, databases and Kubernetes clusters, and opens application sessions: what an identity may see.
//! One I/O edge, over the connection of [`AuthClient`].

use std::collections::BTreeMap;
use std::time::Duration;

use tonic::Code;

use super::AuthClient;
use crate::agent::teleport::api_error::{ApiError, MAX_PAGES};
use crate::agent::teleport::grpc::unary;
use crate::agent::teleport::messages::Metadata;
use crate::agent::teleport::messages::resources::{
    AppSessionReply, CreateAppSessionRequest, GetAppSessionRequest, ListResourcesRequest,
    ListResourcesResponse, PaginatedResource,
};

const LIST_RESOURCES: &str = "/proto.AuthService/ListResources";
const CREATE_APP_SESSION: &str = "/proto.AuthService/CreateAppSession";
const GET_APP_SESSION: &str = "/proto.AuthService/GetAppSession";

/// Servers refuse an answer over 4 MiB; then it is asked for in smaller pieces.
const PAGE: i32 = 1000;
/// Between looks for a new session, of which every server of the cluster has to hear: soon at first, then rarely.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_millis(200);
const LOOKS: u32 = 50;

/// What a cloud's name was before discovery made it unique.
const DISCOVERED_NAME: &str = "teleport.internal/discovered-name";

/// A resource that was found, with what matters of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found<T> {
    pub(crate) name: String,
    pub(crate) discovered_name: Option<String>,
    pub(crate) detail: T,
}

impl<T> Found<T> {
    fn new(metadata: Option<Metadata>, detail: T) -> Option<Self> {
        let mut metadata = metadata?;
        let discovered_name = metadata.labels.remove(DISCOVERED_NAME);
        Some(Self { name: metadata.name, discovered_name, detail })
    }
}

impl AuthClient {
    /// Applications of this name, with their public address.
    pub(crate) async fn find_apps(&self, name: &str) -> Result<Vec<Found<String>>, ApiError> {
        let request = ListResourcesRequest {
            resource_type: "app_server".to_owned(),
            predicate_expression: format!("name == {}", quoted(name)),
            ..ListResourcesRequest::default()
        };
        let app = |resource: PaginatedResource| {
            let app = resource.app_server?.spec?.app?;
            Found::new(app.metadata, app.spec.unwrap_or_default().public_addr)
        };
        Ok(self.list(request).await?.into_iter().filter_map(app).collect())
    }

    /// Databases of this name, and those that were discovered under it, with their protocol.
    pub(crate) async fn find_databases(&self, name: &str) -> Result<Vec<Found<String>>, ApiError> {
        let request = ListResourcesRequest {
            resource_type: "db_server".to_owned(),
            predicate_expression: named_or_discovered(name),
            ..ListResourcesRequest::default()
        };
        let database = |resource: PaginatedResource| {
            let database = resource.database_server?.spec?.database?;
            Found::new(database.metadata, database.spec.unwrap_or_default().protocol)
        };
        Ok(self.list(request).await?.into_iter().filter_map(database).collect())
    }

    /// Kubernetes clusters of this name, and those that were discovered under it.
    pub(crate) async fn find_kubernetes(&self, name: &str) -> Result<Vec<Found<()>>, ApiError> {
        let predicate_expression = named_or_discovered(name);
        self.kubernetes(ListResourcesRequest { predicate_expression, ..ListResourcesRequest::default() })
            .await
    }

    /// Kubernetes clusters with all of these labels.
    pub(crate) async fn find_labelled_kubernetes(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Found<()>>, ApiError> {
        self.kubernetes(ListResourcesRequest { labels: labels.clone(), ..ListResourcesRequest::default() })
            .await
    }

    async fn kubernetes(&self, request: ListResourcesRequest) -> Result<Vec<Found<()>>, ApiError> {
        let request = ListResourcesRequest { resource_type: "kube_server".to_owned(), ..request };
        let cluster =
            |resource: PaginatedResource| Found::new(resource.kubernetes_server?.spec?.cluster?.metadata, ());
        Ok(self.list(request).await?.into_iter().filter_map(cluster).collect())
    }

    async fn list(&self, request: ListResourcesRequest) -> Result<Vec<PaginatedResource>, ApiError> {
        let mut request = ListResourcesRequest { namespace: "default".to_owned(), limit: PAGE, ..request };
        let mut all = Vec::new();
        for _ in 0..MAX_PAGES {
            let reply = unary(&self.channel, LIST_RESOURCES, request.clone()).await;
            let page: ListResourcesResponse = match reply {
                Err(ApiError::Refused { code: Code::ResourceExhausted, .. }) if request.limit > 1 => {
                    request.limit /= 2;
                    continue;
                }
                answered => answered?,
            };
            let is_last = page.next_key.is_empty() || page.resources.is_empty();
            all.extend(page.resources);
            if is_last {
                return Ok(all);
            }
            request.start_key = page.next_key;
        }
        Err(ApiError::endless_list(LIST_RESOURCES))
    }

    /// Opens a session for an application and waits until it can be used. Servers up to 15 want one; later ones make
    /// it themselves when they issue the certificate.
    pub(crate) async fn open_app_session(
        &self,
        username: &str,
        public_addr: &str,
        cluster: &str,
    ) -> Result<String, ApiError> {
        let request = CreateAppSessionRequest {
            username: username.to_owned(),
            public_addr: public_addr.to_owned(),
            cluster_name: cluster.to_owned(),
        };
        let created: AppSessionReply = unary(&self.channel, CREATE_APP_SESSION, request).await?;
        let name = created.session.and_then(|session| session.metadata).map(|metadata| metadata.name);
        let lost =
            |detail: &str| ApiError::NoAnswer { method: CREATE_APP_SESSION, detail: detail.to_owned() };
        let session_id =
            name.filter(|name| !name.is_empty()).ok_or_else(|| lost("the session has no name"))?;
        let mut wait = FIRST_LOOK;
        for _ in 0..LOOKS {
            let request = GetAppSessionRequest { session_id: session_id.clone() };
            match unary::<_, AppSessionReply>(&self.channel, GET_APP_SESSION, request).await {
                Ok(_) => return Ok(session_id),
                Err(ApiError::Refused { code: Code::NotFound, .. }) => {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LAST_LOOK);
                }
                Err(error) => return Err(error),
            }
        }
        Err(lost(
            "the new application session did not appear within 10 s; check that the cluster's servers are up and in step",
        ))
    }
}

fn named_or_discovered(name: &str) -> String {
    let name = quoted(name);
    format!("(name == {name}) || (labels[\"{DISCOVERED_NAME}\"] == {name})")
}

/// A string of the predicate language, which is Go's.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', r#"\""#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predicates_are_those_of_the_go_agent_and_names_cannot_break_out() {
        assert_eq!(
            named_or_discovered("pg"),
            r#"(name == "pg") || (labels["teleport.internal/discovered-name"] == "pg")"#
        );
        assert_eq!(quoted(r#"a" || "\"#), r#""a\" || \"\\""#);
    }
}
