//! A proof that is asked for over HTTP: of the CI system that runs the job, or of the cloud that runs the machine. One I/O
//! edge, one request, no redirects.
//!
//! A bearer token goes over https only, through the environment's HTTP proxy where it names one, to who presents a
//! certificate that the system trusts. A metadata server speaks clear text, so it has to be on the machine's own link, and
//! no proxy is on the way. Loopback may speak clear text in any case.

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderValue};
use serde_json::Value;
use url::{Host, Url};

use super::{Proof, ProofError};
use crate::agent::address::Address;
use crate::agent::options::{Clock, Environment};
use crate::agent::route::Route;
use crate::agent::tls;
use crate::agent::web::{self, Answer as WebAnswer, WebError};

/// Whom to ask, how, and what of the answer is the proof.
pub(in crate::agent::join) struct Exchange {
    pub(in crate::agent::join) verb: Verb,
    pub(in crate::agent::join) endpoint: Endpoint,
    /// What is added to the address's own query.
    pub(in crate::agent::join) query: &'static [(&'static str, &'static str)],
    /// The variable with what the request is let in by.
    pub(in crate::agent::join) bearer: Option<&'static str>,
    pub(in crate::agent::join) headers: &'static [(&'static str, &'static str)],
    pub(in crate::agent::join) answer: Answer,
    /// What is missing when nothing is there to be asked, or it says no.
    pub(in crate::agent::join) needs: &'static str,
}

#[derive(Clone, Copy)]
pub(in crate::agent::join) enum Verb {
    Get,
    Post,
}

pub(in crate::agent::join) enum Endpoint {
    /// The address in this variable.
    Variable(&'static str),
    /// The cloud's metadata server, at the host in this variable or at the usual one.
    Metadata { variable: &'static str, default: &'static str, path: &'static str },
}

pub(in crate::agent::join) enum Answer {
    /// The member of this name of a JSON object.
    Member(&'static str),
    /// The body.
    Whole,
}

impl Exchange {
    pub(super) async fn proof(&self, environment: &Environment, clock: &Clock) -> Result<Proof, ProofError> {
        let url = self.url(environment)?;
        let authorization = self.bearer.map(|name| self.authorization(environment, name)).transpose()?;
        let host = format!(
            "{}:{}",
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default()
        );
        let failed = |error: WebError| ProofError::NoAnswer {
            host: host.clone(),
            detail: error.to_string(),
            needs: self.needs,
        };
        let client = self.client(&url, environment, clock).map_err(failed)?;
        let mut request = match self.verb {
            Verb::Get => client.get(url),
            Verb::Post => client.post(url).header(CONTENT_LENGTH, 0),
        };
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let answer = web::send(request).await.map_err(failed)?;
        if !answer.status.is_success() {
            return Err(ProofError::Refused { host, status: answer.status, needs: self.needs });
        }
        self.read(&answer, &host)
    }

    fn url(&self, environment: &Environment) -> Result<Url, ProofError> {
        let mut url = match self.endpoint {
            Endpoint::Variable(name) => {
                let text = environment.get(name).ok_or_else(|| self.not_set(name))?;
                address(text).map_err(|problem| ProofError::Address { name, problem })?
            }
            Endpoint::Metadata { variable, default, path } => {
                metadata(environment.get(variable).unwrap_or(default), path)
                    .map_err(|problem| ProofError::Address { name: variable, problem })?
            }
        };
        url.query_pairs_mut().extend_pairs(self.query);
        Ok(url)
    }

    fn authorization(
        &self,
        environment: &Environment,
        name: &'static str,
    ) -> Result<HeaderValue, ProofError> {
        let token = environment.get(name).ok_or_else(|| self.not_set(name))?;
        let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            ProofError::Malformed { place: name.to_owned(), problem: "it cannot stand in a header of HTTP" }
        })?;
        header.set_sensitive(true);
        Ok(header)
    }

    fn not_set(&self, name: &str) -> ProofError {
        ProofError::NotSet { name: name.to_owned(), needs: self.needs }
    }

    fn client(
        &self,
        url: &Url,
        environment: &Environment,
        clock: &Clock,
    ) -> Result<reqwest::Client, WebError> {
        let no_proxy = Environment::default();
        let proxies = match self.endpoint {
            Endpoint::Variable(_) => environment,
            Endpoint::Metadata { .. } => &no_proxy,
        };
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let address = Address::new(host, url.port_or_known_default().unwrap_or_default());
        let route = Route::new(address, proxies, false, clock.clone())
            .map_err(|error| WebError::Failed(error.to_string()))?;
        let tls = if url.scheme() == "https" {
            tls::web(environment, false, clock)?
        } else {
            tls::trusting_nobody(clock)?
        };
        web::client(tls, &route)
    }

    fn read(&self, answer: &WebAnswer, host: &str) -> Result<Proof, ProofError> {
        let place = format!("the answer of {host}");
        let malformed = |problem| ProofError::Malformed { place: place.clone(), problem };
        match self.answer {
            Answer::Whole => Proof::new(&String::from_utf8_lossy(&answer.body), place),
            Answer::Member(name) => {
                let object: Value =
                    serde_json::from_slice(&answer.body).map_err(|_| malformed("it is not JSON"))?;
                let text = object.get(name).and_then(Value::as_str);
                let text = text.ok_or_else(|| malformed("it is not the JSON object that was expected"))?;
                Proof::new(text, place)
            }
        }
    }
}

/// An address that a bearer token may be sent to.
fn address(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "it is no URL")?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if web::is_loopback(&url) => Ok(url),
        _ => Err("a token goes over https only, except on this machine"),
    }
}

/// A metadata server's address. Its host may have a port.
fn metadata(host: &str, path: &str) -> Result<Url, &'static str> {
    let url = Url::parse(&format!("http://{host}{path}")).map_err(|_| "it is no host")?;
    let is_host = url.path() == path
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !is_host {
        return Err("write a host, and perhaps a port");
    }
    let is_on_this_link = match url.host() {
        Some(Host::Ipv4(address)) => address.is_link_local(),
        Some(Host::Ipv6(address)) => address.is_unicast_link_local() || address.is_unique_local(),
        Some(Host::Domain(name)) => name == "metadata.google.internal",
        None => false,
    };
    if is_on_this_link || web::is_loopback(&url) {
        Ok(url)
    } else {
        Err("a metadata server speaks clear text, so that it has to be a link-local address, loopback or \
             metadata.google.internal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        }
        for bad in
            ["10.0.0.1", "metadata.example", "127.0.0.1/x", "u@127.0.0.1", "127.0.0.1?", "127.0.0.1#", "a b"]
        {
            assert!(metadata(bad, "/a").is_err(), "{bad}");
        }
    }
}
