//! What the schema accepts and this version cannot run yet: found by name, before anything is joined. Pure.
//!
//! This list shrinks to none. A setting that is neither here nor run would be a setting that is silently ignored.

use std::fmt;

use crate::config::{AclMode, Config, Destination, Directory, Identity, JoinMethod, Service, is_on};

/// Every part of a configuration that this version cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported(Vec<Part>);

/// One part: where it stands, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// JSON pointer into the configuration, such as `/services/1`.
    pub pointer: String,
    /// What cannot be run, in a few words.
    pub what: String,
}

impl Unsupported {
    /// The parts, in the order of the file.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.0
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

    /// Fails with everything that cannot be run.
    pub(crate) fn check(config: &Config) -> Result<(), Self> {
        let mut parts = Vec::new();
        let mut refuse = |pointer: &str, what: String| parts.push(Part { pointer: pointer.to_owned(), what });
        let method = config.onboarding.as_ref().and_then(|onboarding| onboarding.join_method);
        if let Some(method) = method.filter(|method| *method != JoinMethod::Token) {
            refuse("/onboarding/join_method", format!("join method {method}"));
        }
        if let Some(storage) = &config.storage {
            destination("/storage", storage, &mut refuse);
        }
        let lists = [("/services", &config.services), ("/outputs", &config.outputs)];
        for (list, services) in lists {
            for (index, entry) in services.iter().flatten().enumerate() {
                service(&format!("{list}/{index}"), entry, &mut refuse);
            }
        }
        for (pointer, is_set, what) in [
            ("/scoped", is_on(config.scoped), "scoped bots"),
            ("/fips", is_on(config.fips), "FIPS mode"),
            ("/diag_addr", config.diag_addr.is_some(), "the diagnostics listener"),
        ] {
            if is_set {
                refuse(pointer, what.to_owned());
            }
        }
        if parts.is_empty() { Ok(()) } else { Err(Self(parts)) }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this version of tbot cannot run ")?;
        for (index, Part { pointer, what }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{what} (at {pointer})")?;
        }
        f.write_str("; nothing was joined or written: remove these, or keep them for an agent that can")
    }
}

impl std::error::Error for Unsupported {}

fn service(pointer: &str, service: &Service, refuse: &mut impl FnMut(&str, String)) {
    match service {
        Service::Identity(output) => {
            identity(pointer, output, refuse);
            destination(&format!("{pointer}/destination"), &output.destination, refuse);
        }
        other => refuse(pointer, format!("the service type {}", other.type_name())),
    }
}

fn identity(pointer: &str, output: &Identity, refuse: &mut impl FnMut(&str, String)) {
    for (field, is_set, what) in [
        ("cluster", output.cluster.is_some(), "an identity for a leaf cluster"),
        ("allow_reissue", is_on(output.allow_reissue), "an identity that may be reissued"),
        (
            "delegation_session_id",
            output.delegation_session_id.is_some(),
            "an identity for a delegation session",
        ),
    ] {
        if is_set {
            refuse(&format!("{pointer}/{field}"), what.to_owned());
        }
    }
}

fn destination(pointer: &str, destination: &Destination, refuse: &mut impl FnMut(&str, String)) {
    match destination {
        Destination::Directory(Directory { acls, readers, .. }) => {
            if *acls == Some(AclMode::Required) {
                refuse(&format!("{pointer}/acls"), "access control lists (acls: required)".to_owned());
            }
            if readers.as_ref().is_some_and(|readers| !readers.is_empty()) {
                refuse(&format!("{pointer}/readers"), "readers of a directory".to_owned());
            }
        }
        Destination::Memory(_) => {}
        other => refuse(pointer, format!("the destination type {}", other.type_name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: serde_json::Value) -> Result<(), Unsupported> {
        Unsupported::check(&serde_json::from_value(config).unwrap())
    }

    #[test]
    fn everything_that_cannot_be_run_is_named_at_once() {
        let refused = check(serde_json::json!({
            "version": "v2",
            "onboarding": { "join_method": "github" },
            "storage": { "type": "kubernetes_secret", "name": "bot" },
            "services": [
                { "type": "identity", "destination": { "type": "memory" }, "cluster": "leaf" },
                { "type": "ssh_host", "principals": ["a"], "destination": { "type": "memory" } },
            ],
            "outputs": [
                {
                    "type": "identity",
                    "destination": { "type": "directory", "path": "/out", "acls": "required", "readers": [{ "user": "a" }] },
                },
            ],
            "scoped": true,
            "diag_addr": "127.0.0.1:3001",
        }))
        .unwrap_err();
        let pointers: Vec<&str> = refused.parts().iter().map(|part| part.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/onboarding/join_method",
                "/storage",
                "/services/0/cluster",
                "/services/1",
                "/outputs/0/destination/acls",
                "/outputs/0/destination/readers",
                "/scoped",
                "/diag_addr"
            ]
        );
        let text = refused.to_string();
        assert!(text.contains("join method github (at /onboarding/join_method)"), "{text}");
        assert!(text.contains("the service type ssh_host (at /services/1)"), "{text}");
    }

    #[test]
    fn what_can_be_run_is_not_refused() {
        check(serde_json::json!({
            "version": "v2",
            "proxy_server": "teleport.example.com",
            "onboarding": { "join_method": "token", "token": "abc" },
            "storage": { "type": "directory", "path": "/var/lib/teleport/bot", "acls": "try", "symlinks": "secure" },
            "outputs": [{ "type": "identity", "ssh_config": "off", "roles": ["a"], "destination": { "type": "memory" } }],
        }))
        .unwrap();
    }
}
