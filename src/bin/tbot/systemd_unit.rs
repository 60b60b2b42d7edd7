//! The systemd unit that runs the agent. Pure.
//!
//! The unit denies the agent whatever it does not need. It allows the agent to write to the directories of its
//! configuration.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Component, Path};

use serde_json::Value;
use tbot::config::ListenUri;
use tbot::pointer::Pointer;
use tbot::untrusted::escape;

/// The directories that `StateDirectory` creates directories in.
const STATE_ROOT: &str = "/var/lib/";

/// Home directories, as `ProtectHome` defines them.
const HOMES: [&str; 3] = ["/home/", "/root/", "/run/user/"];

/// Temporary directories, as `PrivateTmp` defines them.
const TEMPORARY: [&str; 2] = ["/tmp/", "/var/tmp/"];

/// What the unit depends on.
#[derive(Debug)]
pub(crate) struct SystemdUnit<'a> {
    /// The name without `.service`.
    pub(crate) name: &'a str,
    pub(crate) user: &'a str,
    pub(crate) group: &'a str,
    /// The absolute path of this program.
    pub(crate) program: &'a str,
    /// The absolute path of the configuration.
    pub(crate) config: &'a str,
    pub(crate) pid_file: &'a str,
    /// The value of `TELEPORT_ANONYMOUS_TELEMETRY`. If `None`, the unit does not set it.
    pub(crate) telemetry: Option<bool>,
    /// Whether the agent runs a command of the configuration, to which the restrictions of the unit apply as well.
    pub(crate) runs_command: bool,
    pub(crate) paths: &'a ConfiguredPaths,
}

/// The paths in a configuration.
#[derive(Debug)]
pub(crate) struct ConfiguredPaths {
    /// The directory of the bot's identity.
    storage: Option<String>,
    /// The directories of outputs. The agent creates them, unless the unit prevents it.
    outputs: BTreeSet<String>,
    /// The directories of sockets, which the agent does not create.
    sockets: BTreeSet<String>,
    /// All strings that look like absolute paths, among them those of files that the agent reads.
    mentioned: BTreeSet<String>,
    /// The paths of the directory that systemd creates for the unit, and removes when it stops.
    runtime: [String; 2],
}

/// A unit cannot contain a path.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnitPathError {
    /// It depends on the working directory, which is `/` for a unit.
    #[error("the path {} is relative: a unit needs absolute paths", escape(.0))]
    Relative(String),
    #[error("the path {} has a character that a unit cannot contain", escape(.0))]
    Unprintable(String),
    /// systemd ignores it.
    #[error("the path {} contains `..`: write the path without it", escape(.0))]
    Parent(String),
    /// The directory of this socket never exists when the agent starts.
    #[error(
        "the socket {} is in a subdirectory of {runtime}, which is empty at every start: write unix://{runtime}/NAME.sock", escape(.path)
    )]
    BelowRuntime { path: String, runtime: String },
}

/// Checks that a unit can contain this path.
///
/// # Errors
///
/// Returns an error if the path is relative or contains a control character.
pub(crate) fn check_path(path: &str) -> Result<(), UnitPathError> {
    if !path.starts_with('/') {
        Err(UnitPathError::Relative(path.to_owned()))
    } else if path.contains(char::is_control) {
        Err(UnitPathError::Unprintable(path.to_owned()))
    } else {
        Ok(())
    }
}

impl ConfiguredPaths {
    /// Finds the paths in an effective configuration, for a unit with this name. `storage` is the directory of the bot's identity, if it
    /// is one.
    ///
    /// # Errors
    ///
    /// Returns the paths of directories that the agent writes to and the unit cannot contain, each with its pointer.
    pub(crate) fn new(
        config: &Value,
        storage: Option<&str>,
        name: &str,
    ) -> Result<Self, Vec<(Pointer, UnitPathError)>> {
        let mut paths = Self {
            storage: storage.map(str::to_owned),
            outputs: BTreeSet::new(),
            sockets: BTreeSet::new(),
            mentioned: storage.map(str::to_owned).into_iter().collect(),
            runtime: ["/run", "/var/run"].map(|parent| format!("{parent}/{name}")),
        };
        let mut errors = Vec::new();
        let mut check = |path: &str, pointer: Pointer| {
            errors.extend(check_directory(path).err().map(|error| (pointer, error)));
        };
        if let Some(storage) = storage {
            check(storage, Pointer::from("/storage/path"));
        }
        let mut below_runtime = Vec::new();
        for list in ["services", "outputs"] {
            for (index, service) in config[list].as_array().into_iter().flatten().enumerate() {
                let pointer = Pointer::root().key(list).index(index);
                let destination = &service["destination"];
                if let Some(path) =
                    destination["path"].as_str().filter(|_| destination["type"] == "directory")
                {
                    check(path, pointer.key("destination").key("path"));
                    paths.outputs.insert(path.to_owned());
                }
                let listen = service["listen"].as_str().and_then(|listen| listen.parse().ok());
                if let Some(ListenUri::Unix(socket)) = listen
                    && let Some(directory) = socket.parent().and_then(Path::to_str)
                {
                    let pointer = pointer.key("listen");
                    check(directory, pointer.clone());
                    if paths.is_below_runtime(directory) && !paths.is_runtime(directory) {
                        let (path, runtime) =
                            (socket.to_string_lossy().into_owned(), paths.runtime[0].clone());
                        below_runtime.push((pointer, UnitPathError::BelowRuntime { path, runtime }));
                    }
                    paths.sockets.insert(directory.to_owned());
                }
            }
        }
        errors.extend(below_runtime);
        collect_absolute_paths(config, &mut paths.mentioned);
        if errors.is_empty() { Ok(paths) } else { Err(errors) }
    }

