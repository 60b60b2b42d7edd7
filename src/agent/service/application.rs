//! The `application` output: credentials for one application.

use super::error::OutputError;
use super::files::FileSet;
use super::issue::{ImpersonatedIdentity, Issuer};
use super::lookup::{ResourceKind, pick};
use crate::agent::teleport::auth_client::{AppAddresses, RouteTo};
use crate::agent::teleport::messages::RouteToApp;
use crate::config::{ApplicationService, is_on};

/// The last server version on which the client must open the application's session.
const LAST_VERSION_WITH_SESSIONS: u32 = 15;

#[derive(Clone, Debug)]
pub(crate) struct ApplicationOutput {
    name: String,
    /// Whether to write `tls.crt`, `tls.key` and `tls.cas` as well.
    specific_tls_naming: bool,
}

impl ApplicationOutput {
    pub(crate) fn new(service: &ApplicationService) -> Self {
        let ApplicationService {
            destination: _,
            app_name,
            specific_tls_naming,
            delegation_session_id: _,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
            roles: _,
        } = service;
        Self { name: app_name.as_str().to_owned(), specific_tls_naming: is_on(*specific_tls_naming) }
    }

    pub(super) async fn issue(&self, issuer: &Issuer<'_>) -> Result<FileSet, OutputError> {
        let impersonated = issuer.impersonate().await?;
        let (route, _) = route_to_app(issuer, &impersonated, &self.name).await?;
        let identity = issuer.issue_for(&impersonated, RouteTo::App(route)).await?;
        let authorities = issuer.authorities().await?;
        let mut files = FileSet::with_all_cas(&identity, &authorities)?;
        if self.specific_tls_naming {
            files.push_tls(&identity, &authorities.host);
        }
        Ok(files)
    }
}

/// Returns the route to the application with this name, and the URI of the application. Opens the session that older servers
/// need.
pub(super) async fn route_to_app(
    issuer: &Issuer<'_>,
    impersonated: &ImpersonatedIdentity,
    name: &str,
) -> Result<(RouteToApp, String), OutputError> {
    let client = issuer.client_as(impersonated)?;
    let app = pick(ResourceKind::App, name, client.find_apps(name).await?)?;
    let (cluster, AppAddresses { public_addr, uri }) = (issuer.cluster(), app.detail);
    let session_id = if issuer.bot_client.info().server_major <= LAST_VERSION_WITH_SESSIONS {
        client.open_app_session(issuer.username(), &public_addr, cluster).await?
    } else {
        String::new()
    };
    let route = RouteToApp { name: app.name, session_id, public_addr, cluster_name: cluster.to_string() };
    Ok((route, uri))
}
