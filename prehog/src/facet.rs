//! The facets by which a report counts starts, derived from the declarations of the event. Pure.
//!
//! - A property whose values are strings is counted by value; if it requires another property, by the pair of values.
//! - The counts of destinations per access class are combined to use cases.
//! - Any other count is counted in ranges.

use tbot::config::internal::AccessClass;
use tbot::event::internal::PropertySource;

use crate::property::Property;
use crate::start::{PropertyValue, Start};

/// The facet value of starts without a value, and of starts without destinations.
pub const NONE: &str = "none";
/// Separates the value of a property from that of the property which it requires. Neither of them contains it.
pub const PAIR_SEPARATOR: char = ' ';
/// Separates the use cases of a combination.
pub const USE_CASE_SEPARATOR: char = '+';
/// The name of the facet of use cases.
const USE_CASES: &str = "use_cases";
/// The ranges of a count: their first number and their name.
pub const RANGES: [(u32, &str); 7] =
    [(0, "0"), (1, "1"), (2, "2"), (3, "3 to 5"), (6, "6 to 10"), (11, "11 to 20"), (21, "more than 20")];

/// The index of a facet in [`EventSchema::facets`](crate::schema::EventSchema::facets).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FacetId(pub usize);

/// A dimension by which a report counts starts. Every start has exactly one value per facet.
#[derive(Clone, Debug)]
pub struct Facet {
    /// The name of the facet in a store: that of its property, if it has one.
    pub name: String,
    /// How the value follows from a start.
    pub value: FacetValue,
}

/// How the value of a facet follows from a start. Properties are given by their index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FacetValue {
    /// The value of a property.
    Text(usize),
    /// The value of a required property, followed by the value of the property that requires it, if the start has one.
    Pair {
        /// The required property.
        required: usize,
        /// The facet of the required property. The pairs divide the starts of each of its values.
        required_facet: FacetId,
        /// The property that requires it.
        property: usize,
    },
    /// The range of a count.
    Range(usize),
    /// The combination of use cases.
    UseCases(UseCases),
}

/// The use cases that the destinations of a start can serve: the access classes that have a count of their own and, for all
/// other destinations, `other`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseCases {
    /// The count of all destinations.
    pub total: usize,
    /// The class and the count of the destinations in it, except for `other`.
    pub classes: Vec<(&'static str, usize)>,
    /// Whether `other` has a count of its own.
    pub counts_other: bool,
}

impl Facet {
    /// Derives the facets from the properties.
    pub(crate) fn derive(properties: &[Property]) -> Vec<Self> {
        let mut facets: Vec<Self> = Vec::new();
        let use_cases = UseCases::derive(properties);
        for (index, property) in properties.iter().enumerate() {
            let facet_of = |required: usize| {
                facets.iter().position(|facet| facet.value == FacetValue::Text(required)).map(FacetId)
            };
            let is_use_case =
                use_cases.as_ref().is_some_and(|cases| cases.class(property, properties).is_some());
            let value = match property.requires.map(|required| (required, facet_of(required))) {
                _ if is_use_case => continue,
                _ if property.is_count() => FacetValue::Range(index),
                Some((required, Some(required_facet))) => {
                    FacetValue::Pair { required, required_facet, property: index }
                }
                _ => FacetValue::Text(index),
            };
            facets.push(Self { name: property.name().to_owned(), value });
        }
        if let Some(use_cases) = use_cases {
            facets.push(Self { name: USE_CASES.to_owned(), value: FacetValue::UseCases(use_cases) });
        }
        facets
    }

    /// Returns the index of the property whose values are counted, or `None` if several properties are combined.
    pub fn property(&self) -> Option<usize> {
        match self.value {
            FacetValue::Text(property) | FacetValue::Pair { property, .. } | FacetValue::Range(property) => {
                Some(property)
            }
            FacetValue::UseCases(_) => None,
        }
    }

    /// Returns a name for the list of values, such as `versions` for the facet `version`.
    pub fn values_name(&self) -> String {
        match self.value {
            FacetValue::Text(_) | FacetValue::Pair { .. } => format!("{}s", self.name),
            FacetValue::Range(_) | FacetValue::UseCases(_) => self.name.clone(),
        }
    }

