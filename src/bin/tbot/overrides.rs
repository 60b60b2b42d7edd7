//! Overrides of the configuration by flags and environment variables. A flag takes precedence over its variable. Pure.

use serde_json::{Value, json};
use tbot::config::{Override, OverrideSource};
use tbot::pointer::Pointer;

use crate::cli::{BotArgs, GlobalArgs, RunArgs};
use crate::context::parse_go_bool;
use crate::destination_uri;
use crate::exit::Failure;
use crate::flag_value::{nonempty, nonzero};
use crate::service_overrides::{one_identity, service_overrides};
use tbot::agent::Environment;

/// The variable for `--debug`.
const DEBUG_VARIABLE: &str = "TBOT_DEBUG";

/// A flag of `tbot start` that sets a single property.
#[derive(Clone, Copy)]
struct PropertyFlag {
    name: &'static str,
    property: &'static str,
}

impl PropertyFlag {
    fn pointer(self) -> Pointer {
        Pointer::from(self.property)
    }
}

/// Declares a constant for each of these flags, and the list of all of them.
macro_rules! property_flags {
    ($($name:ident: $flag:literal => $property:literal,)*) => {
        $(const $name: PropertyFlag = PropertyFlag { name: $flag, property: $property };)*
        const PROPERTY_FLAGS: &[PropertyFlag] = &[$($name),*];
    };
}

property_flags! {
    PROXY_SERVER: "--proxy-server" => "/proxy_server",
    AUTH_SERVER: "--auth-server" => "/auth_server",
    TOKEN: "--token" => "/onboarding/token",
    JOIN_METHOD: "--join-method" => "/onboarding/join_method",
    JOIN_URI: "--join-uri" => "/join_uri",
    CA_PIN: "--ca-pin" => "/onboarding/ca_pins",
    REGISTRATION_SECRET: "--registration-secret" => "/onboarding/bound_keypair/registration_secret",
    REGISTRATION_SECRET_PATH: "--registration-secret-path" => "/onboarding/bound_keypair/registration_secret_path",
    STATIC_KEY_PATH: "--static-key-path" => "/onboarding/bound_keypair/static_private_key_path",
    DIAG_ADDR: "--diag-addr" => "/diag_addr",
    CERTIFICATE_TTL: "--certificate-ttl" => "/credential_ttl",
    CREDENTIAL_TTL: "--credential-ttl" => "/credential_ttl",
    RENEWAL_INTERVAL: "--renewal-interval" => "/renewal_interval",
    STORAGE: "--storage" => "/storage",
    DATA_DIR: "--data-dir" => "/storage",
    DEBUG: "--debug" => "/debug",
    FIPS: "--fips" => "/fips",
    INSECURE: "--insecure" => "/insecure",
    ONESHOT: "--oneshot" => "/oneshot",
    SCOPED: "--scoped" => "/scoped",
}

/// Returns the flag of `tbot start` that sets a property.
pub(crate) fn flag_for(pointer: &Pointer) -> Option<&'static str> {
    PROPERTY_FLAGS.iter().find(|one| one.property == pointer.as_str()).map(|one| one.name)
}

