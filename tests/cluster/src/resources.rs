//! What is registered with the cluster: applications, databases, Kubernetes clusters. Finds them by the predicates that
//! agents are known to send; nothing is behind them. Depends on [`crate::proto`]; knows no caller.
//! Source: protocol facts, section 4.6.

use std::collections::{BTreeMap, BTreeSet};

use tonic::Code;

use crate::error::Failure;
use crate::proto::ListResourcesRequest;

/// What a cloud's name was before discovery made it unique.
pub const DISCOVERED_NAME: &str = "teleport.internal/discovered-name";

/// Something that certificates can lead to.
#[derive(Clone, Debug)]
pub struct Resource {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub kind: ResourceKind,
}

/// Its kind, and what only that kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    Application { public_addr: String },
    Database { protocol: String },
    Kubernetes,
}

impl Resource {
    pub fn application(name: &str, public_addr: &str) -> Self {
        Self::new(name, ResourceKind::Application { public_addr: public_addr.to_owned() })
    }

    pub fn database(name: &str, protocol: &str) -> Self {
        Self::new(name, ResourceKind::Database { protocol: protocol.to_owned() })
    }

    pub fn kubernetes(name: &str) -> Self {
        Self::new(name, ResourceKind::Kubernetes)
    }

    fn new(name: &str, kind: ResourceKind) -> Self {
        Self { name: name.to_owned(), labels: BTreeMap::new(), kind }
    }

    #[must_use]
    pub fn with_label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The type by which it is listed.
    fn type_name(&self) -> &'static str {
        match self.kind {
            ResourceKind::Application { .. } => "app_server",
            ResourceKind::Database { .. } => "db_server",
            ResourceKind::Kubernetes => "kube_server",
        }
    }
}

/// All of them, in the order of registration.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    all: Vec<Resource>,
    /// Whether every page says that another one follows.
    pub(crate) is_endless: bool,
}

impl Resources {
    pub(crate) fn add(&mut self, resource: Resource) {
        self.all.push(resource);
    }

    /// Names of the Kubernetes clusters.
    pub(crate) fn kubernetes(&self) -> BTreeSet<&str> {
        let all = self.all.iter().filter(|resource| resource.kind == ResourceKind::Kubernetes);
        all.map(|resource| resource.name.as_str()).collect()
    }

    /// One page of what a request asks for, and the key of the next one.
    pub(crate) fn page(&self, request: &ListResourcesRequest) -> Result<(Vec<Resource>, String), Failure> {
        let known = ["app_server", "db_server", "kube_server"];
        if !known.contains(&request.resource_type.as_str()) {
            return Err(bad(format!("resource type {:?} is not supported", request.resource_type)));
        }
        let predicate = Predicate::parse(&request.predicate_expression)?;
        let matching = self.all.iter().filter(|resource| {
            resource.type_name() == request.resource_type
                && predicate.holds(resource)
                && request.labels.iter().all(|(key, value)| resource.labels.get(key) == Some(value))
        });
        let start = if request.start_key.is_empty() { 0 } else { place(&request.start_key)? };
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0);
        let limit = limit.ok_or_else(|| bad("nonpositive parameter limit"))?;
        let all: Vec<_> = matching.skip(start).cloned().collect();
        let next = match (self.is_endless, all.len() > limit) {
            (true, _) => start.to_string(),
            (false, true) => (start + limit).to_string(),
            (false, false) => String::new(),
        };
        Ok((all.into_iter().take(limit).collect(), next))
    }
}

fn place(key: &str) -> Result<usize, Failure> {
    key.parse().map_err(|_| bad("unknown start key"))
}

fn bad(message: impl Into<String>) -> Failure {
    Failure::new(Code::InvalidArgument, message)
}

/// The part of the predicate language that agents use: `name == "x"`, `labels["k"] == "x"`, in parentheses, with `||`.
#[derive(Debug, PartialEq, Eq)]
struct Predicate(Vec<Term>);

#[derive(Debug, PartialEq, Eq)]
enum Term {
    Name(String),
    Label(String, String),
}

impl Predicate {
    fn parse(text: &str) -> Result<Self, Failure> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let refused = || bad(format!("failed to parse predicate expression {text:?}"));
        let mut terms = Vec::new();
        let mut rest = text;
        loop {
            let (inside, in_parentheses) = rest.strip_prefix('(').map_or((rest, false), |rest| (rest, true));
            let (term, tail) = Term::parse(inside).ok_or_else(refused)?;
            terms.push(term);
            let tail = if in_parentheses { tail.strip_prefix(')').ok_or_else(refused)? } else { tail };
            if tail.is_empty() {
                return Ok(Self(terms));
            }
            rest = tail.strip_prefix(" || ").ok_or_else(refused)?;
        }
    }

    /// No predicate holds for everything.
    fn holds(&self, resource: &Resource) -> bool {
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
            let (name, rest) = string(rest)?;
            return Some((Self::Name(name), rest));
        }
        let (key, rest) = string(text.strip_prefix("labels[")?)?;
        let (value, rest) = string(rest.strip_prefix("] == ")?)?;
        Some((Self::Label(key, value), rest))
    }
}

/// A quoted string, and what comes after it.
fn string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.strip_prefix('"')?.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 2..])),
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
    fn predicates_of_agents_are_understood_and_others_refused() {
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
