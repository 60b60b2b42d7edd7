//! The short form of a destination on the command line: a path, `file:`, `memory:` or `kubernetes-secret:`. Pure.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tbot::diagnostic::suggest;

/// Words that are written as a scheme, among them those of the configuration, and the destination that each of them means.
const WORDS: [(&str, &str); 7] = [
    ("file", "file:///PATH"),
    ("directory", "file:///PATH"),
    ("memory", "memory://"),
    ("kubernetes-secret", "kubernetes-secret:///NAME"),
    ("kubernetes", "kubernetes-secret:///NAME"),
    ("k8s-secret", "kubernetes-secret:///NAME"),
    ("secret", "kubernetes-secret:///NAME"),
];

/// Why a string is not a valid destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DestinationUriError {
    #[error("empty destination: use a directory, memory:// or kubernetes-secret:///NAME")]
    Empty,
    #[error("a file: destination cannot have a host: use file:///PATH")]
    FileHost,
    #[error("the path of a file: destination is not UTF-8 once `%20` and the like are decoded")]
    NotUtf8,
    #[error("a memory: destination has no host or path: use memory://")]
    NotPlainMemory,
    #[error(
        "a Kubernetes Secret needs a name: use kubernetes-secret:///NAME or kubernetes-secret://NAMESPACE/NAME"
    )]
    NoSecretName,
    #[error("unknown destination type: use a directory, memory:// or kubernetes-secret:///NAME")]
    UnknownScheme,
    #[error("unknown destination type: did you mean `{0}`?")]
    MistypedScheme(&'static str),
    #[error("ambiguous destination: use memory://, or ./memory for a directory of that name")]
    BareMemory,
    #[error("unexpected `:`: if it belongs to the name of a directory, write `./` before the path")]
    UnexpectedColon,
}

/// Parses a destination into the form that it has in the configuration.
pub(crate) fn parse(uri: &str) -> Result<Value, DestinationUriError> {
    if uri.is_empty() {
        return Err(DestinationUriError::Empty);
    }
    let directory = |path: &str| match path {
        "" => Err(DestinationUriError::Empty),
        path => Ok(json!({ "type": "directory", "path": path })),
    };
    // As in every URI (RFC 3986), what comes before a colon in the first segment is a scheme. In `./a:b`, it is not.
    let Some((scheme, rest)) = uri.split_once(':').filter(|(scheme, _)| !scheme.contains('/')) else {
        return if uri == "memory" { Err(DestinationUriError::BareMemory) } else { directory(uri) };
    };
    let scheme = scheme.to_ascii_lowercase();
    let (host, path) = match rest.strip_prefix("//") {
        None => ("", rest),
        Some(rest) => rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash)),
    };
    match scheme.as_str() {
        "file" if host.is_empty() => {
            let path = percent_decode_str(path).decode_utf8().map_err(|_| DestinationUriError::NotUtf8)?;
            directory(&path)
        }
        "file" => Err(DestinationUriError::FileHost),
        "memory" if host.is_empty() && path.is_empty() => Ok(json!({ "type": "memory" })),
        "memory" => Err(DestinationUriError::NotPlainMemory),
        "kubernetes-secret" => match (host, path.trim_start_matches('/')) {
            (_, "") => Err(DestinationUriError::NoSecretName),
            ("", name) => Ok(json!({ "type": "kubernetes_secret", "name": name })),
            (namespace, name) => {
                Ok(json!({ "type": "kubernetes_secret", "name": name, "namespace": namespace }))
            }
        },
        _ => Err(match likely_form(&scheme) {
            Some(form) => DestinationUriError::MistypedScheme(form),
            None if rest.starts_with("//") => DestinationUriError::UnknownScheme,
            None => DestinationUriError::UnexpectedColon,
        }),
    }
}

/// Returns whether a path is a destination in its short form, and not the path of a directory.
pub(crate) fn is_uri(path: &str) -> bool {
    path.split_once("://").is_some_and(|(scheme, _)| !scheme.contains('/'))
}

/// Returns the form of the destination that a mistyped scheme means.
fn likely_form(scheme: &str) -> Option<&'static str> {
    let words = WORDS.map(|(word, _)| word);
    let word = words.into_iter().find(|word| *word == scheme).or_else(|| suggest(scheme, words))?;
    WORDS.iter().find(|(known, _)| *known == word).map(|(_, form)| *form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_directory_is_parsed() {
        for (uri, path) in [
            ("/abs", "/abs"),
            ("rel", "rel"),
            ("./memory", "./memory"),
            ("memory/a", "memory/a"),
            ("./rel", "./rel"),
            ("./a:b", "./a:b"),
            ("file:/abs", "/abs"),
            ("file:///abs", "/abs"),
            ("FILE:///abs", "/abs"),
            ("file:///a%20b", "/a b"),
            ("/a%20b", "/a%20b"),
            ("a/b:c", "a/b:c"),
            ("/a://b", "/a://b"),
        ] {
            assert_eq!(parse(uri), Ok(json!({ "type": "directory", "path": path })), "{uri}");
        }
    }

    #[test]
    fn memory_and_secrets_are_parsed() {
        let secret = json!({ "type": "kubernetes_secret", "name": "bot" });
        assert_eq!(parse("memory://"), Ok(json!({ "type": "memory" })));
        assert_eq!(parse("kubernetes-secret:///bot"), Ok(secret));
        let secret = json!({ "type": "kubernetes_secret", "name": "bot", "namespace": "ns" });
        assert_eq!(parse("kubernetes-secret://ns/bot"), Ok(secret));
    }

    #[test]
    fn an_invalid_destination_has_a_specific_error() {
        for (uri, error) in [
            ("", DestinationUriError::Empty),
            ("file://", DestinationUriError::Empty),
            ("file://host/path", DestinationUriError::FileHost),
            ("file:///a%ff", DestinationUriError::NotUtf8),
            ("memory://host", DestinationUriError::NotPlainMemory),
            ("memory:///path", DestinationUriError::NotPlainMemory),
            ("kubernetes-secret://ns", DestinationUriError::NoSecretName),
            ("s3://bucket/path", DestinationUriError::UnknownScheme),
            ("s_3://bucket/path", DestinationUriError::UnknownScheme),
            ("://path", DestinationUriError::UnknownScheme),
            ("kubernetes_secret:///a", DestinationUriError::MistypedScheme("kubernetes-secret:///NAME")),
            ("kubernets-secret://ns/a", DestinationUriError::MistypedScheme("kubernetes-secret:///NAME")),
            ("kubernetes_secret:a", DestinationUriError::MistypedScheme("kubernetes-secret:///NAME")),
            ("k8s_secret:///a", DestinationUriError::MistypedScheme("kubernetes-secret:///NAME")),
            ("memroy://", DestinationUriError::MistypedScheme("memory://")),
            ("directory:///a", DestinationUriError::MistypedScheme("file:///PATH")),
            (" file:///a", DestinationUriError::MistypedScheme("file:///PATH")),
            ("memory", DestinationUriError::BareMemory),
            ("2026-01-01T10:00", DestinationUriError::UnexpectedColon),
        ] {
            assert_eq!(parse(uri), Err(error), "{uri}");
        }
    }
}
