//! The short form of a destination on the command line: a path, `file:`, `memory:` or `kubernetes-secret:`. Pure.

use serde_json::{Value, json};

/// Why a text is no destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidStorage {
    #[error("it is empty: write a directory's path, memory:// or kubernetes-secret:///NAME")]
    Empty,
    #[error("a file: destination is on this machine: write file:///PATH")]
    NotLocal,
    #[error("memory has neither host nor path: write memory://")]
    NotPlain,
    #[error(
        "a Kubernetes Secret needs a name: write kubernetes-secret:///NAME or kubernetes-secret://NAMESPACE/NAME"
    )]
    NoName,
    #[error("unknown kind of destination: write a directory's path, memory:// or kubernetes-secret:///NAME")]
    UnknownScheme,
}

/// The destination as the configuration writes it.
pub(crate) fn parse(uri: &str) -> Result<Value, InvalidStorage> {
    if uri.is_empty() {
        return Err(InvalidStorage::Empty);
    }
    let directory = |path: &str| match path {
        "" => Err(InvalidStorage::Empty),
        path => Ok(json!({ "type": "directory", "path": path })),
    };
    let Some((scheme, rest)) = uri.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return directory(uri);
    };
    let (host, path) = match rest.strip_prefix("//") {
        None => ("", rest),
        Some(rest) => rest.find('/').map_or((rest, ""), |at| rest.split_at(at)),
    };
    match scheme {
        "file" if host.is_empty() => directory(path),
        "file" => Err(InvalidStorage::NotLocal),
        "memory" if host.is_empty() && path.is_empty() => Ok(json!({ "type": "memory" })),
        "memory" => Err(InvalidStorage::NotPlain),
        "kubernetes-secret" => match (host, path.trim_start_matches('/')) {
            (_, "") => Err(InvalidStorage::NoName),
            ("", name) => Ok(json!({ "type": "kubernetes_secret", "name": name })),
            (namespace, name) => {
                Ok(json!({ "type": "kubernetes_secret", "name": name, "namespace": namespace }))
            }
        },
        _ => Err(InvalidStorage::UnknownScheme),
    }
}

/// What stands before the colon of a URI (RFC 3986); a path with a colon in it begins otherwise, as `./a:b`.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|found| found.is_ascii_alphanumeric() || matches!(found, '+' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_directory() {
        for (uri, path) in [
            ("/abs", "/abs"),
            ("rel", "rel"),
            ("./rel", "./rel"),
            ("./a:b", "./a:b"),
            ("file:/abs", "/abs"),
            ("file:///abs", "/abs"),
        ] {
            assert_eq!(parse(uri), Ok(json!({ "type": "directory", "path": path })), "{uri}");
        }
    }

    #[test]
    fn memory_and_secrets() {
        let secret = json!({ "type": "kubernetes_secret", "name": "bot" });
        assert_eq!(parse("memory://"), Ok(json!({ "type": "memory" })));
        assert_eq!(parse("kubernetes-secret:///bot"), Ok(secret));
        let secret = json!({ "type": "kubernetes_secret", "name": "bot", "namespace": "ns" });
        assert_eq!(parse("kubernetes-secret://ns/bot"), Ok(secret));
    }

    #[test]
    fn what_is_no_destination_says_why() {
        for (uri, why) in [
            ("", InvalidStorage::Empty),
            ("file://", InvalidStorage::Empty),
            ("file://host/path", InvalidStorage::NotLocal),
            ("memory://host", InvalidStorage::NotPlain),
            ("memory:///path", InvalidStorage::NotPlain),
            ("kubernetes-secret://ns", InvalidStorage::NoName),
            ("s3://bucket/path", InvalidStorage::UnknownScheme),
        ] {
            assert_eq!(parse(uri), Err(why), "{uri}");
        }
    }
}
