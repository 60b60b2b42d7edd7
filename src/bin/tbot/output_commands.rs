//! Commands that use the credentials in an output's directory: `tbot kube credentials`, `tbot proxy` and `tbot db`.
//!
//! Each run reads the output's `identity` file again, so it always uses the newest credentials.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tbot::agent::internal::files::read_to_string;
use tbot::agent::{Clock, IdentityFile, IdentityFileError};
use tbot::config::{Address, Config, OptionalString as _, Purpose};
use tbot::untrusted::escape;

use crate::cli::{GlobalArgs, KubeCommand, TshArgs};
use crate::command_line;
use crate::configuration::{Configuration, report_invalid};
use crate::context::Context;
use crate::directory_output::directory_output;
use crate::exit::Failure;
use crate::flag_value::{nonempty, proxy_server};
use crate::overrides::{is_debug, refuse_fips};

/// `tbot kube credentials`, which `kubectl` runs as the exec plugin of a kubeconfig that tbot wrote.
pub(crate) fn kube(command: &KubeCommand, cx: &mut Context<'_>) -> Result<(), Failure> {
    let KubeCommand::Credentials { destination_dir } = command;
    let credential = read_identity(destination_dir, |identity| identity.exec_credential(&Clock::system()))?;
    Ok(writeln!(cx.stdout, "{credential}")?)
}

/// A `tsh` command that `tbot` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TshCommand {
    Proxy,
    Db,
}

impl TshCommand {
    /// The name of the command, which is the same for `tbot` and `tsh`.
    const fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Db => "db",
        }
    }
}

/// Variables with the paths of files that `tsh` would otherwise obtain by logging in.
const VIRTUAL_PATHS: [(&str, &str); 6] = [
    ("TSH_VIRTUAL_PATH_KEY", "key"),
    ("TSH_VIRTUAL_PATH_DB", "tlscert"),
    ("TSH_VIRTUAL_PATH_APP", "tlscert"),
    ("TSH_VIRTUAL_PATH_CA_USER", "teleport-user-ca.crt"),
    ("TSH_VIRTUAL_PATH_CA_HOST", "teleport-host-ca.crt"),
    ("TSH_VIRTUAL_PATH_CA_DB", "teleport-database-ca.crt"),
];

/// Variables of `tsh proxy kube`: the kubeconfig that the output contains, and where to write the one for the proxy.
const KUBECONFIGS: [(&str, &str); 2] =
    [("KUBECONFIG", "kubeconfig.yaml"), ("TELEPORT_KUBECONFIG", "kubeconfig-proxied.yaml")];

/// Replaces this process with `tsh`, so that signals, input and exit status are those of `tsh`.
///
/// # Errors
///
/// Returns only if `tsh` cannot be run.
pub(crate) fn exec_tsh(
    command: TshCommand,
    global: &GlobalArgs,
    args: &TshArgs,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    let TshArgs { destination_dir: _, proxy_server: _, cluster, arguments } = args;
    refuse_fips(global)?;
    let debug = is_debug(global, &cx.environment)?;
    let program = cx.environment.get_os("TSH").unwrap_or_else(|| "tsh".as_ref()).to_owned();
    let (directory, proxy) = match directory_and_proxy(global, args, cx) {
        // `tbot proxy ssh --help` asks tsh for help, but tsh cannot run.
        Err(failure) if arguments.iter().any(|argument| argument == "--help" || argument == "-h") => {
            return Err(command_line::help(command.name()).map_or(failure, Failure::from));
        }
        found => found?,
    };
    // Read even if no value from it is needed: our error for a missing or broken file is clearer than the one of tsh.
    let identity = read_identity(&directory, Ok)?;
    let cluster = match (nonempty(cluster.as_deref()), command) {
        (Some(cluster), _) => Some(cluster.to_owned()),
        (None, TshCommand::Db) if !has_cluster_flag(arguments) => {
            identity.route_to_cluster().map(str::to_owned)
        }
        (None, _) => None,
    };
    let mut commands = arguments.iter().filter(|argument| !argument.as_encoded_bytes().starts_with(b"-"));
    let is_kube = commands.next().is_some_and(|command| command == "kube");
    let kubeconfigs = if is_kube { &KUBECONFIGS[..] } else { &[] };
    let error = Command::new(&program)
        .args(tsh_arguments(command, global.insecure, debug, &directory, &proxy, cluster.as_deref()))
        .args(arguments)
        .envs(VIRTUAL_PATHS.map(|(name, file)| (name, directory.join(file))))
        .envs(kubeconfigs.iter().map(|(name, file)| (name, directory.join(file))))
        .exec();
    Err(Failure::Tsh { program: Path::new(&program).display().to_string(), error })
}

