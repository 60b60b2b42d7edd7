//! Checks for paths and other strings that look as if they contain a variable or a `~`, which are not expanded. The
//! sensitivity class of a property, which its type determines, decides what is checked.

use super::findings::Findings;
use crate::config::scalar::Sensitivity;
use crate::config::strings::ConfigString;
use crate::diagnostic::Code;
use crate::pointer::Pointer;

/// Ignores the strings in lists, because programs that do expand variables may run those, such as `proxy_command`.
pub(super) fn check(config_string: &ConfigString<'_>, findings: &mut Findings<'_>) {
    let string = config_string.as_str();
    if config_string.is_list_item() || !(string.starts_with('~') || string.contains('$')) {
        return;
    }
    let pointer = config_string.pointer();
    let class = config_string.class(&pointer);
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
