//! The root directory of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Returns the root directory of the repository that the current directory is in.
///
/// Determined at run time: two checkouts that share a target directory share this program, too.
///
/// # Errors
///
/// Returns an error if the current directory cannot be determined, or is not in a cargo workspace.
pub fn root() -> Result<PathBuf> {
    let current = std::env::current_dir().context("cannot determine the current directory")?;
    let root = workspace_of(&current)
        .with_context(|| format!("{} is not in a checkout of this repository", current.display()))?;
    Ok(root.to_path_buf())
}

/// Returns the nearest directory, from this one upwards, with the manifest of a cargo workspace.
fn workspace_of(directory: &Path) -> Option<&Path> {
    directory.ancestors().find(|directory| {
        let manifest = fs::read_to_string(directory.join("Cargo.toml")).unwrap_or_default();
        manifest.lines().any(|line| line == "[workspace]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_that_of_the_current_directory() {
        let compiled_in = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        assert_eq!(root().unwrap(), compiled_in);
    }

    #[test]
    fn the_root_of_another_checkout_is_found_from_its_directories() {
        let checkout = tempfile::tempdir().unwrap();
        let package = checkout.path().join("xtask/src");
        fs::create_dir_all(&package).unwrap();
        assert_eq!(workspace_of(&package), None);
        fs::write(checkout.path().join("Cargo.toml"), "[package]\n\n[workspace]\n").unwrap();
        fs::write(checkout.path().join("xtask/Cargo.toml"), "[package]\nname = \"xtask\"\n").unwrap();
        assert_eq!(workspace_of(&package), Some(checkout.path()));
        assert_eq!(workspace_of(checkout.path()), Some(checkout.path()));
    }
}
