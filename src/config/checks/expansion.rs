//! Checks for paths and other strings that look as if they contain a variable or a `~`, which are not expanded. The
//! sensitivity class of a property, which its type determines, decides what is checked.

use serde_json::Value;

use super::findings::Findings;
use crate::config::scalar::Sensitivity;
use crate::config::schema::{FormatVersion, class_of, locate};
use crate::diagnostic::Code;
use crate::pointer::Pointer;

pub(super) fn check(value: &Value, findings: &mut Findings<'_>) {
    visit(value, value, &Pointer::root(), findings);
}

/// Checks the properties of `part`, which is the part of the configuration at `pointer`. Ignores the strings in lists,
/// because programs that do expand variables may run those, such as `proxy_command`.
fn visit(config: &Value, part: &Value, pointer: &Pointer, findings: &mut Findings<'_>) {
    match part {
        Value::Object(map) => {
            for (key, value) in map {
                let pointer = pointer.key(key);
                let Some(string) = value.as_str() else {
                    visit(config, value, &pointer, findings);
                    continue;
                };
                // Most strings contain none of these, so the class is rarely looked up.
                if string.starts_with('~') || string.contains('$') {
                    check_string(config, string, pointer, findings);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                visit(config, item, &pointer.index(index), findings);
            }
        }
        _ => {}
    }
}

fn check_string(config: &Value, string: &str, pointer: Pointer, findings: &mut Findings<'_>) {
    let schema = FormatVersion::V2.schema();
    let class = locate(schema, config, &pointer).and_then(|property| class_of(schema, property));
    let is_name = |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    let (what, help) = match class {
        Some(Sensitivity::Location) if string.starts_with('~') => ("`~`", "write the full path"),
        Some(Sensitivity::Location | Sensitivity::Secret) if string.contains("${") => {
            ("`${...}`", "write the full value")
        }
        // A secret may contain a `$` before a letter by chance, but a path or an address hardly ever does.
        Some(Sensitivity::Location) if string.split('$').skip(1).any(is_name) => {
            ("`$NAME`", "write the full value")
        }
        _ => return,
    };
    let is_token = pointer == Pointer::from("/onboarding/token");
    let help = if is_token {
        "write the token itself, or the absolute path of a file that contains it"
    } else {
        help
    };
    let message = format!("{what} is not expanded but used literally");
    findings.report_value(Code::NotExpanded, pointer, message, help);
}
