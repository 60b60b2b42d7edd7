//! Checks for paths and other strings that look as if they contain a variable or a `~`, which are not expanded.

use serde_json::Value;

use super::findings::Findings;
use crate::diagnostic::Code;
use crate::pointer::Pointer;

/// Keys whose value is a path, at any level of the configuration.
const PATH_KEYS: [&str; 10] = [
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

/// Keys of other strings in which users may expect an expansion.
const OTHER_KEYS: [&str; 9] = [
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

fn visit(value: &Value, pointer: &mut Pointer, findings: &mut Findings<'_>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(string) => {
                        if let Some((what, help)) = apparent_expansion(key, string) {
                            let message = format!("{what} is not expanded but used literally");
                            findings.report_value(Code::NotExpanded, pointer.key(key), message, help);
                        }
                    }
                    Value::Object(_) | Value::Array(_) => visit(value, &mut pointer.key(key), findings),
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if item.is_object() {
                    visit(item, &mut pointer.index(index), findings);
                }
            }
        }
        _ => {}
    }
}

/// Returns the part of a string that looks as if it were expanded, with a hint on what to write instead.
fn apparent_expansion(key: &str, string: &str) -> Option<(&'static str, &'static str)> {
    let is_path = PATH_KEYS.contains(&key);
    if !is_path && !OTHER_KEYS.contains(&key) {
        return None;
    }
    let help = match key {
        "token" => "write the token itself, or the absolute path of a file that contains it",
        _ if is_path => "write the full path",
        _ => "write the full value",
    };
    // A secret may contain a `$` before a letter by chance, but a path hardly ever does.
    let is_name = |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    if is_path && string.starts_with('~') {
        Some(("`~`", help))
    } else if string.contains("${") {
        Some(("`${...}`", help))
    } else if is_path && string.split('$').skip(1).any(is_name) {
        Some(("`$NAME`", help))
    } else {
        None
    }
}
