//! Lists the leaf clusters, by gRPC or, on servers up to 15, by REST.

use super::AuthClient;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::messages::{ListRemoteClustersRequest, ListRemoteClustersResponse};
use crate::agent::teleport::paged_list::PagedList;
use crate::agent::teleport::rest;

const LIST_REMOTE_CLUSTERS: &str = "/teleport.presence.v1.PresenceService/ListRemoteClusters";

impl AuthClient {
    /// Returns the names of the leaf clusters that this identity may see, as the server sends them.
    pub(crate) async fn leaf_clusters(&self) -> Result<Vec<String>, ApiError> {
        if self.info.server_major >= 16 {
            match self.list_leaf_clusters().await {
                Err(error) if error.is_unimplemented() => {}
                result => return result,
            }
        }
        Ok(rest::leaf_clusters(&self.target.auth_over_http1()).await?)
    }

    async fn list_leaf_clusters(&self) -> Result<Vec<String>, ApiError> {
        let mut names = Vec::new();
        let mut page_token = String::new();
        let mut list = PagedList::new(LIST_REMOTE_CLUSTERS, 1000);
        loop {
            let request = |page_size| ListRemoteClustersRequest { page_size, page_token: page_token.clone() };
            let response: ListRemoteClustersResponse = list.request(&self.channel, request).await?;
            let is_last = response.next_page_token.is_empty() || response.remote_clusters.is_empty();
            list.add(&response, response.remote_clusters.len(), is_last)?;
            let page = response.remote_clusters.into_iter().filter_map(|cluster| cluster.metadata);
            names.extend(page.map(|metadata| metadata.name));
            if is_last {
                return Ok(names);
            }
            page_token = response.next_page_token;
        }
    }
}
