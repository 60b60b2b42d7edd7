//! Sends the telemetry request: one attempt, limited in time and in how much of the response is read, without cookies,
//! redirects or retries. The outcome is logged in one line and never affects the agent. Nothing else in telemetry does I/O.

use std::error::Error;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::{Client, ClientBuilder, Method, Response, StatusCode, retry};
use tbot::agent::internal::{client_builder, failed_request, tls_without_roots, web_tls};
use tbot::agent::{Clock, ConnectionError, Environment, Hint, TlsError, error_line};
use tokio::task::JoinHandle;

use super::request::TelemetryRequest;
use crate::http_response::read_json;

/// The time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The time limit for the whole request.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the program waits, before it exits, for a submission in progress.
const EXIT_TIMEOUT: Duration = Duration::from_millis(500);
/// How many bytes of an error response are read.
const MAX_ERROR_BODY: usize = 4096;

/// The error codes of the Connect protocol. Nothing else from the body of an error response is ever logged.
const CONNECT_CODES: [&str; 16] = [
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

/// How the log puts it if the endpoint did not receive the event.
const NOT_SENT: &str = "was not sent to";
/// How the log puts it if the endpoint may have received the event.
const NOT_CONFIRMED: &str = "was not confirmed by";

/// Why the endpoint has not confirmed the event.
#[derive(Debug, thiserror::Error)]
pub(super) enum SubmitError {
    #[error("cannot set up the request")]
    Setup(#[source] Box<dyn Error + Send + Sync>),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the request timed out")]
    Timeout,
    #[error(transparent)]
    NotConnected(ConnectionError),
    #[error(transparent)]
    Connection(ConnectionError),
    #[error("the endpoint responded with {status}{}", code.map(|code| format!(" ({code})")).unwrap_or_default())]
    Response { status: StatusCode, code: Option<&'static str> },
}

impl From<reqwest::Error> for SubmitError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        if error.is_connect() {
            return Self::NotConnected(failed_request(error));
        }
        Self::Connection(failed_request(error))
    }
}

impl SubmitError {
    /// Returns whether it is certain that the endpoint did not receive the event.
    const fn is_before_sending(&self) -> bool {
        match self {
            Self::Setup(_) | Self::Tls(_) | Self::NotConnected(_) => true,
            Self::Timeout | Self::Connection(_) | Self::Response { .. } => false,
        }
    }

    /// Returns advice for the operator, if there is any.
    pub(super) fn hint(&self) -> Option<Hint> {
        match self {
            Self::Tls(error) => error.hint(),
            Self::NotConnected(error) | Self::Connection(error) => error.hint(),
            Self::Setup(_) | Self::Timeout | Self::Response { .. } => None,
        }
    }
}

/// A submission in progress.
pub(crate) struct Submission {
    task: JoinHandle<()>,
    address: String,
}

impl Submission {
    /// Starts sending, concurrently with the other tasks of the runtime.
    pub(crate) fn start(request: TelemetryRequest, environment: Environment) -> Self {
        let address = match request.endpoint.proxy() {
            Some(proxy) => format!("{} through the HTTP proxy {proxy}", request.endpoint),
            None => request.endpoint.to_string(),
        };
        let (to, event) = (address.clone(), request.event.clone());
        let task = tokio::spawn(async move {
            match submit(request, environment).await {
                Ok(()) => tracing::info!(%event, "anonymous telemetry was sent to {to}"),
                Err(error) => {
                    let outcome = if error.is_before_sending() { NOT_SENT } else { NOT_CONFIRMED };
                    let error = error_line(&error, error.hint().as_ref());
                    tracing::warn!("anonymous telemetry {outcome} {to}: {error}");
                }
            }
        });
        Self { task, address }
    }

    /// Waits for the submission to complete, for at most [`EXIT_TIMEOUT`] or until `stop`.
    pub(crate) async fn finish(mut self, stop: impl Future<Output = ()>) {
        let completed = tokio::select! {
            biased;
            _ = &mut self.task => true,
            () = stop => false,
            () = tokio::time::sleep(EXIT_TIMEOUT) => false,
        };
        if !completed {
            self.task.abort();
            tracing::warn!(
                "anonymous telemetry {NOT_CONFIRMED} {}: the program exited before the endpoint responded",
                self.address
            );
        }
    }
}

/// Sends a request, once.
pub(super) async fn submit(request: TelemetryRequest, environment: Environment) -> Result<(), SubmitError> {
    let method =
        Method::from_bytes(request.method.as_bytes()).map_err(|error| SubmitError::Setup(error.into()))?;
    // Reading the root certificates blocks, which must not delay the agent.
    let (request, client) = tokio::task::spawn_blocking(move || {
        build_client(&request, &environment).map(|client| (request, client))
    })
    .await
    .map_err(|error| SubmitError::Setup(error.into()))??;
    let mut builder = client.request(method, request.endpoint.url().clone()).body(request.body);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let response = builder.send().await?;
    match response.status() {
        StatusCode::OK => Ok(()),
        status => Err(SubmitError::Response { status, code: connect_code(response).await }),
    }
}

/// Returns the code of an error response, if it is a known one.
async fn connect_code(response: Response) -> Option<&'static str> {
    let body = read_json(response, MAX_ERROR_BODY).await?;
    let received = body.get("code")?.as_str()?;
    CONNECT_CODES.into_iter().find(|code| *code == received)
}

