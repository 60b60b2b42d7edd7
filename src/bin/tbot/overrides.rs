//! What flags and environment variables put into the configuration: one field each, the flag before the variable.
//! Depends on the command line, the environment and `tbot::config`'s overrides; pure.

use serde_json::{Value, json};
use tbot::config::{Input, Override};
use tbot::pointer::Pointer;

use crate::cli::{Global, Run};
use crate::consent::go_bool;
use crate::environment::Environment;
use crate::exit::Failure;
use crate::service::one_identity;
use crate::storage_uri;

/// Everything that overrides the file. An empty variable counts as unset.
///
/// # Errors
///
/// For a flag's or variable's value that cannot even be a value of its field; what it means is the configuration's matter.
pub(crate) fn overrides(
    global: &Global,
    run: &Run,
    environment: &Environment,
) -> Result<Vec<Override>, Failure> {
    let settings = &run.settings;
    let mut overrides = Overrides { environment, found: Vec::new() };
    let onboarding = |field: &str| format!("/onboarding/{field}");
    let bound_keypair = |field: &str| format!("/onboarding/bound_keypair/{field}");
    for (flag, value, variable, pointer) in [
        ("--proxy-server", &settings.proxy_server, Some("TELEPORT_PROXY"), "/proxy_server".to_owned()),
        ("--auth-server", &settings.auth_server, Some("TELEPORT_AUTH_SERVER"), "/auth_server".to_owned()),
        ("--token", &settings.token, Some("TELEPORT_BOT_TOKEN"), onboarding("token")),
        ("--join-method", &settings.join_method, None, onboarding("join_method")),
        ("--join-uri", &settings.join_uri, None, "/join_uri".to_owned()),
        ("--registration-secret", &settings.registration_secret, None, bound_keypair("registration_secret")),
        (
            "--registration-secret-path",
            &settings.registration_secret_path,
            None,
            bound_keypair("registration_secret_path"),
        ),
        ("--static-key-path", &settings.static_key_path, None, bound_keypair("static_private_key_path")),
        ("--certificate-ttl", &settings.certificate_ttl, None, "/credential_ttl".to_owned()),
        ("--renewal-interval", &settings.renewal_interval, None, "/renewal_interval".to_owned()),
        ("--diag-addr", &settings.diag_addr, None, "/diag_addr".to_owned()),
    ] {
        overrides.text(flag, value.as_deref(), variable, pointer)?;
    }
    if !settings.ca_pins.is_empty() {
        overrides.put(json!(settings.ca_pins), Input::Flag("--ca-pin".to_owned()), onboarding("ca_pins"));
    }
    if let Some(uri) = &settings.storage {
        let storage = storage_uri::parse(uri).map_err(|why| Failure::Usage(format!("--storage: {why}")))?;
        overrides.put(storage, Input::Flag("--storage".to_owned()), "/storage".to_owned());
    }
    if let Some(path) = &run.destination_dir {
        if let Some(service) = run.service.as_ref().filter(|service| !service.is_legacy()) {
            return Err(Failure::Usage(format!(
                "--destination-dir and {} exclude each other: that is a service, and --destination-dir is for an \
                 identity and no other",
                service.name()
            )));
        }
        let flag = Input::Flag("--destination-dir".to_owned());
        overrides.put(one_identity(path), flag, "/services".to_owned());
    }
    if let Some(service) = &run.service {
        overrides.found.extend(service.overrides()?);
    }
    overrides.switch("debug", global.debug, global.no_debug, Some("TBOT_DEBUG"))?;
    overrides.switch("fips", global.fips, global.no_fips, None)?;
    overrides.switch("insecure", global.insecure, global.no_insecure, None)?;
    overrides.switch("oneshot", settings.oneshot, settings.no_oneshot, None)?;
    overrides.switch("scoped", settings.scoped, settings.no_scoped, None)?;
    Ok(overrides.found)
}

struct Overrides<'a> {
    environment: &'a Environment,
    found: Vec<Override>,
}

