//! Finds the path of this program by its name, for a system that cannot report the path: on Linux, one without `/proc`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use tbot::agent::Environment;

/// Returns the absolute path of the program that was started as `name`: its first argument. If there is none, returns
/// `tbot`, which a shell searches in its own `PATH`.
pub(crate) fn from_name(name: Option<&OsStr>, environment: &Environment) -> PathBuf {
    let default = || PathBuf::from("tbot");
    let Some(name) = name.map(Path::new) else { return default() };
    if name.components().count() > 1 {
        return std::path::absolute(name).unwrap_or_else(|_| default());
    }
    let directories = environment.get_os("PATH").map(std::env::split_paths).into_iter().flatten();
    let mut found = directories.map(|directory| directory.join(name)).filter(|path| path.is_file());
    found.find_map(|path| std::path::absolute(path).ok()).unwrap_or_else(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_searched_like_a_shell_does() {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("tbot-1");
        std::fs::write(&program, "").unwrap();
        let environment = [("PATH", format!("/nonexistent:{}", root.path().display()))].into_iter().collect();
        let path = |name: &str| from_name(Some(OsStr::new(name)), &environment);
        assert_eq!(path("tbot-1"), program);
        assert_eq!(path("tbot-2"), Path::new("tbot"));
        assert_eq!(path("/usr/bin/tbot"), Path::new("/usr/bin/tbot"));
        assert!(path("./tbot").is_absolute());
        assert_eq!(from_name(None, &environment), Path::new("tbot"));
    }
}
