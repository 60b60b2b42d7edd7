//! The service commands and their flags, and how clap parses and displays them. Independent of particular services.

use clap::{Arg, ArgAction, ArgGroup, Command};
use tbot::config::ServiceType;
use tbot::config::internal::{FlagType, Requirement, ServiceCommand, ServiceFlag};

/// The maximum width of the help.
const WIDTH: usize = 80;
/// The indentation of text in a manual page.
const MANUAL_INDENT: usize = 7;

/// The heading of the list of service commands. `*` marks the types that [`NamedCommand::build`] knows to be unsupported.
pub(super) const HEADING: &str = "Services (* not supported by this version)";
/// The note in the help of a service type that is not supported.
const UNSUPPORTED: &str = "This version of tbot does not support it.";

/// The command that `tbot start` runs if none is given.
pub(super) const LEGACY: &str = "legacy";

/// A command of `tbot start` and `tbot configure`.
#[derive(Clone, Copy)]
pub(crate) struct NamedCommand {
    pub(crate) name: &'static str,
    /// Whether it adds a service of the type with its name. If not, the pointers of the flags refer to the configuration
    /// itself.
    pub(super) adds_service: bool,
    /// Whether this version of the agent can run it.
    is_supported: bool,
    pub(crate) command: &'static ServiceCommand,
}

const NOOP_COMMAND: ServiceCommand =
    ServiceCommand { about: "Add no service", example: "", aliases: &["no-op"], flags: &[] };

const LEGACY_COMMAND: ServiceCommand = ServiceCommand {
    about: "Same as `tbot start` without a service",
    example: "--destination-dir /opt/machine-id",
    aliases: &[],
    flags: &[&[ServiceFlag {
        name: "destination-dir",
        value_name: "DIR",
        pointer: "/services",
        flag_type: FlagType::String,
        requirement: Requirement::Optional,
        help: "Write one identity to this directory instead of\nrunning the `services` of the file. Its `outputs`\nstill run",
    }]],
};

/// Returns all commands, in the order of the help: those of the service types, and two that add no service.
pub(crate) fn service_commands() -> impl Iterator<Item = NamedCommand> {
    let services = ServiceType::ALL.iter().filter_map(|service_type| {
        let command = service_type.command.as_ref()?;
        let is_supported = service_type.supported;
        Some(NamedCommand { name: service_type.name, adds_service: true, is_supported, command })
    });
    let others = [("noop", &NOOP_COMMAND), (LEGACY, &LEGACY_COMMAND)];
    services.chain(others.map(|(name, command)| NamedCommand {
        name,
        adds_service: false,
        is_supported: true,
        command,
    }))
}

fn is_repeatable(flag: &ServiceFlag) -> bool {
    flag.pointer.split('/').any(|token| token == "-")
}

fn args(flag: &'static ServiceFlag) -> Vec<Arg> {
    let arg = Arg::new(flag.name).long(flag.name).help(flag.help);
    if let FlagType::Switch(negated) = flag.flag_type {
        let negation = Arg::new(negated).long(negated).hide(true).action(ArgAction::SetTrue);
        return vec![
            arg.action(ArgAction::SetTrue).overrides_with(negated),
            negation.overrides_with(flag.name),
        ];
    }
    let action = if is_repeatable(flag) { ArgAction::Append } else { ArgAction::Set };
    let required = flag.requirement == Requirement::Required;
    vec![arg.value_name(flag.value_name).action(action).required(required)]
}

impl NamedCommand {
    pub(crate) fn flags(&self) -> impl Iterator<Item = &'static ServiceFlag> + use<> {
        self.command.flags.iter().copied().flatten()
    }

    /// Builds the clap command. `parent` is the command that it belongs to, such as `start`.
    pub(super) fn build(&self, parent: &str) -> Command {
        let mut command = Command::new(self.name);
        command = if self.is_supported {
            command.about(self.command.about)
        } else {
            let marked = format!("{} *", self.command.about);
            command.about(marked).long_about(format!("{}\n\n{UNSUPPORTED}", self.command.about))
        };
        command = command.aliases(self.command.aliases).after_help(self.example(parent));
        for (requirement, id) in
            [(Requirement::AtLeastOne, "at least one"), (Requirement::ExactlyOne, "exactly one")]
        {
            // Any number may be given, because empty ones count as not set. `service_overrides` counts the others.
            let flags: Vec<&str> =
                self.flags().filter(|flag| flag.requirement == requirement).map(|flag| flag.name).collect();
            if !flags.is_empty() {
                command = command.group(ArgGroup::new(id).args(flags).required(true).multiple(true));
            }
        }
        command.override_usage(self.usage(parent)).args(self.flags().flat_map(args))
    }

    /// Returns the example, on one line if it fits.
    fn example(&self, parent: &str) -> String {
        let line = format!("  tbot {parent} {} {}", self.name, self.command.example);
        let lines =
            if line.len() <= WIDTH - MANUAL_INDENT { line } else { line.replace(" --", " \\\n    --") };
        format!("Example:\n{}", lines.trim_end())
    }

    /// Returns the usage with all required flags, wrapped. clap would put it on one line.
    fn usage(&self, parent: &str) -> String {
        const PREFIX: usize = "Usage: ".len();
        let flags = |is_included: fn(Requirement) -> bool| {
            self.flags()
                .filter(move |flag| is_included(flag.requirement))
                .map(|flag| format!("--{} <{}>", flag.name, flag.value_name))
        };
        let mut words: Vec<String> = flags(|requirement| requirement == Requirement::Required).collect();
        let alternatives: Vec<String> =
            flags(|requirement| matches!(requirement, Requirement::ExactlyOne | Requirement::AtLeastOne))
                .collect();
        if !alternatives.is_empty() {
            words.push(format!("<{}>", alternatives.join("|")));
        }
        let mut usage = format!("tbot {parent} {} [OPTIONS]", self.name);
        let mut column = PREFIX + usage.len();
        for word in words {
            if column + 1 + word.len() > WIDTH {
                usage.push_str("\n          ");
                column = PREFIX + 3;
            }
            usage = usage + " " + &word;
            column += 1 + word.len();
        }
        usage
    }
}