    /// Returns the directories that the agent writes to, and that remain when the unit stops.
    pub(crate) fn directories(&self) -> impl Iterator<Item = &str> {
        let all = self.storage.iter().chain(&self.outputs).chain(&self.sockets).map(String::as_str);
        all.filter(|directory| !self.is_below_runtime(directory))
    }

    /// Returns those that must exist before the unit starts: all but what systemd creates, and what the agent creates below it.
    pub(crate) fn required_directories(&self) -> impl Iterator<Item = &str> {
        let is_created = |directory: &str| {
            let state = self.storage.as_deref().filter(|_| self.state_directory().is_some());
            let is_below_state = state.is_some_and(|state| is_below(directory, state));
            let is_socket = self.sockets.contains(directory);
            self.is_created_by_systemd(Path::new(directory)) || (is_below_state && !is_socket)
        };
        self.directories().filter(move |directory| !is_created(directory))
    }

    /// Returns whether systemd creates this directory.
    pub(crate) fn is_created_by_systemd(&self, directory: &Path) -> bool {
        let is_state =
            self.state_directory().is_some() && self.storage.as_deref().map(Path::new) == Some(directory);
        is_state || directory.to_str().is_some_and(|directory| self.is_runtime(directory))
    }

    /// Returns whether this is the directory that systemd creates for the unit when it starts.
    pub(crate) fn is_runtime(&self, directory: &str) -> bool {
        self.runtime.iter().any(|runtime| Path::new(runtime) == Path::new(directory))
    }

    fn is_below_runtime(&self, directory: &str) -> bool {
        self.runtime.iter().any(|runtime| is_below(directory, runtime))
    }

    /// Returns the path of the storage below the directory in which systemd creates it, if that is where it is.
    fn state_directory(&self) -> Option<&str> {
        self.storage.as_deref()?.strip_prefix(STATE_ROOT).filter(|state| !state.is_empty())
    }
}

/// Returns whether a path is that of a directory, or below it.
fn is_below(path: &str, directory: &str) -> bool {
    Path::new(path).starts_with(directory)
}

/// Checks that a unit can permit the agent to write to a directory.
fn check_directory(path: &str) -> Result<(), UnitPathError> {
    check_path(path)?;
    if Path::new(path).components().any(|part| part == Component::ParentDir) {
        return Err(UnitPathError::Parent(path.to_owned()));
    }
    Ok(())
}

fn collect_absolute_paths(value: &Value, paths: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let path = text.strip_prefix("unix://").unwrap_or(text);
            paths.extend(path.starts_with('/').then(|| path.to_owned()));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_absolute_paths(value, paths)),
        Value::Object(values) => values.values().for_each(|value| collect_absolute_paths(value, paths)),
        _ => {}
    }
}