impl Overrides<'_> {
    fn put(&mut self, value: Value, input: Input, pointer: String) {
        self.found.push(Override::new(Pointer::from(pointer), value, input));
    }

    fn text(
        &mut self,
        flag: &str,
        value: Option<&str>,
        variable: Option<&str>,
        pointer: String,
    ) -> Result<(), Failure> {
        if let Some(value) = value {
            self.put(json!(value), Input::Flag(flag.to_owned()), pointer);
        } else if let Some(variable) = variable
            && let Some(value) = self.environment.text(variable)?
        {
            self.put(json!(value), Input::Variable(variable.to_owned()), pointer);
        }
        Ok(())
    }

    /// A bool of the top level, whose flags are its name, and its name after `--no-`.
    fn switch(&mut self, field: &str, on: bool, off: bool, variable: Option<&str>) -> Result<(), Failure> {
        let pointer = format!("/{field}");
        if off {
            self.put(json!(false), Input::Flag(format!("--no-{field}")), pointer);
        } else if on {
            self.put(json!(true), Input::Flag(format!("--{field}")), pointer);
        } else if let Some(variable) = variable
            && let Some(text) = self.environment.text(variable)?
        {
            let value = go_bool(text).ok_or_else(|| {
                Failure::Usage(format!(
                    "{variable} is set to what is no bool: set it to true or false, or unset it"
                ))
            })?;
            self.put(json!(value), Input::Variable(variable.to_owned()), pointer);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{self, Command};
    use std::ffi::OsString;

    fn read(line: &str, variables: &[(&str, &str)]) -> Result<Vec<(String, Value, String)>, Failure> {
        let line = format!("tbot start {line}");
        let cli = cli::parse(line.split_whitespace().map(OsString::from)).unwrap();
        let Command::Start(run) = cli.command else { unreachable!("these lines start") };
        let found = overrides(&cli.global, &run, &variables.iter().copied().collect())?;
        Ok(found
            .into_iter()
            .map(|found| (found.pointer().to_string(), found.value().clone(), found.input().to_string()))
            .collect())
    }

    #[test]
    fn a_flag_wins_over_its_variable_and_touches_its_own_field_only() {
        let variables = [("TELEPORT_BOT_TOKEN", "variable"), ("TELEPORT_PROXY", "proxy:443")];
        let found = read("--token flag", &variables).unwrap();
        let expected = [
            ("/proxy_server".to_owned(), json!("proxy:443"), "TELEPORT_PROXY".to_owned()),
            ("/onboarding/token".to_owned(), json!("flag"), "--token".to_owned()),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        assert_eq!(read("", &[("TELEPORT_BOT_TOKEN", ""), ("TBOT_DEBUG", "")]).unwrap(), []);
    }

    #[test]
    fn switches_go_both_ways_and_the_last_flag_wins() {
        let one = |line| read(line, &[("TBOT_DEBUG", "1")]).unwrap().pop().unwrap();
        assert_eq!(one("").2, "TBOT_DEBUG");
        assert_eq!(one("--no-debug"), ("/debug".to_owned(), json!(false), "--no-debug".to_owned()));
        assert_eq!(
            one("--oneshot --no-oneshot"),
            ("/oneshot".to_owned(), json!(false), "--no-oneshot".to_owned())
        );
        assert_eq!(one("--no-oneshot --oneshot").1, json!(true));
    }

    #[test]
    fn a_variable_that_is_no_bool_is_wrong_usage() {
        assert!(matches!(read("", &[("TBOT_DEBUG", "yes")]), Err(Failure::Usage(_))));
    }

    #[test]
    fn lists_and_destinations_become_values() {
        let line = "--ca-pin a --ca-pin b --storage memory:// --destination-dir /out";
        let found = read(line, &[]).unwrap();
        let values: Vec<_> =
            found.iter().map(|(pointer, value, _)| (pointer.as_str(), value.clone())).collect();
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
