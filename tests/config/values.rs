//! Generates values from a schema: valid ones, and mutations of them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// Generates the strings of a property, given its sensitivity class, such as `secret`.
pub(crate) type Strings = fn(&str) -> BoxedStrategy<String>;

/// Generates strings of many forms, none of them secret.
pub(crate) fn any_string(_class: &str) -> BoxedStrategy<String> {
    prop_oneof![
        4 => "[a-z/.:$~{}0-9 -]{0,12}",
        1 => select(vec!["", "true", "null", "1", "~", "é", "/opt/machine-id", "host.example.com:443"])
            .prop_map(str::to_owned),
    ]
    .boxed()
}

/// Generates values that are valid according to a schema.
pub(crate) fn valid_values(root: &Value, schema: &Value, strings: Strings) -> BoxedStrategy<Value> {
    Generator { root, strings }.value(schema, "")
}

/// Generates values of which about half are valid: each has up to two mutations.
pub(crate) fn mutated_values(root: &Value, strings: Strings) -> BoxedStrategy<Value> {
    let mutations = vec((any::<Index>(), mutation()), 0..3);
    (valid_values(root, root, strings), mutations)
        .prop_map(|(mut value, mutations)| {
            for (index, mutation) in mutations {
                let pointers = pointers(&value);
                let pointer = index.get(&pointers);
                if let Some(target) = value.pointer_mut(pointer) {
                    mutation.apply(target);
                }
            }
            value
        })
        .boxed()
}

