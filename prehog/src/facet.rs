//! The facets by which a report counts starts, derived from the declarations of the event. Pure.
//!
//! - A property whose values are strings is counted by value; if it requires another property, by the pair of values.
//! - The counts of destinations per access class are combined to use cases.
//! - Any other count is counted in ranges.
//!
//! The `x-report` of a property can divide the starts with each value further: by implementation of `tbot`, which follows from the
//! version, or by use case.

use tbot::config::internal::AccessClass;
use tbot::event::internal::{Implementation, PropertySource, ReportPart};

use crate::property::Property;
use crate::start::{OTHER, PropertyValue, Start};

/// The facet value of starts without a value, and of starts without destinations.
pub const NONE: &str = "none";
/// Separates the value of a property from that of the property which it requires. Neither of them contains it.
pub const PAIR_SEPARATOR: char = ' ';
/// Separates the use cases of a combination.
pub const USE_CASE_SEPARATOR: char = '+';
/// Separates the two values of a cross. Neither of them contains it.
pub const CROSS_SEPARATOR: char = '|';
/// The name of the facet of use cases.
const USE_CASES: &str = "use_cases";
/// The name of the facet of implementations.
const IMPLEMENTATION: &str = "implementation";
/// Appended to the name of a facet whose values are divided by use case or by implementation.
const BY_USE_CASE: &str = "_by_use_case";
const BY_IMPLEMENTATION: &str = "_by_implementation";
/// The ranges of a count: their first number and their name.
pub const RANGES: [(u32, &str); 7] =
    [(0, "0"), (1, "1"), (2, "2"), (3, "3 to 5"), (6, "6 to 10"), (11, "11 to 20"), (21, "more than 20")];

/// The index of a facet in [`EventSchema::facets`](crate::schema::EventSchema::facets).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FacetId(pub usize);

/// A dimension by which a report counts starts. Every start has exactly one value per facet.
#[derive(Clone, Debug)]
pub struct Facet {
    /// The name of the facet in a store, which also says by what its values are divided.
    pub name: String,
    /// How the value follows from a start.
    pub value: FacetValue,
    /// The properties, given by their index, whose reasons the facet answers, and with which of the declared parts.
    pub answers: Vec<(usize, ReportPart)>,
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
        /// The property that requires it.
        property: usize,
    },
    /// The range of a count.
    Range(usize),
    /// The combination of use cases.
    UseCases(UseCases),
    /// The implementation of `tbot` that has a version.
    Implementation {
        /// The version.
        version: usize,
        /// The implementations, in the order of their versions.
        implementations: Vec<Implementation>,
    },
    /// Two values of the same start.
    Cross(Box<[Self; 2]>),
}

/// The use cases that the destinations of a start can serve: the access classes that have a count of their own and, for all
/// other destinations, `other`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseCases {
    /// The count of all destinations.
    pub total: usize,
    /// The class and the count of the destinations in it, except for `other`.
    pub classes: Vec<(&'static str, usize)>,
}

impl Facet {
    /// Derives the facets from the properties.
    pub(crate) fn derive(properties: &[Property]) -> Vec<Self> {
        let implementation = FacetValue::implementation(properties);
        let use_cases = UseCases::derive(properties);
        let undivided = Self::undivided(properties, use_cases.as_ref());
        let use_cases = use_cases.map(FacetValue::UseCases);
        let (mut facets, mut by_use_case) = (Vec::new(), Vec::new());
        for mut facet in undivided {
            let answers = facet.take_answers(ReportPart::ByUseCase);
            if let Some(use_cases) = use_cases.as_ref().filter(|_| !answers.is_empty()) {
                by_use_case.push(facet.divided_by(use_cases, BY_USE_CASE, answers));
            }
            let answers = facet.take_answers(ReportPart::ByImplementation);
            match implementation.as_ref().filter(|_| !answers.is_empty()) {
                None => facets.push(facet),
                // Each version belongs to one implementation.
                Some(value) if value.is_of_version(&facet.value) => {
                    let implementation =
                        Self { name: IMPLEMENTATION.to_owned(), value: value.clone(), answers };
                    facets.extend([facet, implementation]);
                }
                Some(value) => {
                    let answers = facet.answers.iter().copied().chain(answers).collect();
                    facets.push(facet.divided_by(value, BY_IMPLEMENTATION, answers));
                }
            }
        }
        facets.extend(by_use_case);
        facets
    }

