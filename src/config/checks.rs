//! The checks: what a configuration means, where its schema can only say how it is written. All of them run, in the order
//! of the file; none stops the others. Depends on the configuration's types and `diagnostic`; pure.

mod destinations;
mod join;
mod kubernetes;
mod lifetimes;
mod names;
mod paths;
mod scoped;
mod services;
mod text;
mod workload_identity;

use serde_json::Value;

use super::{Config, Service};
use crate::diagnostic::{Code, Diagnostic, Target};
use crate::pointer::Pointer;

/// What a configuration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be looked at: flags may still add what is missing.
    Validate,
    /// To start: an address and a join method must be there.
    Start,
}

/// Reports everything that is wrong with, or worth saying of, a configuration. Places are those of version 2.
pub(super) fn check(config: &Config, value: &Value, purpose: Purpose, found: &mut Vec<Diagnostic>) {
    let mut findings = Findings { found };
    join::check(config, purpose, &mut findings);
    lifetimes::check_top_level(config, &mut findings);
    if let Some(storage) = &config.storage {
        destinations::check(storage, &Pointer::root().key("storage"), &mut findings);
    }
    for (place, service) in indexed(config) {
        services::check(service, &place, &mut findings);
        lifetimes::check_service(config, service, &place, &mut findings);
        if super::is_on(config.scoped) {
            scoped::check(service, &place, &mut findings);
        }
        if config.is_oneshot() {
            services::check_oneshot(service, &place, &mut findings);
        }
    }
    names::check(config, &mut findings);
    destinations::check_collisions(config, &mut findings);
    paths::check(value, &mut findings);
}

/// The services with their places, in the order in which they are numbered.
fn indexed(config: &Config) -> impl Iterator<Item = (Pointer, &Service)> {
    [("services", &config.services), ("outputs", &config.outputs)].into_iter().flat_map(|(key, list)| {
        let list_place = Pointer::root().key(key);
        list.iter().flatten().enumerate().map(move |(index, service)| (list_place.index(index), service))
    })
}

/// Where the checks put what they find.
struct Findings<'a> {
    found: &'a mut Vec<Diagnostic>,
}

impl Findings<'_> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// A finding about the value at a place.
    fn at(&mut self, code: Code, place: Pointer, message: impl Into<String>, help: impl Into<String>) {
        self.report(Diagnostic::new(code, Target::Value(place), message).with_help(help));
    }

    /// Reports a text that is needed and empty.
    fn not_empty(&mut self, place: &Pointer, key: &str, text: &str) {
        if text.is_empty() {
            self.at(Code::EmptyValue, place.key(key), format!("`{key}` is empty"), "write a value");
        }
    }

    /// Reports unless exactly one of two properties is there.
    fn exactly_one(&mut self, place: &Pointer, names: (&str, &str), there: (bool, bool)) {
        let message = match there {
            (true, true) => format!("both of `{}` and `{}` are there", names.0, names.1),
            (false, false) => format!("neither of `{}` and `{}` is there", names.0, names.1),
            _ => return,
        };
        self.at(Code::ExactlyOne, place.clone(), message, "write exactly one of them");
    }

    /// Reports where two properties that exclude each other are both there. Names are those under `place`, with `.`
    /// between levels.
    fn exclusive(&mut self, place: &Pointer, names: (&str, &str), there: (bool, bool)) {
        if there == (true, true) {
            let below = |name: &str| Target::Key(name.split('.').fold(place.clone(), |at, key| at.key(key)));
            let message = format!("`{}` and `{}` exclude each other", names.0, names.1);
            self.report(
                Diagnostic::new(Code::MutuallyExclusive, below(names.0), message)
                    .with_related("the other one is here", below(names.1))
                    .with_help("remove one of them"),
            );
        }
    }

    /// Reports something that has a successor.
    fn deprecated(&mut self, place: Target, what: &str, successor: &str) {
        self.report(Diagnostic::new(Code::Deprecated, place, what).with_help(successor));
    }
}
