//! Chooses the resource that an output names: the one with exactly this name, or the only one with this discovered name.

use std::collections::BTreeMap;

use crate::agent::teleport::auth_client::Resource;

/// An output's name matches no resource, or several.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No resource that the output's roles may see has this name.
    #[error(
        "{kind} \"{name}\" not found: check the name ({list}), and that {labels} in the bot's roles allow it"
    )]
    NotFound {
        /// The kind of resource, such as `database`.
        kind: &'static str,
        /// The name in the configuration.
        name: String,
        /// The command that lists such resources.
        list: &'static str,
        /// The field of a role that grants access.
        labels: &'static str,
    },
    /// Several resources have this discovered name.
    #[error("{kind} \"{name}\" is ambiguous: use one of {}", .names.join(", "))]
    Several {
        /// The kind of resource, such as `database`.
        kind: &'static str,
        /// The name in the configuration.
        name: String,
        /// Their full names, sorted.
        names: Vec<String>,
    },
}

/// A kind of resource.
#[derive(Clone, Copy, Debug)]
pub(super) enum ResourceKind {
    App,
    Database,
    Kubernetes,
}

impl ResourceKind {
    /// Returns its name, the command that lists such resources, and the field of a role that grants access.
    fn description(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::App => ("app", "tctl apps ls", "app_labels"),
            Self::Database => ("database", "tctl db ls", "db_labels"),
            Self::Kubernetes => ("kubernetes cluster", "tctl kube ls", "kubernetes_labels"),
        }
    }
}

/// Chooses one of `found`, which lists a resource once for each agent that serves it.
pub(super) fn pick<T>(
    kind: ResourceKind,
    name: &str,
    found: Vec<Resource<T>>,
) -> Result<Resource<T>, LookupError> {
    let mut by_name: BTreeMap<String, Resource<T>> =
        found.into_iter().map(|found| (found.name.clone(), found)).collect();
    if let Some(exact) = by_name.remove(name) {
        return Ok(exact);
    }
    by_name.retain(|_, found| found.discovered_name.as_deref() == Some(name));
    let names: Vec<String> = by_name.keys().cloned().collect();
    let (kind, list, labels) = kind.description();
    match (by_name.into_values().next(), names.len()) {
        (Some(only), 1) => Ok(only),
        (None, _) => Err(LookupError::NotFound { kind, name: name.to_owned(), list, labels }),
        (Some(_), _) => Err(LookupError::Several { kind, name: name.to_owned(), names }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, discovered: Option<&str>) -> Resource<()> {
        Resource { name: name.to_owned(), discovered_name: discovered.map(str::to_owned), detail: () }
    }

    fn picked(found: Vec<Resource<()>>) -> Result<String, LookupError> {
        pick(ResourceKind::Database, "pg", found).map(|found| found.name)
    }

    #[test]
    fn an_exact_name_wins_over_discovered_ones() {
        let all = vec![found("pg-eu", Some("pg")), found("pg", None), found("pg", None)];
        assert_eq!(picked(all).unwrap(), "pg");
    }

    #[test]
    fn a_single_discovered_name_matches_however_many_agents_serve_it() {
        assert_eq!(picked(vec![found("pg-eu", Some("pg")), found("pg-eu", Some("pg"))]).unwrap(), "pg-eu");
    }

    #[test]
    fn no_match_and_several_matches_are_errors() {
        let none = picked(vec![found("pgx", None)]).unwrap_err();
        assert!(
            matches!(none, LookupError::NotFound { kind: "database", labels: "db_labels", .. }),
            "{none}"
        );
        let several = picked(vec![found("pg-us", Some("pg")), found("pg-eu", Some("pg"))]).unwrap_err();
        let expected = vec!["pg-eu".to_owned(), "pg-us".to_owned()];
        assert_eq!(
            several,
            LookupError::Several { kind: "database", name: "pg".to_owned(), names: expected }
        );
    }
}
