//! Runs an application proxy: forwards each HTTP request to the application that it names, and nowhere else.
//!
//! Bodies are neither interpreted nor logged, and are forwarded as they arrive. The roles of the bot are obtained like the
//! credentials of an output; the certificate of an application is obtained at the first request for it.

mod app_name;
mod apps;

use std::fmt::Display;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{Request, Response, StatusCode, Uri, Version};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::watch;

use super::attempt::{AttemptError, attempt};
use super::connections::{Connections, OpenConnection};
use super::control::Signals;
use super::current_identity::{CurrentIdentity, first_identity};
use super::health::Reporter;
use super::running_agent::RunningAgent;
use super::shared_access::SharedAccess;
use crate::agent::credential::identity::Identity;
use crate::agent::credential::revocation_list::RevocationList;
use crate::agent::net::byte_stream::BoxedByteStream;
use crate::agent::net::connection_error::ConnectionError;
use crate::agent::net::http_body::{self, HttpBody};
use crate::agent::net::http_forwarding::{insert_upgrade, remove_hop_by_hop};
use crate::agent::net::http_pool::HttpPool;
use crate::agent::net::http_server::{self, Requests, ResponseFuture};
use crate::agent::net::listener::Listener;
use crate::agent::platform::error_text::error_line;
use crate::agent::platform::lock::lock;
use crate::agent::service::application_proxy::{ApplicationProxy, BotRoles};
use crate::agent::service::error::{OutputError, TunnelError};
use app_name::app_name;
use apps::{Apps, ReachableApp, UnreachableReason};

/// The sizes of the buffers of a connection that was upgraded to another protocol.
const UPGRADED_BUFFER: usize = 8 * 1024;

/// Runs one application proxy.
pub(super) struct ApplicationProxyRunner {
    agent: Arc<RunningAgent>,
    proxy: Arc<ApplicationProxy>,
    access: SharedAccess<RolesAndApps>,
    current: watch::Receiver<CurrentIdentity>,
    reporter: Reporter,
}

/// The roles of the bot, and the applications that were looked up with them. A renewal replaces both.
struct RolesAndApps {
    roles: BotRoles,
    apps: Apps,
}

/// The two connections that are joined after the response to a request that upgrades them.
type PendingUpgrade = Mutex<Option<(OnUpgrade, Upgraded)>>;

impl ApplicationProxyRunner {
    pub(super) fn new(
        agent: Arc<RunningAgent>,
        proxy: Arc<ApplicationProxy>,
        current: watch::Receiver<CurrentIdentity>,
        reporter: Reporter,
    ) -> Arc<Self> {
        reporter.set_has_clients();
        let access = SharedAccess::new(agent.bot.clock.clone());
        Arc::new(Self { agent, proxy, access, current, reporter })
    }

    /// Serves clients until dropped; `connections` last until their running request has ended. Clients wait until the agent has
    /// an identity.
    pub(super) async fn run(self: Arc<Self>, listener: Listener, connections: Connections, signals: Signals) {
        let mut current = self.current.clone();
        if first_identity(&mut current, &self.reporter).await.is_none() {
            return;
        }
        let (agent, proxy, name) = (&self.agent, &self.proxy, self.name());
        let issue = |client, identity: Arc<Identity>| async move {
            let context = agent.issue_context(RevocationList::Absent);
            let roles = proxy.issue_roles(&client, &identity, &context).await?;
            Ok(roles.map(|roles| RolesAndApps { roles, apps: Apps::default() }))
        };
        let interval = Some(proxy.listener.service.interval);
        // Dropped with this future.
        let (_running, stopped) = watch::channel(());
        let serve = |client| Arc::clone(&self).serve(client, stopped.clone());
        tokio::join!(
            self.access.keep_issued((agent, name), issue, interval, current, signals, &self.reporter),
            connections.accept(&listener, (name, &agent.bot.warnings), serve),
        );
    }

    fn name(&self) -> &str {
        &self.proxy.listener.service.name
    }

    async fn serve(self: Arc<Self>, client: BoxedByteStream, mut stopped: watch::Receiver<()>) {
        let _open = OpenConnection::new(&self.reporter);
        let upgrade = PendingUpgrade::default();
        let respond = |request| -> ResponseFuture<'_> { Box::pin(self.respond(request, &upgrade)) };
        let stop = pin!(async move { while stopped.changed().await.is_ok() {} });
        if let Err(error) = http_server::serve(client, Requests::Many, &respond, stop).await {
            // A client may end at any time, and send anything.
            tracing::debug!(service = %self.name(), "a connection ended early: {}", error_line(&error, None));
        }
        let upgrade = lock(&upgrade).take();
        if let Some((client, server)) = upgrade
            && let Ok(client) = client.await
        {
            let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
            // Either side may end at any time.
            let _ = tokio::io::copy_bidirectional_with_sizes(
                &mut client,
                &mut server,
                UPGRADED_BUFFER,
                UPGRADED_BUFFER,
            )
            .await;
        }
    }

