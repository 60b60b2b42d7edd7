//! The service commands as clap parses them: `tbot start identity --destination /out`.

use clap::{ArgMatches, Command, FromArgMatches, Subcommand};
use tbot::config::internal::{FlagType, ServiceFlag};

use super::service_command::{LEGACY, NamedCommand, service_commands};

/// A service command with the flags that the user has given.
pub(crate) struct ServiceArgs {
    command: NamedCommand,
    flags: Vec<GivenFlag>,
}

/// A flag of a service command that the user has given.
pub(crate) struct GivenFlag {
    pub(crate) flag: &'static ServiceFlag,
    pub(crate) value: FlagValue,
}

/// The value of a flag, as given.
pub(crate) enum FlagValue {
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

    /// Returns whether the flag has a value that is not empty.
    pub(crate) fn has_value(&self) -> bool {
        match &self.value {
            FlagValue::Strings(strings) => strings.iter().any(|string| !string.is_empty()),
            FlagValue::Switch(_) => true,
        }
    }

    /// Returns the flag as the user has written it, such as `--no-enable-resumption`.
    pub(crate) fn written(&self) -> String {
        match (&self.value, self.flag.flag_type) {
            (FlagValue::Switch(false), FlagType::Switch(negated)) => format!("--{negated}"),
            _ => format!("--{}", self.flag.name),
        }
    }
}

impl FromArgMatches for ServiceArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let command = service_commands().find(|command| command.name == name).ok_or_else(missing)?;
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
        command.subcommands(service_commands().map(|command| command.build(&parent)))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        service_commands().any(|command| command.name == name)
    }
}

impl ServiceArgs {
    /// Returns the name of the command.
    pub(crate) const fn name(&self) -> &'static str {
        self.command.name
    }

    /// Returns whether this is `legacy`, the command that `tbot start` runs if none is given.
    pub(crate) fn is_legacy(&self) -> bool {
        self.name() == LEGACY
    }

    /// Returns whether the command adds a service of the type with its name.
    pub(crate) const fn adds_service(&self) -> bool {
        self.command.adds_service
    }

    /// Returns the flags that the user has given.
    pub(crate) fn flags(&self) -> &[GivenFlag] {
        &self.flags
    }
}
