//! Paths that look as if something would be expanded in them. Nothing is.

use serde_json::Value;

use super::Findings;
use crate::diagnostic::Code;
use crate::pointer::Pointer;

/// Keys whose value is a path, wherever they stand. `token` may be one.
const KEYS: [&str; 11] = [
    "path",
    "token",
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

pub(super) fn check(value: &Value, findings: &mut Findings<'_>) {
    visit(value, &mut Pointer::root(), findings);
}

fn visit(value: &Value, place: &mut Pointer, findings: &mut Findings<'_>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if KEYS.contains(&key.as_str()) => {
                        if let Some(what) = expansion(text) {
                            let message = format!("{what} is taken literally: nothing is expanded");
                            findings.at(Code::NotExpanded, place.key(key), message, "write the path in full");
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

fn expansion(text: &str) -> Option<&'static str> {
    if text.starts_with('~') {
        Some("`~`")
    } else if text.contains("${") {
        Some("`${...}`")
    } else {
        None
    }
}
