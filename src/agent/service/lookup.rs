//! Which of the resources that were found is meant: the one of exactly this name, else the only one that was discovered
//! under it. Pure.

use std::collections::BTreeMap;

use crate::agent::teleport::auth_client::Resource;

/// No resource, or no single one, is what an output names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// Nothing of this name that the output's roles may see.
    #[error(
        "{kind} \"{name}\" not found: check the name ({list}), and that the bot's roles allow it by their {labels}"
    )]
    NotFound {
        /// ResourceKind of resource, such as `database`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// How to list what there is.
        list: &'static str,
        /// The role's field that decides who sees it.
        labels: &'static str,
    },
    /// Several were discovered under this name.
    #[error("{kind} \"{name}\" could be any of {}: name one of these", .names.join(", "))]
    Several {
        /// ResourceKind of resource, such as `database`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// Full names, sorted.
        names: Vec<String>,
    },
}

/// Kinds of resources, for messages.
#[derive(Clone, Copy, Debug)]
pub(super) enum ResourceKind {
    App,
    Database,
    Kubernetes,
}

impl ResourceKind {
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::App => ("app", "tctl apps ls", "app_labels"),
            Self::Database => ("database", "tctl db ls", "db_labels"),
            Self::Kubernetes => ("kubernetes cluster", "tctl kube ls", "kubernetes_labels"),
        }
    }
}

/// A resource is served by any number of agents, and so found any number of times.
pub(super) fn pick<T>(
    kind: ResourceKind,
    wanted: &str,
    found: Vec<Resource<T>>,
) -> Result<Resource<T>, LookupError> {
    let mut by_name: BTreeMap<String, Resource<T>> =
        found.into_iter().map(|found| (found.name.clone(), found)).collect();
    if let Some(exact) = by_name.remove(wanted) {
        return Ok(exact);
    }
    by_name.retain(|_, found| found.discovered_name.as_deref() == Some(wanted));
    let names: Vec<String> = by_name.keys().cloned().collect();
    let (kind, list, labels) = kind.words();
    match (by_name.into_values().next(), names.len()) {
        (Some(only), 1) => Ok(only),
        (None, _) => Err(LookupError::NotFound { kind, name: wanted.to_owned(), list, labels }),
        (Some(_), _) => Err(LookupError::Several { kind, name: wanted.to_owned(), names }),
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
    fn a_single_discovered_name_will_do_however_many_serve_it() {
        assert_eq!(picked(vec![found("pg-eu", Some("pg")), found("pg-eu", Some("pg"))]).unwrap(), "pg-eu");
    }

    #[test]
    fn none_and_several_say_what_to_do() {
        let none = picked(vec![found("pgx", None)]).unwrap_err().to_string();
        assert!(none.starts_with("database \"pg\" not found: ") && none.contains("db_labels"), "{none}");
        let several = picked(vec![found("pg-us", Some("pg")), found("pg-eu", Some("pg"))]).unwrap_err();
        assert_eq!(several.to_string(), "database \"pg\" could be any of pg-eu, pg-us: name one of these");
    }
}
