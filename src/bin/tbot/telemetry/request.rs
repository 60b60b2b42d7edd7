//! Builds the telemetry request, both for the preview and for sending, so that the two cannot differ. Pure.

use tbot::config::EffectiveConfig;
use tbot::event::internal::Rules;
use tbot::event::{self, BuildContext, BuildError, BuiltEvent};

use super::endpoint::{EndpointError, TelemetryEndpoint};
use crate::context::VERSION;
use tbot::agent::{Environment, Hint};

/// The request that submits an event, with all its headers.
pub(crate) struct TelemetryRequest {
    pub(crate) method: String,
    pub(crate) endpoint: TelemetryEndpoint,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The event as JSON, for the log. Unlike the body, it does not contain `distinctId`.
    pub(crate) event: String,
}

/// Why the request cannot be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("cannot serialize the event")]
    Body(#[from] serde_json::Error),
}

impl RequestError {
    /// Returns advice for the user, if there is any.
    pub(crate) fn hint(&self) -> Option<Hint> {
        match self {
            Self::Endpoint(error) => Some(error.hint()),
            Self::Build(_) | Self::Body(_) => None,
        }
    }
}

impl TelemetryRequest {
    /// Builds the event of a start, and the request that submits it.
    pub(crate) fn build(
        rules: &Rules,
        effective: &EffectiveConfig,
        environment: &Environment,
        distinct_id: &str,
    ) -> Result<(Self, BuiltEvent), RequestError> {
        let endpoint = TelemetryEndpoint::choose(&rules.transport, environment)?;
        // A value that is not UTF-8 is not a listed value, and is treated like any other unlisted one.
        let variable =
            |name: &str| environment.get_os(name).map(|value| value.to_string_lossy().into_owned());
        let context = BuildContext { version: VERSION, environment: &variable };
        let built = event::internal::build(rules, effective.value(), context)?;
        let body = serde_json::to_vec(&event::internal::request_body(rules, built.event(), distinct_id))?;

        let mut headers = vec![("Host".to_owned(), endpoint.host().to_owned())];
        headers.extend(rules.transport.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        headers.push(("Content-Length".to_owned(), body.len().to_string()));
        let (method, event) = (rules.transport.method.clone(), serde_json::to_string(built.event())?);
        Ok((Self { method, endpoint, headers, body, event }, built))
    }
}
