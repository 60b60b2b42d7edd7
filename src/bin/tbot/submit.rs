//! Sends the one request: one attempt, bounded in time and in what is read, without cookies, redirects or retries. The only
//! I/O edge of telemetry. Whatever becomes of it is one line in the log, and never the agent's matter.

use std::error::Error;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Method, Proxy, Response, StatusCode, retry};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::request::{CONTENT_LENGTH, HOST, Request};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long everything may take.
const TOTAL: Duration = Duration::from_secs(5);
/// How long the program waits at its end for a submission under way.
const GRACE: Duration = Duration::from_millis(500);
/// How much of a refusal is read.
const LARGEST_REFUSAL: usize = 4096;

/// The codes of the Connect protocol. Of a refusal's body nothing else is ever repeated.
const CODES: [&str; 16] = [
    "canceled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];

/// Why an event was not sent.
#[derive(Debug, thiserror::Error)]
enum SubmitError {
    #[error("the client cannot be set up: {0}")]
    Setup(String),
    #[error("no answer in time")]
    Late,
    #[error("{0}")]
    Broken(String),
    #[error("the answer was {status}{}", code.map(|code| format!(" ({code})")).unwrap_or_default())]
    Refused { status: StatusCode, code: Option<&'static str> },
}

impl From<reqwest::Error> for SubmitError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Late;
        }
        // The innermost cause says it all, and unlike the outermost it never holds the address.
        let mut cause: &dyn Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        if cause.is::<reqwest::Error>() {
            return Self::Broken(error.without_url().to_string());
        }
        Self::Broken(cause.to_string())
    }
}

/// A submission under way.
pub(crate) struct Submission {
    task: JoinHandle<()>,
    to: String,
}

impl Submission {
    /// Begins to send, concurrently with what this runtime does otherwise.
    pub(crate) fn begin(request: Request) -> Self {
        let to = request.endpoint.to_string();
        let address = to.clone();
        let task = tokio::spawn(async move {
            match submit(request).await {
                Ok(()) => tracing::debug!("anonymous telemetry was sent to {address}"),
                Err(error) => tracing::warn!("anonymous telemetry was not sent to {address}: {error}"),
            }
        });
        Self { task, to }
    }

    /// Waits for the end of the submission, but only a moment, and only until `stop`.
    pub(crate) async fn end(mut self, stop: impl Future<Output = ()>) {
        let ended = tokio::select! {
            biased;
            _ = &mut self.task => true,
            () = stop => false,
            () = tokio::time::sleep(GRACE) => false,
        };
        if !ended {
            self.task.abort();
            tracing::warn!(
                "anonymous telemetry was not sent to {}: the program ended before there was an answer",
                self.to
            );
        }
    }
}

async fn submit(request: Request) -> Result<(), SubmitError> {
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|error| SubmitError::Setup(error.to_string()))?;
    // Root certificates are read here: that is work, and no work of telemetry stands in the agent's way.
    let (request, client) = tokio::task::spawn_blocking(|| client(&request).map(|client| (request, client)))
        .await
        .map_err(|error| SubmitError::Setup(error.to_string()))??;
    let mut prepared = client.request(method, request.endpoint.url().clone()).body(request.body);
    for (name, value) in &request.headers {
        // The client makes these two from the URL and the body.
        if name != HOST && name != CONTENT_LENGTH {
            prepared = prepared.header(name, value);
        }
    }
    let response = prepared.send().await?;
    match response.status() {
        StatusCode::OK => Ok(()),
        status => Err(SubmitError::Refused { status, code: code(response).await }),
    }
}

/// The code of a refusal, if it is one of those that there are.
async fn code(mut response: Response) -> Option<&'static str> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST_REFUSAL {
            return None;
        }
    }
    let body: Value = serde_json::from_slice(&body).ok()?;
    let said = body.get("code")?.as_str()?;
    CODES.into_iter().find(|code| *code == said)
}

fn client(request: &Request) -> Result<Client, SubmitError> {
    let endpoint = &request.endpoint;
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls(endpoint.url().scheme() == "https")?)
        .connect_timeout(CONNECT)
        .timeout(TOTAL)
        .redirect(Policy::none())
        .retry(retry::never())
        .referer(false)
        .http1_only()
        .http1_title_case_headers()
        .pool_max_idle_per_host(0)
        // The environment's proxy was chosen with the endpoint; nothing else may choose another.
        .no_proxy();
    builder = pin_localhost(builder);
    if let Some(intercept) = endpoint.proxy() {
        let mut proxy = Proxy::all(intercept.uri().to_string())?;
        if let Some(authorization) = intercept.basic_auth() {
            proxy = proxy.custom_http_auth(authorization.clone());
        }
        builder = builder.proxy(proxy);
    }
    Ok(builder.build()?)
}

/// `localhost` may be reached without TLS, and so must be this machine whatever a resolver says.
fn pin_localhost(builder: ClientBuilder) -> ClientBuilder {
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    builder.resolve_to_addrs("localhost", &loopback.map(|address| SocketAddr::new(address, 0)))
}

fn tls(needed: bool) -> Result<ClientConfig, SubmitError> {
    let mut roots = RootCertStore::empty();
    if needed {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            let message = "no root certificates: install the system's CA certificates or set SSL_CERT_FILE";
            return Err(SubmitError::Setup(message.to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SubmitError::Setup(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::Instant;

    use super::*;

    /// A submission that takes this long.
    fn taking(time: Duration) -> Submission {
        Submission { task: tokio::spawn(tokio::time::sleep(time)), to: "https://example.com".to_owned() }
    }

    /// How long the end of a submission is waited for, by a clock that stands still unless everything waits.
    async fn waited(submission: Submission, stop: impl Future<Output = ()>) -> Duration {
        let begin = Instant::now();
        submission.end(stop).await;
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn an_ending_waits_for_a_submission_but_only_a_moment() {
        let quick = Duration::from_millis(20);
        assert_eq!(waited(taking(quick), pending()).await, quick);
        assert_eq!(waited(taking(Duration::MAX), pending()).await, GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_ends_the_wait() {
        assert_eq!(waited(taking(Duration::MAX), ready(())).await, Duration::ZERO);
        let signal = Duration::from_millis(100);
        assert_eq!(waited(taking(Duration::MAX), tokio::time::sleep(signal)).await, signal);
    }
}
