//! One start of an agent as it is stored, and the facets by which a report counts starts. Depends on `day` and serde.
//!
//! The types have no field for the sender or for a time finer than a day, so neither can be stored.

use serde::{Deserialize, Serialize};

use crate::day::Day;

/// Replaces a join method or a helper that this version does not know.
pub const OTHER: &str = "other";
/// The facet value of starts without a helper, and of starts without destinations.
pub const NONE: &str = "none";
/// Separates a helper from its version in a facet value. Neither of them contains it.
pub const HELPER_VERSION_SEPARATOR: char = ' ';

/// One start: the properties of the event `tbot.start`, with the same names.
///
/// `join_type` and `helper` are one of the values that the event's schema lists, or `other`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// `one-shot` or `continuous`.
    pub run_mode: String,
    /// The agent's version.
    pub version: String,
    /// The join method.
    pub join_type: String,
    /// The program that started the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helper: Option<String>,
    /// The version of the helper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helper_version: Option<String>,
    /// The number of all destinations.
    pub destinations_configured: u32,
    /// The number of destinations for database access.
    pub destinations_configured_database_access: u32,
    /// The number of destinations for Kubernetes access.
    pub destinations_configured_kubernetes_access: u32,
    /// The number of destinations for application access.
    pub destinations_configured_application_access: u32,
}

/// A start that was submitted, with the id that identifies repeated submissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The `distinct_id`: kept for a day, separately from the starts.
    pub id: [u8; 16],
    /// The day of arrival, by the receiver's clock.
    pub day: Day,
    /// The start to store.
    pub start: Start,
}

/// A dimension by which a report counts starts. Every start has exactly one value per facet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Facet {
    /// One-shot or continuous.
    RunMode,
    /// The agent's version.
    Version,
    /// The join method.
    JoinType,
    /// The helper, or `none`.
    Helper,
    /// The helper and its version.
    HelperVersion,
    /// The combination of use cases that the destinations serve.
    UseCases,
}

impl Facet {
    /// All facets.
    pub const ALL: [Self; 6] =
        [Self::RunMode, Self::Version, Self::JoinType, Self::Helper, Self::HelperVersion, Self::UseCases];

    /// Returns the name of the facet in a store. A name never changes.
    pub fn name(self) -> &'static str {
        match self {
            Self::RunMode => "run_mode",
            Self::Version => "version",
            Self::JoinType => "join_type",
            Self::Helper => "helper",
            Self::HelperVersion => "helper_version",
            Self::UseCases => "use_cases",
        }
    }

    /// Returns the facet with a name, or `None` if there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|facet| facet.name() == name)
    }
}

/// The purpose of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseCase {
    /// Database access.
    Database,
    /// Kubernetes access.
    Kubernetes,
    /// Application access.
    Application,
    /// Anything else, such as an identity for SSH.
    Other,
}

impl UseCase {
    /// All use cases, in the order in which a combination names them.
    pub const ALL: [Self; 4] = [Self::Database, Self::Kubernetes, Self::Application, Self::Other];

    /// Returns the name of the use case in a combination such as `database+other`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Kubernetes => "kubernetes",
            Self::Application => "application",
            Self::Other => OTHER,
        }
    }
}

impl Start {
    /// Returns the number of destinations for a use case.
    pub fn destinations(&self, use_case: UseCase) -> u32 {
        let [database, kubernetes, application] = [
            self.destinations_configured_database_access,
            self.destinations_configured_kubernetes_access,
            self.destinations_configured_application_access,
        ];
        match use_case {
            UseCase::Database => database,
            UseCase::Kubernetes => kubernetes,
            UseCase::Application => application,
            UseCase::Other => self
                .destinations_configured
                .saturating_sub(database)
                .saturating_sub(kubernetes)
                .saturating_sub(application),
        }
    }

    /// Returns the value of the start in a facet.
    pub fn facet_value(&self, facet: Facet) -> String {
        match facet {
            Facet::RunMode => self.run_mode.clone(),
            Facet::Version => self.version.clone(),
            Facet::JoinType => self.join_type.clone(),
            Facet::Helper => self.helper.clone().unwrap_or_else(|| NONE.to_owned()),
            Facet::HelperVersion => match (&self.helper, &self.helper_version) {
                (None, _) => NONE.to_owned(),
                (Some(helper), None) => helper.clone(),
                (Some(helper), Some(version)) => format!("{helper}{HELPER_VERSION_SEPARATOR}{version}"),
            },
            Facet::UseCases => {
                let present = UseCase::ALL.into_iter().filter(|use_case| self.destinations(*use_case) > 0);
                let names: Vec<&str> = present.map(UseCase::name).collect();
                if names.is_empty() { NONE.to_owned() } else { names.join("+") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_facet_is_found_by_its_name() {
        for facet in Facet::ALL {
            assert_eq!(Facet::from_name(facet.name()), Some(facet));
        }
    }

    #[test]
    fn a_start_has_one_value_in_each_facet() {
        let start = Start {
            run_mode: "one-shot".to_owned(),
            version: "0.1.0".to_owned(),
            join_type: "github".to_owned(),
            helper: Some("gha:teleport-actions/auth".to_owned()),
            helper_version: None,
            destinations_configured: 3,
            destinations_configured_database_access: 1,
            destinations_configured_kubernetes_access: 0,
            destinations_configured_application_access: 1,
        };
        let values: Vec<String> = Facet::ALL.into_iter().map(|facet| start.facet_value(facet)).collect();
        let expected = [
            "one-shot",
            "0.1.0",
            "github",
            "gha:teleport-actions/auth",
            "gha:teleport-actions/auth",
            "database+application+other",
        ];
        assert_eq!(values, expected);
        let empty = Start { destinations_configured: 0, helper: None, ..start };
        let empty = Start {
            destinations_configured_database_access: 0,
            destinations_configured_application_access: 0,
            ..empty
        };
        assert_eq!(empty.facet_value(Facet::UseCases), NONE);
        assert_eq!(empty.facet_value(Facet::Helper), NONE);
    }
}
