//! What the checks share: the collected findings, the purpose of a check, and the numbered services. Depends on the
//! configuration types and `diagnostic`.

use crate::config::service::Service;
use crate::config::v2::Config;
use crate::diagnostic::{Code, Diagnostic, Target};
use crate::pointer::Pointer;

/// What a configuration is loaded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To validate it. Flags may still set what is missing.
    Validate,
    /// To start the agent, which requires an address and a join method.
    Start,
}

/// Returns the services in numbering order, each with its pointer.
pub(super) fn services_with_pointers(config: &Config) -> impl Iterator<Item = (Pointer, &Service)> {
    [("services", &config.services), ("outputs", &config.outputs)].into_iter().flat_map(|(key, list)| {
        let list_pointer = Pointer::root().key(key);
        list.iter().flatten().enumerate().map(move |(index, service)| (list_pointer.index(index), service))
    })
}

/// Collects the diagnostics of the checks. Pointers refer to version 2 of the format.
pub(super) struct Findings<'a> {
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl<'a> Findings<'a> {
    pub(super) const fn new(diagnostics: &'a mut Vec<Diagnostic>) -> Self {
        Self { diagnostics }
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reports a finding about the value at a pointer.
    pub(super) fn report_value(
        &mut self,
        code: Code,
        pointer: Pointer,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.report(Diagnostic::new(code, Target::Value(pointer), message).with_help(help));
    }

    /// Reports a required string that is empty.
    pub(super) fn require_nonempty(&mut self, parent: &Pointer, key: &str, value: &str) {
        if value.is_empty() {
            let message = format!("`{key}` is empty");
            self.report_value(Code::EmptyValue, parent.key(key), message, "write a value");
        }
    }

    /// Reports two properties unless exactly one of them is set.
    pub(super) fn require_exactly_one(
        &mut self,
        parent: &Pointer,
        keys: (&str, &str),
        are_set: (bool, bool),
    ) {
        let message = match are_set {
            (true, true) => format!("both `{}` and `{}` are set", keys.0, keys.1),
            (false, false) => format!("neither `{}` nor `{}` is set", keys.0, keys.1),
            _ => return,
        };
        self.report_value(Code::ExactlyOne, parent.clone(), message, "set exactly one of them");
    }

    /// Reports two mutually exclusive properties if both are set. Their paths are relative to `parent`, with `.` between
    /// keys.
    pub(super) fn exclude_both(&mut self, parent: &Pointer, paths: (&str, &str), are_set: (bool, bool)) {
        if are_set == (true, true) {
            let key = |path: &str| Target::Key(path.split('.').fold(parent.clone(), |at, key| at.key(key)));
            let message = format!("`{}` and `{}` cannot be combined", paths.0, paths.1);
            self.report(
                Diagnostic::new(Code::MutuallyExclusive, key(paths.0), message)
                    .with_related(format!("`{}` is set here", paths.1), key(paths.1))
                    .with_help("remove one of them"),
            );
        }
    }

    /// Reports something that is deprecated.
    pub(super) fn deprecated(&mut self, target: Target, message: &str, help: &str) {
        self.report(Diagnostic::new(Code::Deprecated, target, message).with_help(help));
    }
}
