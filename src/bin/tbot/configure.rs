//! `tbot configure`: prints the configuration that flags and environment make, as `tbot start` would run it. Reads no file,
//! and writes one only after everything was checked.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use serde_json::Value;
use tbot::yaml;

use crate::World;
use crate::cli::{Configure, Global, Written};
use crate::configuration::Configuration;
use crate::exit::Failure;
use crate::telemetry::refuse;

pub(crate) fn configure(
    global: &Global,
    arguments: &Configure,
    world: &mut World<'_>,
) -> Result<(), Failure> {
    if global.config.is_some() || global.config_string.is_some() {
        let message = "`tbot configure` reads no configuration: leave out --config and --config-string";
        return Err(Failure::Usage(message.to_owned()));
    }
    let configuration = Configuration::of_flags(global, &arguments.run, &world.environment)?;
    let Some(effective) = configuration.effective() else { return refuse(configuration, world) };
    let mut value = effective.value().clone();
    if let Some(map) = value.as_object_mut() {
        // What it says stands at its places already, and beside them it would contradict them.
        map.shift_remove("join_uri");
    }
    write("configure", &value, &arguments.written, world)
}

/// Writes a configuration with a first line that says which command wrote it. A new file is for its owner alone: it may
/// hold a token.
pub(crate) fn write(
    command: &str,
    value: &Value,
    to: &Written,
    world: &mut World<'_>,
) -> Result<(), Failure> {
    let yaml = yaml::emit(value)?;
    let text = format!("# Written by `tbot {command}`.\n{yaml}");
    let Some(path) = &to.output else { return Ok(world.output.write_all(text.as_bytes())?) };
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| Failure::Unwritable { name: path.display().to_string(), source })
}
