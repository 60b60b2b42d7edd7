//! Service commands: `tbot start identity --destination /out` adds an `identity` to the services of the file.
//!
//! Parses the command line according to the table of service types, and makes the service an override of the
//! configuration.

mod command;
mod value;

use clap::{ArgMatches, Command, FromArgMatches, Subcommand};
use serde_json::{Value, json};
use tbot::config::internal::{FlagType, ServiceFlag};
use tbot::config::{Override, OverrideSource};
use tbot::pointer::Pointer;

pub(crate) use value::one_identity;

use crate::exit::Failure;
use command::{LEGACY, NamedCommand, commands};

/// The prefix of pointers to the readers of a destination.
const READERS: &str = "/destination/readers/";

/// A service command with the flags that the user has given.
pub(crate) struct ServiceArgs {
    command: NamedCommand,
    flags: Vec<GivenFlag>,
}

struct GivenFlag {
    flag: &'static ServiceFlag,
    value: FlagValue,
}

enum FlagValue {
    Strings(Vec<String>),
    Switch(bool),
}

impl GivenFlag {
    fn from_matches(flag: &'static ServiceFlag, matches: &ArgMatches) -> Option<Self> {
        let value = if let FlagType::Switch(negated) = flag.flag_type {
            let on = matches.get_flag(flag.name);
            (on || matches.get_flag(negated)).then_some(FlagValue::Switch(on))
        } else {
            let strings = matches.get_many::<String>(flag.name);
            strings.map(|strings| FlagValue::Strings(strings.cloned().collect()))
        };
        Some(Self { flag, value: value? })
    }

    /// Returns the flag as the user has written it, such as `--no-enable-resumption`.
    fn written(&self) -> String {
        match (&self.value, self.flag.flag_type) {
            (FlagValue::Switch(false), FlagType::Switch(negated)) => format!("--{negated}"),
            _ => format!("--{}", self.flag.name),
        }
    }

    fn to_json(&self) -> Result<Vec<Value>, Failure> {
        match &self.value {
            FlagValue::Switch(on) => Ok(vec![json!(on)]),
            FlagValue::Strings(strings) => {
                let values = strings.iter().map(|string| value::parse(self.flag.flag_type, string));
                values
                    .collect::<Result<_, _>>()
                    .map_err(|error| Failure::Usage(format!("--{}: {error}", self.flag.name)))
            }
        }
    }
}

impl FromArgMatches for ServiceArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let command = commands().find(|command| command.name == name).ok_or_else(missing)?;
        let flags = command.flags().filter_map(|flag| GivenFlag::from_matches(flag, matches)).collect();
        Ok(Self { command, flags })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for ServiceArgs {
    fn augment_subcommands(command: Command) -> Command {
        let parent = match command.get_name() {
            telemetry @ ("status" | "preview") => format!("telemetry {telemetry}"),
            other => other.to_owned(),
        };
        command.subcommands(commands().map(|command| command.build(&parent)))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        commands().any(|command| command.name == name)
    }
}

