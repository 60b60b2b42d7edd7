//! Collects the findings of the checks, and tells them what the configuration is loaded for. Depends on `diagnostic`.

use std::collections::HashSet;

use crate::config::load_options::{LoadOptions, Purpose};
use crate::config::scalar::Identifier;
use crate::diagnostic::{Code, Diagnostic, Severity, Target};
use crate::pointer::Pointer;

/// Collects the diagnostics of the checks. Pointers refer to version 2 of the format.
pub(super) struct Findings<'a> {
    diagnostics: &'a mut Vec<Diagnostic>,
    options: &'a LoadOptions,
}

impl<'a> Findings<'a> {
    pub(super) const fn new(diagnostics: &'a mut Vec<Diagnostic>, options: &'a LoadOptions) -> Self {
        Self { diagnostics, options }
    }

    pub(super) const fn options(&self) -> &'a LoadOptions {
        self.options
    }

    /// Returns the pointers of the values for which an error has been reported.
    pub(super) fn pointers_of_errors(&self) -> HashSet<Pointer> {
        let errors = self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        errors.filter_map(|diagnostic| diagnostic.target.pointer().cloned()).collect()
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

    /// Reports a pattern in a name that is compared as it is.
    pub(super) fn check_exact_name(&mut self, parent: &Pointer, key: &str, name: &Identifier, help: &str) {
        if !name.as_str().contains('*') {
            return;
        }
        let message =
            format!("`{key}` is compared exactly, and no name contains a `*`, so this selects nothing");
        let diagnostic = Diagnostic::new(Code::WildcardName, Target::Value(parent.key(key)), message);
        self.report(diagnostic.with_help(help).naming(parent.key("labels")));
    }

    /// Reports the properties with these names unless exactly one of them is set.
    pub(super) fn require_exactly_one(&mut self, pointer: Pointer, properties: &[(&str, bool)]) {
        let name = |(name, _): &(&str, bool)| format!("`{name}`");
        let set: Vec<_> = properties.iter().filter(|(_, is_set)| *is_set).map(name).collect();
        let message = match (set.as_slice(), properties) {
            ([_], _) => return,
            ([], [(first, _), (second, _)]) => format!("neither `{first}` nor `{second}` is set"),
            ([], _) => {
                format!("none of {} is set", properties.iter().map(name).collect::<Vec<_>>().join(", "))
            }
            ([first, second], _) => format!("both {first} and {second} are set"),
            _ => format!("{} are all set", set.join(", ")),
        };
        let named: Vec<Pointer> = properties.iter().map(|(name, _)| pointer.key(name)).collect();
        let diagnostic = Diagnostic::new(Code::ExactlyOne, Target::Value(pointer), message)
            .with_help("set exactly one of them");
        self.report(named.into_iter().fold(diagnostic, Diagnostic::naming));
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

    /// Reports that something is missing that `start` requires. If the configuration is only validated, this is a note, because a flag
    /// or an environment variable may still supply it.
    pub(super) fn missing(&mut self, code: Code, target: Target, what: &str, help: &str) {
        self.missing_unless(code, target, what, "a flag or an environment variable", help);
    }

    /// Like [`missing`](Self::missing), but names what may supply it.
    pub(super) fn missing_unless(
        &mut self,
        code: Code,
        target: Target,
        what: &str,
        supplier: &str,
        help: &str,
    ) {
        let diagnostic = match self.options.purpose {
            Purpose::Start => Diagnostic::new(code, target, format!("{what} is not set")),
            Purpose::Validate => {
                let message = format!("{what} is not set; {supplier} must supply it");
                Diagnostic::new(code, target, message).with_severity(Severity::Note)
            }
        };
        self.report(diagnostic.with_help(help));
    }

    /// Reports something that is deprecated.
    pub(super) fn deprecated(&mut self, target: Target, message: &str, help: &str) {
        self.report(Diagnostic::new(Code::Deprecated, target, message).with_help(help));
    }
}
