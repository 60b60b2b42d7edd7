//! The one request that telemetry makes: described once, for the preview and for sending. Pure.

use tbot::config::Effective;
use tbot::event::{self, BuildError, Built, Facts, Rules};

use crate::endpoint::{Endpoint, EndpointError};
use crate::environment::Environment;

/// This program's version, as the event and `tbot version` name it.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A header that HTTP itself needs, and that the client makes from the URL.
pub(crate) const HOST: &str = "Host";

/// A header that HTTP itself needs, and that the client makes from the body.
pub(crate) const CONTENT_LENGTH: &str = "Content-Length";

/// A request, with every header that it has.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Why there is no request to make.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("the body of the request cannot be written: {0}")]
    Body(#[from] serde_json::Error),
}

/// Builds the event of a start and describes the request that submits it.
pub(crate) fn describe(
    rules: &Rules,
    effective: &Effective,
    environment: &Environment,
    distinct_id: &str,
) -> Result<(Request, Built), RequestError> {
    let endpoint = Endpoint::choose(&rules.transport, environment)?;
    // What is not UTF-8 is in no closed set, and becomes what such a text becomes.
    let variable = |name: &str| environment.raw(name).map(|value| value.to_string_lossy().into_owned());
    let facts = Facts { version: VERSION, environment: &variable };
    let built = event::build(rules, effective.value(), facts)?;
    let body = serde_json::to_vec(&event::body(rules, &built.event, distinct_id))?;

    let mut headers = vec![(HOST.to_owned(), endpoint.host().to_owned())];
    headers.extend(rules.transport.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    headers.push((CONTENT_LENGTH.to_owned(), body.len().to_string()));
    Ok((Request { method: rules.transport.method.clone(), endpoint, headers, body }, built))
}
