//! A service command and its flags, and how clap parses and displays them. Independent of particular services.

use clap::{Arg, ArgAction, ArgGroup, Command};

use super::value::FlagType;

/// A command that adds a service.
pub(super) struct ServiceCommand {
    pub(super) name: &'static str,
    pub(super) alias: Option<&'static str>,
    pub(super) about: &'static str,
    /// The type of the service to add. If `None`, the pointers of the flags refer to the configuration itself.
    pub(super) service: Option<&'static str>,
    pub(super) flags: &'static [&'static [Flag]],
}

/// A flag of a service command.
pub(super) struct Flag {
    /// The name, without dashes.
    pub(super) name: &'static str,
    /// The placeholder for the value in the help.
    pub(super) value_name: &'static str,
    /// The JSON pointer, within the service, of the property that the flag sets. A pointer with a `-` (the end of a list)
    /// makes the flag repeatable.
    pub(super) pointer: &'static str,
    pub(super) flag_type: FlagType,
    pub(super) requirement: Requirement,
    pub(super) help: &'static str,
}

/// Whether a flag must be given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Requirement {
    Optional,
    Required,
    /// At least one of the flags with this requirement must be given.
    AtLeastOne,
    /// Exactly one of the flags with this requirement must be given.
    ExactlyOne,
}

impl Flag {
    fn is_repeatable(&self) -> bool {
        self.pointer.split('/').any(|token| token == "-")
    }

    fn args(&'static self) -> Vec<Arg> {
        let arg = Arg::new(self.name).long(self.name).help(self.help);
        if let FlagType::Switch(negated) = self.flag_type {
            let negation = Arg::new(negated).long(negated).hide(true).action(ArgAction::SetTrue);
            return vec![
                arg.action(ArgAction::SetTrue).overrides_with(negated),
                negation.overrides_with(self.name),
            ];
        }
        let action = if self.is_repeatable() { ArgAction::Append } else { ArgAction::Set };
        let required = self.requirement == Requirement::Required;
        vec![arg.value_name(self.value_name).action(action).required(required)]
    }
}

impl ServiceCommand {
    pub(super) fn flags(&self) -> impl Iterator<Item = &'static Flag> + use<> {
        self.flags.iter().copied().flatten()
    }

    /// Builds the clap command. `parent` is the command that it belongs to, such as `start`.
    pub(super) fn build(&'static self, parent: &str) -> Command {
        let mut command = Command::new(self.name).about(self.about).aliases(self.alias);
        for (requirement, id) in
            [(Requirement::AtLeastOne, "at least one"), (Requirement::ExactlyOne, "exactly one")]
        {
            let flags: Vec<&str> =
                self.flags().filter(|flag| flag.requirement == requirement).map(|flag| flag.name).collect();
            if !flags.is_empty() {
                let group = ArgGroup::new(id).args(flags).required(true);
                command = command.group(group.multiple(requirement == Requirement::AtLeastOne));
            }
        }
        command.override_usage(self.usage(parent)).args(self.flags().flat_map(Flag::args))
    }

    /// Returns the usage with all required flags, wrapped at 80 columns. clap would put it on one line.
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
            if column + 1 + word.len() > 80 {
                usage.push_str("\n          ");
                column = PREFIX + 3;
            }
            usage = usage + " " + &word;
            column += 1 + word.len();
        }
        usage
    }
}
