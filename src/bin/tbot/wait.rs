//! `tbot wait`: polls the health server of a running agent until the agent is ready.

use std::io;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::Value;
use tbot::agent::internal::{client_builder, failed_request, tls_without_roots};
use tbot::agent::{Clock, ConnectionError};
use tbot::config::{AddressError, ListenAddress};
use tokio::runtime::Builder;
use url::Url;

use crate::cli::WaitArgs;
use crate::exit::Failure;
use crate::http_response::read_json;

/// The timeout of one request. The agent responds only after the first attempts of its services.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The delay after the first request that fails. Doubles with each further one, up to the maximum.
const FIRST_DELAY: Duration = Duration::from_millis(250);
const MAX_DELAY: Duration = Duration::from_secs(2);
/// The maximum number of bytes of a response that are read.
const MAX_BODY: usize = 1 << 20;

/// Why the agent, or one of its services, is not ready.
#[derive(Debug, thiserror::Error)]
enum NotReady {
    #[error("cannot connect to the health server")]
    Unreachable(#[source] ConnectionError),
    /// The server does not respond before the first attempts of the services have ended, or a firewall drops the request.
    #[error("the health server has not responded: the first attempts of the services may not have ended")]
    NoResponse,
    #[error("{}", .0.join("; "))]
    Services(Vec<String>),
    #[error("the health server responded with {0}")]
    Response(StatusCode),
    #[error("the server at this address is not the health server of a tbot")]
    OtherServer,
}

pub(crate) fn wait(WaitArgs { diag_addr, service, timeout }: &WaitArgs) -> Result<(), Failure> {
    let url = wait_url(diag_addr, service.as_deref())?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::Process)?;
    let mut reason = NotReady::NoResponse;
    runtime.block_on(async {
        let ready = until_ready(&url, &mut reason);
        if timeout.is_zero() {
            return ready.await;
        }
        match tokio::time::timeout(timeout.to_std(), ready).await {
            Ok(result) => result,
            Err(_) => Err(Failure::NotReady { timeout: *timeout, reason: reason.into() }),
        }
    })
}

/// Returns the URL to poll. Without a host, `address` means this machine, like `diag_addr` in a configuration.
fn wait_url(address: &str, service: Option<&str>) -> Result<Url, Failure> {
    let authority = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
    // A URL parser would read a lone port as the number of an IPv4 address, and assume port 80.
    let parsed: ListenAddress = authority.parse().map_err(|error: AddressError| {
        Failure::Usage(format!("--diag-addr: {error}: {}", ListenAddress::help_for(authority, error)))
    })?;
    let host = if parsed.host().is_none() { "localhost" } else { "" };
    let invalid = || Failure::Usage("--diag-addr is not an address such as 127.0.0.1:3001".to_owned());
    let mut url = Url::parse(&format!("http://{host}{parsed}")).map_err(|_| invalid())?;
    let mut path = url.path_segments_mut().map_err(|()| invalid())?;
    path.clear().push("wait").extend(service);
    drop(path);
    Ok(url)
}