fn build_client(request: &TelemetryRequest, environment: &Environment) -> Result<Client, SubmitError> {
    let endpoint = &request.endpoint;
    let clock = Clock::system();
    let tls = match endpoint.url().scheme() {
        "https" => web_tls(environment, false, &clock),
        _ => tls_without_roots(&clock),
    };
    let setup = |error: reqwest::Error| SubmitError::Setup(error.without_url().into());
    let builder = client_builder(tls?, endpoint.proxy())
        .map_err(setup)?
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .retry(retry::never())
        .referer(false)
        .http1_only()
        .http1_title_case_headers()
        .pool_max_idle_per_host(0);
    pin_localhost(builder).build().map_err(setup)
}

/// Resolves `localhost` to this machine, whatever a DNS resolver returns, because requests to it may be sent without TLS.
fn pin_localhost(builder: ClientBuilder) -> ClientBuilder {
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    builder.resolve_to_addrs("localhost", &loopback.map(|address| SocketAddr::new(address, 0)))
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tbot::config::{self, Purpose};
    use tbot::event::internal::Rules;
    use tokio::time::Instant;

    use super::*;

    fn submission_taking(time: Duration) -> Submission {
        Submission { task: tokio::spawn(tokio::time::sleep(time)), address: "https://example.com".to_owned() }
    }

    /// Returns how long `finish` takes on the paused clock.
    async fn time_to_finish(submission: Submission, stop: impl Future<Output = ()>) -> Duration {
        let start = Instant::now();
        submission.finish(stop).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn finish_waits_for_a_submission_up_to_the_timeout() {
        let quick = Duration::from_millis(20);
        assert_eq!(time_to_finish(submission_taking(quick), pending()).await, quick);
        let longest = Duration::from_millis(500);
        assert_eq!(time_to_finish(submission_taking(Duration::MAX), pending()).await, longest);
    }

    #[tokio::test(start_paused = true)]
    async fn a_submission_to_an_endpoint_that_never_responds_ends_after_5_seconds() {
        // The kernel accepts the connection, and nobody responds.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", silent.local_addr().unwrap());
        let environment: Environment =
            [("TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS", address)].into_iter().collect();
        let rules = Rules::embedded().unwrap();
        let yaml = "version: v2\nproxy_server: a:1\nonboarding: {join_method: token, token: a}\n";
        let loaded = config::load(Some(yaml), &[], Purpose::Start);
        let (request, _) =
            TelemetryRequest::build(rules, &loaded.effective.unwrap(), &environment, "an-id").unwrap();
        let started = Instant::now();
        let result = submit(request, environment).await;
        assert!(matches!(result, Err(SubmitError::Timeout)), "{result:?}");
        assert_eq!(started.elapsed(), Duration::from_secs(5));
        silent.set_nonblocking(true).unwrap();
        assert!(silent.accept().is_ok(), "it has connected");
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_ends_the_wait() {
        assert_eq!(time_to_finish(submission_taking(Duration::MAX), ready(())).await, Duration::ZERO);
        let signal = Duration::from_millis(100);
        assert_eq!(
            time_to_finish(submission_taking(Duration::MAX), tokio::time::sleep(signal)).await,
            signal
        );
    }
}
