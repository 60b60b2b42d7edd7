//! `tbot install systemd`: prints the unit that runs the agent, or writes it. Replaces a unit that differs only on request.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, Metadata};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, lchown};
use std::path::{Component, Path, PathBuf};
use std::{io, iter};

use rustix::process::geteuid;
use tbot::agent::ReaderError;
use tbot::agent::internal::{group_id, user_ids};
use tbot::config::{Config, Destination, Purpose};
use tbot::diagnostic::Code;
use tbot::untrusted::{escape, escape_uncut};

use crate::cli::{GlobalArgs, InstallCommand, SystemdArgs};
use crate::configuration::{CONFIG_PATH, Configuration, report_invalid, report_valid};
use crate::context::Context;
use crate::exit::Failure;
use crate::flag_value::nonempty;
use crate::replace_file::{has_acl, replace_file};
use crate::systemd_unit::{ConfiguredPaths, SystemdUnit, check_path};

/// Findings with which `tbot start` ends at once, whatever variables the unit gets later and whatever the storage contains.
const NEVER_STARTS: [Code; 2] = [Code::NotSupported, Code::MissingJoinMethod];

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
    let mut configuration = Configuration::from_file(&config, Purpose::Validate, cx.stdin)?;
    if args.write {
        configuration.reject(&NEVER_STARTS);
    }
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
    let paths = ConfiguredPaths::new(effective.value(), storage, &args.name).map_err(|errors| {
        let origins = configuration.origins();
        let errors = errors
            .iter()
            .map(|(pointer, error)| format!("{}: {error}", origins.describe(effective, pointer)));
        Failure::Usage(errors.collect::<Vec<_>>().join("; "))
    })?;
    let current_dir = (cx.current_dir)().map_err(Failure::Process)?;
    let name = &args.name;
    let pid_file = nonempty(args.pid_file.as_deref())
        .map_or_else(|| PathBuf::from(format!("/run/{name}/{name}.pid")), |path| current_dir.join(path));
    let unit =
        unit(args, &current_dir.join(&config), &pid_file, &paths, runs_command(effective.config()), cx)?;
    if args.write {
        let is_owner_missing = warn_about_missing_owner(args, cx)?;
        if !is_owner_missing {
            warn_about_closed_parents(args, &paths, cx)?;
            warn_about_unreadable_files(args, &config, effective.config(), cx)?;
        }
        let is_new = write(args, &unit, cx)?;
        if !is_owner_missing {
            create_missing_directories(args, &paths, &pid_file, cx)?;
        }
        if is_new {
            let name = &args.name;
            writeln!(cx.stdout, "next: systemctl daemon-reload && systemctl enable --now {name}.service")?;
        }
    } else {
        cx.stdout.write_all(unit.as_bytes())?;
    }
    report_valid(configuration, cx)
}

/// Returns whether the agent runs a command that the configuration names.
fn runs_command(config: &Config) -> bool {
    let generic_oidc = config.onboarding.as_ref().and_then(|onboarding| onboarding.generic_oidc.as_ref());
    generic_oidc.and_then(|settings| settings.command.as_ref()).is_some_and(|command| !command.is_empty())
}

fn unit(
    args: &SystemdArgs,
    config: &Path,
    pid_file: &Path,
    paths: &ConfiguredPaths,
    runs_command: bool,
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
    check_pid_file(pid_file, name, paths)?;
    let unit = SystemdUnit {
        name,
        user: &args.user,
        group: &args.group,
        program: path(&cx.command_path)?,
        config: path(config)?,
        pid_file: path(pid_file)?,
        telemetry: match (args.anonymous_telemetry, args.no_anonymous_telemetry) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        },
        runs_command,
        paths,
    };
    Ok(unit.render())
}