/// Returns the overrides from all flags and variables.
///
/// # Errors
///
/// Returns an error if the value of a flag or variable cannot be parsed. Whether it is valid in the configuration is
/// checked later, by `tbot::config`.
pub(crate) fn overrides(
    global: &GlobalArgs,
    args: &RunArgs,
    environment: &Environment,
) -> Result<Vec<Override>, Failure> {
    // Each flag is named, so that the compiler reports one that nothing reads.
    let RunArgs { destination_dir, bot, service } = args;
    let BotArgs {
        proxy_server,
        auth_server,
        token,
        join_method,
        join_uri,
        ca_pins,
        registration_secret,
        registration_secret_path,
        static_key_path,
        storage,
        data_dir,
        certificate_ttl,
        credential_ttl,
        renewal_interval,
        oneshot,
        no_oneshot,
        scoped,
        no_scoped,
        diag_addr,
        pid_file: _,
    } = bot;
    let GlobalArgs {
        debug,
        no_debug,
        fips,
        no_fips,
        insecure,
        no_insecure,
        // These override nothing: other parts of the program read them.
        config: _,
        config_string: _,
        log_format: _,
        color: _,
        anonymous_telemetry_opt_in: _,
    } = global;
    for [(one, value), (other, other_value)] in [
        [(STORAGE, storage), (DATA_DIR, data_dir)],
        [(CERTIFICATE_TTL, certificate_ttl), (CREDENTIAL_TTL, credential_ttl)],
    ] {
        if nonempty(value.as_deref()).is_some() && nonempty(other_value.as_deref()).is_some() {
            let message =
                format!("{} and {} are two names of one flag: remove one of them", one.name, other.name);
            return Err(Failure::Usage(message));
        }
    }
    let mut overrides = OverrideBuilder { environment, overrides: Vec::new() };
    for (flag, value, variable) in [
        (PROXY_SERVER, proxy_server, Some("TELEPORT_PROXY")),
        (AUTH_SERVER, auth_server, Some("TELEPORT_AUTH_SERVER")),
        (TOKEN, token, Some("TELEPORT_BOT_TOKEN")),
        (JOIN_METHOD, join_method, None),
        (JOIN_URI, join_uri, None),
        (REGISTRATION_SECRET, registration_secret, None),
        (REGISTRATION_SECRET_PATH, registration_secret_path, None),
        (STATIC_KEY_PATH, static_key_path, None),
        (DIAG_ADDR, diag_addr, None),
    ] {
        overrides.string(flag, value.as_deref(), variable)?;
    }
    for (flag, value) in [
        (CERTIFICATE_TTL, certificate_ttl),
        (CREDENTIAL_TTL, credential_ttl),
        (RENEWAL_INTERVAL, renewal_interval),
    ] {
        overrides.string(flag, nonzero(value.as_deref()), None)?;
    }
    let ca_pins: Vec<_> = ca_pins.iter().filter(|pin| !pin.is_empty()).collect();
    if !ca_pins.is_empty() {
        overrides.set(CA_PIN, json!(ca_pins));
    }
    for (flag, uri) in [(STORAGE, storage), (DATA_DIR, data_dir)] {
        if let Some(uri) = nonempty(uri.as_deref()) {
            let storage = destination_uri::parse(uri)
                .map_err(|error| Failure::Usage(format!("{}: {error}", flag.name)))?;
            overrides.set(flag, storage);
        }
    }
    if let Some(path) = nonempty(destination_dir.as_deref()) {
        if let Some(service) = service.as_ref().filter(|service| !service.is_legacy()) {
            return Err(Failure::Usage(format!(
                "--destination-dir conflicts with the command {0}, because it replaces all services with one identity: remove \
                 --destination-dir or {0}",
                service.name()
            )));
        }
        let flag = OverrideSource::Flag("--destination-dir".to_owned());
        overrides.push(one_identity(path)?, flag, Pointer::root().key("services"));
    }
    if let Some(service) = service {
        overrides.overrides.extend(service_overrides(service)?);
    }
    overrides.switch(DEBUG, *debug, *no_debug, Some(DEBUG_VARIABLE))?;
    overrides.switch(FIPS, *fips, *no_fips, None)?;
    overrides.switch(INSECURE, *insecure, *no_insecure, None)?;
    overrides.switch(ONESHOT, *oneshot, *no_oneshot, None)?;
    overrides.switch(SCOPED, *scoped, *no_scoped, None)?;
    Ok(overrides.overrides)
}

/// Returns whether `--debug` or its variable turns on debug logging, for a command without a configuration.
pub(crate) fn is_debug(global: &GlobalArgs, environment: &Environment) -> Result<bool, Failure> {
    match (global.debug, global.no_debug) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Ok(boolean_variable(DEBUG_VARIABLE, environment)?.unwrap_or(false)),
    }
}

