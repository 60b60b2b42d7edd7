//! Finds the parts of a valid configuration that this version cannot run, before anything is joined.
//!
//! The configuration declares them: see [`Service::supported`], [`JoinMethod::supported`](crate::config::JoinMethod::supported)
//! and [`Config::unsupported_properties`].

use std::fmt;

use crate::agent::service::context_name::ContextName;
use crate::config::{Config, DatabaseFormat, Destination, Service, SupportedService, UnsupportedProperty};

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

    /// Returns an error with everything that cannot run.
    pub(crate) fn check(config: &Config) -> Result<(), Self> {
        let mut found = FoundParts(Vec::new());
        let method = config.onboarding.as_ref().and_then(|onboarding| onboarding.join_method);
        if let Some(method) = method.filter(|method| method.supported().is_none()) {
            found.push("/onboarding/join_method", format!("join method {method}"));
        }
        for (list, services) in [("/services", &config.services), ("/outputs", &config.outputs)] {
            for (index, service) in services.iter().flatten().enumerate() {
                found.service(&format!("{list}/{index}"), service);
            }
        }
        found.properties("", config.unsupported_properties());
        if found.0.is_empty() { Ok(()) } else { Err(Self(found.0)) }
    }
}

/// The parts found so far.
struct FoundParts(Vec<Part>);

impl FoundParts {
    fn push(&mut self, pointer: &str, what: String) {
        self.0.push(Part { pointer: pointer.to_owned(), what });
    }

    fn properties(&mut self, at: &str, properties: Vec<UnsupportedProperty>) {
        for UnsupportedProperty { name, feature } in properties {
            self.push(&format!("{at}/{name}"), feature.to_owned());
        }
    }

    fn service(&mut self, at: &str, service: &Service) {
        let Some(supported) = service.supported() else {
            self.0.extend(Unsupported::service(at, service).0);
            return;
        };
        self.properties(at, service.unsupported_properties());
        match supported {
            SupportedService::KubernetesV2(kubernetes) => {
                if ContextName::of_service(kubernetes).is_none() {
                    let what = "a context name template with more than .ClusterName and .KubeName".to_owned();
                    self.push(&format!("{at}/context_name_template"), what);
                }
            }
            SupportedService::Database(database) => {
                if database.format == Some(DatabaseFormat::Cockroach)
                    && matches!(database.destination, Destination::KubernetesSecret(_))
                {
                    let what =
                        "the database format cockroach in a Kubernetes Secret, which has no subdirectories";
                    self.push(&format!("{at}/format"), what.to_owned());
                }
            }
            SupportedService::Identity(_)
            | SupportedService::Application(_)
            | SupportedService::Kubernetes(_)
            | SupportedService::SshHost(_)
            | SupportedService::WorkloadIdentityX509(_)
            | SupportedService::WorkloadIdentityJwt(_) => {}
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
    fn unsupported_properties_are_refused_if_they_are_set() {
        let service = |mut service: serde_json::Value, property: &str| {
            service["destination"] = serde_json::json!({ "type": "memory" });
            service[property] = serde_json::json!("a");
            service
        };
        let config = |switch: bool| {
            serde_json::json!({
                "version": "v2",
                "services": [
                    service(serde_json::json!({ "type": "identity" }), "delegation_session_id"),
                    service(serde_json::json!({ "type": "application", "app_name": "a" }), "delegation_session_id"),
                    service(
                        serde_json::json!({ "type": "kubernetes", "kubernetes_cluster": "a" }),
                        "delegation_session_id",
                    ),
                    service(
                        serde_json::json!({ "type": "kubernetes/v2", "selectors": [{ "name": "a" }] }),
                        "relay_server",
                    ),
                ],
                "scoped": switch,
                "fips": switch,
            })
        };
        let refused = |switch| {
            let refused = check(config(switch)).unwrap_err();
            refused.parts().iter().map(|part| format!("{}: {}", part.pointer, part.what)).collect::<Vec<_>>()
        };
        let services = [
            "/services/0/delegation_session_id: credentials for a delegation session",
            "/services/1/delegation_session_id: credentials for a delegation session",
            "/services/2/delegation_session_id: credentials for a delegation session",
            "/services/3/relay_server: a relay",
        ];
        assert_eq!(refused(false), services);
        assert_eq!(refused(true), [&services[..], &["/scoped: scoped bots", "/fips: FIPS mode"]].concat());
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
