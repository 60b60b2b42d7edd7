//! Finds the parts of a valid configuration that this version cannot run, before anything is joined.
//!
//! [`support`] lists them, for this module and for the documentation.

use std::fmt;

use crate::agent::service::context_name::ContextName;
use crate::config::{Config, DatabaseFormat, Destination, Identifier, Service, is_on};
use crate::support;

/// The parts of a configuration that this version cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported(Vec<Part>);

/// A part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its JSON pointer, such as `/services/1`.
    pub pointer: String,
    /// What it is, in a few words.
    pub what: String,
}

impl Unsupported {
    /// Returns the parts in the order of the file.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Returns the message. `locate` converts a pointer to where a person finds the part: a line, a flag, a command.
    #[must_use]
    pub fn message(&self, locate: impl Fn(&str) -> String) -> String {
        let part = |Part { pointer, what }: &Part| format!("{what} (at {})", locate(pointer));
        let parts: Vec<String> = self.0.iter().map(part).collect();
        format!(
            "this version of tbot cannot run {}; nothing was joined or written: remove these parts, or use an agent that \
             supports them",
            parts.join(", ")
        )
    }

    pub(crate) fn service(pointer: &str, service: &Service) -> Self {
        Self(vec![Part {
            pointer: pointer.to_owned(),
            what: format!("the service type {}", service.type_name()),
        }])
    }

    pub(crate) fn destination(pointer: &str, destination: &Destination) -> Self {
        let what = format!("the destination type {}", destination.type_name());
        Self(vec![Part { pointer: pointer.to_owned(), what }])
    }

    /// Returns an error with everything that cannot run.
    pub(crate) fn check(config: &Config) -> Result<(), Self> {
        let mut found = FoundParts(Vec::new());
        let method = config.onboarding.as_ref().and_then(|onboarding| onboarding.join_method);
        if let Some(method) = method.filter(|method| !support::JOIN_METHODS.contains(&method.as_str())) {
            found.push("/onboarding/join_method", format!("join method {method}"));
        }
        if let Some(storage) = &config.storage {
            found.destination("/storage", storage);
        }
        for (list, services) in [("/services", &config.services), ("/outputs", &config.outputs)] {
            for (index, service) in services.iter().flatten().enumerate() {
                found.service(&format!("{list}/{index}"), service);
            }
        }
        found.properties("", "Config", &[("scoped", is_on(config.scoped)), ("fips", is_on(config.fips))]);
        if found.0.is_empty() { Ok(()) } else { Err(Self(found.0)) }
    }
}

/// The parts found so far.
struct FoundParts(Vec<Part>);

impl FoundParts {
    fn push(&mut self, pointer: &str, what: String) {
        self.0.push(Part { pointer: pointer.to_owned(), what });
    }

    /// Adds the unsupported properties of one definition; each comes with whether it is set, or on.
    fn properties(&mut self, at: &str, definition: &str, properties: &[(&str, bool)]) {
        for (property, is_set) in properties {
            if let Some(what) = support::unsupported_property(definition, property).filter(|_| *is_set) {
                self.push(&format!("{at}/{property}"), what.to_owned());
            }
        }
    }

    fn service(&mut self, at: &str, service: &Service) {
        if !support::SERVICES.contains(&service.type_name()) {
            self.0.extend(Unsupported::service(at, service).0);
            return;
        }
        match service {
            Service::Identity(identity) => {
                self.delegation(at, "IdentityService", &identity.delegation_session_id);
            }
            Service::Application(app) => {
                self.delegation(at, "ApplicationService", &app.delegation_session_id);
            }
            Service::Kubernetes(kubernetes) => {
                self.delegation(at, "KubernetesService", &kubernetes.delegation_session_id);
            }
            Service::KubernetesV2(kubernetes) => {
                self.properties(
                    at,
                    "KubernetesV2Service",
                    &[("relay_server", kubernetes.relay_server.is_some())],
                );
                if ContextName::of_service(kubernetes).is_none() {
                    let what = "a context name template with more than .ClusterName and .KubeName".to_owned();
                    self.push(&format!("{at}/context_name_template"), what);
                }
            }
            Service::Database(database)
                if database.format == Some(DatabaseFormat::Cockroach)
                    && matches!(database.destination, Destination::KubernetesSecret(_)) =>
            {
                let what =
                    "the database format cockroach in a Kubernetes Secret, which has no subdirectories";
                self.push(&format!("{at}/format"), what.to_owned());
            }
            _ => {}
        }
        if let Some(destination) = service.fields().destination() {
            self.destination(&format!("{at}/destination"), destination);
        }
    }

