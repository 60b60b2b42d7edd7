//! The event's schema as the receiver uses it: the properties and the facets that follow from the declarations. Pure. Only
//! this module reads the event's schema. `property`, `facet` and `validation` use the rules that it returns.

use std::sync::OnceLock;

use serde_json::{Map, Value};
use tbot::event::internal::{Rules, RulesError};

use crate::facet::{Facet, FacetId};
use crate::property::Property;
use crate::start::{PropertyValue, Start};
use crate::wire::PROPERTIES;

/// The properties of the event and the facets of reports.
#[derive(Debug)]
pub struct EventSchema {
    /// The properties, in the order of their declarations.
    pub properties: Vec<Property>,
    /// The facets by which a report counts starts.
    pub facets: Vec<Facet>,
}

/// An error that occurs if this receiver does not support the event's schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The schema itself is invalid.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// A property refers to one that is declared after it, or not at all.
    #[error("the property `{property}` of the event refers to `{other}`, which is not declared before it")]
    UnknownReference {
        /// The name of the property.
        property: String,
        /// The name that it refers to.
        other: String,
    },
    /// The generated messages do not have exactly the properties of the schema.
    #[error("the messages of the wire protocol do not match the event's schema: run `cargo xtask proto`")]
    StaleMessages,
}

/// An error that occurs when reading a start from its named values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed value of `{0}`")]
pub struct ParseStartError(pub String);

