//! Chooses the resource that an output names: the one with exactly this name, or the only one with this discovered name.

use std::collections::BTreeMap;

use super::name_list::NameList;
use crate::agent::platform::Hint;
use crate::agent::teleport::auth_client::Resource;

/// The name in an output matches no resource, or several.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// No resource that the output's roles may see has this name.
    #[error("{kind} \"{name}\" not found")]
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
    #[error("{kind} \"{name}\" is ambiguous, because it is the discovered name of {names}")]
    Ambiguous {
        /// The kind of resource, such as `database`.
        kind: &'static str,
        /// The name in the configuration.
        name: String,
        /// Their full names, sorted.
        names: NameList,
    },
}

impl LookupError {
    /// Returns advice for the operator.
    #[must_use]
    pub fn hint(&self) -> Hint {
        match self {
            Self::NotFound { list, labels, .. } => {
                format!("check the name ({list}), and that {labels} in the bot's roles allow it").into()
            }
            Self::Ambiguous { .. } => Hint::new("use the full name of one of them"),
        }
    }
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

/// Chooses one of `resources`, which contains a resource once for each server that offers it.
pub(super) fn pick<T>(
    kind: ResourceKind,
    name: &str,
    resources: Vec<Resource<T>>,
) -> Result<Resource<T>, LookupError> {
    let mut by_name: BTreeMap<String, Resource<T>> =
        resources.into_iter().map(|resource| (resource.name.clone(), resource)).collect();
    if let Some(exact) = by_name.remove(name) {
        return Ok(exact);
    }
    by_name.retain(|_, resource| resource.discovered_name.as_deref() == Some(name));
    let names: NameList = by_name.keys().collect();
    let (kind, list, labels) = kind.description();
    match (by_name.into_values().next(), names.count()) {
        (Some(only), 1) => Ok(only),
        (None, _) => Err(LookupError::NotFound { kind, name: name.to_owned(), list, labels }),
        (Some(_), _) => Err(LookupError::Ambiguous { kind, name: name.to_owned(), names }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(name: &str, discovered: Option<&str>) -> Resource<()> {
        Resource { name: name.to_owned(), discovered_name: discovered.map(str::to_owned), detail: () }
    }

    fn pick_pg(resources: Vec<Resource<()>>) -> Result<String, LookupError> {
        pick(ResourceKind::Database, "pg", resources).map(|resource| resource.name)
    }

    #[test]
    fn an_exact_name_takes_precedence_over_discovered_names() {
        let all = vec![resource("pg-eu", Some("pg")), resource("pg", None), resource("pg", None)];
        assert_eq!(pick_pg(all).unwrap(), "pg");
    }

    #[test]
    fn a_resource_that_several_servers_offer_is_not_ambiguous() {
        assert_eq!(
            pick_pg(vec![resource("pg-eu", Some("pg")), resource("pg-eu", Some("pg"))]).unwrap(),
            "pg-eu"
        );
    }

    #[test]
    fn no_match_and_several_matches_are_errors() {
        let none = pick_pg(vec![resource("pgx", None)]).unwrap_err();
        assert!(
            matches!(none, LookupError::NotFound { kind: "database", labels: "db_labels", .. }),
            "{none}"
        );
        let several =
            pick_pg(vec![resource("pg-us", Some("pg")), resource("pg-eu", Some("pg"))]).unwrap_err();
        let expected = ["pg-eu", "pg-us"].into_iter().collect();
        assert_eq!(
            several,
            LookupError::Ambiguous { kind: "database", name: "pg".to_owned(), names: expected }
        );
    }
}
