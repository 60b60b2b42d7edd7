//! Resolves symbolic links, so that the check of a configuration can compare what its paths refer to.

use std::path::{Path, PathBuf};

/// Resolves the symbolic links of an absolute path, as far as it exists. The rest of the path is appended as it is.
///
/// For [`ProcessContext::resolve_links`](crate::config::ProcessContext::resolve_links).
#[must_use]
pub fn resolve_links(path: &Path) -> PathBuf {
    let ancestors: Vec<&Path> = path.ancestors().collect();
    // All parents of an existing directory exist, so a long path need not be tried directory by directory.
    let first = ancestors.partition_point(|ancestor| ancestor.canonicalize().is_err());
    let existing = ancestors.get(first).and_then(|ancestor| Some((ancestor.canonicalize().ok()?, ancestor)));
    let Some((resolved, ancestor)) = existing else { return path.to_owned() };
    match path.strip_prefix(ancestor) {
        Ok(rest) => resolved.join(rest),
        Err(_) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_resolved_as_far_as_the_path_exists() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().canonicalize().unwrap().join(name);
        std::fs::create_dir(path("storage")).unwrap();
        std::os::unix::fs::symlink("storage", path("link")).unwrap();
        assert_eq!(resolve_links(&root.path().join("link")), path("storage"));
        assert_eq!(resolve_links(&root.path().join("link/a/b")), path("storage/a/b"));
        assert_eq!(resolve_links(&root.path().join("missing")), path("missing"));
        assert_eq!(resolve_links(Path::new("/")), Path::new("/"));
    }
}
