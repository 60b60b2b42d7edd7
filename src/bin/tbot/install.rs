//! `tbot install systemd`: prints the unit that runs the agent, or writes it. Replaces a unit that differs only on request.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tbot::config::{Destination, Purpose};
use tbot::untrusted::escape;

use crate::cli::{GlobalArgs, InstallCommand, SystemdArgs};
use crate::configuration::{CONFIG_PATH, Configuration, report_invalid};
use crate::context::Context;
use crate::exit::Failure;
use crate::flag_value::nonempty;
use crate::replace_file::replace_file;
use crate::systemd_unit::{ConfiguredPaths, SystemdUnit, check_path};

pub(crate) fn install(
    global: &GlobalArgs,
    command: &InstallCommand,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    let InstallCommand::Systemd(args) = command;
    let config =
        nonempty(global.config.as_deref()).or_else(|| cx.environment.get_os(CONFIG_PATH).map(Path::new));
    let config = config.filter(|config| *config != Path::new("-")).map(Path::to_owned);
    let config =
        config.ok_or_else(|| Failure::Usage("name the configuration file with --config".to_owned()))?;
    // Without overrides, because the other variables of this shell do not apply to the unit.
    let configuration = Configuration::from_file(&config, Purpose::Validate, cx.stdin)?;
    let Some(effective) = configuration.effective() else { return report_invalid(configuration, cx) };
    if effective.config().is_oneshot() {
        let message =
            "the configuration sets `oneshot`, but the unit keeps the agent running: remove `oneshot`";
        return Err(Failure::Usage(message.to_owned()));
    }
    let storage = effective.config().storage();
    let storage = match &storage {
        Destination::Directory(directory) => Some(directory.path.as_str()),
        _ => None,
    };
    let paths = ConfiguredPaths::new(effective.value(), storage)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let unit = unit(args, &config, &paths, cx)?;
    if args.write { write(args, &unit, cx) } else { Ok(cx.stdout.write_all(unit.as_bytes())?) }
}

fn unit(
    args: &SystemdArgs,
    config: &Path,
    paths: &ConfiguredPaths,
    cx: &Context<'_>,
) -> Result<String, Failure> {
    for (flag, value) in [("--name", &args.name), ("--user", &args.user), ("--group", &args.group)] {
        let is_allowed = |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
        if value.is_empty() || value.starts_with(['.', '-']) || !value.chars().all(is_allowed) {
            return Err(Failure::Usage(format!(
                "{flag} is not a valid name: use letters, digits, `_`, `.` and `-`, and begin with a letter"
            )));
        }
    }
    let name = args.name.as_str();
    let pid_file = nonempty(args.pid_file.as_deref())
        .map_or_else(|| PathBuf::from(format!("/run/{name}/{name}.pid")), Path::to_owned);
    let current_dir = (cx.current_dir)().map_err(Failure::Process)?;
    let (config, pid_file) = (current_dir.join(config), current_dir.join(pid_file));
    let unit = SystemdUnit {
        name,
        user: &args.user,
        group: &args.group,
        program: path(&cx.command_path)?,
        config: path(&config)?,
        pid_file: path(&pid_file)?,
        telemetry: match (args.anonymous_telemetry, args.no_anonymous_telemetry) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        },
        paths,
    };
    Ok(unit.render())
}

/// Returns a path that the unit contains.
fn path(path: &Path) -> Result<&str, Failure> {
    let path = path.to_str().ok_or_else(|| Failure::Usage(format!("{} is not UTF-8", path.display())))?;
    check_path(path).map(|()| path).map_err(|error| Failure::Usage(error.to_string()))
}

/// Writes the unit, unless it is present already, and prints what to do next.
fn write(args: &SystemdArgs, unit: &str, cx: &mut Context<'_>) -> Result<(), Failure> {
    let name = format!("{}.service", args.name);
    let path = args.systemd_directory.join(&name);
    let shown = path.display();
    match fs::read(&path) {
        Ok(present) if present == unit.as_bytes() => {
            return Ok(writeln!(cx.stdout, "{shown} is up to date")?);
        }
        Ok(present) if !args.force => {
            cx.stdout.write_all(differences(&String::from_utf8_lossy(&present), unit).as_bytes())?;
            return Err(Failure::UnitDiffers { path });
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Failure::Unreadable { name: shown.to_string(), source: error });
        }
        _ => {}
    }
    replace_file(&path, unit.as_bytes(), 0o644)
        .map_err(|source| Failure::Unwritable { name: shown.to_string(), source })?;
    writeln!(cx.stdout, "wrote {shown}")?;
    writeln!(cx.stdout, "next: systemctl daemon-reload && systemctl enable --now {name}")?;
    Ok(())
}

/// Returns the lines that only one of two units has: `-` for the one that is present, `+` for the new one.
fn differences(present: &str, new: &str) -> String {
    let only_in = |sign: char, one: &str, other: &str| {
        let lines = one.lines().filter(|line| !other.lines().any(|other| other == *line));
        lines.map(|line| format!("{sign} {}\n", escape(line))).collect::<String>()
    };
    only_in('-', present, new) + &only_in('+', new, present)
}