    /// Returns the response of the application, or one that says why there is none.
    async fn respond(&self, request: Request<Incoming>, upgrade: &PendingUpgrade) -> Response<HttpBody> {
        let (parts, body) = request.into_parts();
        let name = match app_name(&parts) {
            Ok(name) => name,
            Err(error) => return plain_text(error.status(), &error.to_string()),
        };
        let request = Request::from_parts(parts, body);
        self.forward(&name, request, upgrade).await.unwrap_or_else(|UnreachableReason { status, reason }| {
            if status.is_server_error() {
                self.reporter.count(|connections| connections.failed += 1);
            }
            plain_text(status, &format!("cannot reach the application {name}: {reason}"))
        })
    }

    async fn forward(
        &self,
        name: &str,
        mut request: Request<Incoming>,
        upgrade: &PendingUpgrade,
    ) -> Result<Response<HttpBody>, UnreachableReason> {
        let bad_gateway = |reason| UnreachableReason { status: StatusCode::BAD_GATEWAY, reason };
        let access = self.access.get().await.map_err(bad_gateway)?;
        let RolesAndApps { roles, apps } = &access.value;
        let now = self.agent.bot.clock.now();
        let app = apps.get(name, now, || self.issue_app(name, roles)).await?;
        let protocol = remove_hop_by_hop(request.headers_mut());
        let client = protocol.is_some().then(|| hyper::upgrade::on(&mut request));
        let response = app.value.send(self.to_proxy(request, protocol)).await;
        let mut response = response.map_err(|error| {
            if error.is_refused_certificate() && app.is_replaceable(self.agent.bot.clock.now()) {
                apps.replace(name, &app);
            }
            self.unreachable(name, &error)
        })?;
        let protocol = remove_hop_by_hop(response.headers_mut());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let (Some(client), Some(protocol)) = (client, protocol) else {
                return Err(bad_gateway("it switched to a protocol that was not requested".into()));
            };
            insert_upgrade(response.headers_mut(), protocol);
            let server = hyper::upgrade::on(&mut response).await;
            let server = server.map_err(|error| self.unreachable(name, &ConnectionError::new(error)))?;
            *lock(upgrade) = Some((client, server));
        }
        Ok(response.map(Either::Left))
    }

    /// Addresses a request to the proxy, which recognises the application by the certificate alone.
    fn to_proxy(&self, request: Request<Incoming>, upgrade: Option<HeaderValue>) -> Request<HttpBody> {
        let mut request = request.map(Either::Left);
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
        *request.version_mut() = Version::HTTP_11;
        let headers = request.headers_mut();
        // An address consists of characters that a header may contain.
        if let Ok(host) = HeaderValue::from_str(&self.agent.bot.dialler.address().to_string()) {
            headers.insert(HOST, host);
        }
        if let Some(protocol) = upgrade {
            insert_upgrade(headers, protocol);
        }
        request
    }

    async fn issue_app(&self, name: &str, roles: &BotRoles) -> Result<ReachableApp, UnreachableReason> {
        let identity = self.current.borrow().get().cloned();
        let issued = attempt(&self.agent, identity, |client, identity| async move {
            let context = self.agent.issue_context(RevocationList::Absent);
            self.proxy.issue_app(name, roles, &client, &identity, &context).await
        });
        issued.await.map(|target| target.map(HttpPool::new)).map_err(|error| {
            let reason = error.reason();
            let status = match error {
                AttemptError::Issue(OutputError::Lookup(_)) => StatusCode::NOT_FOUND,
                AttemptError::Issue(OutputError::Tunnel(TunnelError::NotHttp(_))) => StatusCode::BAD_GATEWAY,
                _ => {
                    // Without the name, which a client may have invented.
                    self.warn(format_args!("cannot issue a certificate for an application: {reason}"));
                    StatusCode::BAD_GATEWAY
                }
            };
            UnreachableReason { status, reason: reason.into() }
        })
    }

    /// Logs why a request failed, and returns the reason for the client.
    fn unreachable(&self, app: &str, error: &ConnectionError) -> UnreachableReason {
        if error.is_of_body() {
            let reason = "the body of the request is malformed or has ended early".into();
            return UnreachableReason { status: StatusCode::BAD_REQUEST, reason };
        }
        let reason = error_line(error, error.hint().as_ref());
        self.warn(format_args!("cannot reach the application {app} through the proxy: {reason}"));
        let status = if error.is_timeout() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
        UnreachableReason { status, reason: reason.into() }
    }

    fn warn(&self, warning: impl Display) {
        self.agent.bot.warnings.warn(self.name(), warning);
    }
}

fn plain_text(status: StatusCode, message: &str) -> Response<HttpBody> {
    let mut response = Response::new(http_body::complete(format!("{message}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
