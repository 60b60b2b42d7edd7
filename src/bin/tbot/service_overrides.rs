//! The service that a command adds to the configuration: `tbot start identity --destination /out` adds an `identity` to the
//! services of the file.

mod value;

use serde_json::{Value, json};
use tbot::config::internal::{FlagType, Requirement, ServiceFlag};
use tbot::config::{Override, OverrideSource};
use tbot::pointer::Pointer;

pub(crate) use value::one_identity;

use crate::cli::{FlagValue, GivenFlag, ServiceArgs};
use crate::exit::Failure;

/// The prefix of pointers to the readers of a destination.
const READERS: &str = "/destination/readers/";

/// Returns what a service command adds to the configuration.
///
/// # Errors
///
/// Returns an error if the value of a flag cannot be parsed, if a flag does not apply to the destination, or if two flags exclude each
/// other.
pub(crate) fn service_overrides(args: &ServiceArgs) -> Result<Vec<Override>, Failure> {
    if !args.adds_service() {
        return legacy_overrides(args);
    }
    refuse_alternatives(args.flags())?;
    let command = OverrideSource::Command(args.name().to_owned());
    let mut added = Override::new(Pointer::from("/services/-"), json!({ "type": args.name() }), command);
    for given in args.flags() {
        let is_set_reader = is_reader(given.flag) && given.has_value();
        if is_set_reader && added.value()["destination"]["type"] != "directory" {
            let message = format!("{} is only valid for a directory: remove it", given.written());
            return Err(Failure::Usage(message));
        }
        for value in to_json(given, is_met_without_empty_values(given, args.flags()))? {
            let flag = OverrideSource::Flag(given.written());
            added.set_part(&Pointer::from(given.flag.pointer), value, flag);
        }
    }
    Ok(vec![added])
}

/// Returns the overrides of `legacy`, whose flag is a directory for one identity.
fn legacy_overrides(args: &ServiceArgs) -> Result<Vec<Override>, Failure> {
    let mut overrides = Vec::new();
    for given in args.flags() {
        let FlagValue::Strings(directories) = &given.value else { continue };
        for directory in directories.iter().filter(|directory| !directory.is_empty()) {
            let pointer = Pointer::from(given.flag.pointer);
            let source = OverrideSource::Flag(given.written());
            overrides.push(Override::new(pointer, one_identity(directory)?, source));
        }
    }
    Ok(overrides)
}

fn is_reader(flag: &ServiceFlag) -> bool {
    flag.pointer.starts_with(READERS)
}

/// Returns an error if more than one flag is set in a group of which exactly one is required.
fn refuse_alternatives(flags: &[GivenFlag]) -> Result<(), Failure> {
    let mut set = flags
        .iter()
        .filter(|given| given.flag.requirement == Requirement::ExactlyOne && given.has_value())
        .map(GivenFlag::written);
    match (set.next(), set.next()) {
        (Some(first), Some(second)) => {
            Err(Failure::Usage(format!("{first} conflicts with {second}: remove one of them")))
        }
        _ => Ok(()),
    }
}

/// Returns whether the service has what it needs of a flag if empty values count as not set. Otherwise, the checks report them.
fn is_met_without_empty_values(given: &GivenFlag, flags: &[GivenFlag]) -> bool {
    match given.flag.requirement {
        Requirement::Optional => true,
        Requirement::Required => given.has_value(),
        group @ (Requirement::AtLeastOne | Requirement::ExactlyOne) => {
            flags.iter().any(|other| other.flag.requirement == group && other.has_value())
        }
    }
}

fn to_json(given: &GivenFlag, without_empty: bool) -> Result<Vec<Value>, Failure> {
    match &given.value {
        FlagValue::Switch(on) => Ok(vec![json!(on)]),
        FlagValue::Strings(strings) => {
            // Empty labels are none.
            let without_empty =
                without_empty || matches!(given.flag.flag_type, FlagType::Labels | FlagType::LabelLists);
            let strings = strings.iter().filter(|string| !(without_empty && string.is_empty()));
            strings
                .map(|string| value::parse(given.flag.flag_type, string))
                .collect::<Result<_, _>>()
                .map_err(|error| Failure::Usage(format!("--{}: {error}", given.flag.name)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsString;

    use serde_json::Map;
    use tbot::config::{self, Purpose};

    use super::*;
    use crate::cli::{Command, service_commands};
    use crate::command_line;

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
        let Command::Start(args) = command_line::parse(words.map(OsString::from)).unwrap().command else {
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
            tested.extend(args.flags().iter().map(|given| (args.name(), given.flag.name)));
            let overrides = service_overrides(&args).unwrap();
            let loaded = config::load(None::<&str>, &overrides, Purpose::Validate);
            assert!(loaded.effective.is_some(), "{line}: {:?}", loaded.diagnostics);
            services.insert(line.to_owned(), overrides.iter().map(|added| added.value().clone()).collect());
        }
        insta::assert_json_snapshot!(services);
        // All commands with a destination share the reader flags, so a few lines cover them.
        for command in service_commands() {
            for flag in command.flags().filter(|flag| !is_reader(flag)) {
                assert!(
                    tested.contains(&(command.name, flag.name)),
                    "add a line with `{} --{}` to LINES",
                    command.name,
                    flag.name
                );
            }
        }
    }

    #[test]
    fn the_example_of_every_command_is_a_valid_configuration() {
        for command in service_commands() {
            let line = format!("{} {}", command.name, command.command.example);
            let loaded =
                config::load(None::<&str>, &service_overrides(&parse(&line)).unwrap(), Purpose::Validate);
            assert!(loaded.effective.is_some(), "{line}: {:?}", loaded.diagnostics);
        }
    }

    #[test]
    fn a_reader_flag_for_another_destination_is_an_error() {
        let errors = [
            "--destination memory:// --reader-user a",
            "--reader-group a --destination kubernetes-secret:///a",
        ]
        .map(|flags| service_overrides(&parse(&format!("identity {flags}"))).unwrap_err().to_string());
        insta::assert_snapshot!(errors.join("\n"), @r"
        --reader-user is only valid for a directory: remove it
        --reader-group is only valid for a directory: remove it
        ");
        service_overrides(&parse("identity --destination memory:// --reader-user=")).unwrap();
    }
}
