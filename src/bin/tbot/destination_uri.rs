//! The short form of a destination on the command line: a path, `file:`, `memory:` or `kubernetes-secret:`. Pure.

use serde_json::{Value, json};

/// Why a string is not a valid destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DestinationUriError {
    #[error("empty destination: use a directory, memory:// or kubernetes-secret:///NAME")]
    Empty,
    #[error("a file: destination cannot have a host: use file:///PATH")]
    FileHost,
    #[error("a memory: destination has no host or path: use memory://")]
    NotPlainMemory,
    #[error(
        "a Kubernetes Secret needs a name: use kubernetes-secret:///NAME or kubernetes-secret://NAMESPACE/NAME"
    )]
    NoSecretName,
    #[error("unknown destination type: use a directory, memory:// or kubernetes-secret:///NAME")]
    UnknownScheme,
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
    let Some((scheme, rest)) = uri.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return directory(uri);
    };
    let (host, path) = match rest.strip_prefix("//") {
        None => ("", rest),
        Some(rest) => rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash)),
    };
    match scheme {
        "file" if host.is_empty() => directory(path),
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
        _ => Err(DestinationUriError::UnknownScheme),
    }
}

/// Whether the part before the first colon is a URI scheme (RFC 3986). In a path such as `./a:b`, it is not one.
fn is_scheme(prefix: &str) -> bool {
    prefix.starts_with(|first: char| first.is_ascii_alphabetic())
        && prefix.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_directory_is_parsed() {
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
            ("memory://host", DestinationUriError::NotPlainMemory),
            ("memory:///path", DestinationUriError::NotPlainMemory),
            ("kubernetes-secret://ns", DestinationUriError::NoSecretName),
            ("s3://bucket/path", DestinationUriError::UnknownScheme),
        ] {
            assert_eq!(parse(uri), Err(error), "{uri}");
        }
    }
}
