//! The names of services, which logs, health checks and metrics use. Depends on the services.

use std::collections::HashMap;

use super::service::Service;
use super::v2::Config;
use crate::pointer::Pointer;

/// A service, with its place in the configuration and its name.
#[derive(Clone, Debug)]
pub struct NamedService<'a> {
    /// The pointer of the service, such as `/outputs/0`.
    pub pointer: Pointer,
    /// The service.
    pub service: &'a Service,
    /// The configured name, or the generated one.
    pub name: String,
    /// Whether the name is generated.
    pub is_generated: bool,
}

impl Config {
    /// Returns every service with its pointer in numbering order: `services`, then `outputs`.
    pub(super) fn located_services(&self) -> impl Iterator<Item = (Pointer, &Service)> {
        let lists = [("services", &self.services), ("outputs", &self.outputs)];
        lists.into_iter().flat_map(|(key, list)| {
            let list_pointer = Pointer::root().key(key);
            let services = list.iter().flatten().enumerate();
            services.map(move |(index, service)| (list_pointer.index(index), service))
        })
    }

    /// Returns every service in numbering order: `services`, then `outputs`.
    ///
    /// A service without a configured name is named by its type and its number among all services of that type, counted
    /// from 1, as the Go agent does: `kubernetes-v2-1`.
    pub fn named_services(&self) -> impl Iterator<Item = NamedService<'_>> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        self.located_services().map(move |(pointer, service)| {
            let number = counts.entry(service.type_name()).or_default();
            *number += 1;
            let configured = service.fields().name().filter(|name| !name.is_empty());
            let name = match configured {
                Some(name) => name.as_str().to_owned(),
                None => generated_name(service.type_name(), *number),
            };
            NamedService { pointer, service, name, is_generated: configured.is_none() }
        })
    }
}

/// Returns whether a byte may occur in the name of a service.
pub(super) const fn is_allowed_in_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'+')
}

fn generated_name(type_name: &str, number: usize) -> String {
    let mut name = format!("{type_name}-{number}");
    if !name.bytes().all(is_allowed_in_name) {
        name = name.replace(|letter| !u8::try_from(letter).is_ok_and(is_allowed_in_name), "-");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_count_each_type_and_contain_only_allowed_characters() {
        let memory = serde_json::json!({ "type": "memory" });
        let identity = serde_json::json!({ "type": "identity", "destination": memory });
        let named = serde_json::json!({ "type": "identity", "destination": memory, "name": "bot" });
        let kubernetes = serde_json::json!({
            "type": "kubernetes/v2", "selectors": [{ "name": "a" }], "name": "", "destination": memory,
        });
        let config: Config = serde_json::from_value(serde_json::json!({
            "version": "v2", "services": [named, identity], "outputs": [kubernetes, identity],
        }))
        .unwrap();
        let names =
            config.named_services().map(|named| (named.pointer.to_string(), named.name, named.is_generated));
        assert_eq!(
            names.collect::<Vec<_>>(),
            [
                ("/services/0", "bot", false),
                ("/services/1", "identity-2", true),
                ("/outputs/0", "kubernetes-v2-1", true),
                ("/outputs/1", "identity-3", true),
            ]
            .map(|(pointer, name, is_generated)| (
                pointer.to_owned(),
                name.to_owned(),
                is_generated
            ))
        );
    }
}
