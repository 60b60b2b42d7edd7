//! What issuing an output's credentials depends on: the output's settings and the agent's context.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::agent::destination::writer::DestinationWriter;
use crate::agent::net::route::Route;
use crate::agent::net::web::WebClient;
use crate::agent::platform::Clock;

/// The settings that every output has.
#[derive(Clone, Debug)]
pub(crate) struct OutputSettings {
    /// The service's name, for logs and errors.
    pub(crate) name: String,
    pub(crate) destination: Arc<DestinationWriter>,
    /// Roles to impersonate; if empty, all roles that the bot may impersonate.
    pub(crate) roles: Vec<String>,
    pub(crate) ttl: Duration,
    pub(crate) interval: Duration,
}

/// What every output needs from the agent.
pub(crate) struct IssueContext<'a> {
    pub(crate) route: &'a Route,
    pub(crate) web: &'a WebClient,
    pub(crate) clock: &'a Clock,
    /// Absolute path of the `tbot` command.
    pub(crate) command: &'a Path,
    /// `host:port` to write into files instead of the address that the cluster advertises.
    pub(crate) proxy_address: Option<&'a str>,
    /// `host:port` to write into files if the cluster advertises no address.
    pub(crate) fallback_proxy_address: String,
}
