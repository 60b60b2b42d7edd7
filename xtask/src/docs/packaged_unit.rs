//! The unit of the Debian package: the one that `tbot install systemd` prints for the paths of the package and a configuration
//! without directories.

#[path = "../../../src/bin/tbot/systemd_unit.rs"]
mod systemd_unit;

use anyhow::{Result, anyhow};
use serde_json::Value;
use tbot::config::DEFAULT_STORAGE_PATH;

use crate::generated::GeneratedFile;
use systemd_unit::{ConfiguredPaths, SystemdUnit, check_path};

const PROGRAM: &str = "/usr/bin/tbot";

/// Returns the unit.
///
/// # Errors
///
/// Returns an error if a unit cannot contain one of the paths.
pub(super) fn file() -> Result<GeneratedFile> {
    let paths = ConfiguredPaths::new(&Value::Null, Some(DEFAULT_STORAGE_PATH), "tbot")
        .map_err(|errors| anyhow!("the default storage: {errors:?}"))?;
    check_path(PROGRAM)?;
    let unit = SystemdUnit {
        name: "tbot",
        user: "tbot",
        group: "tbot",
        program: PROGRAM,
        config: "/etc/tbot.yaml",
        pid_file: "/run/tbot/tbot.pid",
        // The decision is that of the configuration and of the administrator.
        telemetry: None,
        runs_command: false,
        paths: &paths,
    };
    Ok(GeneratedFile { path: "packaging/tbot/tbot.service".to_owned(), content: unit.render() })
}
