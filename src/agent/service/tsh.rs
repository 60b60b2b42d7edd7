//! `tsh`, which the `ProxyCommand` in a written `ssh_config` runs through `tbot proxy`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::output::{Output, OutputKind};
use crate::agent::platform::Environment;
use crate::config::SshConfigMode;

/// Logs if outputs write an `ssh_config` that does not work yet, because there is no `tsh`. This is a warning only if the
/// configuration asks for the file, which is written by default.
pub(crate) fn report_if_missing(outputs: &[Output], environment: &Environment) {
    let with_ssh_config: Vec<(&str, Option<SshConfigMode>)> = outputs
        .iter()
        .filter_map(|output| match &output.kind {
            OutputKind::Identity(identity)
                if identity.writes_ssh_config() && output.destination.directory().is_some() =>
            {
                Some((output.settings.name.as_str(), identity.ssh_config))
            }
            _ => None,
        })
        .collect();
    if with_ssh_config.is_empty() || is_installed(environment) {
        return;
    }
    let outputs = with_ssh_config.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let message = "ssh_config works only with tsh, which was not found: install it, set TSH to its path for the programs \
                   that run ssh, or set ssh_config to off";
    if with_ssh_config.iter().any(|(_, mode)| mode.is_some()) {
        tracing::warn!(%outputs, "{message}");
    } else {
        tracing::info!(%outputs, "{message}");
    }
}

/// Returns whether `tbot proxy` would find `tsh` in this environment.
fn is_installed(environment: &Environment) -> bool {
    let program = Path::new(environment.get_os("TSH").unwrap_or_else(|| "tsh".as_ref()));
    if program.components().count() > 1 {
        return is_executable(program);
    }
    let path = environment.get_os("PATH").unwrap_or_default();
    std::env::split_paths(path).any(|directory| is_executable(&directory.join(program)))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tsh_is_looked_up_like_a_command() {
        let directory = tempfile::tempdir().unwrap();
        let tsh = directory.path().join("tsh");
        let path = format!("/nonexistent:{}", directory.path().display());
        let tsh_path = tsh.to_str().unwrap();
        let is_installed =
            |variables: &[(&str, &str)]| is_installed(&variables.iter().copied().collect::<Environment>());
        assert!(!is_installed(&[("PATH", &path)]));
        fs::write(&tsh, "").unwrap();
        assert!(!is_installed(&[("PATH", &path)]), "not executable");
        fs::set_permissions(&tsh, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(is_installed(&[("PATH", &path)]));
        assert!(is_installed(&[("TSH", tsh_path)]));
        assert!(is_installed(&[("PATH", &path), ("TSH", "tsh")]));
        assert!(!is_installed(&[("PATH", &path), ("TSH", "tsh-16")]));
        assert!(!is_installed(&[("PATH", &path), ("TSH", "/nonexistent/tsh")]));
        assert!(!is_installed(&[]));
    }
}
