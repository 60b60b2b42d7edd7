//! Finds every part of a value that violates a JSON Schema. Depends only on `lookup`, `pointer`, serde_json and regex.
//!
//! Evaluates the keywords that the schemas of the configuration use. Tests ensure that these schemas use no other keyword, and
//! that the result is the same as that of the `jsonschema` crate, which would make the program larger by a megabyte.

use std::collections::HashMap;
use std::slice;

use regex::Regex;
use serde_json::Value;

use super::lookup::has_type;
use crate::pointer::Pointer;

/// A part of a value, and the keyword of the schema that it violates.
#[derive(Debug)]
pub struct SchemaViolation<'a> {
    /// Points to the part.
    pub pointer: Pointer,
    /// The part itself.
    pub instance: &'a Value,
    /// The violated keyword.
    pub keyword: ViolatedKeyword<'a>,
}

/// A keyword of a JSON Schema that a value violates, with its argument where a message needs it.
#[derive(Debug, PartialEq)]
pub enum ViolatedKeyword<'a> {
    /// `type`. The other keywords of the same schema are not evaluated then.
    Type,
    /// `enum` or `const`, with the valid values.
    Enum(&'a [Value]),
    /// `pattern`
    Pattern,
    /// `minimum` or `maximum`
    Range,
    /// `required`, with the key that is missing.
    Required(&'a str),
    /// `additionalProperties` that is false, with the keys that the schema does not define, in the order of the value.
    AdditionalProperties(Vec<&'a str>),
}

/// Finds all violations of the schema `root` in a value.
pub fn violations<'a>(root: &'a Value, value: &'a Value) -> Vec<SchemaViolation<'a>> {
    let mut evaluation = Evaluation::new(root);
    evaluation.evaluate(root, value);
    evaluation.violations
}

struct Evaluation<'a> {
    root: &'a Value,
    /// Points to the value that is being evaluated.
    pointer: Pointer,
    /// The compiled patterns. `None` for one that is invalid, which a test rules out.
    patterns: HashMap<&'a str, Option<Regex>>,
    violations: Vec<SchemaViolation<'a>>,
}

impl<'a> Evaluation<'a> {
    fn new(root: &'a Value) -> Self {
        Self { root, pointer: Pointer::root(), patterns: HashMap::new(), violations: Vec::new() }
    }

    fn evaluate(&mut self, schema: &'a Value, value: &'a Value) {
        // A schema that is `true` accepts everything.
        let Value::Object(keywords) = schema else { return };
        if keywords.get("type").is_some_and(|types| !has_type(value, types)) {
            return self.add(value, ViolatedKeyword::Type);
        }
        for (keyword, argument) in keywords {
            match keyword.as_str() {
                "$ref" => {
                    let target = argument.as_str().and_then(|reference| reference.strip_prefix('#'));
                    if let Some(target) = target.and_then(|pointer| self.root.pointer(pointer)) {
                        self.evaluate(target, value);
                    }
                }
                "allOf" => list(argument).iter().for_each(|schema| self.evaluate(schema, value)),
                "if" => {
                    let branch = if self.accepts(argument, value) { "then" } else { "else" };
                    if let Some(branch) = keywords.get(branch) {
                        self.evaluate(branch, value);
                    }
                }
                "const" if value != argument => {
                    self.add(value, ViolatedKeyword::Enum(slice::from_ref(argument)));
                }
                "enum" if !list(argument).contains(value) => {
                    self.add(value, ViolatedKeyword::Enum(list(argument)));
                }
                "minimum" if value.as_f64() < argument.as_f64() && value.is_number() => {
                    self.add(value, ViolatedKeyword::Range);
                }
                "maximum" if value.as_f64() > argument.as_f64() => self.add(value, ViolatedKeyword::Range),
                "pattern" => self.evaluate_pattern(argument, value),
                "required" => self.evaluate_required(argument, value),
                "properties" => self.evaluate_properties(argument, value),
                "additionalProperties" => {
                    self.evaluate_additional_properties(keywords.get("properties"), argument, value);
                }
                "items" => {
                    for (index, item) in list(value).iter().enumerate() {
                        self.evaluate_at(|pointer| pointer.push_index(index), argument, item);
                    }
                }
                // Describes the value.
                _ => {}
            }
        }
    }

    /// Evaluates a part of the current value, to which `push` makes the pointer point.
    fn evaluate_at(
        &mut self,
        push: impl FnOnce(&mut Pointer) -> &mut Pointer,
        schema: &'a Value,
        part: &'a Value,
    ) {
        let length = self.pointer.as_str().len();
        push(&mut self.pointer);
        self.evaluate(schema, part);
        self.pointer.truncate(length);
    }

    fn evaluate_pattern(&mut self, argument: &'a Value, value: &'a Value) {
        let (Some(pattern), Some(string)) = (argument.as_str(), value.as_str()) else { return };
        let regex = self.patterns.entry(pattern).or_insert_with(|| Regex::new(pattern).ok());
        if regex.as_ref().is_some_and(|regex| !regex.is_match(string)) {
            self.add(value, ViolatedKeyword::Pattern);
        }
    }

    fn evaluate_required(&mut self, argument: &'a Value, value: &'a Value) {
        let Value::Object(map) = value else { return };
        let missing = list(argument).iter().filter_map(Value::as_str).filter(|key| !map.contains_key(*key));
        for key in missing {
            self.add(value, ViolatedKeyword::Required(key));
        }
    }

    fn evaluate_properties(&mut self, argument: &'a Value, value: &'a Value) {
        for (key, part) in value.as_object().into_iter().flatten() {
            if let Some(schema) = argument.get(key) {
                self.evaluate_at(|pointer| pointer.push_key(key), schema, part);
            }
        }
    }

    fn evaluate_additional_properties(
        &mut self,
        properties: Option<&'a Value>,
        argument: &'a Value,
        value: &'a Value,
    ) {
        let is_defined = |key: &str| properties.is_some_and(|properties| properties.get(key).is_some());
        let entries = value.as_object().into_iter().flatten();
        let additional = entries.filter(|(key, _)| !is_defined(key));
        if *argument == Value::Bool(false) {
            let unknown: Vec<&str> = additional.map(|(key, _)| key.as_str()).collect();
            if !unknown.is_empty() {
                self.add(value, ViolatedKeyword::AdditionalProperties(unknown));
            }
        } else {
            additional.for_each(|(key, part)| {
                self.evaluate_at(|pointer| pointer.push_key(key), argument, part);
            });
        }
    }

    /// Returns whether a schema without patterns, such as a condition, accepts a value.
    fn accepts(&self, schema: &'a Value, value: &'a Value) -> bool {
        let mut evaluation = Self::new(self.root);
        evaluation.evaluate(schema, value);
        evaluation.violations.is_empty()
    }

    fn add(&mut self, instance: &'a Value, keyword: ViolatedKeyword<'a>) {
        self.violations.push(SchemaViolation { pointer: self.pointer.clone(), instance, keyword });
    }
}

/// Returns the entries of a list. Empty for any other value.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