    /// Returns a facet for each property, or one for all properties that are combined to use cases.
    fn undivided(properties: &[Property], use_cases: Option<&UseCases>) -> Vec<Self> {
        let (mut facets, mut use_case_answers) = (Vec::new(), Vec::new());
        for (index, property) in properties.iter().enumerate() {
            let answers = property.rule.report.iter().map(|part| (index, *part));
            if use_cases.is_some_and(|cases| cases.class(property, properties).is_some()) {
                use_case_answers.extend(answers);
                continue;
            }
            let value = match property.requires {
                _ if property.is_count() => FacetValue::Range(index),
                Some(required) => FacetValue::Pair { required, property: index },
                None => FacetValue::Text(index),
            };
            facets.push(Self { name: property.name().to_owned(), value, answers: answers.collect() });
        }
        facets.extend(use_cases.map(|use_cases| Self {
            name: USE_CASES.to_owned(),
            value: FacetValue::UseCases(use_cases.clone()),
            answers: use_case_answers,
        }));
        facets
    }

    /// Removes the answers that consist of a part of the report, and returns them.
    fn take_answers(&mut self, part: ReportPart) -> Vec<(usize, ReportPart)> {
        self.answers.extract_if(.., |(_, other)| *other == part).collect()
    }

    /// Returns a facet that divides the starts with each value by a second one.
    fn divided_by(&self, value: &FacetValue, suffix: &str, answers: Vec<(usize, ReportPart)>) -> Self {
        let pair = Box::new([self.value.clone(), value.clone()]);
        Self { name: format!("{}{suffix}", self.name), value: FacetValue::Cross(pair), answers }
    }

    /// Returns the value that the facet counts, without a second one that divides it.
    pub fn own_value(&self) -> &FacetValue {
        match &self.value {
            FacetValue::Cross(pair) => &pair[0],
            value => value,
        }
    }

    /// Returns the index of the property whose values are counted, or `None` if several properties are combined.
    pub fn property(&self) -> Option<usize> {
        match *self.own_value() {
            FacetValue::Text(property) | FacetValue::Pair { property, .. } | FacetValue::Range(property) => {
                Some(property)
            }
            FacetValue::UseCases(_) | FacetValue::Implementation { .. } | FacetValue::Cross(_) => None,
        }
    }

    /// Returns the value of a start.
    pub fn value_of(&self, start: &Start) -> String {
        let mut value = String::new();
        self.write_value(start, &mut value);
        value
    }

    /// Appends the value of a start to a string.
    pub(crate) fn write_value(&self, start: &Start, output: &mut String) {
        self.value.write(start, output);
    }
}

impl FacetValue {
    /// Finds the property whose values distinguish implementations.
    fn implementation(properties: &[Property]) -> Option<Self> {
        let is_version = |property: &Property| !property.rule.implementations.is_empty();
        let version = properties.iter().position(is_version)?;
        let implementations = properties.get(version)?.rule.implementations.clone();
        Some(Self::Implementation { version, implementations })
    }

    /// Returns true if this is the implementation that follows from another value.
    fn is_of_version(&self, other: &Self) -> bool {
        matches!(self, Self::Implementation { version, .. } if *other == Self::Text(*version))
    }

    /// Appends the value of a start to a string.
    fn write(&self, start: &Start, output: &mut String) {
        let value = |index: usize| start.0.get(index).unwrap_or(&PropertyValue::Absent);
        let text = |index| Some(value(index).as_str()).filter(|text| !text.is_empty());
        match self {
            Self::Text(property) => output.push_str(text(*property).unwrap_or(NONE)),
            Self::Pair { required, property } => {
                output.push_str(text(*required).unwrap_or(NONE));
                if let (Some(_), Some(property)) = (text(*required), text(*property)) {
                    output.push(PAIR_SEPARATOR);
                    output.push_str(property);
                }
            }
            Self::Range(property) => {
                let count = value(*property).as_count();
                let range = RANGES.iter().rev().find(|(first, _)| *first <= count);
                output.push_str(range.map_or(NONE, |(_, name)| name));
            }
            Self::UseCases(use_cases) => {
                let count = |index| u64::from(value(index).as_count());
                let classes = &use_cases.classes;
                let is_other = count(use_cases.total) > classes.iter().map(|(_, index)| count(*index)).sum();
                let named = classes.iter().filter(|(_, index)| count(*index) > 0).map(|(name, _)| *name);
                let begin = output.len();
                for name in named.chain(is_other.then_some(AccessClass::Other.name())) {
                    if output.len() > begin {
                        output.push(USE_CASE_SEPARATOR);
                    }
                    output.push_str(name);
                }
                if output.len() == begin {
                    output.push_str(NONE);
                }
            }
            Self::Implementation { version, implementations } => output.push_str(match text(*version) {
                None => NONE,
                Some(version) => implementation_of(version, implementations).unwrap_or(OTHER),
            }),
            Self::Cross(pair) => {
                pair[0].write(start, output);
                output.push(CROSS_SEPARATOR);
                pair[1].write(start, output);
            }
        }
    }
}