    fn delegation(&mut self, at: &str, definition: &str, session: &Option<Identifier>) {
        self.properties(at, definition, &[("delegation_session_id", session.is_some())]);
    }

    fn destination(&mut self, at: &str, destination: &Destination) {
        if !support::DESTINATIONS.contains(&destination.type_name()) {
            self.0.extend(Unsupported::destination(at, destination).0);
        }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(str::to_owned))
    }
}

impl std::error::Error for Unsupported {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: serde_json::Value) -> Result<(), Unsupported> {
        Unsupported::check(&serde_json::from_value(config).unwrap())
    }

    #[test]
    fn everything_that_cannot_run_is_reported_at_once() {
        let refused = check(serde_json::json!({
            "version": "v2",
            "onboarding": { "join_method": "tpm" },
            "services": [
                { "type": "identity", "destination": { "type": "memory" }, "delegation_session_id": "a" },
                { "type": "application-proxy", "listen": "tcp://127.0.0.1:1" },
                {
                    "type": "kubernetes/v2",
                    "selectors": [{ "name": "a" }],
                    "context_name_template": "{{.Labels.env}}",
                    "destination": { "type": "memory" },
                },
                {
                    "type": "database",
                    "service": "a",
                    "format": "cockroach",
                    "destination": { "type": "kubernetes_secret", "name": "out" },
                },
            ],
            "scoped": true,
        }))
        .unwrap_err();
        let pointers: Vec<&str> = refused.parts().iter().map(|part| part.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/onboarding/join_method",
                "/services/0/delegation_session_id",
                "/services/1",
                "/services/2/context_name_template",
                "/services/3/format",
                "/scoped"
            ]
        );
        insta::assert_snapshot!(refused.to_string());
    }

    #[test]
    fn every_listed_property_is_refused_if_it_is_set() {
        for (definition, property, what) in support::UNSUPPORTED_PROPERTIES {
            let value = match *property {
                "scoped" | "fips" => serde_json::json!(true),
                _ => serde_json::json!("a"),
            };
            let mut config = serde_json::json!({
                "version": "v2",
                "services": [
                    { "type": "identity", "destination": { "type": "directory", "path": "/out" } },
                    { "type": "application", "app_name": "a", "destination": { "type": "memory" } },
                    { "type": "kubernetes", "kubernetes_cluster": "a", "destination": { "type": "memory" } },
                    { "type": "kubernetes/v2", "selectors": [{ "name": "a" }], "destination": { "type": "memory" } },
                ],
            });
            let at = match *definition {
                "Config" => "",
                "IdentityService" => "/services/0",
                "ApplicationService" => "/services/1",
                "KubernetesService" => "/services/2",
                "KubernetesV2Service" => "/services/3",
                other => panic!("no configuration with a {other} here yet"),
            };
            config.pointer_mut(at).unwrap()[property] = value;
            let refused = check(config).unwrap_err();
            assert_eq!(
                refused.parts(),
                [Part { pointer: format!("{at}/{property}"), what: (*what).to_owned() }]
            );
        }
    }

    #[test]
    fn a_supported_configuration_is_accepted() {
        check(serde_json::json!({
            "version": "v2",
            "proxy_server": "teleport.example.com",
            "diag_addr": "127.0.0.1:3001",
            "onboarding": { "join_method": "token", "token": "abc" },
            "storage": { "type": "kubernetes_secret", "name": "bot" },
            "services": [{
                "type": "identity",
                "destination": { "type": "directory", "path": "/out", "acls": "required", "readers": [{ "user": "a" }] },
            }],
            "outputs": [{ "type": "identity", "ssh_config": "off", "roles": ["a"], "destination": { "type": "memory" } }],
        }))
        .unwrap();
    }
}
