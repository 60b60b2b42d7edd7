//! Whoever is asked over HTTP for a proof or for a part of one: a CI system, or a cloud's metadata server. One I/O edge, no
//! redirects.
//!
//! What lets the agent in goes over https only, through the environment's HTTP proxy where it names one, to who presents a
//! certificate that the system trusts. A metadata server speaks clear text, so it has to be on the machine's own link, and
//! no proxy is on the way. Loopback may speak clear text in any case.

use crate::agent::net::address::is_loopback_url;
use reqwest::RequestBuilder;
use reqwest::header::HeaderValue;
use serde::de::DeserializeOwned;
use url::{Host, Url};

use super::{ProofError, Wanted};
use crate::agent::net::address::Address;
use crate::agent::net::route::Route;
use crate::agent::net::tls;
use crate::agent::net::web::{self, WebError};
use crate::agent::platform::options::{Clock, Environment};

/// How somebody is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// As everybody: by what the environment says of HTTP proxies.
    World,
    /// Without an HTTP proxy.
    Link,
}

/// What is wrong with JSON in which something is missing, or is of another type.
pub(super) const UNEXPECTED: &str = "it is not the JSON object that was expected";

/// A client for one host.
pub(crate) struct Asked {
    client: reqwest::Client,
    base: Url,
    host: String,
}

impl Asked {
    /// Whoever `base` names. `wanted` is for the error.
    pub(super) fn new(
        base: Url,
        way: Way,
        environment: &Environment,
        clock: &Clock,
        wanted: Wanted,
    ) -> Result<Self, ProofError> {
        let address = Address::new(
            base.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']'),
            base.port_or_known_default().unwrap_or_default(),
        );
        let host = address.to_string();
        match client(&base, address, way, environment, clock) {
            Ok(client) => Ok(Self { client, base, host }),
            Err(error) => Err(wanted.no_answer(&host, &error)),
        }
    }

    /// The address that was given, at another path.
    pub(super) fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// The body of a good answer. Nothing else of what is answered is repeated: it may be what was sent.
    pub(super) async fn send(&self, request: RequestBuilder, wanted: Wanted) -> Result<Vec<u8>, ProofError> {
        let answer = web::send(request).await.map_err(|error| wanted.no_answer(&self.host, &error))?;
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        let Wanted { what, needs } = wanted;
        Err(ProofError::Refused { what, host: self.host.clone(), status: answer.status, needs })
    }

    /// The same for an answer in JSON.
    pub(super) async fn send_for<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        wanted: Wanted,
    ) -> Result<T, ProofError> {
        let body = self.send(request, wanted).await?;
        serde_json::from_slice(&body).map_err(|error| {
            self.malformed(wanted, if error.is_data() { UNEXPECTED } else { "it is not JSON" })
        })
    }

    /// Where an answer of this host stands, for an error.
    pub(super) fn place(&self) -> String {
        format!("the answer of {}", self.host)
    }

    pub(super) fn malformed(&self, wanted: Wanted, problem: &'static str) -> ProofError {
        wanted.malformed(self.place(), problem)
    }
}

fn client(
    base: &Url,
    address: Address,
    way: Way,
    environment: &Environment,
    clock: &Clock,
) -> Result<reqwest::Client, WebError> {
    let no_proxy = Environment::default();
    let proxies = match way {
        Way::World => environment,
        Way::Link => &no_proxy,
    };
    let route = Route::new(address, proxies, false, clock.clone())
        .map_err(|error| WebError::Failed(error.to_string()))?;
    let tls = if base.scheme() == "https" {
        tls::web(environment, false, clock)?
    } else {
        tls::without_roots(clock)?
    };
    web::client(tls, &route)
}

/// A header of HTTP with what lets the agent in, which `place` gave.
pub(super) fn secret_header(text: &str, wanted: Wanted, place: &str) -> Result<HeaderValue, ProofError> {
    let mut header = HeaderValue::from_str(text)
        .map_err(|_| wanted.malformed(place, "it cannot stand in a header of HTTP"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// An address that what lets the agent in may be sent to.
pub(super) fn address(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "it is no URL")?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback_url(&url) => Ok(url),
        _ => Err("a token goes over https only, except on this machine"),
    }
}

/// A metadata server's address, of its host, which may have a port.
pub(super) fn metadata(host: &str, path: &str) -> Result<Url, &'static str> {
    let url = Url::parse(&format!("http://{host}{path}")).map_err(|_| "it is no host")?;
    if url.path() != path || !is_bare(&url) {
        return Err("write a host, and perhaps a port");
    }
    on_this_link(url)
}

/// A metadata server's address, of its URL.
pub(super) fn metadata_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "it is no URL")?;
    if url.scheme() != "http" || url.path() != "/" || !is_bare(&url) {
        return Err("write http:// and a host, and perhaps a port");
    }
    on_this_link(url)
}

fn is_bare(url: &Url) -> bool {
    url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none()
}

/// The address, where nobody but this machine's own link is on the way.
pub(super) fn on_this_link(url: Url) -> Result<Url, &'static str> {
    let is_on_this_link = match url.host() {
        Some(Host::Ipv4(address)) => address.is_link_local(),
        Some(Host::Ipv6(address)) => address.is_unicast_link_local() || address.is_unique_local(),
        Some(Host::Domain(name)) => name == "metadata.google.internal",
        None => false,
    };
    if is_on_this_link || is_loopback_url(&url) {
        Ok(url)
    } else {
        Err("a metadata server speaks clear text, so that it has to be a link-local address, loopback or \
             metadata.google.internal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A proxy that cannot be used is an error only for who would use it.
    #[test]
    fn nobody_is_on_the_way_to_a_metadata_server() {
        let environment = [("HTTPS_PROXY", "socks5://a.example:1"), ("ALL_PROXY", "socks5://a.example:1")];
        let environment = environment.into_iter().collect();
        for (way, is_reached) in [(Way::Link, true), (Way::World, false)] {
            let url = metadata("169.254.169.254", "/").unwrap();
            let asked = Asked::new(url, way, &environment, &Clock::system(), Wanted::id_token(""));
            assert_eq!(asked.is_ok(), is_reached);
        }
    }

    #[test]
    fn a_bearer_token_goes_over_https_or_stays_on_this_machine() {
        for good in ["https://ci.example/token?a=b", "http://127.0.0.1:1/token", "http://[::1]:1/"] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in ["http://ci.example/token", "ftp://127.0.0.1/", "ci.example", ""] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_metadata_server_is_on_the_machine_s_own_link() {
        for good in [
            "169.254.169.254",
            "169.254.169.252:988",
            "metadata.google.internal",
            "127.0.0.1:8080",
            "[fd20:ce::254]",
        ] {
            assert_eq!(metadata(good, "/a").map(|url| url.path().to_owned()).as_deref(), Ok("/a"), "{good}");
            assert!(metadata_url(&format!("http://{good}/")).is_ok(), "{good}");
        }
        for bad in
            ["10.0.0.1", "metadata.example", "127.0.0.1/x", "u@127.0.0.1", "127.0.0.1?", "127.0.0.1#", "a b"]
        {
            assert!(metadata(bad, "/a").is_err(), "{bad}");
            assert!(metadata_url(&format!("http://{bad}")).is_err(), "{bad}");
        }
        for bad in ["https://127.0.0.1", "127.0.0.1", "ftp://127.0.0.1", ""] {
            assert!(metadata_url(bad).is_err(), "{bad}");
        }
    }
}
