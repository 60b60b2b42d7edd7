//! One start of an agent as it is stored, and the facets that a report counts it by. Depends on serde only.
//!
//! There is nothing here of who sent it, and no time finer than a day: what has no field cannot be stored.

use serde::{Deserialize, Serialize};

use crate::day::Day;

/// What stands for a join method or a helper that this version does not list.
pub const OTHER: &str = "other";
/// What stands in a report for "without a helper" and "without destinations".
pub const NONE: &str = "none";
/// Separates a helper from its version in a facet's value; neither holds one.
pub const BESIDE: char = ' ';

/// One start: the properties of the event `tbot.start`, by their names.
///
/// `join_type` and `helper` may be `other` beside the values that the event's schema lists.
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
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helper_version: Option<String>,
    /// All destinations.
    pub destinations_configured: u32,
    /// Those of database access.
    pub destinations_configured_database_access: u32,
    /// Those of Kubernetes access.
    pub destinations_configured_kubernetes_access: u32,
    /// Those of application access.
    pub destinations_configured_application_access: u32,
}

/// A start that was submitted, with what tells a repeated submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The `distinct_id`: kept a day, beside the starts and not with them.
    pub id: [u8; 16],
    /// The day it arrived, by the receiver's clock.
    pub day: Day,
    /// What is stored.
    pub start: Start,
}

/// What a report counts starts by. Every start has exactly one value in each facet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Facet {
    /// One-shot or continuous.
    RunMode,
    /// The agent's version.
    Version,
    /// The join method.
    JoinType,
    /// The helper, or none.
    Helper,
    /// The helper and its version.
    HelperVersion,
    /// Which kinds of destinations it has.
    UseCases,
}

impl Facet {
    /// All facets.
    pub const ALL: [Self; 6] =
        [Self::RunMode, Self::Version, Self::JoinType, Self::Helper, Self::HelperVersion, Self::UseCases];

    /// Its name in a store; a name never changes.
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

    /// The facet of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|facet| facet.name() == name)
    }
}

/// A kind of destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseCase {
    /// Database access.
    Database,
    /// Kubernetes access.
    Kubernetes,
    /// Application access.
    Application,
    /// Any other, such as an identity for SSH.
    Other,
}

impl UseCase {
    /// All kinds, in the order in which a combination names them.
    pub const ALL: [Self; 4] = [Self::Database, Self::Kubernetes, Self::Application, Self::Other];

    /// Its name in a combination, such as `database+other`.
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
    /// How many destinations of a kind it has.
    pub fn destinations(&self, case: UseCase) -> u32 {
        let [database, kubernetes, application] = [
            self.destinations_configured_database_access,
            self.destinations_configured_kubernetes_access,
            self.destinations_configured_application_access,
        ];
        match case {
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

    /// Its value in a facet.
    pub fn value(&self, facet: Facet) -> String {
        match facet {
            Facet::RunMode => self.run_mode.clone(),
            Facet::Version => self.version.clone(),
            Facet::JoinType => self.join_type.clone(),
            Facet::Helper => self.helper.clone().unwrap_or_else(|| NONE.to_owned()),
            Facet::HelperVersion => match (&self.helper, &self.helper_version) {
                (None, _) => NONE.to_owned(),
                (Some(helper), None) => helper.clone(),
                (Some(helper), Some(version)) => format!("{helper}{BESIDE}{version}"),
            },
            Facet::UseCases => {
                let has = UseCase::ALL.into_iter().filter(|case| self.destinations(*case) > 0);
                let names: Vec<&str> = has.map(UseCase::name).collect();
                if names.is_empty() { NONE.to_owned() } else { names.join("+") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_facet_has_one_name() {
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
        let values: Vec<String> = Facet::ALL.into_iter().map(|facet| start.value(facet)).collect();
        let wanted = [
            "one-shot",
            "0.1.0",
            "github",
            "gha:teleport-actions/auth",
            "gha:teleport-actions/auth",
            "database+application+other",
        ];
        assert_eq!(values, wanted);
        let empty = Start { destinations_configured: 0, helper: None, ..start };
        let empty = Start {
            destinations_configured_database_access: 0,
            destinations_configured_application_access: 0,
            ..empty
        };
        assert_eq!(empty.value(Facet::UseCases), NONE);
        assert_eq!(empty.value(Facet::Helper), NONE);
    }
}
