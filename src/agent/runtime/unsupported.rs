//! The refusal of a valid configuration that this version cannot run. It comes before anything is joined.

use std::fmt;

use crate::config::{Config, UnsupportedPart};
use crate::pointer::Pointer;

/// The parts of a configuration that this version cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported(Vec<UnsupportedPart>);

impl Unsupported {
    /// Returns the parts in the order of the file.
    #[must_use]
    pub fn parts(&self) -> &[UnsupportedPart] {
        &self.0
    }

    /// Returns the message, without a hint. `locate` converts a pointer to where a person finds the part: a line, a flag or
    /// a command.
    #[must_use]
    pub fn message(&self, locate: impl Fn(&Pointer) -> String) -> String {
        let part =
            |UnsupportedPart { pointer, what }: &UnsupportedPart| format!("{what} (at {})", locate(pointer));
        let parts: Vec<String> = self.0.iter().map(part).collect();
        format!("this version of tbot does not support {}; nothing was joined or written", parts.join(", "))
    }

    /// Returns an error with everything that cannot run.
    pub(crate) fn check(config: &Config) -> Result<(), Self> {
        let parts = config.unsupported_parts();
        if parts.is_empty() { Ok(()) } else { Err(Self(parts)) }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(ToString::to_string))
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
                { "type": "beams/vnet", "delegation_session_id": "a" },
                {
                    "type": "kubernetes/v2",
                    "selectors": [{ "name": "a" }],
                    "context_name_template": "{{.Labels.env}}",
                    "destination": { "type": "memory" },
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
                "/services/1/type",
                "/services/2/context_name_template",
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
