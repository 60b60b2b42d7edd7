//! Reports characters in values that are probably not meant to be part of them.

use super::findings::Findings;
use crate::config::scalar::Sensitivity;
use crate::config::stray_character::StrayCharacter;
use crate::config::strings::ConfigString;
use crate::diagnostic::Code;

pub(super) fn check(string: &ConfigString<'_>, findings: &mut Findings<'_>) {
    let text = string.as_str();
    // A value of nothing but spaces is empty, which has its own findings.
    let Some(found) = StrayCharacter::find(text).filter(|_| !text.trim().is_empty()) else { return };
    let pointer = string.pointer();
    let is_reported = match string.class(&pointer) {
        // Nothing is known about the meaning of the value.
        None => false,
        Some(Sensitivity::Secret | Sensitivity::Location) => true,
        // A description or a script may end in a line break.
        Some(_) => !found.character.is_ascii(),
    };
    if is_reported {
        let message = format!("the value contains {found}, which is used literally");
        findings.report_value(Code::StrayCharacter, pointer, message, found.help());
    }
}