/// Returns the directory of the output and the address of the proxy. Uses the configuration for a value that neither a flag nor a
/// variable sets.
fn directory_and_proxy(
    global: &GlobalArgs,
    args: &TshArgs,
    cx: &mut Context<'_>,
) -> Result<(PathBuf, String), Failure> {
    refuse_own_flags(&args.arguments)?;
    let directory = nonempty(args.destination_dir.as_deref()).map(Path::to_owned);
    let proxy = proxy_server(args.proxy_server.as_deref(), &cx.environment)?;
    if let (Some(directory), Some(proxy)) = (&directory, &proxy) {
        return Ok((directory.clone(), proxy.clone()));
    }
    let config = find_config(global, cx)?;
    let directory = match (directory, &config) {
        (Some(directory), _) => directory,
        (None, Some(config)) => {
            let (_, directory) = directory_output(config, None, "--destination-dir")?;
            PathBuf::from(directory.path.as_str())
        }
        (None, None) => {
            let message = "no directory: set --destination-dir, or name a configuration with --config";
            return Err(Failure::Usage(message.to_owned()));
        }
    };
    let proxy = match (proxy, &config) {
        (Some(proxy), _) => proxy,
        (None, config) => configured_proxy(config.as_ref())?,
    };
    Ok((directory, proxy))
}

/// Returns the address of the proxy in a configuration. In older files, it is the `auth_server`.
fn configured_proxy(config: Option<&Config>) -> Result<String, Failure> {
    let proxy = config.and_then(|config| config.proxy_server.nonempty());
    let other = config.and_then(|config| config.auth_server.nonempty());
    let is_proxy = |address: &&str| address.parse().is_ok_and(|address: Address| address.has_proxy_port());
    match proxy.or(other.filter(is_proxy)) {
        Some(proxy) => Ok(proxy.to_owned()),
        None => Err(Failure::Usage(match other {
            Some(other) => format!(
                "no proxy address: set --proxy-server or TELEPORT_PROXY; the configuration has only the auth server {}",
                escape(other)
            ),
            None => "no proxy address: set --proxy-server or TELEPORT_PROXY".to_owned(),
        })),
    }
}

/// Returns an error for a flag of `tbot` among the arguments for `tsh`, which does not have it.
fn refuse_own_flags(arguments: &[OsString]) -> Result<(), Failure> {
    let Some(first) = arguments.first().map(|first| first.to_string_lossy()) else { return Ok(()) };
    let flags =
        arguments.iter().filter_map(|argument| argument.to_str()).take_while(|argument| *argument != "--");
    let mut names = flags.map(|argument| argument.split_once('=').map_or(argument, |(name, _)| name));
    match names.find(|name| ["--destination-dir", "--proxy-server"].contains(name)) {
        None => Ok(()),
        Some(name) => Err(Failure::Usage(format!(
            "{name} is not a flag of tsh, whose arguments begin with `{0}`: put {name} before `{0}`",
            escape(&first)
        ))),
    }
}

/// Returns the configuration that the flags or the environment name, or that of `tbot.yaml`. `None` if there is none.
fn find_config(global: &GlobalArgs, cx: &mut Context<'_>) -> Result<Option<Config>, Failure> {
    let Some(configuration) = Configuration::find(global, Purpose::Validate, cx)? else { return Ok(None) };
    match configuration.effective() {
        Some(effective) => Ok(Some(effective.config().clone())),
        None => report_invalid(configuration, cx).map(|()| None),
    }
}

/// The largest identity file. Even one with many CAs has some 100 KiB.
const MAX_IDENTITY_FILE: u64 = 4 << 20;

/// How often an identity file is read that is missing or incomplete, and the delay between attempts: its directory may be in the
/// middle of a renewal.
const READ_ATTEMPTS: usize = 4;
const READ_DELAY: Duration = Duration::from_millis(50);

/// Reads the identity file in the directory of an output, and converts it.
pub(crate) fn read_identity<T>(
    directory: &Path,
    convert: impl Fn(IdentityFile) -> Result<T, IdentityFileError>,
) -> Result<T, Failure> {
    let path = directory.join("identity");
    let read = || {
        let contents = read_to_string(&path, MAX_IDENTITY_FILE).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Failure::NoIdentity { directory: directory.to_owned() },
            _ => Failure::Unreadable { name: path.display().to_string(), source },
        })?;
        let file = IdentityFile::parse(&contents).and_then(&convert);
        file.map_err(|error| Failure::Identity { path: path.clone(), error })
    };
    for _ in 1..READ_ATTEMPTS {
        if let Ok(identity) = read() {
            return Ok(identity);
        }
        #[expect(clippy::disallowed_methods, reason = "nothing tells that the renewal has ended")]
        std::thread::sleep(READ_DELAY);
    }
    read()
}

fn has_cluster_flag(arguments: &[OsString]) -> bool {
    let mut arguments = arguments.iter().filter_map(|argument| argument.to_str());
    arguments.any(|argument| argument == "--cluster" || argument.starts_with("--cluster="))
}

fn tsh_arguments(
    command: TshCommand,
    insecure: bool,
    debug: bool,
    directory: &Path,
    proxy: &str,
    cluster: Option<&str>,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    if debug {
        arguments.push("-d".into());
    }
    if insecure {
        arguments.push("--insecure".into());
    }
    arguments.push("-i".into());
    arguments.push(directory.join("identity").into());
    arguments.push(command.name().into());
    arguments.push(format!("--proxy={proxy}").into());
    arguments.extend(cluster.map(|cluster| OsString::from(format!("--cluster={cluster}"))));
    arguments
}
