//! Explains why a value does not have the structure of its type: a diagnostic for each violation of the JSON Schema.
//! Depends on `schema`, `hints`, `placeholder_forms` and `diagnostic`. Used only after the serde types have rejected a value.

mod keys;
mod wrong_type;

use serde_json::{Map, Value};

use super::hints;
use super::placeholder_forms::{FOR_OTHER_PROGRAMS, NOT_FILLED_IN, contains_template, is_template_alone};
use super::repair::Repair;
use super::schema::{
    FormatVersion, SchemaViolation, ViolatedKeyword, accepts, is_union, locate, locate_branch, resolve,
    union_branches, violations,
};
use super::stray_character::StrayCharacter;
use super::v1::ConfigV1;
use super::v2::Config;
use super::{strict, vocabulary};
use crate::diagnostic::{Code, Diagnostic, MAX_SHOWN, Severity, Target};
use crate::pointer::Pointer;

/// Checks that a value has the structure that the types of a format version require.
///
/// # Errors
///
/// Returns every violation of the JSON Schema if the types reject the value. The list would be empty only if the types
/// and the schema disagreed, which a property test rules out.
pub fn check_structure(version: FormatVersion, value: &Value) -> Result<(), Vec<Diagnostic>> {
    let is_accepted = match version {
        FormatVersion::V1 => strict::from_value::<ConfigV1>(value).is_ok(),
        FormatVersion::V2 => strict::from_value::<Config>(value).is_ok(),
    };
    if is_accepted {
        return Ok(());
    }
    Err(explain(version, value).into_iter().filter_map(|violation| violation.diagnostic).collect())
}

/// A violation of the schema, and what makes the value fit.
pub(super) struct ExplainedViolation {
    /// `None` if another diagnostic already explains it.
    pub(super) diagnostic: Option<Diagnostic>,
    pub(super) repair: Repair,
}

/// Explains each violation of the schema of a format version.
pub(super) fn explain(version: FormatVersion, value: &Value) -> Vec<ExplainedViolation> {
    let schema = version.schema();
    let mut explained = Vec::new();
    for SchemaViolation { pointer, instance, keyword } in violations(schema, value) {
        let is_shown = explained.len() < MAX_SHOWN;
        Violation { schema, value, pointer, instance, is_shown }.explain(&keyword, &mut explained);
    }
    explained
}

/// A violation of the schema. `instance` is the part of `value` that violates it, and `pointer` points to that part.
struct Violation<'a> {
    schema: &'a Value,
    value: &'a Value,
    pointer: Pointer,
    instance: &'a Value,
    /// Whether the diagnostic is one of those that a report may show. Only these get a hint, which takes the most time.
    is_shown: bool,
}

