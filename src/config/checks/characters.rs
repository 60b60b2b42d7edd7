//! Reports characters in values that are probably not meant to be part of them.

use super::findings::Findings;
use crate::config::stray_character::StrayCharacter;
use crate::config::strings::ConfigString;
use crate::diagnostic::Code;

pub(super) fn check(string: &ConfigString<'_>, findings: &mut Findings<'_>) {
    let Some(found) = StrayCharacter::find(string.as_str()) else { return };
    let pointer = string.pointer();
    let is_reported = match string.class(&pointer) {
        // Nothing is known about the meaning of the value.
        None => false,
        // A script or an annotation may end in a line break, and an argument may be a space.
        Some(_) => !found.character.is_ascii() || !string.is_entry(&pointer),
    };
    if is_reported {
        let message = format!("the value contains {found}, which is used literally");
        findings.report_value(Code::StrayCharacter, pointer, message, found.help());
    }
}