/// Returns an error for `--fips`, for a command without a configuration. `tbot start` refuses the property of the configuration.
pub(crate) fn refuse_fips(global: &GlobalArgs) -> Result<(), Failure> {
    if global.fips {
        let message = "--fips: this version has no FIPS 140 validated cryptography";
        return Err(Failure::Usage(message.to_owned()));
    }
    Ok(())
}

fn boolean_variable(name: &str, environment: &Environment) -> Result<Option<bool>, Failure> {
    let Some(value) = environment.get_utf8(name)? else { return Ok(None) };
    let invalid = || format!("{name} is not a boolean: set it to true or false, or unset it");
    parse_go_bool(value).map(Some).ok_or_else(|| Failure::Usage(invalid()))
}

struct OverrideBuilder<'a> {
    environment: &'a Environment,
    overrides: Vec<Override>,
}

impl OverrideBuilder<'_> {
    fn push(&mut self, value: Value, source: OverrideSource, pointer: Pointer) {
        self.overrides.push(Override::new(pointer, value, source));
    }

    /// Sets the property of a flag.
    fn set(&mut self, flag: PropertyFlag, value: Value) {
        self.push(value, OverrideSource::Flag(flag.name.to_owned()), flag.pointer());
    }

    /// Adds the string of a flag or, if that is not set, of its variable.
    fn string(
        &mut self,
        flag: PropertyFlag,
        value: Option<&str>,
        variable: Option<&str>,
    ) -> Result<(), Failure> {
        if let Some(value) = nonempty(value) {
            self.set(flag, json!(value));
        } else if let Some(variable) = variable
            && let Some(value) = self.environment.get_utf8(variable)?
        {
            self.push(json!(value), OverrideSource::Variable(variable.to_owned()), flag.pointer());
        }
        Ok(())
    }

    /// Adds a boolean, which `--NAME`, `--no-NAME` or a variable sets.
    fn switch(
        &mut self,
        flag: PropertyFlag,
        on: bool,
        off: bool,
        variable: Option<&str>,
    ) -> Result<(), Failure> {
        if off {
            let negated = flag.name.replacen("--", "--no-", 1);
            self.push(json!(false), OverrideSource::Flag(negated), flag.pointer());
        } else if on {
            self.set(flag, json!(true));
        } else if let Some(variable) = variable
            && let Some(value) = boolean_variable(variable, self.environment)?
        {
            self.push(json!(value), OverrideSource::Variable(variable.to_owned()), flag.pointer());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;
    use crate::command_line;
    use std::ffi::OsString;

    fn parse(line: &str, variables: &[(&str, &str)]) -> Result<Vec<(String, Value, String)>, Failure> {
        let line = format!("tbot start {line}");
        let cli = command_line::parse(line.split_whitespace().map(OsString::from)).unwrap();
        let Command::Start(run) = cli.command else { unreachable!("not `tbot start`") };
        let overrides = overrides(&cli.global, &run, &variables.iter().copied().collect())?;
        Ok(overrides
            .into_iter()
            .map(|one| (one.pointer().to_string(), one.value().clone(), one.source().to_string()))
            .collect())
    }

    #[test]
    fn a_flag_overrides_its_variable_and_sets_only_its_own_field() {
        let variables = [("TELEPORT_BOT_TOKEN", "variable"), ("TELEPORT_PROXY", "proxy:443")];
        let overrides = parse("--token flag", &variables).unwrap();
        let expected = [
            ("/proxy_server".to_owned(), json!("proxy:443"), "TELEPORT_PROXY".to_owned()),
            ("/onboarding/token".to_owned(), json!("flag"), "--token".to_owned()),
        ];
        assert_eq!(overrides, expected);
    }

    #[test]
    fn a_flag_with_two_names_has_the_name_that_is_written() {
        for (line, expected) in [
            ("--data-dir=/a", "--data-dir"),
            ("--storage=/a", "--storage"),
            ("--credential-ttl=1h", "--credential-ttl"),
            ("--certificate-ttl=1h", "--certificate-ttl"),
        ] {
            assert_eq!(parse(line, &[]).unwrap().pop().unwrap().2, expected, "{line}");
        }
        for line in [
            "--data-dir=/a --storage=/b",
            "--data-dir=/a identity --destination=/out --storage=/b",
            "--certificate-ttl=1h --credential-ttl=2h",
        ] {
            assert!(matches!(parse(line, &[]), Err(Failure::Usage(_))), "{line}");
        }
        assert_eq!(parse("--storage= --data-dir=/b", &[]).unwrap().len(), 1);
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        assert_eq!(parse("", &[("TELEPORT_BOT_TOKEN", ""), ("TBOT_DEBUG", "")]).unwrap(), []);
    }

    #[test]
    fn an_empty_flag_counts_as_unset() {
        let variables = [("TELEPORT_BOT_TOKEN", "variable")];
        let line = "--token= --proxy-server= --join-method= --join-uri= --ca-pin= --storage= --destination-dir= --diag-addr= \
                    --certificate-ttl= --renewal-interval=0s";
        let token = ("/onboarding/token".to_owned(), json!("variable"), "TELEPORT_BOT_TOKEN".to_owned());
        assert_eq!(parse(line, &variables).unwrap(), [token]);
        let pins = parse("--ca-pin= --ca-pin a", &[]).unwrap();
        assert_eq!(pins, [("/onboarding/ca_pins".to_owned(), json!(["a"]), "--ca-pin".to_owned())]);
        assert_eq!(parse("legacy --destination-dir=", &[]).unwrap(), []);
    }

    #[test]
    fn a_switch_can_be_negated_and_the_last_flag_wins() {
        let last = |line| parse(line, &[("TBOT_DEBUG", "1")]).unwrap().pop().unwrap();
        assert_eq!(last("").2, "TBOT_DEBUG");
        assert_eq!(last("--no-debug"), ("/debug".to_owned(), json!(false), "--no-debug".to_owned()));
        assert_eq!(
            last("--oneshot --no-oneshot"),
            ("/oneshot".to_owned(), json!(false), "--no-oneshot".to_owned())
        );
        assert_eq!(last("--no-oneshot --oneshot").1, json!(true));
    }

    #[test]
    fn a_command_without_a_configuration_reads_the_variable_for_debug_as_well() {
        let debug = |line: &str, value: &str| {
            let cli = command_line::parse(line.split(' ').map(OsString::from)).unwrap();
            is_debug(&cli.global, &[("TBOT_DEBUG", value)].into_iter().collect())
        };
        assert!(debug("tbot version", "1").unwrap() && debug("tbot version -d", "0").unwrap());
        assert!(!debug("tbot version", "").unwrap() && !debug("tbot version --no-debug", "1").unwrap());
        assert!(debug("tbot version", "maybe").is_err());
    }

    #[test]
    fn a_variable_that_is_not_a_boolean_is_a_usage_error() {
        assert!(matches!(parse("", &[("TBOT_DEBUG", "yes")]), Err(Failure::Usage(_))));
    }

    #[test]
    fn lists_and_destinations_become_values() {
        let line = "--ca-pin a --ca-pin b --storage memory:// --destination-dir /out";
        let overrides = parse(line, &[]).unwrap();
        let values: Vec<_> =
            overrides.iter().map(|(pointer, value, _)| (pointer.as_str(), value.clone())).collect();
        let identity =
            json!([{ "type": "identity", "destination": { "type": "directory", "path": "/out" } }]);
        let expected = [
            ("/onboarding/ca_pins", json!(["a", "b"])),
            ("/storage", json!({ "type": "memory" })),
            ("/services", identity),
        ];
        assert_eq!(values, expected);
    }
}
