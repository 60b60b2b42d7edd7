//! Paths and other texts that look as if something would be expanded in them. Nothing is.

use serde_json::Value;

use super::Findings;
use crate::diagnostic::Code;
use crate::pointer::Pointer;

/// Keys whose value is a path, wherever they stand.
const PATHS: [&str; 10] = [
    "path",
    "ca_path",
    "registration_secret_path",
    "static_private_key_path",
    "static_key_path",
    "token_path",
    "kubeconfig_path",
    "proxy_templates_path",
    "credentials_path",
    "artifact_name",
];

/// Keys of other texts that people take for templates.
const OTHERS: [&str; 9] = [
    "token",
    "registration_secret",
    "join_uri",
    "proxy_server",
    "auth_server",
    "relay_server",
    "diag_addr",
    "listen",
    "addr",
];

pub(super) fn check(value: &Value, findings: &mut Findings<'_>) {
    visit(value, &mut Pointer::root(), findings);
}

fn visit(value: &Value, place: &mut Pointer, findings: &mut Findings<'_>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) => {
                        if let Some((what, help)) = expansion(key, text) {
                            let message = format!("{what} is taken literally: nothing is expanded");
                            findings.at(Code::NotExpanded, place.key(key), message, help);
                        }
                    }
                    Value::Object(_) | Value::Array(_) => visit(value, &mut place.key(key), findings),
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if item.is_object() {
                    visit(item, &mut place.index(index), findings);
                }
            }
        }
        _ => {}
    }
}

/// What in a text looks as if it would be expanded, and what to do.
fn expansion(key: &str, text: &str) -> Option<(&'static str, &'static str)> {
    let is_path = PATHS.contains(&key);
    if !is_path && !OTHERS.contains(&key) {
        return None;
    }
    let help = match key {
        "token" => "write the token itself, or the absolute path of a file that holds it",
        _ if is_path => "write the path in full",
        _ => "write it in full",
    };
    // A secret may have a `$` before a letter by chance; a path hardly ever.
    let is_name = |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    if is_path && text.starts_with('~') {
        Some(("`~`", help))
    } else if text.contains("${") {
        Some(("`${...}`", help))
    } else if is_path && text.split('$').skip(1).any(is_name) {
        Some(("`$` with a name", help))
    } else {
        None
    }
}