    /// Returns the value of a start.
    pub fn value_of(&self, start: &Start) -> String {
        let value = |index: usize| start.0.get(index).unwrap_or(&PropertyValue::Absent);
        let text = |index| Some(value(index).as_str()).filter(|text| !text.is_empty());
        match &self.value {
            FacetValue::Text(property) => text(*property).unwrap_or(NONE).to_owned(),
            FacetValue::Pair { required, property, .. } => match (text(*required), text(*property)) {
                (None, _) => NONE.to_owned(),
                (Some(required), None) => required.to_owned(),
                (Some(required), Some(property)) => format!("{required}{PAIR_SEPARATOR}{property}"),
            },
            FacetValue::Range(property) => {
                let count = value(*property).as_count();
                let range = RANGES.iter().rev().find(|(first, _)| *first <= count);
                range.map_or(NONE, |(_, name)| name).to_owned()
            }
            FacetValue::UseCases(use_cases) => {
                let count = |index| u64::from(value(index).as_count());
                let classes = &use_cases.classes;
                let mut names: Vec<&str> =
                    classes.iter().filter(|(_, index)| count(*index) > 0).map(|(name, _)| *name).collect();
                if count(use_cases.total) > classes.iter().map(|(_, index)| count(*index)).sum() {
                    names.push(AccessClass::Other.name());
                }
                if names.is_empty() { NONE.to_owned() } else { names.join(&USE_CASE_SEPARATOR.to_string()) }
            }
        }
    }
}

impl UseCases {
    /// Finds the count of all destinations, and the counts of the same destinations by access class.
    fn derive(properties: &[Property]) -> Option<Self> {
        let total = properties.iter().position(|property| {
            matches!(&property.rule.source, PropertySource::Count(source) if source.access.is_none())
        })?;
        let mut use_cases = Self { total, classes: Vec::new(), counts_other: false };
        for (index, property) in properties.iter().enumerate() {
            match use_cases.class(property, properties) {
                Some(AccessClass::Other) => use_cases.counts_other = true,
                Some(class) => use_cases.classes.push((class.name(), index)),
                None => {}
            }
        }
        (!use_cases.classes.is_empty()).then_some(use_cases)
    }

    /// Returns the access class whose destinations a property counts, or `None` if it is not such a property.
    fn class(&self, property: &Property, properties: &[Property]) -> Option<AccessClass> {
        let PropertySource::Count(total) = &properties.get(self.total)?.rule.source else { return None };
        match &property.rule.source {
            PropertySource::Count(source) if source.pointers == total.pointers => source.access,
            _ => None,
        }
    }

    /// Returns the use cases that have a count of their own.
    pub fn counted(&self) -> impl Iterator<Item = &'static str> {
        let other = self.counts_other.then_some(AccessClass::Other.name());
        self.classes.iter().map(|(name, _)| *name).chain(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::EventSchema;
    use serde_json::{Value, json};

    /// Returns the value in each facet of a start with these properties.
    fn facet_values(properties: &Value) -> Vec<(&'static str, String)> {
        let schema = EventSchema::embedded().unwrap();
        let start = schema.start_from_named(properties.as_object().unwrap()).unwrap();
        schema.facets.iter().map(|facet| (facet.name.as_str(), facet.value_of(&start))).collect()
    }

    fn value_in(facet: &str, properties: &Value) -> String {
        facet_values(properties).into_iter().find(|(name, _)| *name == facet).unwrap().1
    }

    #[test]
    fn a_start_has_one_value_in_each_facet() {
        let values = facet_values(&json!({
            "run_mode": "one-shot",
            "version": "0.1.0",
            "join_type": "github",
            "helper": "gha:teleport-actions/auth",
            "helper_version": "v1",
            "destinations_configured": 3,
            "destinations_configured_database_access": 1,
            "destinations_configured_application_access": 1,
        }));
        for (facet, value) in [
            ("run_mode", "one-shot"),
            ("version", "0.1.0"),
            ("join_type", "github"),
            ("helper", "gha:teleport-actions/auth"),
            ("helper_version", "gha:teleport-actions/auth v1"),
            ("destinations_configured", "3 to 5"),
            ("use_cases", "database+application+other"),
        ] {
            assert!(values.contains(&(facet, value.to_owned())), "{facet}: {value} is not in {values:?}");
        }
    }

    #[test]
    fn a_start_without_a_value_counts_as_none() {
        for facet in ["run_mode", "helper", "helper_version", "use_cases"] {
            assert_eq!(value_in(facet, &json!({})), NONE, "{facet}");
        }
        assert_eq!(value_in("helper_version", &json!({ "helper": "other" })), "other");
    }

    #[test]
    fn every_number_is_in_one_range() {
        let range =
            |count: u32| value_in("destinations_configured", &json!({ "destinations_configured": count }));
        let ranges = [0, 1, 2, 3, 5, 6, 10, 11, 20, 21, u32::MAX].map(range);
        let expected = ["0", "1", "2", "3 to 5", "3 to 5", "6 to 10", "6 to 10", "11 to 20", "11 to 20"];
        assert_eq!(ranges[..9], expected);
        assert_eq!(ranges[9..], ["more than 20", "more than 20"]);
    }

    #[test]
    fn a_facet_is_found_by_its_name() {
        let schema = EventSchema::embedded().unwrap();
        for (index, facet) in schema.facets.iter().enumerate() {
            assert_eq!(schema.facet(&facet.name), Some(FacetId(index)));
        }
        assert_eq!(schema.facet("nonsense"), None);
    }
}