/// Polls until the agent is ready. Stores the last reason why it is not ready in `reason`.
async fn until_ready(url: &Url, reason: &mut NotReady) -> Result<(), Failure> {
    let tls = tls_without_roots(&Clock::system()).map_err(io::Error::other).map_err(Failure::Process)?;
    let builder = client_builder(tls, None).map_err(io::Error::other).map_err(Failure::Process)?;
    let client = builder.timeout(REQUEST_TIMEOUT).build();
    let client = client.map_err(io::Error::other).map_err(Failure::Process)?;
    let mut delay = FIRST_DELAY;
    loop {
        match poll(&client, url).await {
            Ok(()) => return Ok(()),
            Err(NotReady::Response(StatusCode::NOT_FOUND)) => return Err(Failure::NothingToWaitFor),
            Err(not_ready) => *reason = not_ready,
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(MAX_DELAY);
    }
}

async fn poll(client: &Client, url: &Url) -> Result<(), NotReady> {
    let response = client.get(url.clone()).send().await.map_err(not_ready)?;
    let status = response.status();
    let body = read_json(response, MAX_BODY).await;
    if status == StatusCode::OK {
        let is_health = body.is_some_and(|body| body["status"].is_string());
        return if is_health { Ok(()) } else { Err(NotReady::OtherServer) };
    }
    match body.map(|body| services_that_are_not_ready(&body)) {
        Some(services) if !services.is_empty() => Err(NotReady::Services(services)),
        _ => Err(NotReady::Response(status)),
    }
}

fn not_ready(error: reqwest::Error) -> NotReady {
    if error.is_timeout() { NotReady::NoResponse } else { NotReady::Unreachable(failed_request(error)) }
}

/// Describes each service that is not ready, as in `identity-1 is unhealthy (a reason)`. The body is about all services, or
/// about the one in the URL.
fn services_that_are_not_ready(body: &Value) -> Vec<String> {
    let describe = |name: &str, service: &Value| {
        let status = service["status"].as_str().filter(|status| !matches!(*status, "healthy" | "failing"))?;
        let reason = service["reason"].as_str().map(|reason| format!(" ({reason})")).unwrap_or_default();
        Some(format!("{name} is {status}{reason}"))
    };
    match body["services"].as_object() {
        Some(services) => services.iter().filter_map(|(name, service)| describe(name, service)).collect(),
        None => describe("the service", body).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_has_the_forms_of_the_go_agent_and_of_diag_addr() {
        let url = |address, service| wait_url(address, service).map(|url| url.to_string()).ok();
        for (address, expected) in [
            ("127.0.0.1:3001", "http://127.0.0.1:3001/wait"),
            ("http://127.0.0.1:3001", "http://127.0.0.1:3001/wait"),
            ("http://localhost:3001/", "http://localhost:3001/wait"),
            ("[::1]:3001", "http://[::1]:3001/wait"),
            (":3001", "http://localhost:3001/wait"),
        ] {
            assert_eq!(url(address, None).as_deref(), Some(expected));
        }
        let one = url("a:1", Some("kubernetes-v2-1"));
        assert_eq!(one.as_deref(), Some("http://a:1/wait/kubernetes-v2-1"));
        assert_eq!(url("a:1", Some("a/b?c")).as_deref(), Some("http://a:1/wait/a%2Fb%3Fc"));
        let refused = wait_url("3001", None).unwrap_err().to_string();
        assert_eq!(refused, "--diag-addr: the address has no port: write `127.0.0.1:3001`");
        for address in
            ["", ":", "localhost", "https://a:1", "a:1/readyz", "a:1?b", "a:port", "unix:///run/tbot.sock"]
        {
            assert_eq!(url(address, None), None, "{address}");
        }
    }

    #[test]
    fn only_services_that_are_not_ready_are_described() {
        let body = json!({ "status": "unhealthy", "services": {
            "identity": { "status": "failing", "reason": "a" },
            "identity-1": { "status": "unhealthy", "reason": "b" },
            "identity-2": { "status": "initializing" },
            "identity-3": { "status": "healthy" },
        }});
        let described = ["identity-1 is unhealthy (b)", "identity-2 is initializing"];
        assert_eq!(services_that_are_not_ready(&body), described);
        assert_eq!(
            services_that_are_not_ready(&body["services"]["identity-1"]),
            ["the service is unhealthy (b)"]
        );
        assert_eq!(services_that_are_not_ready(&json!(null)), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_health_server_that_does_not_respond_is_polled_again_after_a_timeout() {
        // The kernel accepts connections, and nobody responds.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = wait_url(&silent.local_addr().unwrap().to_string(), None).unwrap();
        let mut reason = NotReady::Services(Vec::new());
        let started = tokio::time::Instant::now();
        let waited = tokio::time::timeout(Duration::from_secs(11), until_ready(&url, &mut reason)).await;
        assert!(waited.is_err() && matches!(reason, NotReady::NoResponse), "{reason:?}");
        assert_eq!(started.elapsed(), Duration::from_secs(11));
        assert_eq!(silent.incoming().take(3).filter(Result::is_ok).count(), 3);
    }
}