impl SystemdUnit<'_> {
    /// Renders the unit.
    pub(crate) fn render(&self) -> String {
        let Self { name, user, group, .. } = self;
        let mut service = String::new();
        let mut line = |line: &str| _ = writeln!(service, "{line}");
        if let Some(telemetry) = self.telemetry {
            line(&format!("Environment=TELEPORT_ANONYMOUS_TELEMETRY={}", u8::from(telemetry)));
        }
        let [program, config, pid_file] = [self.program, self.config, self.pid_file];
        line(&format!(
            "ExecStart={} start -c {} --pid-file={}",
            quote(program),
            quote_argument(config),
            quote_argument(pid_file)
        ));
        line(WATCHED_SERVICE);
        line(&format!("RuntimeDirectory={name}"));

        if let Some(state) = self.paths.state_directory() {
            line("# systemd creates the storage of the bot's identity.");
            line(&format!("StateDirectory={}", quote(state)));
            line("StateDirectoryMode=0700");
        }
        let mut directories = self.paths.required_directories().peekable();
        if directories.peek().is_some() {
            line("# The other directories of the configuration that the agent writes to. They must exist.");
            directories.for_each(|directory| line(&format!("ReadWritePaths={}", quote(directory))));
        }
        line("# Everything else is read-only, and what the agent does not need is denied.");
        let uses = |roots: &[&str]| {
            let mentioned = self.paths.mentioned.iter().map(String::as_str);
            let is_below = |path: &str| roots.iter().any(|root| path.starts_with(root));
            mentioned.chain([program, config, pid_file]).any(is_below)
        };
        line(if uses(&HOMES) { "ProtectHome=read-only" } else { "ProtectHome=yes" });
        line(if uses(&TEMPORARY) { "PrivateTmp=no" } else { "PrivateTmp=yes" });
        // Root without capabilities could not even read the files of other users.
        if *user != "root" {
            line("CapabilityBoundingSet=");
        }
        for restriction in HARDENING.lines() {
            // The runtimes of many languages write the code that they execute.
            if !(self.runs_command && restriction == MEMORY_RESTRICTION) {
                line(restriction);
            }
        }
        format!(
            "# Generated by `tbot install systemd`. The directories below are those of {config}: after a change, run\n\
             # `tbot install systemd` again.\n\
             [Unit]\n\
             Description={name} - Teleport Machine & Workload Identity Service\n\
             Wants=network-online.target\n\
             After=network-online.target\n\
             \n\
             [Service]\n\
             User={user}\n\
             Group={group}\n\
             {service}\
             \n\
             [Install]\n\
             WantedBy=multi-user.target\n",
        )
    }
}

/// How systemd starts, watches, reloads and stops the agent.
const WATCHED_SERVICE: &str = "\
ExecReload=/bin/kill -HUP $MAINPID
# The unit is active when all credentials are written, or after 30 seconds. Until they are written, the agent retries by itself.
Type=notify
TimeoutStartSec=90
# Restarts an agent that is stuck.
WatchdogSec=60
Restart=always
RestartSec=5
# 2 is wrong usage and 3 an invalid configuration: another attempt would end in the same way.
RestartPreventExitStatus=2 3
# A shutdown completes what is being written, which takes 25 seconds at most.
TimeoutStopSec=30
LimitNOFILE=524288";

const HARDENING: &str = "\
ProtectSystem=strict
PrivateDevices=yes
PrivateMounts=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
UMask=0077";

/// The line of [`HARDENING`] that a command of the configuration may not be able to run with.
const MEMORY_RESTRICTION: &str = "MemoryDenyWriteExecute=yes";

/// Quotes a path, so that systemd reads it as one word without specifiers.
fn quote(path: &str) -> String {
    let path = path.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._:=+@%-".contains(character);
    if path.chars().all(is_plain) { path } else { format!("\"{path}\"") }
}

