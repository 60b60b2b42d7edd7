//! Services' names: which characters, which are reserved, and that each is there once, generated ones included.

use std::collections::HashMap;

use super::{Findings, indexed};
use crate::config::Config;
use crate::diagnostic::{Code, Diagnostic, Target};
use crate::pointer::Pointer;

/// Names of the agent's own services.
const RESERVED: [&str; 5] =
    ["ca-rotation", "crl-cache", "heartbeat", "identity", "spiffe-trust-bundle-cache"];

const fn allowed(letter: u8) -> bool {
    letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, b'_' | b'-' | b'+')
}

/// The name of a service that has none: its type and which of that type it is, from 1, named ones counted.
pub(in crate::config) fn generated(type_name: &str, number: usize) -> String {
    let type_name: String = type_name
        .chars()
        .map(|letter| if u8::try_from(letter).is_ok_and(allowed) { letter } else { '-' })
        .collect();
    format!("{type_name}-{number}")
}

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut names: HashMap<String, (Pointer, bool)> = HashMap::new();
    for (place, service) in indexed(config) {
        let count = counts.entry(service.type_name()).or_default();
        *count += 1;
        let given = service.fields().name().filter(|name| !name.is_empty());
        let (name, name_place) = match given {
            Some(name) => (name.as_str().to_owned(), place.key("name")),
            None => (generated(service.type_name(), *count), place),
        };
        if given.is_some() && !characters(&name, &name_place, findings) {
            continue;
        }
        let is_given = given.is_some();
        match names.get(&name) {
            None => {
                names.insert(name, (name_place, is_given));
            }
            Some((other, other_is_given)) => {
                // The place to change is the name that somebody wrote.
                let (at, related) =
                    if is_given { (name_place, other.clone()) } else { (other.clone(), name_place) };
                let what = if is_given && *other_is_given {
                    "another service has this name"
                } else {
                    "a service without a name gets this one"
                };
                findings.report(
                    Diagnostic::new(Code::DuplicateName, Target::Value(at), what)
                        .with_related("it is this one", Target::Value(related))
                        .with_help("give each service its own name"),
                );
            }
        }
    }
}

fn characters(name: &str, place: &Pointer, findings: &mut Findings<'_>) -> bool {
    if !name.bytes().all(allowed) {
        findings.at(
            Code::InvalidName,
            place.clone(),
            "this name has other characters than `a-z`, `0-9`, `_`, `-`, `+`",
            "write it with these, in lower case",
        );
        return false;
    }
    if RESERVED.contains(&name) {
        findings.at(
            Code::InvalidName,
            place.clone(),
            "the agent has this name for a service of its own",
            "write another name",
        );
        return false;
    }
    true
}