impl ServiceArgs {
    /// The name of the command.
    pub(crate) const fn name(&self) -> &'static str {
        self.command.name
    }

    /// Whether this is `legacy`, the command that `tbot start` runs if none is given.
    pub(crate) fn is_legacy(&self) -> bool {
        self.name() == LEGACY
    }

    /// Returns what the command adds to the configuration.
    ///
    /// # Errors
    ///
    /// Returns an error if the value of a flag cannot be parsed, or if a flag does not apply to the destination.
    pub(crate) fn overrides(&self) -> Result<Vec<Override>, Failure> {
        if !self.command.adds_service {
            return Ok(self.legacy_overrides());
        }
        let name = self.name();
        let command = OverrideSource::Command(name.to_owned());
        let mut added = Override::new(Pointer::from("/services/-"), json!({ "type": name }), command);
        for given in &self.flags {
            let is_reader = given.flag.pointer.starts_with(READERS);
            if is_reader && added.value()["destination"]["type"] != "directory" {
                let message = format!("{} is only valid for a directory: remove it", given.written());
                return Err(Failure::Usage(message));
            }
            for value in given.to_json()? {
                added.set_part(
                    &Pointer::from(given.flag.pointer),
                    value,
                    OverrideSource::Flag(given.written()),
                );
            }
        }
        Ok(vec![added])
    }

    /// Returns the overrides of `legacy`, whose flag is a directory for one identity.
    fn legacy_overrides(&self) -> Vec<Override> {
        let mut overrides = Vec::new();
        for given in &self.flags {
            if let FlagValue::Strings(directories) = &given.value {
                overrides.extend(directories.iter().map(|directory| {
                    let pointer = Pointer::from(given.flag.pointer);
                    Override::new(pointer, one_identity(directory), OverrideSource::Flag(given.written()))
                }));
            }
        }
        overrides
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsString;

    use serde_json::Map;
    use tbot::config::{self, Purpose};

    use super::*;
    use crate::cli::{self, Command};

    /// Every command with all its flags. The snapshot shows the service that each line adds.
    const LINES: &str = "
        identity --destination /out --reader-user a --reader-user b --reader-group c --cluster leaf --allow-reissue
        application --destination memory:// --app a --no-specific-tls-extensions
        application --destination /out --reader-user a --reader-group c --app a --specific-tls-extensions
        application-tunnel --listen tcp://127.0.0.1:1 --app a
        application-proxy --listen tcp://127.0.0.1:1
        database --destination kubernetes-secret://ns/a --service a --username b --database c --format tls
        database-tunnel --listen tcp://127.0.0.1:1 --service a --username b --database c
        kubernetes --destination memory:// --kubernetes-cluster a --disable-exec-plugin
        kubernetes/v2 --destination memory:// --name-selector a --name-selector b --label-selector c=d,e=f --disable-exec-plugin
        k8s/v2 --destination memory:// --label-selector c=d --label-selector e=f
        ssh-multiplexer --destination /out --no-enable-resumption --proxy-command a --proxy-command b --proxy-templates-path c
        ssh-multiplexer --destination /out --no-enable-resumption --enable-resumption
        workload-identity-x509 --destination memory:// --name-selector a --include-federated-trust-bundles
        workload-identity-jwt --destination memory:// --label-selector a=b,c=d --audience e --audience f
        workload-identity-x509 --destination memory:// --label-selector *=*
        workload-identity-jwt --destination memory:// --name-selector a --audience e
        workload-identity-api --name-selector a --listen unix:///run/a.sock
        workload-identity-api --label-selector a=b --listen tcp://127.0.0.1:1
        workload-identity-aws-roles-anywhere --destination /out --name-selector a --role-arn arn:aws:iam::1:role/a \
            --profile-arn arn:aws:rolesanywhere:eu-west-1:1:profile/a \
            --trust-anchor-arn arn:aws:rolesanywhere:eu-west-1:1:trust-anchor/a --region eu-west-1 \
            --session-duration 6h --session-renewal-interval 1h
        workload-identity-aws-roles-anywhere --destination /out --label-selector a=b --role-arn arn:aws:iam::1:role/a \
            --profile-arn arn:aws:rolesanywhere:eu-west-1:1:profile/a \
            --trust-anchor-arn arn:aws:rolesanywhere:eu-west-1:1:trust-anchor/a
        spiffe-svid --destination /out --include-federated-trust-bundles --svid-path /a --svid-hint b --dns-san c --dns-san d --ip-san 127.0.0.1
        noop
        legacy --destination-dir /out";

    fn parse(line: &str) -> ServiceArgs {
        let words = ["tbot", "start"].into_iter().chain(line.split_whitespace());
        let Command::Start(args) = cli::parse(words.map(OsString::from)).unwrap().command else {
            unreachable!("not `tbot start`")
        };
        args.service.unwrap()
    }

    #[test]
    fn every_flag_of_every_command_maps_to_a_valid_configuration() {
        let mut tested = BTreeSet::new();
        let mut services = Map::new();
        for line in LINES.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let args = parse(line);
            tested.extend(args.flags.iter().map(|given| (args.name(), given.flag.name)));
            let overrides = args.overrides().unwrap();
            let loaded = config::load(None, &overrides, Purpose::Validate);
            assert!(loaded.effective.is_some(), "{line}: {:?}", loaded.diagnostics);
            services.insert(line.to_owned(), overrides.iter().map(|added| added.value().clone()).collect());
        }
        insta::assert_json_snapshot!(services);
        // All commands with a destination share the reader flags, so a few lines cover them.
        let is_reader = |flag: &ServiceFlag| flag.pointer.starts_with(READERS);
        for command in commands() {
            for flag in command.flags().filter(|flag| !is_reader(flag)) {
                assert!(tested.contains(&(command.name, flag.name)), "{} --{}", command.name, flag.name);
            }
        }
    }

    #[test]
    fn a_reader_flag_for_another_destination_is_an_error() {
        let errors = [
            "--destination memory:// --reader-user a",
            "--reader-group a --destination kubernetes-secret:///a",
        ]
        .map(|flags| parse(&format!("identity {flags}")).overrides().unwrap_err().to_string());
        insta::assert_snapshot!(errors.join("\n"), @r"
        --reader-user is only valid for a directory: remove it
        --reader-group is only valid for a directory: remove it
        ");
    }
}