/// Returns the pointers to all values in a value, beginning with the value itself.
pub(crate) fn pointers(value: &Value) -> Vec<String> {
    fn visit(value: &Value, at: &str, found: &mut Vec<String>) {
        found.push(at.to_owned());
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    visit(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    visit(value, &format!("{at}/{index}"), found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    visit(value, "", &mut found);
    found
}

struct Generator<'a> {
    root: &'a Value,
    strings: Strings,
}

impl Generator<'_> {
    fn value(&self, schema: &Value, outer: &str) -> BoxedStrategy<Value> {
        let class = schema["x-sensitivity"].as_str().unwrap_or(outer);
        if let Some(reference) = schema["$ref"].as_str() {
            return self.value(self.root.pointer(&reference[1..]).unwrap(), class);
        }
        let conditions = schema["allOf"].as_array().into_iter().flatten().map(|condition| &condition["then"]);
        let alternatives = ["then", "else"].into_iter().filter_map(|keyword| schema.get(keyword));
        let mut branches: Vec<_> =
            conditions.chain(alternatives).map(|branch| self.value(branch, class)).collect();
        if !branches.is_empty() {
            if schema["type"] == json!(["object", "null"]) {
                branches.push(Just(Value::Null).boxed());
            }
            return proptest::strategy::Union::new(branches).boxed();
        }
        if let Some(constant) = schema.get("const") {
            return Just(constant.clone()).boxed();
        }
        if let Some(values) = schema["enum"].as_array() {
            return select(values.clone()).boxed();
        }
        let names = match &schema["type"] {
            Value::String(name) => vec![name.as_str()],
            Value::Array(names) => names.iter().map(|name| name.as_str().unwrap()).collect(),
            other => panic!("unsupported type {other} in {schema}"),
        };
        let strategies: Vec<_> = names.into_iter().map(|name| self.of_type(name, schema, class)).collect();
        proptest::strategy::Union::new(strategies).boxed()
    }

    fn of_type(&self, name: &str, schema: &Value, class: &str) -> BoxedStrategy<Value> {
        match name {
            "null" => Just(Value::Null).boxed(),
            "boolean" => any::<bool>().prop_map(Value::Bool).boxed(),
            "string" if schema["pattern"].is_string() => durations().prop_map(Value::String).boxed(),
            "string" => (self.strings)(class).prop_map(Value::String).boxed(),
            "integer" => {
                let (from, to) = (schema["minimum"].as_i64().unwrap(), schema["maximum"].as_i64().unwrap());
                let number = prop_oneof![Just(from), Just(to), from..=to];
                (number, any::<bool>())
                    .prop_map(|(number, as_float)| {
                        #[expect(clippy::cast_precision_loss, reason = "the bounds are exact in a double")]
                        if as_float { json!(number as f64) } else { json!(number) }
                    })
                    .boxed()
            }
            "array" => vec(self.value(&schema["items"], "identifier"), 0..4).prop_map(Value::Array).boxed(),
            "object" => self.object(schema),
            other => panic!("unsupported type {other}"),
        }
    }

    fn object(&self, schema: &Value) -> BoxedStrategy<Value> {
        if schema["additionalProperties"].is_object() {
            let value = self.value(&schema["additionalProperties"], "identifier");
            return vec(("[a-z]{1,3}", value), 0..3)
                .prop_map(|entries| Value::Object(entries.into_iter().collect()))
                .boxed();
        }
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = schema["properties"].as_object().into_iter().flatten();
        let properties: Vec<BoxedStrategy<Option<(String, Value)>>> = properties
            .map(|(key, property)| {
                let key = key.clone();
                let is_required = required.contains(&key.as_str());
                let entry = self.value(property, "").prop_map(move |value| (key.clone(), value));
                if is_required {
                    entry.prop_map(Some).boxed()
                } else {
                    proptest::option::weighted(0.2, entry).boxed()
                }
            })
            .collect();
        properties.prop_map(|entries| Value::Object(entries.into_iter().flatten().collect())).boxed()
    }
}

/// Generates valid durations.
pub(crate) fn durations() -> BoxedStrategy<String> {
    prop_oneof![
        Just(String::new()),
        "[-+]?(0|(([0-9]{1,4}(\\.[0-9]{0,3})?|\\.[0-9]{1,3})(ns|us|µs|μs|ms|s|m|h)){1,3})",
    ]
    .boxed()
}

/// Generates strings that resemble durations, many of them invalid.
pub(crate) fn near_durations() -> BoxedStrategy<String> {
    prop_oneof![
        durations(),
        "[-+ 0-9.nuµμmshdH]{0,8}",
        "[-+]?[0-9]{0,25}(\\.[0-9]{0,25})?(ns|us|µs|μs|ms|s|m|h|d|H)?\n?",
    ]
    .boxed()
}

#[derive(Clone, Debug)]
enum Mutation {
    Replace(Value),
    WrapInList,
    SwapForm,
    AddKey(String, Value),
    RemoveKey(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let numbers = vec![
        json!(0),
        json!(-1),
        json!(-0.0),
        json!(1.5),
        json!(65_535),
        json!(65_536),
        json!(65_535.0),
        json!(4_294_967_295_u32),
        json!(4_294_967_296_u64),
        json!(9_007_199_254_740_991_i64),
        json!(9_007_199_254_740_992_i64),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1e19),
        json!(-1e300),
    ];
    let scalars = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        select(numbers),
        near_durations().prop_map(Value::String),
        any_string("").prop_map(Value::String),
        select(vec!["v1", "v2", "", "token", "directory", "identity", "on", "user", "off"])
            .prop_map(|text| json!(text)),
        Just(json!([])),
        Just(json!({})),
        Just(json!({ "type": null })),
        Just(json!({ "type": "memory" })),
    ];
    prop_oneof![
        4 => scalars.clone().prop_map(Mutation::Replace),
        1 => Just(Mutation::WrapInList),
        1 => Just(Mutation::SwapForm),
        2 => ("[a-z_]{1,8}|token|type|name|path", scalars).prop_map(|(key, value)| Mutation::AddKey(key, value)),
        2 => any::<Index>().prop_map(Mutation::RemoveKey),
    ]
}

impl Mutation {
    fn apply(self, target: &mut Value) {
        match (self, &mut *target) {
            (Self::Replace(value), target) => *target = value,
            (Self::AddKey(key, value), Value::Object(map)) => {
                map.insert(key, value);
            }
            (Self::RemoveKey(index), Value::Object(map)) if !map.is_empty() => {
                let key = map.keys().nth(index.index(map.len())).cloned().unwrap();
                map.shift_remove(&key);
            }
            // Forms that serde's own deserializers accept: a one-key map for an enum, and a list for a struct.
            (Self::SwapForm, Value::String(string)) => *target = json!({ string.clone(): null }),
            (Self::SwapForm, Value::Object(map)) => *target = Value::Array(map.values().cloned().collect()),
            (_, target) => *target = Value::Array(vec![std::mem::take(target)]),
        }
    }
}
