//! Finds values that look like a template or a placeholder that was not filled in: in addresses, paths, tokens and CA pins.
//! Depends on `strings`, `provenance` and `diagnostic`.

use std::collections::HashMap;

use super::findings::Findings;
use crate::config::provenance::strip_ancestor;
use crate::config::scalar::Sensitivity;
use crate::config::strings::ConfigString;
use crate::diagnostic::{Code, Diagnostic, Severity, Target};
use crate::pointer::Pointer;

/// Reports a string of a configuration in version 2 of the format if it is such a value.
pub(super) fn check(string: &ConfigString<'_>, findings: &mut Findings<'_>) {
    if !is_placeholder(string.as_str()) {
        return;
    }
    let pointer = string.pointer();
    let class = string.class(&pointer);
    let is_checked = matches!(class, Some(Sensitivity::Secret | Sensitivity::Location))
        || pointer.as_str().starts_with("/onboarding/ca_pins/");
    if is_checked {
        let message = "this looks like a template or a placeholder that was not filled in";
        findings.report_value(Code::Placeholder, pointer, message, "write the real value");
    }
}

/// Returns whether a string looks like a placeholder. Join tokens are arbitrary strings, but in practice consist of hex
/// digits, or of words with `-`.
fn is_placeholder(string: &str) -> bool {
    let is = |word: &&str| string.eq_ignore_ascii_case(word);
    let starts_with =
        |start: &&str| string.get(..start.len()).is_some_and(|first| first.eq_ignore_ascii_case(start));
    // Almost no string has one of these signs.
    let has_sign =
        string.bytes().any(|byte| matches!(byte, b'$' | b'%' | b'<' | b'@' | b'{') || !byte.is_ascii())
            || string.starts_with("__")
            || string.contains("...");
    has_sign && is_marked(string)
        || ["your-", "your_"].iter().any(starts_with)
        || ["changeme", "change-me", "change_me", "replaceme", "replace-me", "replace_me", "todo"]
            .iter()
            .any(is)
        || (string.len() >= 3 && string.bytes().all(|byte| byte.eq_ignore_ascii_case(&b'x')))
}

/// Returns whether a string contains signs that mark a placeholder. `${NAME}`, and `$NAME` in a path or an address, are
/// reported as not expanded.
fn is_marked(string: &str) -> bool {
    string.strip_prefix('$').is_some_and(is_name)
        || string.contains("{{")
        || string.contains("{%")
        || string.contains("...")
        || string.contains('…')
        || enclosed(string, '<', '>')
            .is_some_and(|name| name.starts_with(|first: char| first.is_ascii_alphabetic()))
        || enclosed(string, '%', '%').is_some_and(|name| name.len() > 2 && is_upper_name(name))
        || string.strip_prefix('@').and_then(|rest| rest.strip_suffix('@')).is_some_and(is_upper_name)
        || string.strip_prefix("__").and_then(|rest| rest.strip_suffix("__")).is_some_and(is_upper_name)
}

/// Returns the text between the first two signs.
fn enclosed(string: &str, open: char, close: char) -> Option<&str> {
    let (_, after) = string.split_once(open)?;
    after.split_once(close).map(|(name, _)| name)
}

fn is_name(string: &str) -> bool {
    string.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && string.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_upper_name(string: &str) -> bool {
    is_name(string) && !string.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// Keeps one diagnostic for each value that looks like a placeholder: the others follow from it. It is an error if one of
/// them is.
pub(super) fn merge_findings(diagnostics: &mut Vec<Diagnostic>) {
    drop_unused(diagnostics);
    let mut severities: HashMap<Target, Severity> = HashMap::new();
    for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.code == Code::Placeholder) {
        severities.insert(diagnostic.target.clone(), diagnostic.severity);
    }
    if severities.is_empty() {
        return;
    }
    for diagnostic in &*diagnostics {
        if let (Some(severity), Severity::Error) =
            (severities.get_mut(&diagnostic.target), diagnostic.severity)
        {
            *severity = Severity::Error;
        }
    }
    diagnostics.retain_mut(|diagnostic| match severities.get(&diagnostic.target) {
        None => true,
        Some(severity) => {
            diagnostic.severity = *severity;
            diagnostic.code == Code::Placeholder
        }
    });
}

/// Removes the placeholders in what has no effect: it is to be removed, not filled in.
fn drop_unused(diagnostics: &mut Vec<Diagnostic>) {
    let is_unused = |one: &&Diagnostic| matches!(one.code, Code::UnusedAuthorities | Code::UnusedBlock);
    let unused = diagnostics.iter().filter(is_unused).filter_map(|one| one.target.pointer().cloned());
    let unused: Vec<Pointer> = unused.collect();
    diagnostics.retain(|one| {
        let is_in =
            |at: &Pointer| one.target.pointer().and_then(|pointer| strip_ancestor(pointer, at)).is_some();
        one.code != Code::Placeholder || !unused.iter().any(is_in)
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

    #[test]
    fn real_values_are_not_placeholders() {
        for value in [
            "c0ffee5ec4e7c0ffee5ec4e7c0ffee00",
            "github-bot",
            "bot_of_the_year",
            "my-bot-token",
            "p4%55w$rd",
            "a%AB%CDb",
            "/var/lib/teleport/token",
            "xavier",
            "teleport.example.com:443",
            "your.example.com:443",
            "https://teleport.example.com/a%20b%20c",
            "sha256:7e12c17c20d9cb504bbcb3f0236be3f446861f1396dcbb44425fe28ec1c108f1",
            "todos",
            "user@example.com",
        ] {
            assert!(!is_placeholder(value), "{value}");
        }
    }
}
