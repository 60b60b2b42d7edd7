//! What flags and environment variables put into a configuration: values with their places, and who says each. Depends on
//! `provenance`; pure.

use serde_json::{Value, json};

use super::provenance::{Input, Origins};
use crate::pointer::Pointer;

/// A value that something outside the file puts into the configuration: a flag, a variable, or a command with its flags.
///
/// It replaces what the file has at its place, and nothing else. A place that ends in `-` is behind the last entry of a
/// list, as in JSON Patch (RFC 6902): `/services/-` appends.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    pointer: Pointer,
    value: Value,
    input: Input,
    /// Places inside the value that others than `input` gave.
    parts: Vec<(Pointer, Input)>,
}

impl Override {
    /// A value for a place of version 2, and who says so.
    pub const fn new(pointer: Pointer, value: Value, input: Input) -> Self {
        Self { pointer, value, input, parts: Vec::new() }
    }

    /// The place, as in version 2.
    pub const fn pointer(&self) -> &Pointer {
        &self.pointer
    }

    /// The value, with all its parts.
    pub const fn value(&self) -> &Value {
        &self.value
    }

    /// Who says so.
    pub const fn input(&self) -> &Input {
        &self.input
    }

    /// Puts a part into the value, with the maps and lists on the way there, and notes who says it. Its place is relative
    /// to the value, and may append, too.
    pub fn put(&mut self, pointer: &Pointer, value: Value, input: Input) {
        if let Some(place) = put(&mut self.value, pointer, value) {
            self.parts.push((place, input));
        }
    }

    /// Puts the value into a configuration, and notes where it came from.
    ///
    /// Nothing is appended to what is no list: the structure of the file is wrong then, and that is what to report.
    pub(super) fn apply(&self, config: &mut Value, origins: &mut Origins) {
        let Some(place) = put(config, &self.pointer, self.value.clone()) else { return };
        for (part, input) in &self.parts {
            origins.inputs.push((Pointer::from(format!("{place}{part}")), input.clone()));
        }
        origins.inputs.push((place, self.input.clone()));
    }
}

/// Puts a value at a place, with the maps and lists on the way there, and tells the place with the index of what was
/// appended. None where there is something to append to that is no list.
pub(super) fn put(value: &mut Value, pointer: &Pointer, new: Value) -> Option<Pointer> {
    let mut place = Pointer::root();
    let mut at = value;
    for token in pointer.tokens() {
        if token == "-" {
            if at.is_null() {
                *at = json!([]);
            }
            let list = at.as_array_mut()?;
            place.push_index(list.len());
            list.push(Value::Null);
            at = list.last_mut()?;
        } else {
            if !at.is_object() {
                *at = json!({});
            }
            place.push_key(&token);
            at = at.as_object_mut()?.entry(token.into_owned()).or_insert(Value::Null);
        }
    }
    *at = new;
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn flag(name: &str) -> Input {
        Input::Flag(name.to_owned())
    }

    fn service() -> Override {
        let command = Input::Command("identity".to_owned());
        let mut service = Override::new(Pointer::from("/services/-"), json!({ "type": "identity" }), command);
        service.put(&Pointer::from("/destination"), json!({ "type": "memory" }), flag("--destination"));
        service.put(&Pointer::from("/destination/readers/-/user"), json!("a"), flag("--reader-user"));
        service.put(&Pointer::from("/destination/readers/-/group"), json!("b"), flag("--reader-group"));
        service
    }

    #[test]
    fn parts_are_built_on_the_way() {
        let readers = json!([{ "user": "a" }, { "group": "b" }]);
        let expected = json!({ "type": "identity", "destination": { "type": "memory", "readers": readers } });
        assert_eq!(service().value(), &expected);
    }

    #[test]
    fn what_is_appended_follows_the_file_and_every_part_names_its_flag() {
        for (file, index) in [
            (json!({}), 0),
            (json!({ "services": null }), 0),
            (json!({ "services": [{ "type": "a" }, { "type": "b" }] }), 2),
        ] {
            let (mut value, mut origins) = (file, Origins::default());
            service().apply(&mut value, &mut origins);
            let services = value["services"].as_array().unwrap();
            assert_eq!((services.len(), &services[index]), (index + 1, service().value()));
            for (place, expected) in [
                ("", "command identity"),
                ("/type", "command identity"),
                ("/destination/type", "--destination"),
                ("/destination/readers/0/user", "--reader-user"),
                ("/destination/readers/1/group", "--reader-group"),
            ] {
                let place = Pointer::from(format!("/services/{index}{place}"));
                let Origin::Input(input) = origins.of(&place) else { panic!("{place} is the file's") };
                assert_eq!(input.to_string(), expected, "{place}");
            }
        }
    }

    #[test]
    fn nothing_is_appended_to_what_is_no_list() {
        let (mut value, mut origins) = (json!({ "services": "none" }), Origins::default());
        service().apply(&mut value, &mut origins);
        assert_eq!((value, origins), (json!({ "services": "none" }), Origins::default()));
    }
}
