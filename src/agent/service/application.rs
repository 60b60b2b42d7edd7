//! The `application` output: credentials that lead to one application.

use super::error::OutputError;
use super::files::Set;
use super::issue::Issuer;
use super::lookup::{ResourceKind, pick};
use crate::agent::teleport::auth_client::RouteTo;
use crate::agent::teleport::messages::RouteToApp;

/// The last version whose clients open the application's session themselves.
const LAST_WITH_SESSIONS: u32 = 15;

#[derive(Clone, Debug)]
pub(crate) struct ApplicationOutput {
    pub(crate) name: String,
    /// Also write `tls.crt`, `tls.key` and `tls.cas`.
    pub(crate) specific_tls_naming: bool,
}

impl ApplicationOutput {
    pub(super) async fn set(&self, issuer: &Issuer<'_>) -> Result<Set, OutputError> {
        let unrouted = issuer.impersonated(false).await?;
        let client = issuer.client_of(&unrouted).await?;
        let app = pick(ResourceKind::App, &self.name, client.find_apps(&self.name).await?)?;
        let cluster = issuer.cluster();
        let session_id = if issuer.bot.info().server_major <= LAST_WITH_SESSIONS {
            client.open_app_session(issuer.username(), &app.detail, cluster).await?
        } else {
            String::new()
        };
        let route = RouteToApp {
            name: app.name,
            session_id,
            public_addr: app.detail,
            cluster_name: cluster.to_owned(),
        };
        let identity = issuer.routed(&unrouted, false, RouteTo::App(route)).await?;
        let authorities = issuer.authorities().await?;
        let mut set = Set::of_identity(&identity, &authorities)?;
        if self.specific_tls_naming {
            set.push_tls(&identity, &authorities.host);
        }
        Ok(set)
    }
}
