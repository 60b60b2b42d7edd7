//! Finds values that look like a template or a placeholder that was not filled in: in addresses, paths, tokens, CA pins and names.
//! Depends on `strings`, `provenance` and `diagnostic`.

use std::collections::HashSet;

use super::findings::Findings;
use crate::config::placeholder_forms::{
    FOR_OTHER_PROGRAMS, NOT_FILLED_IN, contains_template, is_placeholder,
};
use crate::config::provenance::strip_ancestor;
use crate::config::scalar::Sensitivity;
use crate::config::strings::ConfigString;
use crate::diagnostic::{Code, Diagnostic, Severity, Target};
use crate::pointer::Pointer;

/// Reports a string of a configuration in version 2 of the format if it is such a value.
pub(super) fn check(string: &ConfigString<'_>, findings: &mut Findings<'_>) {
    let (is_placeholder, is_template) = (is_placeholder(string.as_str()), contains_template(string.as_str()));
    if !is_placeholder && !is_template {
        return;
    }
    let pointer = string.pointer();
    let is_checked = match string.class(&pointer) {
        Some(Sensitivity::Secret | Sensitivity::Location) => is_placeholder,
        Some(Sensitivity::Identifier) if is_template => {
            !pointer.tokens().any(|key| FOR_OTHER_PROGRAMS.contains(&key.as_ref()))
        }
        _ => false,
    };
    let has_form =
        || pointer.as_str().starts_with("/onboarding/ca_pins/") || string.as_str().starts_with("arn:");
    if is_checked || is_placeholder && has_form() {
        findings.report_value(Code::Placeholder, pointer, NOT_FILLED_IN, "write the real value");
    }
}

/// The codes of values with an invalid or incomplete form.
const ABOUT_FORM: [Code; 11] = [
    Code::AddressWithoutPort,
    Code::HttpScheme,
    Code::InvalidAddress,
    Code::InvalidArn,
    Code::InvalidCaPin,
    Code::InvalidFormat,
    Code::InvalidJoinUri,
    Code::InvalidKubernetesName,
    Code::InvalidName,
    Code::InvalidTemplate,
    Code::RelativeTokenPath,
];

/// Removes what follows from another diagnostic about the same value: everything about a value that looks like a placeholder, and
/// that a value with a variable or a stray character has no valid form.
pub(super) fn merge_findings(diagnostics: &mut Vec<Diagnostic>) {
    drop_unused(diagnostics);
    let is_cause = |code| matches!(code, Code::NotExpanded | Code::StrayCharacter);
    merge(diagnostics, is_cause, |code| ABOUT_FORM.contains(&code));
    merge(diagnostics, |code| code == Code::Placeholder, |_| true);
}

/// Removes each diagnostic that follows from another one, the cause, about the same value. The cause becomes an error if one that
/// follows from it is.
fn merge(diagnostics: &mut Vec<Diagnostic>, is_cause: fn(Code) -> bool, follows: fn(Code) -> bool) {
    let causes = diagnostics.iter().filter(|one| is_cause(one.code));
    let causes: HashSet<Target> = causes.map(|one| one.target.clone()).collect();
    let mut errors: HashSet<Target> = HashSet::new();
    diagnostics.retain(|one| {
        let is_kept = is_cause(one.code) || !follows(one.code) || !causes.contains(&one.target);
        if !is_kept && one.severity == Severity::Error {
            errors.insert(one.target.clone());
        }
        is_kept
    });
    for cause in diagnostics.iter_mut().filter(|one| is_cause(one.code)) {
        if errors.contains(&cause.target) {
            cause.severity = Severity::Error;
        }
    }
}

/// Removes what is reported about a block that has no effect: the block is to be removed, not corrected. Pins and paths of
/// certificate authorities can still exclude each other, so only the placeholders in them are removed.
fn drop_unused(diagnostics: &mut Vec<Diagnostic>) {
    let unused = |code| {
        let found = diagnostics.iter().filter(move |one| one.code == code);
        let pointers = found.filter_map(|one| match &one.target {
            Target::Key(pointer) => Some(pointer.clone()),
            _ => None,
        });
        pointers.collect::<Vec<Pointer>>()
    };
    let (blocks, authorities) = (unused(Code::UnusedBlock), unused(Code::UnusedAuthorities));
    diagnostics.retain(|one| {
        let is_in = |ancestors: &[Pointer]| {
            let pointer = one.target.pointer();
            pointer.is_some_and(|pointer| ancestors.iter().any(|at| strip_ancestor(pointer, at).is_some()))
        };
        match one.code {
            Code::UnusedBlock => true,
            Code::Placeholder => !is_in(&blocks) && !is_in(&authorities),
            _ => !is_in(&blocks),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Purpose, load};

    fn findings(key: &str, value: &str) -> Vec<(Code, Severity)> {
        let value = serde_json::to_string(value).unwrap();
        let file = match key {
            "token" => format!("{{version: v2, onboarding: {{join_method: token, token: {value}}}}}"),
            "ca_pins" => format!("{{version: v2, onboarding: {{join_method: token, ca_pins: [{value}]}}}}"),
            "path" => format!("{{version: v2, storage: {{type: directory, path: {value}}}}}"),
            key => format!("{{version: v2, {key}: {value}}}"),
        };
        let outcome = load(Some(&file), &[], Purpose::Validate);
        let pointer =
            |one: &Diagnostic| one.target.pointer().is_some_and(|pointer| pointer.as_str().contains(key));
        outcome.diagnostics.iter().filter(|one| pointer(one)).map(|one| (one.code, one.severity)).collect()
    }

    #[test]
    fn an_unfilled_placeholder_is_one_warning() {
        for (key, value) in [
            ("proxy_server", "your-proxy.example.com"),
            ("token", "{{ .Values.token }}"),
            ("token", "$TOKEN"),
            ("token", "<your token>"),
            ("token", "%TOKEN%"),
            ("token", "@TOKEN@"),
            ("token", "__BOT_TOKEN__"),
            ("token", "YOUR-JOIN-TOKEN"),
            ("token", "changeme"),
            ("token", "PASTE_TOKEN_FROM_tctl_bots_add"),
            ("proxy_server", "teleport.yourcompany.com:443"),
            ("path", "/opt/tbot-YOUR_CLUSTER/state"),
            ("ca_pins", "<pin>"),
            ("path", "/var/lib/<bot>"),
            ("path", "/var/lib/{{ bot }}"),
        ] {
            assert_eq!(findings(key, value), [(Code::Placeholder, Severity::Warning)], "{key}: {value}");
        }
        // The severity depends on whether the value can be parsed.
        assert_eq!(findings("ca_pins", "sha256:...").len(), 1);
    }

    #[test]
    fn a_placeholder_that_cannot_be_parsed_is_one_error() {
        for (key, value) in [
            ("join_uri", "{{ join_uri }}"),
            ("proxy_server", "{{ cluster_fqdn }}:443"),
            ("proxy_server", "<your proxy>:443"),
            ("proxy_server", "%PROXY%"),
        ] {
            assert_eq!(findings(key, value), [(Code::Placeholder, Severity::Error)], "{key}: {value}");
        }
    }
}