/// Quotes an argument of a command, in which `$` starts a variable.
fn quote_argument(argument: &str) -> String {
    quote(&argument.replace('$', "$$"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(config: &Value, storage: Option<&str>, change: impl FnOnce(&mut SystemdUnit<'_>)) -> String {
        let paths = ConfiguredPaths::new(config, storage, "tbot").unwrap();
        let mut unit = SystemdUnit {
            name: "tbot",
            user: "teleport",
            group: "teleport",
            program: "/usr/local/bin/tbot",
            config: "/etc/tbot.yaml",
            pid_file: "/run/tbot/tbot.pid",
            telemetry: None,
            runs_command: false,
            paths: &paths,
        };
        change(&mut unit);
        unit.render()
    }

    fn has(unit: &str, line: &str) -> bool {
        unit.lines().any(|one| one == line)
    }

    #[test]
    fn the_agent_may_write_to_every_directory_of_the_configuration() {
        let config = json!({
            "services": [
                { "type": "identity", "destination": { "type": "directory", "path": "/opt/b" } },
                { "type": "identity", "destination": { "type": "memory" } },
                { "type": "application-tunnel", "listen": "unix:///run/tunnels%20a/app.sock" },
                { "type": "application-tunnel", "listen": "tcp://127.0.0.1:1" },
            ],
            "outputs": [{ "type": "identity", "destination": { "type": "directory", "path": "/opt/a b" } }],
        });
        let unit = render(&config, Some("/srv/bot"), |_| {});
        let writable: Vec<_> = unit.lines().filter(|line| line.starts_with("ReadWritePaths=")).collect();
        let expected = ["/srv/bot", "\"/opt/a b\"", "/opt/b", "\"/run/tunnels a\""];
        assert_eq!(writable, expected.map(|path| format!("ReadWritePaths={path}")));
        assert!(!unit.contains("StateDirectory"));
    }

    #[test]
    fn systemd_creates_a_storage_in_its_state_directory() {
        let unit = render(&json!({}), Some("/var/lib/teleport/bot"), |_| {});
        assert!(has(&unit, "StateDirectory=teleport/bot") && !unit.contains("ReadWritePaths"), "{unit}");
        let output =
            |path: &str| json!({ "services": [{ "destination": { "type": "directory", "path": path } }] });
        let unit = render(&output("/var/lib/teleport/bot/out"), Some("/var/lib/teleport/bot"), |_| {});
        assert!(!unit.contains("ReadWritePaths"), "{unit}");
        let unit = render(&output("/var/lib/teleport/bot2"), Some("/var/lib/teleport/bot"), |_| {});
        assert!(has(&unit, "ReadWritePaths=/var/lib/teleport/bot2"), "{unit}");
        let unit = render(&json!({}), None, |_| {});
        assert!(!unit.contains("StateDirectory") && !unit.contains("ReadWritePaths"), "{unit}");
    }

    #[test]
    fn the_runtime_directory_and_what_is_below_it_are_not_required() {
        let config = json!({ "services": [
            { "destination": { "type": "directory", "path": "/run/tbot/out" } },
            { "destination": { "type": "directory", "path": "/var/run/tbot/" } },
            { "listen": "unix:///run/tbot/app.sock" },
            { "destination": { "type": "directory", "path": "/run/tbot2" } },
        ] });
        let unit = render(&config, None, |_| {});
        let writable: Vec<_> = unit.lines().filter(|line| line.starts_with("ReadWritePaths=")).collect();
        assert_eq!(writable, ["ReadWritePaths=/run/tbot2"]);
    }

    #[test]
    fn homes_and_temporary_directories_are_hidden_unless_the_agent_needs_them() {
        let unit = render(&json!({}), None, |_| {});
        assert!(has(&unit, "ProtectHome=yes") && has(&unit, "PrivateTmp=yes"));
        let token = json!({ "onboarding": { "token": "/home/a/token" } });
        assert!(has(&render(&token, None, |_| {}), "ProtectHome=read-only"));
        let unit = render(&json!({}), None, |unit| unit.program = "/root/.cargo/bin/tbot");
        assert!(has(&unit, "ProtectHome=read-only"));
        let socket = json!({ "services": [{ "listen": "unix:///tmp/a/b.sock" }] });
        assert!(has(&render(&socket, None, |_| {}), "PrivateTmp=no"));
    }

    #[test]
    fn the_telemetry_variable_is_set_only_on_request() {
        let unit = |telemetry| render(&json!({}), None, |unit| unit.telemetry = telemetry);
        assert!(!unit(None).contains("TELEMETRY"));
        assert!(has(&unit(Some(true)), "Environment=TELEPORT_ANONYMOUS_TELEMETRY=1"));
        assert!(has(&unit(Some(false)), "Environment=TELEPORT_ANONYMOUS_TELEMETRY=0"));
    }

    #[test]
    fn a_path_that_a_unit_cannot_contain_is_rejected() {
        let config = json!({ "services": [
            { "destination": { "type": "directory", "path": "out" } },
            { "listen": "unix:///run/a/../b.sock" },
            { "listen": "unix:///run/tbot/sub/b.sock" },
            { "destination": { "type": "directory", "path": "/bot\nUser=root" } },
        ] });
        let errors = ConfiguredPaths::new(&config, Some("./bot"), "tbot").unwrap_err();
        let expected = [
            ("/storage/path", UnitPathError::Relative("./bot".to_owned())),
            ("/services/0/destination/path", UnitPathError::Relative("out".to_owned())),
            ("/services/1/listen", UnitPathError::Parent("/run/a/..".to_owned())),
            ("/services/3/destination/path", UnitPathError::Unprintable("/bot\nUser=root".to_owned())),
            (
                "/services/2/listen",
                UnitPathError::BelowRuntime {
                    path: "/run/tbot/sub/b.sock".to_owned(),
                    runtime: "/run/tbot".to_owned(),
                },
            ),
        ];
        assert_eq!(errors, expected.map(|(pointer, error)| (Pointer::from(pointer), error)));
    }

    #[test]
    fn special_characters_are_quoted() {
        for (path, quoted) in [
            ("/etc/tbot.yaml", "/etc/tbot.yaml"),
            ("/a b", "\"/a b\""),
            ("/50%", "/50%%"),
            ("/a\"b\\c", "\"/a\\\"b\\\\c\""),
            ("/$HOME", "\"/$$HOME\""),
        ] {
            assert_eq!(quote_argument(path), quoted);
        }
    }
}
