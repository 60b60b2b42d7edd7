//! The applications, databases and Kubernetes clusters that are registered with the cluster, and their selection by the
//! predicates that agents are known to send. Makes no access decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::error::ApiError;
use crate::proto::ListResourcesRequest;

/// The label with the name that a resource has in its cloud, from before discovery made it unique.
pub const DISCOVERED_NAME_LABEL: &str = "teleport.internal/discovered-name";

/// A resource that certificates can be routed to.
#[derive(Clone, Debug)]
pub struct Resource {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub kind: ResourceKind,
    /// The server to which tunnels are forwarded. Without one, they are closed.
    pub server: Option<SocketAddr>,
}

/// The kind of a resource, with the properties that are specific to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    Application { public_addr: String, uri: String },
    Database { protocol: String },
    Kubernetes,
}

impl Resource {
    pub fn application(name: &str, public_addr: &str) -> Self {
        let uri = "http://127.0.0.1:9".to_owned();
        Self::new(name, ResourceKind::Application { public_addr: public_addr.to_owned(), uri })
    }

    pub fn tcp_application(name: &str, public_addr: &str) -> Self {
        let uri = "tcp://127.0.0.1:9".to_owned();
        Self::new(name, ResourceKind::Application { public_addr: public_addr.to_owned(), uri })
    }

    pub fn database(name: &str, protocol: &str) -> Self {
        Self::new(name, ResourceKind::Database { protocol: protocol.to_owned() })
    }

    pub fn kubernetes(name: &str) -> Self {
        Self::new(name, ResourceKind::Kubernetes)
    }

    fn new(name: &str, kind: ResourceKind) -> Self {
        Self { name: name.to_owned(), labels: BTreeMap::new(), kind, server: None }
    }

    #[must_use]
    pub fn with_label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Forwards tunnels to this address, whatever the URI of the resource is.
    #[must_use]
    pub fn served_by(mut self, server: SocketAddr) -> Self {
        self.server = Some(server);
        self
    }

    /// Returns the resource type in list requests.
    fn type_name(&self) -> &'static str {
        match self.kind {
            ResourceKind::Application { .. } => "app_server",
            ResourceKind::Database { .. } => "db_server",
            ResourceKind::Kubernetes => "kube_server",
        }
    }
}

/// The registered resources in the order of registration.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    all: Vec<Resource>,
    /// Whether every page claims that another one follows.
    pub(crate) is_endless: bool,
}

impl Resources {
    pub(crate) fn add(&mut self, resource: Resource) {
        self.all.push(resource);
    }

    /// Returns the application or database with this name.
    pub(crate) fn find(&self, is_database: bool, name: &str) -> Option<&Resource> {
        self.all.iter().find(|resource| {
            resource.name == name && matches!(resource.kind, ResourceKind::Database { .. }) == is_database
        })
    }

    /// Returns the names of the Kubernetes clusters.
    pub(crate) fn kubernetes_names(&self) -> BTreeSet<&str> {
        let all = self.all.iter().filter(|resource| resource.kind == ResourceKind::Kubernetes);
        all.map(|resource| resource.name.as_str()).collect()
    }

    /// Returns the requested page and the key of the next one, which is empty after the last page.
    pub(crate) fn page(&self, request: &ListResourcesRequest) -> Result<(Vec<Resource>, String), ApiError> {
        let supported = ["app_server", "db_server", "kube_server"];
        if !supported.contains(&request.resource_type.as_str()) {
            return Err(ApiError::invalid_argument(format!(
                "resource type {:?} is not supported",
                request.resource_type
            )));
        }
        let predicate = Predicate::parse(&request.predicate_expression)?;
        let matching = self.all.iter().filter(|resource| {
            resource.type_name() == request.resource_type
                && predicate.matches(resource)
                && request.labels.iter().all(|(key, value)| resource.labels.get(key) == Some(value))
        });
        let start = if request.start_key.is_empty() { 0 } else { parse_start_key(&request.start_key)? };
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0);
        let limit = limit.ok_or_else(|| ApiError::invalid_argument("nonpositive parameter limit"))?;
        let all: Vec<_> = matching.skip(start).cloned().collect();
        let next = match (self.is_endless, all.len() > limit) {
            (true, _) => start.to_string(),
            (false, true) => (start + limit).to_string(),
            (false, false) => String::new(),
        };
        Ok((all.into_iter().take(limit).collect(), next))
    }
}

fn parse_start_key(key: &str) -> Result<usize, ApiError> {
    key.parse().map_err(|_| ApiError::invalid_argument("unknown start key"))
}

/// A predicate, in the part of the predicate language that agents use: `name == "x"` and `labels["k"] == "x"`,
/// optionally in parentheses and combined with `||`. An empty predicate matches every resource.
#[derive(Debug, PartialEq, Eq)]
struct Predicate(Vec<Term>);

#[derive(Debug, PartialEq, Eq)]
enum Term {
    Name(String),
    Label(String, String),
}

impl Predicate {
    fn parse(text: &str) -> Result<Self, ApiError> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let invalid = || ApiError::invalid_argument(format!("failed to parse predicate expression {text:?}"));
        let mut terms = Vec::new();
        let mut rest = text;
        loop {
            let (inside, in_parentheses) = rest.strip_prefix('(').map_or((rest, false), |rest| (rest, true));
            let (term, tail) = Term::parse(inside).ok_or_else(invalid)?;
            terms.push(term);
            let tail = if in_parentheses { tail.strip_prefix(')').ok_or_else(invalid)? } else { tail };
            if tail.is_empty() {
                return Ok(Self(terms));
            }
            rest = tail.strip_prefix(" || ").ok_or_else(invalid)?;
        }
    }

    fn matches(&self, resource: &Resource) -> bool {
        self.0.is_empty()
            || self.0.iter().any(|term| match term {
                Term::Name(name) => resource.name == *name,
                Term::Label(key, value) => resource.labels.get(key) == Some(value),
            })
    }
}

impl Term {
    fn parse(text: &str) -> Option<(Self, &str)> {
        if let Some(rest) = text.strip_prefix("name == ") {
            let (name, rest) = parse_string(rest)?;
            return Some((Self::Name(name), rest));
        }
        let (key, rest) = parse_string(text.strip_prefix("labels[")?)?;
        let (value, rest) = parse_string(rest.strip_prefix("] == ")?)?;
        Some((Self::Label(key, value), rest))
    }
}

/// Parses a quoted string. Returns it with the rest of the input.
fn parse_string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.strip_prefix('"')?.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[index + 2..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predicates_of_agents_are_parsed_and_others_rejected() {
        let parse = |text: &str| Predicate::parse(text).ok().map(|predicate| predicate.0);
        assert_eq!(parse(r#"name == "a\"\\b""#), Some(vec![Term::Name(r#"a"\b"#.to_owned())]));
        assert_eq!(
            parse(r#"(name == "a") || (labels["k"] == "v")"#),
            Some(vec![Term::Name("a".to_owned()), Term::Label("k".to_owned(), "v".to_owned())])
        );
        for text in [r#"name == "a"#, r#"(name == "a""#, r#"name = "a""#, r#"name == "a" && name == "b""#] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
