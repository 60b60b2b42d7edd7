//! Recognises findings that only follow from an error that is reported anyway: they are about a stand-in, or about something
//! that is missing because the part that could contain it cannot be read. Depends on `repair` and `diagnostic`.

use super::repair::RepairedParts;
use crate::diagnostic::{Code, Diagnostic, Severity, Target, suggest};
use crate::pointer::Pointer;

/// The errors from which other findings can follow. Pointers refer to the file.
pub(super) struct Causes<'a> {
    repaired: &'a RepairedParts,
    /// The targets of errors about values that expand to several properties: a join URI, or an entry of version 1. `None`
    /// if the value is not in the file.
    not_expanded: Vec<Option<Pointer>>,
}

impl<'a> Causes<'a> {
    pub(super) fn new<'d>(
        repaired: &'a RepairedParts,
        diagnostics: impl IntoIterator<Item = &'d Diagnostic>,
    ) -> Self {
        let not_expanded = diagnostics.into_iter().filter(|diagnostic| match diagnostic.code {
            Code::InvalidJoinUri | Code::InvalidV1 => true,
            // In place of the first of these.
            Code::NotExpanded | Code::Placeholder | Code::StrayCharacter => {
                diagnostic.severity == Severity::Error && is_join_uri(&diagnostic.target)
            }
            _ => false,
        });
        let not_expanded = not_expanded.map(|diagnostic| diagnostic.target.pointer().cloned()).collect();
        Self { repaired, not_expanded }
    }

    /// Returns whether one of the errors causes a finding.
    pub(super) fn include_cause_of(&self, diagnostic: &Diagnostic) -> bool {
        let pointer = diagnostic.target.pointer();
        let related = diagnostic.related.as_ref().and_then(|(_, target)| target.pointer());
        let is_about_stand_in =
            pointer.into_iter().chain(related).any(|pointer| self.repaired.is_stand_in(pointer));
        is_about_stand_in
            || match diagnostic.code {
                // A template of version 1 is a map in a map.
                Code::InvalidV1
                    if pointer.is_some_and(|template| {
                        self.repaired.is_incomplete(&template.key("ssh_host_cert"))
                    }) =>
                {
                    true
                }
                Code::ExactlyOne | Code::InvalidV1 | Code::IncompleteLifetime | Code::RequiresOther => {
                    let map = pointer.cloned();
                    // The other entries of a list do not matter.
                    let is_entry =
                        |at: &&Pointer| at.last().is_some_and(|last| last.parse::<usize>().is_ok());
                    let parent = pointer.filter(|at| !is_entry(at)).and_then(Pointer::parent);
                    map.iter().chain(&parent).any(|map| self.repaired.is_incomplete(map))
                }
                // The other of the two times may be the one that cannot be read.
                Code::TtlBelowInterval => pointer.and_then(Pointer::parent).is_some_and(|map| {
                    let mut times = ["credential_ttl", "certificate_ttl", "renewal_interval"].into_iter();
                    times.any(|key| self.repaired.is_stand_in(&map.key(key)))
                }),
                Code::MissingNamespace => {
                    pointer.is_some_and(|secret| self.repaired.is_stand_in(&secret.key("namespace")))
                }
                Code::MissingAddress => self.include_cause_of_absence(
                    &["proxy_server", "auth_server", "join_uri"],
                    &["proxy", "server", "address", "addr", "host", "url", "uri"],
                ),
                Code::UnverifiedAuthServer => self.include_cause_of_absence(
                    &["onboarding", "insecure", "proxy_server", "join_uri"],
                    &["onboarding", "insecure", "ca", "pins", "proxy", "uri"],
                ),
                Code::MissingJoinMethod => self.include_cause_of_absence(
                    &["onboarding", "join_uri"],
                    &["onboarding", "join", "method", "uri"],
                ),
                Code::MissingToken => self
                    .include_cause_of_absence(&["onboarding", "join_uri"], &["onboarding", "token", "uri"]),
                // A finding about a single service does not depend on other parts.
                Code::NothingToDeliver if pointer.is_none_or(|at| at.tokens().count() == 1) => {
                    let keys = ["services", "outputs", "destinations"];
                    let is_in_entry =
                        |removed: &Pointer| removed.tokens().nth(1).is_some_and(|_| is_below(removed, &keys));
                    self.include_cause_of_absence(&keys, &keys) || self.repaired.removed().any(is_in_entry)
                }
                _ => false,
            }
    }

    /// Returns whether an error may be the reason that all these keys of the top level are missing or incomplete. An unknown
    /// key may be what is missing if it is one of these keys in a wrong place, or if its name contains one of the words.
    fn include_cause_of_absence(&self, keys: &[&str], words: &[&str]) -> bool {
        let is_below_key = |pointer: &Pointer| is_below(pointer, keys);
        let is_unknown_key = |pointer: &Pointer| {
            pointer.last().is_some_and(|name| {
                let is_near = pointer.tokens().count() == 1 || is_below_key(pointer);
                keys.contains(&name.as_ref()) || is_near && contains_word(&name, words)
            })
        };
        self.repaired.changes().any(is_below_key)
            || self.repaired.removed().any(is_unknown_key)
            || self.not_expanded.iter().any(|pointer| pointer.as_ref().is_none_or(is_below_key))
    }
}

fn is_join_uri(target: &Target) -> bool {
    match target {
        Target::Override(source) => source == "--join-uri",
        target => target.pointer().is_some_and(|pointer| pointer.as_str() == "/join_uri"),
    }
}

/// Returns whether a pointer is the root, or leads to the value of one of these keys of the top level or a part of it.
fn is_below(pointer: &Pointer, keys: &[&str]) -> bool {
    pointer.tokens().next().is_none_or(|first| keys.contains(&first.as_ref()))
}

/// Returns whether one of the words is in a name such as `join_method` or `joinMethod`, perhaps with a typing error.
fn contains_word(name: &str, words: &[&str]) -> bool {
    let mut separated = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            separated.push('_');
        }
        separated.push(letter.to_ascii_lowercase());
    }
    let mut found = separated.split(['_', '-']);
    found.any(|word| words.contains(&word) || suggest(word, words.iter().copied()).is_some())
}
