//! The names and words of the configuration formats, and whether a string is harmless enough to be shown. Depends on
//! `schema` and `diagnostic`.

use std::collections::HashSet;
use std::sync::LazyLock;

use serde_json::Value;

use super::scalar::Sensitivity;
use super::schema::{FormatVersion, accepts, resolve};
use crate::diagnostic::display_key;

/// The names of all properties, and the words of all closed sets, of both format versions.
#[derive(Default)]
struct Vocabulary {
    properties: HashSet<&'static str>,
    /// The properties that are lists.
    lists: HashSet<&'static str>,
    /// The properties that are maps or lists, at least in some place.
    blocks: HashSet<&'static str>,
    words: HashSet<&'static str>,
    /// The parts of these words, without the signs that separate them.
    parts: HashSet<&'static str>,
}

static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    let mut vocabulary = Vocabulary::default();
    for version in [FormatVersion::V1, FormatVersion::V2] {
        vocabulary.collect(version.schema(), version.schema());
    }
    vocabulary.parts = vocabulary.words.iter().copied().flat_map(parts).collect();
    vocabulary
});

impl Vocabulary {
    fn collect(&mut self, root: &'static Value, schema: &'static Value) {
        match schema {
            Value::Object(map) => {
                if let Some(Value::Object(properties)) = map.get("properties") {
                    self.properties.extend(properties.keys().map(String::as_str));
                    let lists = properties.iter().filter(|(_, schema)| accepts(schema, "array"));
                    self.lists.extend(lists.map(|(name, _)| name.as_str()));
                    let is_block = |schema: &Value| {
                        let schema = resolve(root, schema).unwrap_or(&Value::Null);
                        accepts(schema, "object") || accepts(schema, "array")
                    };
                    let blocks = properties.iter().filter(|(_, schema)| is_block(schema));
                    self.blocks.extend(blocks.map(|(name, _)| name.as_str()));
                }
                let options = map.get("enum").and_then(Value::as_array).into_iter().flatten();
                self.words.extend(options.chain(map.get("const")).filter_map(Value::as_str));
                map.values().for_each(|value| self.collect(root, value));
            }
            Value::Array(items) => items.iter().for_each(|item| self.collect(root, item)),
            _ => {}
        }
    }
}

/// Returns whether any property, anywhere, has this name.
pub(super) fn is_property_name(name: &str) -> bool {
    VOCABULARY.properties.contains(name)
}

/// Returns whether a property with this name is a list.
pub(super) fn is_list(name: &str) -> bool {
    VOCABULARY.lists.contains(name)
}

/// Returns whether all properties with this name, of which there are some, are neither maps nor lists.
pub(super) fn is_scalar(name: &str) -> bool {
    is_property_name(name) && !VOCABULARY.blocks.contains(name)
}

/// Returns whether a string is a word of any closed set, such as a join method or a type.
pub(super) fn is_word(string: &str) -> bool {
    VOCABULARY.words.contains(string)
}

/// Returns whether a string can be shown that is written for a property of this class. `is_closed` says whether the property
/// accepts only the words of a closed set.
///
/// A user can write a secret anywhere by mistake, such as a token for the join method or a password in an address. A string
/// is therefore shown only if it looks like what belongs there.
pub(super) fn is_harmless(class: Sensitivity, is_closed: bool, string: &str) -> bool {
    match (class, is_closed) {
        (Sensitivity::Secret | Sensitivity::Identifier, _) => false,
        (Sensitivity::Category, _) | (_, true) => string.len() <= SHORT || looks_like_word(string),
        (Sensitivity::Location, false) => looks_like_location(string),
        (Sensitivity::Tuning, false) => {
            let is_number = string.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
            string.len() <= SHORT || (string.len() <= 16 && is_number)
        }
    }
}

/// The maximum length of a string that is too short to be a secret.
const SHORT: usize = 4;

/// Splits a word of a closed set into its parts.
fn parts(word: &str) -> impl Iterator<Item = &str> {
    word.split(['-', '_', '/'])
}

/// Returns whether a string is a word of a closed set, or looks like one that a person has chosen. Generated secrets have
/// more digits. Those in a part of another word, such as `x509`, do not count.
pub(super) fn looks_like_word(string: &str) -> bool {
    if is_word(string) {
        return true;
    }
    let unknown: Vec<&str> = parts(string).filter(|part| !VOCABULARY.parts.contains(part)).collect();
    let unknown = unknown.join("-");
    let digits = unknown.bytes().filter(u8::is_ascii_digit).count();
    string.len() <= 64
        && !string.is_empty()
        && digits <= 2
        && (unknown.is_empty() || display_key(&unknown) == unknown)
}

