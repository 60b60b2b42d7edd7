//! `tbot configure` prints a configuration built from flags; `tbot migrate` prints a version 1 configuration as version 2.
//!
//! The output is exactly what `tbot start` would run. A file is written only after all checks have passed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::Value;
use tbot::config::Purpose;
use tbot::diagnostic::{Code, ReportFormat};
use tbot::yaml;

use crate::cli::{ConfigureArgs, GlobalArgs, MigrateArgs, OutputFileArgs};
use crate::configuration::{Configuration, render, report_invalid, report_valid};
use crate::context::Context;
use crate::exit::Failure;
use crate::flag_value::nonempty;
use crate::replace_file::write_named_file;

/// `tbot configure`: prints the configuration that results from flags and environment variables, and what `tbot validate` would
/// warn about. Reads no file.
pub(crate) fn configure(
    global: &GlobalArgs,
    ConfigureArgs { output, run }: &ConfigureArgs,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    // The help of the Go agent names `-c` as the file to write.
    if nonempty(global.config.as_deref()).is_some() {
        let message = "`tbot configure` does not read a configuration: to write it to a file, use --output \
                       instead of --config";
        return Err(Failure::Usage(message.to_owned()));
    }
    if nonempty(global.config_string.as_deref()).is_some() {
        let message = "`tbot configure` does not read a configuration: remove --config-string";
        return Err(Failure::Usage(message.to_owned()));
    }
    let configuration = Configuration::from_flags(global, run, &cx.environment)?;
    let Some(effective) = configuration.effective() else { return report_invalid(configuration, cx) };
    let mut value = effective.value().clone();
    if let Some(map) = value.as_object_mut() {
        // The value also has the keys that the URI sets (address, join method and token), which would conflict with it.
        map.shift_remove("join_uri");
        if global.anonymous_telemetry_opt_in {
            map.insert("anonymous_telemetry_opt_in".to_owned(), Value::Bool(true));
        }
    }
    write_yaml("configure", &value, output, cx)?;
    report_valid(configuration, cx)?;
    if run.bot.pid_file.is_some() {
        writeln!(cx.stderr, "note: --pid-file is not part of a configuration: give it to `tbot start`")?;
    }
    Ok(())
}

/// `tbot migrate`: prints a version 1 file as version 2, exactly as `tbot start` converts it. Comments are lost.
pub(crate) fn migrate(
    global: &GlobalArgs,
    MigrateArgs { file, output }: &MigrateArgs,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    let configuration = match file {
        Some(path) => Configuration::from_file(path, Purpose::Validate, cx.stdin)?,
        None => Configuration::from_inputs(global, Purpose::Validate, cx)?,
    };
    if output.path.as_ref().is_some_and(|path| is_same_file(path, Path::new(configuration.name()))) {
        let message = "--output is the file to convert: choose another path";
        return Err(Failure::Usage(message.to_owned()));
    }
    let Some(effective) = configuration.effective() else { return report_invalid(configuration, cx) };
    if !configuration.has(Code::Version1) {
        return Err(Failure::Usage(format!("{} is already version 2", configuration.name())));
    }
    write_yaml("migrate", effective.value(), output, cx)?;
    cx.flush_stdout();
    // It says to run this command.
    let others = configuration.without(Code::Version1);
    let report = render(&[others.into()], ReportFormat::Human, cx.stderr_terminal());
    write!(cx.stderr, "{}{}", report.text, report.conclusion("comments were not copied to the new file"))?;
    Ok(())
}

/// Returns true if both paths lead to the same existing file, however they are written.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

/// Writes a configuration, with a first line that names the command that wrote it.
fn write_yaml(
    command: &str,
    value: &Value,
    output: &OutputFileArgs,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    let yaml = format!("# Written by `tbot {command}`.\n{}", yaml::emit(value)?);
    let Some(path) = &output.path else { return Ok(cx.stdout.write_all(yaml.as_bytes())?) };
    write_named_file(path, yaml.as_bytes())
        .map_err(|source| Failure::Unwritable { name: path.display().to_string(), source })
}
