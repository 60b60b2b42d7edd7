//! Looks up applications, databases and Kubernetes clusters that an identity may see, and opens application sessions.

use std::collections::BTreeMap;
use std::time::Duration;

use super::AuthClient;
use crate::agent::teleport::api_error::{ApiError, AppSessionProblem};
use crate::agent::teleport::grpc::unary;
use crate::agent::teleport::grpc_code::GrpcCode;
use crate::agent::teleport::messages::{
    AppSpecV3, CreateAppSessionRequest, CreateAppSessionResponse, GetAppSessionRequest,
    GetAppSessionResponse, ListResourcesRequest, ListResourcesResponse, Metadata, PaginatedResource,
};
use crate::agent::teleport::paged_list::PagedList;

const LIST_RESOURCES: &str = "/proto.AuthService/ListResources";
const CREATE_APP_SESSION: &str = "/proto.AuthService/CreateAppSession";
const GET_APP_SESSION: &str = "/proto.AuthService/GetAppSession";

/// The page size of the first request.
const PAGE_SIZE: i32 = 1000;
/// How often to poll for a new session, which other auth servers see with a delay. The interval doubles up to the
/// maximum.
const FIRST_POLL_INTERVAL: Duration = Duration::from_millis(10);
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Together, these polls take about 10 s.
const MAX_POLLS: u32 = 50;

/// The label that contains the name of a discovered resource in its cloud. Discovery may have made the resource's own
/// name longer, so that it is unique.
const DISCOVERED_NAME: &str = "teleport.internal/discovered-name";

/// A resource, with the detail that outputs need of this type of resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource<T> {
    pub(crate) name: String,
    pub(crate) discovered_name: Option<String>,
    pub(crate) detail: T,
}

/// The addresses of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppAddresses {
    /// The address at which users open it.
    pub(crate) public_addr: String,
    /// The address at which the cluster reaches it.
    pub(crate) uri: String,
}

impl<T> Resource<T> {
    fn new(metadata: Option<Metadata>, detail: T) -> Option<Self> {
        let mut metadata = metadata?;
        let discovered_name = metadata.labels.remove(DISCOVERED_NAME);
        Some(Self { name: metadata.name, discovered_name, detail })
    }
}

impl AuthClient {
    /// Returns the applications with this name.
    pub(crate) async fn find_apps(&self, name: &str) -> Result<Vec<Resource<AppAddresses>>, ApiError> {
        let request = ListResourcesRequest {
            resource_type: "app_server".to_owned(),
            predicate_expression: format!("name == {}", quote(name)),
            ..ListResourcesRequest::default()
        };
        let app = |resource: PaginatedResource| {
            let app = resource.app_server?.spec?.app?;
            let AppSpecV3 { public_addr, uri } = app.spec.unwrap_or_default();
            Resource::new(app.metadata, AppAddresses { public_addr, uri })
        };
        Ok(self.list(request).await?.into_iter().filter_map(app).collect())
    }

    /// Returns the databases with this name or discovered name, and their protocols.
    pub(crate) async fn find_databases(&self, name: &str) -> Result<Vec<Resource<String>>, ApiError> {
        let request = ListResourcesRequest {
            resource_type: "db_server".to_owned(),
            predicate_expression: name_predicate(name),
            ..ListResourcesRequest::default()
        };
        let database = |resource: PaginatedResource| {
            let database = resource.database_server?.spec?.database?;
            Resource::new(database.metadata, database.spec.unwrap_or_default().protocol)
        };
        Ok(self.list(request).await?.into_iter().filter_map(database).collect())
    }

    /// Returns the Kubernetes clusters with this name or discovered name.
    pub(crate) async fn find_kubernetes(&self, name: &str) -> Result<Vec<Resource<()>>, ApiError> {
        let predicate_expression = name_predicate(name);
        self.list_kubernetes(ListResourcesRequest { predicate_expression, ..ListResourcesRequest::default() })
            .await
    }

    /// Returns the Kubernetes clusters with all of these labels.
    pub(crate) async fn find_labelled_kubernetes(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Resource<()>>, ApiError> {
        self.list_kubernetes(ListResourcesRequest {
            labels: labels.clone(),
            ..ListResourcesRequest::default()
        })
        .await
    }

    async fn list_kubernetes(&self, request: ListResourcesRequest) -> Result<Vec<Resource<()>>, ApiError> {
        let request = ListResourcesRequest { resource_type: "kube_server".to_owned(), ..request };
        let cluster = |resource: PaginatedResource| {
            Resource::new(resource.kubernetes_server?.spec?.cluster?.metadata, ())
        };
        Ok(self.list(request).await?.into_iter().filter_map(cluster).collect())
    }

    async fn list(&self, request: ListResourcesRequest) -> Result<Vec<PaginatedResource>, ApiError> {
        let mut request = ListResourcesRequest { namespace: "default".to_owned(), ..request };
        let mut all = Vec::new();
        let mut list = PagedList::new(LIST_RESOURCES, PAGE_SIZE);
        loop {
            let with_limit = |limit| ListResourcesRequest { limit, ..request.clone() };
            let page: ListResourcesResponse = list.request(&self.channel, with_limit).await?;
            let is_last = page.next_key.is_empty() || page.resources.is_empty();
            list.add(&page, page.resources.len(), is_last)?;
            all.extend(page.resources);
            if is_last {
                return Ok(all);
            }
            request.start_key = page.next_key;
        }
    }

    /// Opens a session for an application and waits until it can be used. Servers up to 15 need this; newer ones create
    /// the session when they issue the certificate.
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
        let created: CreateAppSessionResponse = unary(&self.channel, CREATE_APP_SESSION, request).await?;
        let name = created.session.and_then(|session| session.metadata).map(|metadata| metadata.name);
        let session_id =
            name.filter(|name| !name.is_empty()).ok_or(ApiError::AppSession(AppSessionProblem::NoName))?;
        let mut interval = FIRST_POLL_INTERVAL;
        for _ in 0..MAX_POLLS {
            let request = GetAppSessionRequest { session_id: session_id.clone() };
            match unary::<_, GetAppSessionResponse>(&self.channel, GET_APP_SESSION, request).await {
                Ok(_) => return Ok(session_id),
                Err(ApiError::Refused { code: GrpcCode::NotFound, .. }) => {
                    tokio::time::sleep(interval).await;
                    interval = (interval * 2).min(MAX_POLL_INTERVAL);
                }
                Err(error) => return Err(error),
            }
        }
        Err(ApiError::AppSession(AppSessionProblem::NotVisible))
    }
}

/// Returns the predicate for resources with this name or discovered name.
fn name_predicate(name: &str) -> String {
    let name = quote(name);
    format!("(name == {name}) || (labels[\"{DISCOVERED_NAME}\"] == {name})")
}

/// Quotes a string for the server's predicate language, in Go's syntax.
fn quote(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', r"\\").replace('"', r#"\""#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predicates_match_the_go_agent_and_escape_names() {
        assert_eq!(
            name_predicate("pg"),
            r#"(name == "pg") || (labels["teleport.internal/discovered-name"] == "pg")"#
        );
        assert_eq!(quote(r#"a" || "\"#), r#""a\" || \"\\""#);
    }
}
