//! A command that stands for a service: `tbot start identity --destination /out` adds an `identity` to the services of the
//! file. Reads the command line by the table of [`table`], and makes one override of it; knows no service itself.

mod table;

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, FromArgMatches, Subcommand};
use serde_json::{Map, Value, json};
use tbot::config::{Input, Override};
use tbot::pointer::Pointer;

use crate::exit::Failure;
use crate::storage_uri;

/// A row of the table: a command, and what its flags put where.
pub(crate) struct ServiceCommand {
    name: &'static str,
    alias: Option<&'static str>,
    about: &'static str,
    /// The type of the service that it adds. Where it adds none, its flags' places are those of the configuration.
    service: Option<&'static str>,
    flags: &'static [&'static [Flag]],
}

/// One flag of a command.
struct Flag {
    /// The flag, without its dashes.
    name: &'static str,
    /// What stands for its value in the help.
    value: &'static str,
    /// Where its value goes in the service. It may be repeated where that is a list's end, `-`.
    place: &'static str,
    kind: Kind,
    need: Need,
    help: &'static str,
}

/// What a flag's text becomes.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// A bool: `--flag`, and what turns it off, `--no-flag`, which the help does not show.
    Switch(&'static str),
    /// A destination, from its short form.
    Destination,
    /// `k=v,k2=v2`, as a map of texts.
    Labels,
    /// `k=v,k2=v2`, as a map of lists of one text each.
    LabelLists,
    /// A directory, as all services: one identity.
    OneIdentity,
}

/// Whether a flag must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Optional,
    Required,
    /// One or more of those so marked.
    OneOrMore,
    /// Exactly one of those so marked.
    One,
}

impl Flag {
    fn repeats(&self) -> bool {
        self.place.split('/').any(|token| token == "-")
    }

    fn arguments(&'static self) -> Vec<Arg> {
        let argument = Arg::new(self.name).long(self.name).help(self.help);
        if let Kind::Switch(no) = self.kind {
            let negated = Arg::new(no).long(no).hide(true).action(ArgAction::SetTrue);
            return vec![
                argument.action(ArgAction::SetTrue).overrides_with(no),
                negated.overrides_with(self.name),
            ];
        }
        let action = if self.repeats() { ArgAction::Append } else { ArgAction::Set };
        vec![argument.value_name(self.value).action(action).required(self.need == Need::Required)]
    }
}

impl ServiceCommand {
    fn flags(&self) -> impl Iterator<Item = &'static Flag> + use<> {
        self.flags.iter().copied().flatten()
    }

    fn command(&'static self, parent: &str) -> Command {
        let mut command = Command::new(self.name).about(self.about).aliases(self.alias);
        for (need, group) in [(Need::OneOrMore, "one or more"), (Need::One, "one")] {
            let flags: Vec<&str> =
                self.flags().filter(|flag| flag.need == need).map(|flag| flag.name).collect();
            if !flags.is_empty() {
                let group = ArgGroup::new(group).args(flags).required(true);
                command = command.group(group.multiple(need == Need::OneOrMore));
            }
        }
        command.override_usage(self.usage(parent)).args(self.flags().flat_map(Flag::arguments))
    }

    /// The usage with all that is required, in lines of 80 columns; clap makes one line of it.
    fn usage(&self, parent: &str) -> String {
        const HEAD: usize = "Usage: ".len();
        let written = |flag: &Flag| format!("--{} <{}>", flag.name, flag.value);
        let of = |wanted: fn(Need) -> bool| self.flags().filter(move |flag| wanted(flag.need)).map(written);
        let mut words: Vec<String> = of(|need| need == Need::Required).collect();
        let group: Vec<String> = of(|need| matches!(need, Need::One | Need::OneOrMore)).collect();
        if !group.is_empty() {
            words.push(format!("<{}>", group.join("|")));
        }
        let mut usage = format!("tbot {parent} {} [OPTIONS]", self.name);
        let mut column = HEAD + usage.len();
        for word in words {
            if column + 1 + word.len() > 80 {
                usage.push_str("\n          ");
                column = HEAD + 3;
            }
            usage = usage + " " + &word;
            column += 1 + word.len();
        }
        usage
    }
}

/// A command as the user gave it.
pub(crate) struct Asked {
    command: &'static ServiceCommand,
    given: Vec<Given>,
}

/// A flag as the user gave it.
struct Given {
    flag: &'static Flag,
    said: Said,
}

enum Said {
    Texts(Vec<String>),
    Switch(bool),
}

impl Given {
    fn read(flag: &'static Flag, matches: &ArgMatches) -> Option<Self> {
        let said = if let Kind::Switch(no) = flag.kind {
            let on = matches.get_flag(flag.name);
            (on || matches.get_flag(no)).then_some(Said::Switch(on))
        } else {
            matches.get_many::<String>(flag.name).map(|texts| Said::Texts(texts.cloned().collect()))
        };
        Some(Self { flag, said: said? })
    }

    /// The flag as it was written.
    fn written(&self) -> String {
        match (&self.said, self.flag.kind) {
            (Said::Switch(false), Kind::Switch(no)) => format!("--{no}"),
            _ => format!("--{}", self.flag.name),
        }
    }

    fn values(&self) -> Result<Vec<Value>, Failure> {
        match &self.said {
            Said::Switch(on) => Ok(vec![json!(on)]),
            Said::Texts(texts) => {
                let values = texts.iter().map(|text| value(self.flag.kind, text));
                values
                    .collect::<Result<_, _>>()
                    .map_err(|why| Failure::Usage(format!("--{}: {why}", self.flag.name)))
            }
        }
    }
}