/// Checks that the agent of the unit can write its PID file.
fn check_pid_file(pid_file: &Path, name: &str, paths: &ConfiguredPaths) -> Result<(), Failure> {
    let parent = pid_file.parent().unwrap_or(Path::new("/"));
    let is_plain = pid_file.components().all(|part| part != Component::ParentDir);
    // Not a subdirectory of the runtime directory: nothing creates it before the agent writes the file.
    let is_runtime = parent.to_str().is_some_and(|parent| paths.is_runtime(parent));
    let is_writable = is_runtime || paths.directories().any(|directory| parent.starts_with(directory));
    if is_plain && is_writable {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "--pid-file: the unit does not permit the agent to write {}: use /run/{name}/{name}.pid, or a file in a \
         directory of the configuration",
        escape(&pid_file.to_string_lossy())
    )))
}

/// Returns a path that the unit contains.
fn path(path: &Path) -> Result<&str, Failure> {
    let path = path.to_str().ok_or_else(|| Failure::Usage(format!("{} is not UTF-8", path.display())))?;
    check_path(path).map(|()| path).map_err(|error| Failure::Usage(error.to_string()))
}

/// Writes the unit, unless it is present already. Returns whether it was written.
fn write(args: &SystemdArgs, unit: &str, cx: &mut Context<'_>) -> Result<bool, Failure> {
    let path = args.systemd_directory.join(format!("{}.service", args.name));
    let shown = path.display();
    match fs::read(&path) {
        Ok(present) if present == unit.as_bytes() => {
            writeln!(cx.stdout, "{shown} is up to date")?;
            return Ok(false);
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
    Ok(true)
}

/// Warns about a user or a group of the unit that does not exist. Returns whether there is one: then nothing can belong to them, and
/// what they can access is unknown.
fn warn_about_missing_owner(
    SystemdArgs { user, group, .. }: &SystemdArgs,
    cx: &mut Context<'_>,
) -> Result<bool, Failure> {
    let errors = [(user_ids(user).err(), "--user"), (group_id(group).err(), "--group")];
    let missing = errors.into_iter().filter_map(|(error, flag)| {
        error.filter(|error| matches!(error, ReaderError::Unknown { .. })).map(|error| (error, flag))
    });
    let mut is_missing = false;
    for (error, flag) in missing {
        is_missing = true;
        writeln!(
            cx.stderr,
            "warning: {error}, so systemd will not start the unit: create it and run this command again, or name another with {flag}"
        )?;
    }
    Ok(is_missing)
}

/// Creates the directories without which systemd does not start the unit, or the agent cannot write its PID file. Warns about those
/// that it cannot create.
fn create_missing_directories(
    SystemdArgs { user, group, .. }: &SystemdArgs,
    paths: &ConfiguredPaths,
    pid_file: &Path,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    let is_missing = |directory: &Path| match fs::metadata(directory) {
        Ok(metadata) => !metadata.is_dir(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    let required: BTreeSet<&Path> = paths.required_directories().map(Path::new).collect();
    let of_pid_file =
        pid_file.parent().filter(|parent| !paths.is_created_by_systemd(parent) && !required.contains(parent));
    let reasons = required.iter().map(|directory| (*directory, "systemd will not start the unit"));
    let reasons = reasons.chain(of_pid_file.map(|parent| (parent, "the agent cannot write its PID file")));
    for (directory, effect) in reasons.filter(|(directory, _)| is_missing(directory)) {
        let path = directory.to_string_lossy();
        let shown = escape(&path);
        if create_directory(directory, user, group) {
            writeln!(cx.stdout, "created {shown}, with the owner {user}:{group} and the mode 0700")?;
            continue;
        }
        writeln!(
            cx.stderr,
            "warning: {shown} is not a directory, so {effect}: create it with `install -d -o {user} -g {group} -m 0700 {}`",
            shell_quote(&path)
        )?;
    }
    Ok(())
}

/// Creates a directory for the user of the unit, if this is root and only root can change the parent directory. Returns whether it
/// did: everything else is left to the operator.
fn create_directory(directory: &Path, user: &str, group: &str) -> bool {
    let parent = directory.parent().map(fs::metadata);
    let is_of_root = matches!(parent, Some(Ok(parent)) if parent.uid() == 0 && parent.mode() & 0o022 == 0);
    let (Ok((user, _)), Ok(group)) = (user_ids(user), group_id(group)) else { return false };
    geteuid().is_root()
        && is_of_root
        && DirBuilder::new().mode(0o700).create(directory).is_ok()
        && lchown(directory, Some(user), Some(group)).is_ok()
}

/// Warns about directories that the user of the unit cannot enter, above those that the agent uses. The usual case is the
/// directory of Teleport itself, which contains the default storage.
fn warn_about_closed_parents(
    SystemdArgs { user, .. }: &SystemdArgs,
    paths: &ConfiguredPaths,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    let user_id = user_ids(user).map(|(id, _)| id).ok();
    if user == "root" || user_id == Some(0) {
        return Ok(());
    }
    let is_closed = |directory: &&Path| {
        let is_of_other = |owner: u32| user_id.map_or(owner == 0, |user| owner != user);
        fs::metadata(directory)
            .is_ok_and(|metadata| is_of_other(metadata.uid()) && !others_have(&metadata, directory, 0o1))
    };
    let mut closed = BTreeMap::new();
    for directory in paths.directories().map(Path::new) {
        let parents = directory.ancestors().skip(1).filter(is_closed);
        closed.extend(parents.map(|parent| (parent, directory)));
    }
    for (parent, directory) in closed {
        let [parent, directory] = [parent, directory].map(Path::to_string_lossy);
        writeln!(
            cx.stderr,
            "warning: {user} cannot enter {}, so the agent cannot use {}: permit it with `chmod o+x {}`, or use another directory",
            escape(&parent),
            escape(&directory),
            shell_quote(&parent)
        )?;
    }
    Ok(())
}

/// Warns about files that only root can read: a configuration that root has written with `tbot configure --output`, or a file that it
/// names.
fn warn_about_unreadable_files(
    SystemdArgs { user, group, .. }: &SystemdArgs,
    path: &Path,
    config: &Config,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    if user == "root" {
        return Ok(());
    }
    let files_read = config.files_read();
    let named = files_read.iter().map(|(_, file)| Path::new(*file)).filter(|file| file.is_absolute());
    for file in iter::once(path).chain(named).filter(|file| is_only_for_root(file)) {
        let file = file.to_string_lossy();
        let quoted = shell_quote(&file);
        writeln!(
            cx.stderr,
            "warning: {user} cannot read {}: permit it with `chgrp {group} {quoted} && chmod g+r {quoted}`",
            escape(&file)
        )?;
    }
    Ok(())
}

/// Returns whether only root can read a file. One that is missing may be created later.
fn is_only_for_root(path: &Path) -> bool {
    fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.uid() == 0 && !others_have(&metadata, path, 0o4))
}

/// Returns whether a user other than the owner of this path may have a permission, which is the bit that all users would have.
fn others_have(metadata: &Metadata, path: &Path, permission: u32) -> bool {
    // An ACL that gives a user or a group access also sets a bit of the group.
    let group_counts = || metadata.gid() != 0 || File::open(path).is_ok_and(|file| has_acl(&file));
    let has = |bits| metadata.mode() & bits != 0;
    has(permission) || (has(permission << 3) && group_counts())
}

/// Quotes a path for a shell and for the terminal.
fn shell_quote(path: &str) -> String {
    format!("'{}'", escape_uncut(&path.replace('\'', r"'\''")))
}

/// Returns the lines that only one of two units has: `-` for the one that is present, `+` for the new one.
fn differences(present: &str, new: &str) -> String {
    let only_in = |sign: char, one: &str, other: &str| {
        let lines = one.lines().filter(|line| !other.lines().any(|other| other == *line));
        lines.map(|line| format!("{sign} {}\n", escape(line))).collect::<String>()
    };
    only_in('-', present, new) + &only_in('+', new, present)
}
