//! An identity token that is asked for over HTTP: of the CI system that runs the job, or of the cloud that runs the machine.
//! One request; [`asked`](super::metadata_client) says to whom it may go and how.

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderValue};
use serde_json::Value;
use url::Url;

use super::metadata_client::{Asked, UNEXPECTED, Way, address, metadata, secret_header};
use super::{Jwt, ProofError, Wanted};
use crate::agent::platform::options::{Clock, Environment};

/// Whom to ask, how, and what of the answer is the proof.
pub(in crate::agent::bot::join) struct Exchange {
    pub(in crate::agent::bot::join) verb: Verb,
    pub(in crate::agent::bot::join) endpoint: Endpoint,
    /// What is added to the address's own query.
    pub(in crate::agent::bot::join) query: &'static [(&'static str, &'static str)],
    /// The variable with what the request is let in by.
    pub(in crate::agent::bot::join) bearer: Option<&'static str>,
    pub(in crate::agent::bot::join) headers: &'static [(&'static str, &'static str)],
    pub(in crate::agent::bot::join) answer: Answer,
    /// What is missing when nothing is there to be asked, or it says no.
    pub(in crate::agent::bot::join) needs: &'static str,
}

#[derive(Clone, Copy)]
pub(in crate::agent::bot::join) enum Verb {
    Get,
    Post,
}

pub(in crate::agent::bot::join) enum Endpoint {
    /// The address in this variable.
    Variable(&'static str),
    /// The cloud's metadata server, at the host in this variable or at the usual one.
    Metadata { variable: &'static str, default: &'static str, path: &'static str },
}

pub(in crate::agent::bot::join) enum Answer {
    /// The member of this name of a JSON object.
    Member(&'static str),
    /// The body.
    Whole,
}

impl Exchange {
    pub(super) async fn proof(&self, environment: &Environment, clock: &Clock) -> Result<Jwt, ProofError> {
        let wanted = Wanted::id_token(self.needs);
        let url = self.url(environment)?;
        let authorization = self.bearer.map(|name| self.authorization(environment, name)).transpose()?;
        let way = match self.endpoint {
            Endpoint::Variable(_) => Way::World,
            Endpoint::Metadata { .. } => Way::Link,
        };
        let asked = Asked::new(url, way, environment, clock, wanted)?;
        let url = asked.base().clone();
        let mut request = match self.verb {
            Verb::Get => asked.client().get(url),
            Verb::Post => asked.client().post(url).header(CONTENT_LENGTH, 0),
        };
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        match self.answer {
            Answer::Whole => {
                let body = asked.send(request, wanted).await?;
                Jwt::new(&String::from_utf8_lossy(&body), wanted.what, asked.place())
            }
            Answer::Member(name) => {
                let object: Value = asked.send_for(request, wanted).await?;
                let text = object.get(name).and_then(Value::as_str);
                let text = text.ok_or_else(|| asked.malformed(wanted, UNEXPECTED))?;
                Jwt::new(text, wanted.what, asked.place())
            }
        }
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
        secret_header(&format!("Bearer {token}"), Wanted::id_token(self.needs), name)
    }

    fn not_set(&self, name: &str) -> ProofError {
        ProofError::NotSet { name: name.to_owned(), needs: self.needs }
    }
}