/// Returns the name of the implementation that has a version, or `None` if the version does not begin with a number.
pub fn implementation_of<'a>(version: &str, implementations: &'a [Implementation]) -> Option<&'a str> {
    let (major, _) = version.split_once('.')?;
    let major: u32 = major.parse().ok()?;
    let found = implementations.iter().rev().find(|implementation| implementation.first_major <= major);
    found.map(|implementation| implementation.name.as_str())
}

impl UseCases {
    /// Finds the count of all destinations, and the counts of the same destinations by access class.
    fn derive(properties: &[Property]) -> Option<Self> {
        let total = properties.iter().position(|property| {
            matches!(&property.rule.source, PropertySource::Count(source) if source.access.is_none())
        })?;
        let mut use_cases = Self { total, classes: Vec::new() };
        for (index, property) in properties.iter().enumerate() {
            match use_cases.class(property, properties) {
                Some(AccessClass::Other) | None => {}
                Some(class) => use_cases.classes.push((class.name(), index)),
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

    /// Returns how many combinations contain a given use case.
    pub(crate) fn combinations_with_one(&self) -> u64 {
        // Each of the other use cases is in a combination or not: `other` is one more than the classes.
        1 << self.classes.len()
    }

    /// Returns the names of all use cases, including that of starts without any.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.classes.iter().map(|(name, _)| *name).chain([AccessClass::Other.name(), NONE])
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
            ("implementation", "Rust tbot"),
            ("destinations_configured_by_implementation", "3 to 5|Rust tbot"),
            ("use_cases_by_implementation", "database+application+other|Rust tbot"),
            ("run_mode_by_use_case", "one-shot|database+application+other"),
            ("join_type_by_use_case", "github|database+application+other"),
        ] {
            assert!(values.contains(&(facet, value.to_owned())), "{facet}: {value} is not in {values:?}");
        }
    }

    #[test]
    fn a_start_without_a_value_counts_as_none() {
        for facet in ["run_mode", "helper", "helper_version", "implementation"] {
            assert_eq!(value_in(facet, &json!({})), NONE, "{facet}");
        }
        assert_eq!(value_in("use_cases_by_implementation", &json!({})), "none|none");
        assert_eq!(value_in("helper_version", &json!({ "helper": "other" })), "other");
    }

    #[test]
    fn every_number_is_in_one_range() {
        let range = |count: u32| {
            let start = json!({ "destinations_configured": count });
            let value = value_in("destinations_configured_by_implementation", &start);
            value.strip_suffix("|none").unwrap().to_owned()
        };
        let ranges = [0, 1, 2, 3, 5, 6, 10, 11, 20, 21, u32::MAX].map(range);
        let expected = ["0", "1", "2", "3 to 5", "3 to 5", "6 to 10", "6 to 10", "11 to 20", "11 to 20"];
        assert_eq!(ranges[..9], expected);
        assert_eq!(ranges[9..], ["more than 20", "more than 20"]);
    }

    #[test]
    fn a_version_belongs_to_one_implementation() {
        for (version, implementation) in [
            ("0.1.0", "Rust tbot"),
            ("9.9999.0-rc.1", "Rust tbot"),
            ("10.0.0", "Go tbot"),
            ("18.2.1", "Go tbot"),
            (OTHER, OTHER),
        ] {
            assert_eq!(
                value_in("implementation", &json!({ "version": version })),
                implementation,
                "{version}"
            );
        }
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