/// Returns whether a string looks like a path or an address, and contains no user or query.
fn looks_like_location(string: &str) -> bool {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_./:[]{}$~".contains(letter);
    if string.is_empty() || string.len() > 256 || !string.chars().all(is_allowed) {
        return string.is_empty();
    }
    if string.starts_with(['/', '~', '.']) {
        return true;
    }
    let (scheme, rest) = string.split_once("://").unwrap_or(("https", string));
    let authority = rest.split('/').next().unwrap_or(rest);
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    let has_port = !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    matches!(scheme, "http" | "https" | "tcp" | "unix")
        && (scheme == "unix" || has_port || host == "localhost" || (port.is_empty() && host.contains('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "c0ffee5ec4e7c0ffee5ec4e7c0ffee00";

    #[test]
    fn a_path_or_an_address_is_harmless() {
        for string in [
            "",
            "/var/lib/teleport",
            "./out",
            "~/out",
            "teleport.example.com",
            "teleport.example.com:443",
            "https://teleport.example.com:443/",
            "[::1]:3001",
            "localhost",
            "auth:3025",
            "tcp://127.0.0.1:5432",
            "unix:///run/db.sock",
            "$HOME.example.com:1",
        ] {
            assert!(is_harmless(Sensitivity::Location, false, string), "{string}");
        }
    }

    #[test]
    fn a_token_in_place_of_another_value_is_not_harmless() {
        for string in [
            TOKEN.to_owned(),
            format!("{TOKEN}@teleport.example.com:443"),
            format!("https://bot:{TOKEN}@teleport.example.com"),
            format!("tbot+proxy+token://{TOKEN}@teleport.example.com:443"),
            format!("tbot+proxy+token://{TOKEN}.example.com:443"),
            format!("teleport.example.com:{TOKEN}"),
            format!("https://teleport.example.com?token={TOKEN}"),
        ] {
            for class in Sensitivity::ALL {
                assert!(!is_harmless(class, false, &string), "{class:?}: {string}");
                assert!(!is_harmless(class, true, &string), "{class:?}: {string}");
            }
        }
    }

    #[test]
    fn a_word_of_a_category_is_harmless() {
        for string in [
            "token",
            "tokn",
            "GitHub",
            "v3",
            "kubernetes/v2",
            "password",
            "workload-identity-x509",
            "spiffe-x509-svid",
            "x509-svid-v2",
            "",
            "k8s",
        ] {
            assert!(is_harmless(Sensitivity::Tuning, true, string), "{string}");
            assert!(is_harmless(Sensitivity::Category, false, string), "{string}");
        }
    }

    #[test]
    fn a_string_that_does_not_look_like_a_word_is_not_harmless() {
        for string in ["my secret", "a@b.c", "abc123", "hunter2!", "x509-abc123", "x509abc"] {
            assert!(!is_harmless(Sensitivity::Category, false, string), "{string}");
        }
    }

    #[test]
    fn a_short_string_or_a_number_is_harmless_as_a_setting() {
        for string in ["", "auto", "1h30m", "+5min", "-20s00", ".5hours", "1234567890123456"] {
            assert!(is_harmless(Sensitivity::Tuning, false, string), "{string}");
        }
        for string in ["never", "s3cret", "12345678901234567"] {
            assert!(!is_harmless(Sensitivity::Tuning, false, string), "{string}");
        }
    }

    #[test]
    fn a_location_is_harmless_up_to_256_bytes() {
        let path = |length: usize| format!("/{}", "a".repeat(length - 1));
        assert!(is_harmless(Sensitivity::Location, false, &path(256)));
        assert!(!is_harmless(Sensitivity::Location, false, &path(257)));
    }

    #[test]
    fn the_vocabulary_contains_what_is_in_alternatives() {
        let schema = serde_json::json!({ "oneOf": [{ "const": "word" }, { "properties": { "key": true } }] });
        let mut vocabulary = Vocabulary::default();
        let schema: &'static serde_json::Value = Box::leak(Box::new(schema));
        vocabulary.collect(schema, schema);
        assert!(vocabulary.words.contains("word") && vocabulary.properties.contains("key"));
    }

    #[test]
    fn only_some_properties_are_lists_or_maps() {
        assert!(is_scalar("cluster") && is_scalar("join_method"));
        assert!(!is_scalar("services") && !is_scalar("destination") && !is_scalar("onboarding"));
        assert!(!is_scalar("no_such_property"));
        assert!(is_list("services") && is_list("roles"));
        assert!(!is_list("proxy_server") && !is_list("destination"));
    }
}
