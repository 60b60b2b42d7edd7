//! Describes the command of a service type, such as `tbot start identity`, and its flags. Knows no particular type, and
//! nothing about parsing: the program does that. Depends on nothing.

/// The command that adds a service to the configuration. Its name is that of the service type.
#[derive(Clone, Copy, Debug)]
pub struct ServiceCommand {
    /// The help text.
    pub about: &'static str,
    /// Flags with values for the example in the help.
    pub example: &'static str,
    /// Other names for the command, which help does not list; scripts for the Go agent contain them.
    pub aliases: &'static [&'static str],
    /// The flags, in groups, because several commands share some of them.
    pub flags: &'static [&'static [ServiceFlag]],
}

/// A flag of a service command.
#[derive(Clone, Copy, Debug)]
pub struct ServiceFlag {
    /// The name, without dashes.
    pub name: &'static str,
    /// The placeholder for the value in the help.
    pub value_name: &'static str,
    /// The JSON pointer, within the service, of the property that the flag sets. A pointer with a `-` (the end of a list)
    /// makes the flag repeatable.
    pub pointer: &'static str,
    /// The type of its value.
    pub flag_type: FlagType,
    /// Whether it must be given.
    pub requirement: Requirement,
    /// The help text.
    pub help: &'static str,
}

/// The type of a flag's value, which decides what it becomes in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagType {
    /// A string.
    String,
    /// A boolean: `--flag` turns it on, and this flag, hidden from the help, turns it off (`no-flag`).
    Switch(&'static str),
    /// A destination in its short form.
    Destination,
    /// `k=v,k2=v2`, as a map of strings.
    Labels,
    /// `k=v,k2=v2`, as a map of lists with one string each.
    LabelLists,
}

/// Whether a flag must be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// It may be omitted.
    Optional,
    /// It must be given.
    Required,
    /// At least one of the flags with this requirement must be given.
    AtLeastOne,
    /// Exactly one of the flags with this requirement must be given.
    ExactlyOne,
}

/// Declares a command.
pub(super) const fn command(
    about: &'static str,
    example: &'static str,
    flags: &'static [&'static [ServiceFlag]],
) -> ServiceCommand {
    ServiceCommand { about, example, aliases: &[], flags }
}

/// Declares an optional flag with a string as its value.
pub(super) const fn flag(
    name: &'static str,
    value_name: &'static str,
    pointer: &'static str,
    help: &'static str,
) -> ServiceFlag {
    let (flag_type, requirement) = (FlagType::String, Requirement::Optional);
    ServiceFlag { name, value_name, pointer, flag_type, requirement, help }
}

/// Declares a flag that turns a boolean on, and `--no-...`, which turns it off.
macro_rules! switch {
    ($name:literal, $pointer:literal, $help:literal $(,)?) => {
        crate::config::service::command::flag($name, "", $pointer, $help)
            .with_type(crate::config::service::command::FlagType::Switch(concat!("no-", $name)))
    };
}
pub(super) use switch;

impl ServiceCommand {
    /// Sets the other names.
    pub(super) const fn with_aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
}

impl ServiceFlag {
    /// Sets the type of the value.
    pub(super) const fn with_type(mut self, flag_type: FlagType) -> Self {
        self.flag_type = flag_type;
        self
    }

    /// Sets whether the flag must be given.
    pub(super) const fn with_requirement(mut self, requirement: Requirement) -> Self {
        self.requirement = requirement;
        self
    }

    /// Makes the flag required.
    pub(super) const fn required(self) -> Self {
        self.with_requirement(Requirement::Required)
    }
}