impl FromArgMatches for Asked {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let command = table::COMMANDS.iter().find(|command| command.name == name).ok_or_else(missing)?;
        let given = command.flags().filter_map(|flag| Given::read(flag, matches)).collect();
        Ok(Self { command, given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Asked {
    fn augment_subcommands(command: Command) -> Command {
        let parent = match command.get_name() {
            telemetry @ ("status" | "preview") => format!("telemetry {telemetry}"),
            other => other.to_owned(),
        };
        command.subcommands(table::COMMANDS.iter().map(|service| service.command(&parent)))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        table::COMMANDS.iter().any(|command| command.name == name)
    }
}

impl Asked {
    /// The command's name.
    pub(crate) const fn name(&self) -> &'static str {
        self.command.name
    }

    /// Whether it is `tbot start` by its full name.
    pub(crate) fn is_legacy(&self) -> bool {
        self.name() == table::LEGACY
    }

    /// What it puts into the configuration.
    ///
    /// # Errors
    ///
    /// For the value of a flag that cannot be a value of its property.
    pub(crate) fn overrides(&self) -> Result<Vec<Override>, Failure> {
        let Some(service) = self.command.service else { return self.fields() };
        let command = Input::Command(self.command.name.to_owned());
        let mut added = Override::new(Pointer::from("/services/-"), json!({ "type": service }), command);
        for given in &self.given {
            let readers = given.flag.place.starts_with(table::READERS);
            if readers && added.value()["destination"]["type"] != "directory" {
                let message = format!("{}: only a directory has readers: leave it out", given.written());
                return Err(Failure::Usage(message));
            }
            for value in given.values()? {
                added.put(&Pointer::from(given.flag.place), value, Input::Flag(given.written()));
            }
        }
        Ok(vec![added])
    }

    fn fields(&self) -> Result<Vec<Override>, Failure> {
        let mut fields = Vec::new();
        for given in &self.given {
            for value in given.values()? {
                let place = Pointer::from(given.flag.place);
                fields.push(Override::new(place, value, Input::Flag(given.written())));
            }
        }
        Ok(fields)
    }
}

/// All services of a run that only writes one identity.
pub(crate) fn one_identity(directory: &str) -> Value {
    json!([{ "type": "identity", "destination": { "type": "directory", "path": directory } }])
}

fn value(kind: Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Text | Kind::Switch(_) => Ok(json!(text)),
        Kind::Destination => storage_uri::parse(text).map_err(|why| why.to_string()),
        Kind::Labels => labels(text, |value| json!(value)),
        Kind::LabelLists => labels(text, |value| json!([value])),
        Kind::OneIdentity => Ok(one_identity(text)),
    }
}

/// Reads `k=v,k2=v2`. A message never repeats a label.
fn labels(text: &str, value: impl Fn(&str) -> Value) -> Result<Value, String> {
    let mut labels = Map::new();
    for label in text.split(',') {
        let (name, text) = label.split_once('=').unwrap_or_default();
        let (name, text) = (name.trim(), text.trim());
        if name.is_empty() {
            return Err("a label has no name before an `=`: write NAME=VALUE,NAME=VALUE".to_owned());
        }
        if labels.insert(name.to_owned(), value(text)).is_some() {
            return Err("a label is there twice: write each name once".to_owned());
        }
    }
    Ok(Value::Object(labels))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsString;

    use tbot::config::{self, Purpose};

    use super::*;
    use crate::cli::{self, Command};

    /// Every command with all its flags, and the service that it adds.
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

    fn asked(line: &str) -> Asked {
        let words = ["tbot", "start"].into_iter().chain(line.split_whitespace());
        let Command::Start(run) = cli::parse(words.map(OsString::from)).unwrap().command else {
            unreachable!("these lines start")
        };
        run.service.unwrap()
    }

    #[test]
    fn every_flag_of_every_command_fits_the_configuration() {
        let mut tried = BTreeSet::new();
        let mut all = Map::new();
        for line in LINES.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let asked = asked(line);
            tried.extend(asked.given.iter().map(|given| (asked.name(), given.flag.name)));
            let overrides = asked.overrides().unwrap();
            let loaded = config::load(None, &overrides, Purpose::Validate);
            assert!(loaded.effective.is_some(), "{line}: {:?}", loaded.diagnostics);
            all.insert(line.to_owned(), overrides.iter().map(|added| added.value().clone()).collect());
        }
        insta::assert_json_snapshot!(all);
        // The readers are one group, of all commands that write.
        let reader = |flag: &Flag| flag.place.starts_with(table::READERS);
        for command in table::COMMANDS {
            for flag in command.flags().filter(|flag| !reader(flag)) {
                assert!(tried.contains(&(command.name, flag.name)), "{} --{}", command.name, flag.name);
            }
        }
    }

    #[test]
    fn only_a_directory_has_readers() {
        for line in [
            "--destination memory:// --reader-user a",
            "--reader-group a --destination kubernetes-secret:///a",
        ] {
            let why = asked(&format!("identity {line}")).overrides().unwrap_err().to_string();
            assert!(why.contains("only a directory has readers"), "{why}");
        }
    }

    #[test]
    fn labels_become_a_map() {
        assert_eq!(
            labels("a=b, c = d=e,f=", |text| json!(text)),
            Ok(json!({ "a": "b", "c": "d=e", "f": "" }))
        );
        assert_eq!(value(Kind::LabelLists, "*=*"), Ok(json!({ "*": ["*"] })));
        for wrong in ["", "a", "=b", "a=b,", "a=b,a=c"] {
            assert!(labels(wrong, |text| json!(text)).is_err(), "{wrong}");
        }
    }
}
