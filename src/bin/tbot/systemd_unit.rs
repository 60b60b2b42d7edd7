//! The systemd unit that runs the agent. Pure.
//!
//! The unit denies the agent whatever it does not need. It allows the agent to write to the directories of its
//! configuration.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;
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
    pub(crate) paths: &'a ConfiguredPaths,
}

/// The paths in a configuration.
#[derive(Debug)]
pub(crate) struct ConfiguredPaths {
    /// The directory of the bot's identity.
    storage: Option<String>,
    /// The directories of outputs and sockets.
    outputs: BTreeSet<String>,
    /// All strings that look like absolute paths, among them those of files that the agent reads.
    mentioned: BTreeSet<String>,
}

/// A unit cannot contain a path.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnitPathError {
    /// It depends on the working directory, which is `/` for a unit.
    #[error("the path {} is relative: a unit needs absolute paths", escape(.0))]
    Relative(String),
    #[error("the path {} has a character that a unit cannot contain", escape(.0))]
    Unprintable(String),
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
    /// Finds the paths in an effective configuration. `storage` is the directory of the bot's identity, if it is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the unit cannot contain the path of a directory that the agent writes to.
    pub(crate) fn new(config: &Value, storage: Option<&str>) -> Result<Self, UnitPathError> {
        let services = ["services", "outputs"].iter().filter_map(|key| config[key].as_array()).flatten();
        let mut outputs = BTreeSet::new();
        for service in services {
            let destination = &service["destination"];
            if destination["type"] == "directory" {
                outputs.extend(destination["path"].as_str());
            }
            let socket = service["listen"].as_str().and_then(|listen| listen.strip_prefix("unix://"));
            outputs.extend(socket.and_then(|socket| socket.rsplit_once('/')).map(|(directory, _)| directory));
        }
        outputs.iter().copied().chain(storage).try_for_each(check_path)?;
        let mut mentioned: BTreeSet<String> = storage.map(str::to_owned).into_iter().collect();
        collect_absolute_paths(config, &mut mentioned);
        let outputs = outputs.into_iter().map(str::to_owned).collect();
        Ok(Self { storage: storage.map(str::to_owned), outputs, mentioned })
    }

    /// Returns the directories that the agent writes to.
    pub(crate) fn directories(&self) -> impl Iterator<Item = &str> {
        self.storage.iter().chain(&self.outputs).map(String::as_str)
    }

    /// Returns those that must exist before the unit starts: all but a storage that systemd creates.
    pub(crate) fn required_directories(&self) -> impl Iterator<Item = &str> {
        self.directories().skip(usize::from(self.state_directory().is_some()))
    }

    /// Returns the path of the storage below the directory in which systemd creates it, if that is where it is.
    fn state_directory(&self) -> Option<&str> {
        let state = self.storage.as_deref()?.strip_prefix(STATE_ROOT)?;
        (!state.is_empty() && !state.split('/').any(|part| part == "..")).then_some(state)
    }
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
        line(HARDENING);
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
# A stop completes what is being written, which takes 25 seconds at most.
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
        let paths = ConfiguredPaths::new(config, storage).unwrap();
        let mut unit = SystemdUnit {
            name: "tbot",
            user: "teleport",
            group: "teleport",
            program: "/usr/local/bin/tbot",
            config: "/etc/tbot.yaml",
            pid_file: "/run/tbot/tbot.pid",
            telemetry: None,
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
                { "type": "application-tunnel", "listen": "unix:///run/tunnels/app.sock" },
                { "type": "application-tunnel", "listen": "tcp://127.0.0.1:1" },
            ],
            "outputs": [{ "type": "identity", "destination": { "type": "directory", "path": "/opt/a b" } }],
        });
        let unit = render(&config, Some("/srv/bot"), |_| {});
        let writable: Vec<_> = unit.lines().filter(|line| line.starts_with("ReadWritePaths=")).collect();
        let expected = ["/srv/bot", "\"/opt/a b\"", "/opt/b", "/run/tunnels"];
        assert_eq!(writable, expected.map(|path| format!("ReadWritePaths={path}")));
        assert!(!unit.contains("StateDirectory"));
    }

    #[test]
    fn systemd_creates_a_storage_in_its_state_directory() {
        let unit = render(&json!({}), Some("/var/lib/teleport/bot"), |_| {});
        assert!(has(&unit, "StateDirectory=teleport/bot") && !unit.contains("ReadWritePaths"), "{unit}");
        let unit = render(&json!({}), Some("/var/lib/../bot"), |_| {});
        assert!(has(&unit, "ReadWritePaths=/var/lib/../bot"), "{unit}");
        let unit = render(&json!({}), None, |_| {});
        assert!(!unit.contains("StateDirectory") && !unit.contains("ReadWritePaths"), "{unit}");
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
        let config = json!({ "services": [{ "destination": { "type": "directory", "path": "out" } }] });
        let relative = |path: &str| UnitPathError::Relative(path.to_owned());
        assert_eq!(ConfiguredPaths::new(&config, None).unwrap_err(), relative("out"));
        assert_eq!(ConfiguredPaths::new(&json!({}), Some("./bot")).unwrap_err(), relative("./bot"));
        let error = ConfiguredPaths::new(&json!({}), Some("/bot\nUser=root")).unwrap_err();
        assert!(matches!(error, UnitPathError::Unprintable(_)), "{error:?}");
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
