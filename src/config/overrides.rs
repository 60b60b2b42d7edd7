//! Overrides: values that flags, environment variables and commands set in a configuration. Depends on `provenance`.

use std::fmt;

use serde_json::{Value, json};

use super::provenance::{Origins, OverrideSource};
use crate::pointer::Pointer;

/// A value that a flag, an environment variable, or a command with its flags sets in the configuration.
///
/// It replaces the value at its pointer and nothing else. A number in the pointer is the index of an entry of a list. A pointer that
/// ends in `-` appends to a list, as in JSON Patch (RFC 6902): `/services/-` appends a service.
///
/// The `Debug` output does not contain the value, which may be a secret.
#[derive(Clone, PartialEq)]
pub struct Override {
    pointer: Pointer,
    value: Value,
    source: OverrideSource,
    /// Pointers into `value` whose value came from a source other than `source`.
    parts: Vec<(Pointer, OverrideSource)>,
}

impl fmt::Debug for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Override")
            .field("pointer", &self.pointer)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Override {
    /// Creates an override of the value at a pointer into version 2 of the format.
    pub const fn new(pointer: Pointer, value: Value, source: OverrideSource) -> Self {
        Self { pointer, value, source, parts: Vec::new() }
    }

    /// Returns the pointer, into version 2 of the format.
    pub const fn pointer(&self) -> &Pointer {
        &self.pointer
    }

    /// Returns the value, including its parts.
    pub const fn value(&self) -> &Value {
        &self.value
    }

    /// Returns the source of the value.
    pub const fn source(&self) -> &OverrideSource {
        &self.source
    }

    /// Sets a part of the value, which may have a different source. The pointer is relative to the value and may append.
    /// Missing maps and lists are created.
    pub fn set_part(&mut self, pointer: &Pointer, value: Value, source: OverrideSource) {
        if let Some(part) = set(&mut self.value, pointer, value) {
            self.parts.push((part, source));
        }
    }

    /// Applies the override to a configuration and records the source.
    ///
    /// Does nothing if the pointer leads into a value that has no such parts, such as a string: that file has an error in its
    /// structure, which is reported instead.
    pub(super) fn apply(&self, config: &mut Value, origins: &mut Origins) {
        let Some(pointer) = set(config, &self.pointer, self.value.clone()) else { return };
        for (part, source) in &self.parts {
            origins.overridden.push((Pointer::from(format!("{pointer}{part}")), source.clone()));
        }
        origins.overridden.push((pointer, self.source.clone()));
    }
}

/// Sets the value at a pointer, and creates missing maps and lists. Returns the pointer with the index of the appended
/// entry in place of `-`, or `None` and changes nothing if the pointer leads into a value that has no such parts.
fn set(root: &mut Value, pointer: &Pointer, new: Value) -> Option<Pointer> {
    let mut resolved = Pointer::root();
    let mut current = root;
    // Below a value that is created, everything is created: so the pointer can lead nowhere only before anything has changed.
    for token in pointer.tokens() {
        if current.is_null() {
            *current = if token == "-" { json!([]) } else { json!({}) };
        }
        current = match current {
            Value::Array(list) => {
                let index = if token == "-" {
                    list.push(Value::Null);
                    list.len() - 1
                } else {
                    token.parse().ok()?
                };
                resolved.push_index(index);
                list.get_mut(index)?
            }
            Value::Object(map) if token != "-" => {
                resolved.push_key(&token);
                map.entry(token.into_owned()).or_insert(Value::Null)
            }
            _ => return None,
        };
    }
    *current = new;
    Some(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::provenance::Origin;

    fn flag(name: &str) -> OverrideSource {
        OverrideSource::Flag(name.to_owned())
    }

    fn service() -> Override {
        let command = OverrideSource::Command("identity".to_owned());
        let mut service = Override::new(Pointer::from("/services/-"), json!({ "type": "identity" }), command);
        service.set_part(&Pointer::from("/destination"), json!({ "type": "memory" }), flag("--destination"));
        service.set_part(&Pointer::from("/destination/readers/-/user"), json!("a"), flag("--reader-user"));
        service.set_part(&Pointer::from("/destination/readers/-/group"), json!("b"), flag("--reader-group"));
        service
    }

    #[test]
    fn setting_a_part_creates_missing_maps_and_lists() {
        let readers = json!([{ "user": "a" }, { "group": "b" }]);
        let expected = json!({ "type": "identity", "destination": { "type": "memory", "readers": readers } });
        assert_eq!(service().value(), &expected);
    }

    #[test]
    fn an_appended_service_follows_those_of_the_file_and_each_part_has_its_own_source() {
        for (file, index) in [
            (json!({}), 0),
            (json!({ "services": null }), 0),
            (json!({ "services": [{ "type": "a" }, { "type": "b" }] }), 2),
        ] {
            let (mut value, mut origins) = (file, Origins::default());
            service().apply(&mut value, &mut origins);
            let services = value["services"].as_array().unwrap();
            assert_eq!((services.len(), &services[index]), (index + 1, service().value()));
            for (part, expected) in [
                ("", "command identity"),
                ("/type", "command identity"),
                ("/destination/type", "--destination"),
                ("/destination/readers/0/user", "--reader-user"),
                ("/destination/readers/1/group", "--reader-group"),
            ] {
                let pointer = Pointer::from(format!("/services/{index}{part}"));
                let Origin::Override(source) = origins.of(&pointer) else {
                    panic!("{pointer} comes from the file")
                };
                assert_eq!(source.to_string(), expected, "{pointer}");
            }
        }
    }

    #[test]
    fn an_override_below_a_value_that_has_no_such_parts_does_nothing() {
        for (file, pointer) in [
            (json!({ "services": "none" }), "/services/-"),
            (json!({ "services": {} }), "/services/-"),
            (json!({ "onboarding": "hunter2" }), "/onboarding/token"),
            (json!({ "onboarding": { "gitlab": ["a"] } }), "/onboarding/gitlab/token_env_var_name"),
            (json!({ "onboarding": [{ "token": "a" }] }), "/onboarding/token"),
            (json!({ "services": [{ "name": "a" }] }), "/services/1/name"),
            (json!("none"), "/onboarding/token"),
        ] {
            let (mut value, mut origins) = (file.clone(), Origins::default());
            Override::new(Pointer::from(pointer), json!("b"), flag("--token"))
                .apply(&mut value, &mut origins);
            assert_eq!((value, origins), (file, Origins::default()), "{pointer}");
        }
    }

    #[test]
    fn an_override_of_an_entry_of_a_list_leaves_the_others() {
        let mut value = json!({ "services": [{ "name": "a" }, { "name": "b" }] });
        let mut origins = Origins::default();
        Override::new(Pointer::from("/services/1/name"), json!("c"), flag("--name"))
            .apply(&mut value, &mut origins);
        assert_eq!(value, json!({ "services": [{ "name": "a" }, { "name": "c" }] }));
        let Origin::Override(source) = origins.of(&Pointer::from("/services/1/name")) else { panic!() };
        assert_eq!(source.to_string(), "--name");
    }
}