impl EventSchema {
    /// Returns the schema that is built into this program.
    ///
    /// # Errors
    ///
    /// Returns an error only if the program was built from generated files that are out of date.
    pub fn embedded() -> Result<&'static Self, SchemaError> {
        static EMBEDDED: OnceLock<EventSchema> = OnceLock::new();
        if let Some(schema) = EMBEDDED.get() {
            return Ok(schema);
        }
        let schema = Self::new(Rules::embedded()?)?;
        if !schema.properties.iter().map(Property::name).eq(PROPERTIES) {
            return Err(SchemaError::StaleMessages);
        }
        Ok(EMBEDDED.get_or_init(|| schema))
    }

    /// Derives the properties and the facets from the rules of an event.
    ///
    /// # Errors
    ///
    /// Returns an error if a property refers to one that is not declared.
    pub fn new(rules: &Rules) -> Result<Self, SchemaError> {
        let index_of = |name: &str| rules.properties.iter().position(|rule| rule.name == name);
        let mut properties: Vec<Property> = Vec::with_capacity(rules.properties.len());
        for rule in &rules.properties {
            let unknown = |other: &str| SchemaError::UnknownReference {
                property: rule.name.clone(),
                other: other.to_owned(),
            };
            let parts = rule.wire.minus.iter().map(|name| index_of(name).ok_or_else(|| unknown(name)));
            let requires = match rule.source.requires() {
                None => None,
                Some(name) => {
                    let declared = index_of(name).filter(|index| *index < properties.len());
                    Some(declared.ok_or_else(|| unknown(name))?)
                }
            };
            let parts = parts.collect::<Result<_, _>>()?;
            properties.push(Property { rule: rule.clone(), parts, requires });
        }
        Ok(Self { facets: Facet::derive(&properties), properties })
    }

    /// Returns the facet with a name, or `None` if there is none.
    pub fn facet(&self, name: &str) -> Option<FacetId> {
        self.facets.iter().position(|facet| facet.name == name).map(FacetId)
    }

    /// Returns the names of the properties, which are also the names of their columns in a store.
    pub fn names(&self) -> Vec<&str> {
        self.properties.iter().map(Property::name).collect()
    }

    /// Returns true if a property may have a value next to those of the properties before it: if it requires none of these, or
    /// the required one has a listed value.
    pub(crate) fn permits(&self, property: &Property, before: &[PropertyValue]) -> bool {
        // A required property is declared first, so that its value is known.
        property.requires.is_none_or(|required| self.properties[required].is_listed(&before[required]))
    }

    /// Returns the properties of a start by name, without those that are absent.
    pub fn named_values(&self, start: &Start) -> Map<String, Value> {
        let values = self.properties.iter().zip(&start.0);
        let named = values.map(|(property, value)| match value {
            PropertyValue::Absent => None,
            PropertyValue::Text(text) => Some((property.name().to_owned(), Value::from(text.as_str()))),
            PropertyValue::Count(count) => Some((property.name().to_owned(), Value::from(*count))),
        });
        named.flatten().collect()
    }

    /// Returns the start with the given properties. A missing string and an empty one are absent; a missing count is 0.
    ///
    /// # Errors
    ///
    /// Returns an error if a value is not a string or a number, as its property requires.
    pub fn start_from_named(&self, values: &Map<String, Value>) -> Result<Start, ParseStartError> {
        let parse = |property: &Property| {
            let error = || ParseStartError(property.name().to_owned());
            match (values.get(property.name()), property.is_count()) {
                (None, _) => Ok(property.default_value()),
                (Some(value), true) => {
                    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
                    number.map(PropertyValue::Count).ok_or_else(error)
                }
                (Some(Value::String(text)), false) if text.is_empty() => Ok(PropertyValue::Absent),
                (Some(Value::String(text)), false) => Ok(PropertyValue::Text(text.clone())),
                (Some(_), false) => Err(error()),
            }
        };
        Ok(Start(self.properties.iter().map(parse).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::facet::FacetValue;
    use serde_json::json;
    use tbot::event::internal::ReportPart;

    /// Returns the schema of the next version of the event, with a string and two counts that are new. The string is declared
    /// first.
    pub(crate) fn extended_schema() -> EventSchema {
        let mut schema: Value = serde_json::from_str(tbot::event::SCHEMA).unwrap();
        let version = schema["x-version"].as_u64().unwrap() + 1;
        schema["x-version"] = version.into();
        let property = |field: u64, source: Value| {
            json!({
                "description": "A new property.",
                "x-source": source,
                "x-reason": "For tests.",
                "x-report": ["weekly"],
                "x-since": version,
                "x-wire": { "field": field, "name": format!("new{field}") },
            })
        };
        let count = |field: u64, source: Value| {
            let mut count = property(field, source);
            (count["minimum"], count["maximum"]) = (0.into(), 100.into());
            count
        };
        let mut text = property(100, json!({ "env": "NEW" }));
        text["enum"] = json!(["a", "b"]);
        let other = count(101, json!({ "count": ["/services", "/outputs"], "access": "other" }));
        let properties = schema["properties"].as_object_mut().unwrap();
        let before = std::mem::take(properties);
        properties.insert("new_text".to_owned(), text);
        properties.extend(before);
        properties.insert("new_other".to_owned(), other);
        properties.insert("new_count".to_owned(), count(102, json!({ "count": ["/services"] })));
        schema["required"].as_array_mut().unwrap().push("new_text".into());
        EventSchema::new(&Rules::read(&schema).unwrap()).unwrap()
    }

    #[test]
    fn facets_of_new_properties_follow_from_their_declarations() {
        let schema = extended_schema();
        let facet = |name: &str| schema.facet(name).map(|id| &schema.facets[id.0].value);
        let last = schema.properties.len() - 1;
        assert_eq!(facet("new_text"), Some(&FacetValue::Text(0)));
        assert_eq!(facet("new_count"), Some(&FacetValue::Range(last)));
        assert_eq!(facet("new_other"), None);
        let id = schema.facet("use_cases_by_implementation").unwrap();
        let facet = &schema.facets[id.0];
        let FacetValue::UseCases(use_cases) = facet.own_value() else { panic!("no use cases") };
        assert!(use_cases.names().eq(["database", "kubernetes", "application", "other", "none"]));
        // The count of the class `other` is answered by the same facet.
        assert!(facet.answers.contains(&(last - 1, ReportPart::Weekly)));
    }

    #[test]
    fn older_agents_need_not_send_new_properties() {
        for property in &extended_schema().properties {
            let is_new = property.name().starts_with("new_");
            assert!(!(is_new && property.is_always_sent()), "{}", property.name());
            if property.rule.since == 1 {
                assert_eq!(property.is_always_sent(), property.rule.required, "{}", property.name());
            }
        }
    }

    #[test]
    fn a_property_cannot_require_one_that_is_declared_later() {
        let mut schema: Value = serde_json::from_str(tbot::event::SCHEMA).unwrap();
        let properties = schema["properties"].as_object_mut().unwrap();
        let mut reversed: Vec<(String, Value)> = std::mem::take(properties).into_iter().collect();
        reversed.reverse();
        properties.extend(reversed);
        let error = EventSchema::new(&Rules::read(&schema).unwrap()).unwrap_err();
        assert!(matches!(error, SchemaError::UnknownReference { .. }), "{error}");
    }

    #[test]
    fn a_start_is_read_from_its_named_values() {
        let schema = EventSchema::embedded().unwrap();
        let parse = |values: Value| schema.start_from_named(values.as_object().unwrap());
        let values = json!({ "run_mode": "one-shot", "helper": "", "destinations_configured": 3 });
        let start = parse(values).unwrap();
        assert_eq!(schema.start_from_named(&schema.named_values(&start)).unwrap(), start);
        assert!(!schema.named_values(&start).contains_key("helper"));
        for malformed in [json!({ "run_mode": 1 }), json!({ "destinations_configured": "3" })] {
            assert!(parse(malformed).is_err());
        }
    }
}
