//! An application proxy: obtains certificates for the applications that its clients name.
//!
//! Does not listen, and knows nothing about the requests of the clients.

use super::application::route_to_app;
use super::context::IssueContext;
use super::error::{OutputError, TunnelError};
use super::issue::ImpersonatedIdentity;
use super::listening::{IssuedAccess, ListenerSettings};
use super::tunnel::{HTTP_APP, app_protocol, issue_target};
use crate::agent::credential::identity::Identity;
use crate::agent::net::dialler::DialTarget;
use crate::agent::teleport::auth_client::{AuthClient, RouteTo};
use crate::config::ApplicationProxyService;

/// An application proxy.
#[derive(Debug)]
pub(crate) struct ApplicationProxy {
    pub(crate) listener: ListenerSettings,
}

impl ApplicationProxy {
    pub(crate) fn new(service: &ApplicationProxyService, listener: ListenerSettings) -> Self {
        let ApplicationProxyService { listen: _, delegation_session_id: _, credential_lifetime: _, name: _ } =
            service;
        Self { listener }
    }

    /// Obtains the roles of the bot, with which applications are looked up.
    pub(crate) async fn issue_roles(
        &self,
        bot_client: &AuthClient,
        bot_identity: &Identity,
        context: &IssueContext<'_>,
    ) -> Result<IssuedAccess<BotRoles>, OutputError> {
        let issuer = self.listener.issuer(bot_client, bot_identity, context)?;
        let ImpersonatedIdentity { identity, roles, is_reissuable } = issuer.impersonate().await?;
        let value = |identity| Ok(BotRoles(ImpersonatedIdentity { identity, roles, is_reissuable }));
        IssuedAccess::new(value, identity, self.listener.leeway, &issuer)
    }

    /// Looks up an application and issues a certificate for it.
    pub(crate) async fn issue_app(
        &self,
        name: &str,
        BotRoles(impersonated): &BotRoles,
        bot_client: &AuthClient,
        bot_identity: &Identity,
        context: &IssueContext<'_>,
    ) -> Result<IssuedAccess<DialTarget>, OutputError> {
        let issuer = self.listener.issuer(bot_client, bot_identity, context)?;
        let (route, uri) = route_to_app(&issuer, impersonated, name).await?;
        let protocol = app_protocol(&uri);
        if protocol != HTTP_APP {
            return Err(TunnelError::NotHttp(route.name).into());
        }
        issue_target(&issuer, impersonated, RouteTo::App(route), protocol, self.listener.leeway).await
    }
}

/// The roles of the bot, and an identity that has them.
pub(crate) struct BotRoles(ImpersonatedIdentity);