impl Violation<'_> {
    fn explain(&self, keyword: &ViolatedKeyword<'_>, explained: &mut Vec<ExplainedViolation>) {
        let diagnostic = match keyword {
            ViolatedKeyword::AdditionalProperties(unknown) => return self.unknown_keys(unknown, explained),
            ViolatedKeyword::Required("type") if !self.type_names().is_empty() => {
                return explained.push(self.missing_type());
            }
            ViolatedKeyword::Required(key) => {
                if let Some(diagnostic) = self.missing_key(key) {
                    let repair = Repair::Add { map: self.pointer.clone(), key: (*key).to_owned() };
                    explained.push(ExplainedViolation { diagnostic: Some(diagnostic), repair });
                }
                return;
            }
            ViolatedKeyword::Type if self.is_not_indented() => {
                let repair = Repair::Replace(self.replaceable());
                return explained.push(ExplainedViolation { diagnostic: None, repair });
            }
            ViolatedKeyword::Type | ViolatedKeyword::Enum(_) | ViolatedKeyword::Pattern
                if self.is_template() =>
            {
                self.template()
            }
            ViolatedKeyword::Type => self.with_stray_character(self.wrong_type()),
            ViolatedKeyword::Enum(options) => self.with_stray_character(self.unknown_value(options)),
            ViolatedKeyword::Range => {
                let schema = self.instance_schema();
                let range = format!("a whole number from {} to {}", schema["minimum"], schema["maximum"]);
                self.at_value(Code::InvalidFormat, format!("expected {range}"))
            }
            ViolatedKeyword::Pattern => {
                let diagnostic = self.at_value(Code::InvalidFormat, "not a valid duration".to_owned());
                self.with_stray_character(diagnostic.with_help(self.help_for_duration()))
            }
        };
        let repair = match self.is_single_entry() {
            true => Repair::Wrap(self.pointer.clone()),
            false => Repair::Replace(self.replaceable()),
        };
        explained.push(ExplainedViolation { diagnostic: Some(diagnostic), repair });
    }

    /// Returns whether the instance is a single entry where the schema expects a list.
    fn is_single_entry(&self) -> bool {
        let Value::Object(map) = self.instance else { return false };
        let schema = self.instance_schema();
        accepts(schema, "array") && {
            let names = hints::block_properties(self.schema, &schema["items"]);
            names.into_iter().any(|name| map.contains_key(name))
        }
    }

    /// Returns whether the instance is a block without a value, because what belongs to it is not indented. This is reported at
    /// the keys that do not belong to the map around it.
    fn is_not_indented(&self) -> bool {
        let Some(parent) = self.pointer.parent().filter(|_| self.instance.is_null()) else { return false };
        let names = hints::block_properties(self.schema, self.instance_schema());
        let known = hints::property_names(locate_branch(self.schema, self.value, &parent));
        let map = self.value.pointer(parent.as_str()).and_then(Value::as_object);
        let mut keys = map.into_iter().flat_map(Map::keys).map(String::as_str);
        keys.any(|key| names.contains(&key) && !known.contains(&key))
    }

    /// Returns the pointer of the smallest part that can be replaced. Without its `type`, nothing is known about a map of a
    /// union.
    fn replaceable(&self) -> Pointer {
        let parent = self.pointer.parent().filter(|_| self.pointer.last().as_deref() == Some("type"));
        let is_of_union = |parent: &Pointer| {
            let union = locate(self.schema, self.value, parent).and_then(|union| resolve(self.schema, union));
            union.is_some_and(is_union)
        };
        parent.filter(is_of_union).unwrap_or_else(|| self.pointer.clone())
    }

    /// Returns whether the schema accepts only a map or a list.
    fn needs_block(&self) -> bool {
        let schema = self.instance_schema();
        let accepts = |types: &[&str]| types.iter().any(|name| accepts(schema, name));
        accepts(&["object", "array"]) && !accepts(&["string", "boolean", "integer", "number"])
    }

    /// Returns whether the instance is a string with a template that was not filled in. A block of text may be a configuration that
    /// contains templates, and other programs can fill in those in some properties. In the place of a map or a list, only a template
    /// alone can become one.
    fn is_template(&self) -> bool {
        let Value::String(string) = self.instance else { return false };
        contains_template(string)
            && !string.contains('\n')
            && (is_template_alone(string) || !self.needs_block())
            && !self.pointer.tokens().any(|key| FOR_OTHER_PROGRAMS.contains(&key.as_ref()))
    }

    /// Reports that the instance is a template.
    fn template(&self) -> Diagnostic {
        let mut help = "write the real value".to_owned();
        if self.needs_block() {
            help = format!("{help}, which is {}", wrong_type::describe_type(self.instance_schema()));
        }
        self.at_value(Code::Placeholder, NOT_FILLED_IN.to_owned())
            .with_severity(Severity::Error)
            .with_help(help)
    }

    fn at_value(&self, code: Code, message: String) -> Diagnostic {
        Diagnostic::new(code, Target::Value(self.pointer.clone()), message)
    }

    /// Adds the character that may be the cause to the message about a string. A string in the place of a list or a map may be
    /// a block of text, which ends in a line break.
    fn with_stray_character(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        let found = self.instance.as_str().and_then(StrayCharacter::find);
        let is_cause =
            |found: &StrayCharacter| diagnostic.code != Code::WrongType || !found.character.is_ascii();
        if let Some(found) = found.filter(is_cause) {
            diagnostic.message = format!("{}; it contains {found}", diagnostic.message);
        }
        diagnostic
    }

    /// Returns the schema of the instance, with references resolved.
    fn instance_schema(&self) -> &Value {
        let schema = || resolve(self.schema, locate(self.schema, self.value, &self.pointer)?);
        locate_branch(self.schema, self.value, &self.pointer).or_else(schema).unwrap_or(&Value::Null)
    }

    /// Returns the schema of the instance, which must be a map. In a union, this is the branch that the instance's `type`
    /// selects, or `None` if the `type` is unknown.
    fn map_schema(&self) -> Option<&Value> {
        locate_branch(self.schema, self.value, &self.pointer)
    }

    fn key(&self) -> String {
        self.pointer.last().unwrap_or_default().into_owned()
    }

    fn is_item(&self) -> bool {
        self.pointer
            .parent()
            .and_then(|parent| self.value.pointer(parent.as_str()))
            .is_some_and(Value::is_array)
    }

    /// Returns the valid values of `type` if the instance belongs to a union of maps.
    fn type_names(&self) -> Vec<&str> {
        let located = locate(self.schema, self.value, &self.pointer);
        located.map_or_else(Vec::new, |schema| type_names(self.schema, schema))
    }

    fn unknown_value(&self, options: &[Value]) -> Diagnostic {
        let options = hints::words(options);
        let key = self.key();
        let written = match self.instance {
            // The string may be a secret in the wrong place.
            Value::String(string) if string.is_empty() => "an empty string".to_owned(),
            Value::String(string) if vocabulary::looks_like_word(string) => format!("`{string}`"),
            Value::String(_) => String::new(),
            other => wrong_type::describe_value(other).to_owned(),
        };
        let message = match self.instance {
            Value::Null => format!("`{key}` has no value"),
            _ if written.is_empty() && self.is_item() => "not a valid entry".to_owned(),
            _ if written.is_empty() => format!("not a valid `{key}`"),
            _ if self.is_item() => format!("{written} is not a valid entry"),
            _ => format!("{written} is not a valid `{key}`"),
        };
        let mut diagnostic = self.at_value(Code::UnknownValue, message);
        let hint = || hints::for_unknown_value(&self.pointer, self.instance.as_str(), &options);
        diagnostic.help = self.is_shown.then(hint);
        diagnostic
    }
}

/// Returns the valid values of `type` in the maps of a union. Empty for any other schema.
fn type_names<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a str> {
    let union = resolve(root, schema);
    union.into_iter().flat_map(|union| union_branches(root, union)).map(|(name, _)| name).collect()
}
