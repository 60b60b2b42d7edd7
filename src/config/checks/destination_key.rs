//! Comparable keys of destinations: directories after normalisation,
//! relative paths as seen from the working directory if it is known, and Kubernetes Secrets by namespace, name and cluster.

use std::borrow::Cow;

use crate::config::destination::{Destination, KubernetesSecret};
use crate::config::load_options::ProcessContext;
use crate::config::scalar::OptionalString as _;

/// A key that is equal for two destinations if they are the same place.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum DestinationKey<'a> {
    Directory(Cow<'a, str>),
    Secret {
        namespace: Option<&'a str>,
        name: &'a str,
        kubeconfig: Option<Cow<'a, str>>,
        context: Option<&'a str>,
    },
}

/// Normalises locations, so that they can be compared.
pub(super) struct Normalizer<'a>(pub(super) Option<&'a ProcessContext>);

impl<'a> Normalizer<'a> {
    /// Returns the key of a destination, and the name of the property that contains its path or name. `None` if it cannot be
    /// the same as another one.
    pub(super) fn key<'d>(&self, destination: &'d Destination) -> Option<(DestinationKey<'d>, &'static str)>
    where
        'a: 'd,
    {
        match destination {
            Destination::Directory(directory) => {
                let path = directory.path.as_str();
                (!path.is_empty()).then(|| (DestinationKey::Directory(self.normalize(path)), "path"))
            }
            Destination::KubernetesSecret(secret) => {
                (!secret.name.is_empty()).then(|| (self.secret(secret), "name"))
            }
            Destination::Memory(_) => None,
        }
    }

    fn secret<'d>(&self, secret: &'d KubernetesSecret) -> DestinationKey<'d>
    where
        'a: 'd,
    {
        let of_pod = self.0.and_then(|process| process.pod_namespace.as_deref());
        DestinationKey::Secret {
            namespace: secret.namespace.nonempty().or(of_pod),
            name: secret.name.as_str(),
            kubeconfig: secret.kubeconfig_path.nonempty().map(|path| self.normalize(path)),
            context: secret.kubeconfig_context.nonempty(),
        }
    }

    /// Resolves the links of a path if the process is known to be on this machine, and `.` and `..` in any case.
    pub(super) fn normalize<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let Some(process) = self.0 else { return resolve_dots(path) };
        // Neither the working directory nor a link can change it, so it need not be copied.
        if process.resolve_links.is_none() && path.starts_with('/') {
            return resolve_dots(path);
        }
        let absolute = process.working_directory.join(path);
        let resolved = match process.resolve_links {
            Some(resolve) => resolve(&absolute),
            None => absolute,
        };
        Cow::Owned(resolve_dots(&resolved.to_string_lossy()).into_owned())
    }
}

/// Removes `.`, `..` and repeated slashes from a path.
fn resolve_dots(path: &str) -> Cow<'_, str> {
    let (root, rest) = path.strip_prefix('/').map_or(("", path), |rest| ("/", rest));
    if rest.is_empty() || rest.split('/').all(|name| !matches!(name, "" | "." | "..")) {
        return Cow::Borrowed(path);
    }
    let mut names: Vec<&str> = Vec::new();
    for name in rest.split('/') {
        match name {
            "" | "." => {}
            // The parent of the root is the root.
            ".." if !root.is_empty() || names.last().is_some_and(|last| *last != "..") => drop(names.pop()),
            name => names.push(name),
        }
    }
    Cow::Owned(format!("{root}{}", names.join("/")))
}
