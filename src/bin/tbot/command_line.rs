//! Parses the command line.

mod corrections;

use std::ffi::OsString;

use clap::FromArgMatches as _;

use crate::cli::{self, Cli};
use crate::context::version_line;
use crate::exit::Failure;

/// Returns the definition of the command line of this version.
pub(crate) fn command() -> clap::Command {
    cli::command(version_line())
}

/// Parses a command line, which starts with the name of the program.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Failure> {
    let words: Vec<OsString> = arguments.into_iter().collect();
    let matches = command().try_get_matches_from(&words);
    let parsed = matches.and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| corrections::corrected(error, &words))
}

/// Returns the help of a command, which is an error to clap.
pub(crate) fn help(name: &str) -> Option<clap::Error> {
    command().try_get_matches_from(["tbot", name, "--help"]).err()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::cli::{Command, MISSING, service_commands};

    fn parse_line(line: &str) -> Result<Cli, Failure> {
        parse(line.split_whitespace().map(OsString::from))
    }

    /// Calls `check` for a command and all its subcommands.
    fn for_each_command(command: &mut clap::Command, check: &mut impl FnMut(&mut clap::Command)) {
        check(command);
        command.get_subcommands_mut().for_each(|subcommand| for_each_command(subcommand, check));
    }

    fn built() -> clap::Command {
        let mut command = command();
        command.build();
        command
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn help_fits_into_80_columns() {
        for_each_command(&mut built(), &mut |command| {
            for help in [command.render_help(), command.render_long_help()] {
                for line in help.to_string().lines() {
                    assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
                }
            }
        });
    }

    #[test]
    fn every_help_has_an_example_that_is_parsed() {
        let mut examples = 0;
        for_each_command(&mut built(), &mut |command| {
            let path = command.get_bin_name().unwrap_or_default().to_owned();
            // The generated command `help`, and commands that only other programs run.
            if path.starts_with("tbot help")
                || path.contains(" help")
                || command.is_hide_set()
                || path.starts_with("tbot kube")
            {
                return;
            }
            let help = command.render_help().to_string();
            let (_, example) =
                help.split_once("\nExample:\n").unwrap_or_else(|| panic!("{path}: no example"));
            let example = example.split("\n\n").next().unwrap().replace("\\\n", "");
            assert!(example.trim().starts_with(&path), "{path}: {example}");
            let words = example.split_whitespace().take_while(|word| !["|", ">"].contains(word));
            if let Err(error) = parse(words.map(OsString::from)) {
                panic!("{path}: {error}");
            }
            examples += 1;
        });
        assert!(examples > 70, "{examples}");
    }

    #[test]
    fn a_global_option_is_listed_only_where_it_has_an_effect_and_accepted_everywhere() {
        let listed = |path: &[&str], option: &str| {
            let mut command = built();
            let command =
                path.iter().fold(&mut command, |command, name| command.find_subcommand_mut(name).unwrap());
            command.render_long_help().to_string().contains(option)
        };
        for (path, option, expected) in [
            (&["start"][..], "--config", true),
            (&["start", "identity"], "--config", true),
            (&["telemetry", "preview", "identity"], "--config", true),
            (&["validate"], "--config", true),
            (&["configure"], "--config", false),
            (&["telemetry"], "--config", false),
            (&["telemetry", "explain"], "--config", false),
            (&["start"], "--config-string", true),
            (&["install", "systemd"], "--config-string", false),
            (&[], "--config ", true),
            (&[], "--anonymous-telemetry-opt-in", true),
            (&["start"], "--log-format", true),
            (&["validate"], "--log-format", false),
            (&["schema"], "--anonymous-telemetry-opt-in", false),
            (&["telemetry", "status"], "--anonymous-telemetry-opt-in", true),
            (&["explain"], "--color", true),
            (&["telemetry", "explain"], "--color", false),
            (&["proxy"], "--debug", true),
            (&["wait"], "--debug", false),
        ] {
            assert_eq!(listed(path, option), expected, "{path:?} {option}");
        }
        for line in [
            "tbot --log-format json --fips validate a",
            "tbot schema event -c a -d",
            "tbot version --insecure",
        ] {
            assert!(parse_line(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn global_options_follow_those_of_the_bot() {
        let mut compared = 0;
        for_each_command(&mut built(), &mut |command| {
            let help = command.render_long_help().to_string();
            if let (Some(bot), Some(global)) = (help.find("\nBot options:"), help.find("\nGlobal options:")) {
                assert!(bot < global, "{help}");
                compared += 1;
            }
        });
        assert!(compared > 50, "{compared}");
    }

    #[test]
    fn the_error_for_a_missing_command_or_flag_says_what_to_do_instead() {
        for (name, instead) in MISSING.iter().chain(corrections::MISTAKEN) {
            let lines = if name.starts_with("--") {
                vec![
                    format!("tbot {name}"),
                    format!("tbot start {name}"),
                    format!("tbot start identity {name}=a"),
                ]
            } else {
                vec![format!("tbot {name}"), format!("tbot -c a.yaml {name} systemd --write --name=a")]
            };
            for line in lines {
                let message = usage_error(&line);
                assert!(
                    message.contains(&format!("`{name}`")) && message.ends_with(instead),
                    "{line}: {message}"
                );
            }
        }
    }

    fn usage_error(line: &str) -> String {
        match parse_line(line).err() {
            Some(Failure::Usage(message)) => message,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_likely_mistake_is_corrected() {
        let corrections = [
            "tbot tbot.yaml",
            "tbot start ./conf",
            "tbot identity --destination /out",
            "tbot app-tunnel --app a",
            "tbot preview -c tbot.yaml",
            "tbot start validate",
            "tbot start ssh_host",
            "tbot start svid",
            "tbot start spiffe-x509-svid --destination /out",
            "tbot start help",
            "tbot start --trace-exporter=a",
            "tbot start -c a.yaml --diag-addr-for-updater=a",
            "tbot start identity --destination-dir /out",
            "tbot configure app-tunnel --app a --destination-dir=/out",
            "tbot start kubernetes/v2 --kubernetes-cluster a",
            "tbot start workload-api",
            "tbot telemetry preview identity --destination out --format json",
            "tbot telemetry status -c a.yaml identity --format=json",
            "tbot -c /etc/tbot.yaml",
            "tbot --config=/etc/tbot.yaml -d",
            "tbot -d",
        ]
        .map(usage_error);
        insta::assert_snapshot!(corrections.join("\n"), @r"
        `tbot.yaml` is not a command: pass a configuration file with --config
        `./conf` is not a command: pass a configuration file with --config
        `identity` is not a command here: use `tbot start identity`
        `app-tunnel` is not a command here: use `tbot start application-tunnel`
        `preview` is not a command here: use `tbot telemetry preview`
        `validate` is not a command here: use `tbot validate`
        the service type `ssh_host` has no command: add a service of this type to the configuration file
        `svid` is not a command: use `workload-identity-x509` or `workload-identity-jwt`, which write an SVID, or `workload-identity-api` for a socket
        `spiffe-x509-svid` is not a command: use `workload-identity-x509`
        `help` is not a command here: write `--help` instead
        there is no flag `--trace-exporter` here: use `--debug` to see more of what the agent does
        there is no flag `--diag-addr-for-updater` here: use `--diag-addr`, and check the health of the agent at that address
        `identity` has no flag `--destination-dir`: use `--destination`
        `app-tunnel` has no flag `--destination-dir`: remove it; `app-tunnel` writes no files
        there is no flag `--kubernetes-cluster` here: use the command `kubernetes`, or `kubernetes/v2` with `--name-selector`
        `workload-api` is not a command: use `workload-identity-api`
        `--format` must precede `identity`: `tbot telemetry preview --format FORMAT identity ...`
        `--format` must precede `identity`: `tbot telemetry status --format FORMAT identity ...`
        no command: to run the agent, use `tbot start -c /etc/tbot.yaml`; `tbot --help` lists the other commands
        no command: to run the agent, use `tbot start -c /etc/tbot.yaml`; `tbot --help` lists the other commands
        no command: to run the agent, use `tbot start`; `tbot --help` lists the other commands
        ");
        assert!(matches!(parse_line("tbot validte").err(), Some(Failure::CommandLine(_))));
    }

    #[test]
    fn a_service_command_has_no_flag_that_replaces_all_services() {
        for command in service_commands().filter(|command| command.name != "legacy") {
            let line =
                format!("tbot start {} {} --destination-dir=/out", command.name, command.command.example);
            let has_destination = command.flags().any(|flag| flag.name == "destination");
            assert_eq!(usage_error(&line).ends_with("use `--destination`"), has_destination, "{line}");
        }
    }

    #[test]
    fn a_tip_has_something_in_common_with_what_is_written() {
        let tips = |line: &str| {
            let Some(Failure::CommandLine(error)) = parse_line(line).err() else { panic!("{line}") };
            let message = error.to_string();
            message.lines().find_map(|line| Some(line.trim().strip_prefix("tip: ")?.to_owned()))
        };
        for (line, expected) in [
            ("tbot start --onshot", Some("a similar argument exists: '--oneshot'")),
            ("tbot start --destination=/out", Some("a similar argument exists: '--destination-dir'")),
            ("tbot validte tbot.yaml", Some("a similar subcommand exists: 'validate'")),
            ("tbot start indentity", Some("a similar subcommand exists: 'identity'")),
            ("tbot start --log-format jsn", Some("a similar value exists: 'json'")),
            ("tbot wait --diag-adr a:1", Some("a similar argument exists: '--diag-addr'")),
            ("tbot wait --bot-user a", None),
            ("tbot keypair create --bot-name a", None),
            ("tbot watch", None),
        ] {
            assert_eq!(tips(line).as_deref(), expected, "{line}");
        }
    }

    /// Lines from scripts, actions, charts and units for Teleport's `tbot`, in all spellings that its parser accepts.
    const LINES_FOR_GO_AGENT: &str = "
        tbot start -c /etc/tbot.yaml
        tbot start -c=/etc/tbot.yaml
        tbot start -c/etc/tbot.yaml
        tbot -c /etc/tbot.yaml -d start --oneshot
        tbot start --config=/etc/tbot.yaml --pid-file=/run/tbot.pid --no-oneshot
        tbot copy-binaries --include-fdpass /shared
        tbot --no-debug --no-fips --no-insecure --log-format=json start --fips --insecure
        tbot start --data-dir=/var/lib/teleport/bot --destination-dir=/out --token=a --join-method=token
        tbot start --auth-server=a:3025 --ca-pin=sha256:a --ca-pin=sha256:b --certificate-ttl=1h --renewal-interval=20m
        tbot start -a a:443 --diag-addr=127.0.0.1:3001 --scoped --no-scoped
        tbot start legacy --data-dir=/var/lib/teleport/bot --destination-dir=/out --proxy-server=a:443
        tbot start identity --join-uri=tbot+proxy+token://a@b:443 --storage=memory:// --destination=/out
        tbot start identity --destination=/out --reader-user=a --no-allow-reissue --registration-secret=a
        tbot start k8s/v2 --destination=/out --name-selector=a
        tbot start noop
        tbot start no-op
        tbot start ssh --destination=/out
        tbot configure legacy --output=tbot.yaml --data-dir=/a --join-method=iam --token=a
        tbot configure -o tbot.yaml identity --destination=/out
        tbot migrate -c old.yaml -o new.yaml
        tbot db --destination-dir=/out --proxy=a:443 --cluster=b connect --db-user=c orders
        tbot db --destination-dir=/out --proxy-server=a:443 -- connect --db-user=c orders
        tbot proxy --destination-dir=/out --proxy-server=a:443 ssh -p 22 root@host
        tbot db -c tbot.yaml --proxy-server=a:443 connect orders
        tbot -c tbot.yaml proxy db --tunnel orders
        tbot kube credentials --destination-dir=/out
        tbot keypair create --proxy-server=a:443 --storage=/a --overwrite --format=json
        tbot keypair create --proxy-server=a:443 --static --static-key-path=/a
        tbot init -c /etc/tbot.yaml --init-dir=/out --bot-user=a --reader-user=b --owner=c:d --clean
        tbot init --destination-dir=/out --bot-user=a --reader-user=b
        tbot init --auth-server=a:3025 --proxy-server=b:443 --destination-dir=/out --owner=a:b
        tbot init -a a:3025 --destination-dir=/out --bot-user=a
        tbot init --destination-dir=/out --init-dir=/out --bot-user=a --no-clean
        tbot install systemd --config=/etc/tbot.yaml --name=a --user=b --group=c --write --force --systemd-directory=/d
        tbot install systemd -c /etc/tbot.yaml --pid-file=/run/tbot.pid --no-anonymous-telemetry
        tbot install systemd -c /etc/tbot.yaml --no-write --no-force
        tbot keypair create --proxy-server=a:443 --static --storage=/a
        tbot keypair create --proxy-server=a:443 --no-static --no-overwrite
        tbot ssh-proxy-command --destination-dir=/a --cluster=c --user=u --host=h --port=22 --proxy-server=a:443 --resume
        tbot ssh-proxy-command --destination-dir=/a --user=u --host=h --proxy-server=a:443 --no-tls-routing --no-resume
        tbot wait --diag-addr=127.0.0.1:3001 --service=a --timeout=30s
        tbot version --debug";

    #[test]
    fn a_command_line_for_the_go_agent_is_parsed() {
        for line in LINES_FOR_GO_AGENT.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Err(error) = parse_line(line) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn the_last_of_a_switch_and_its_negation_wins() {
        let clean = |flags: &str| {
            let cli = parse_line(&format!("tbot init --bot-user a {flags}")).unwrap();
            let Command::Init(args) = cli.command else { panic!("not `tbot init`") };
            args.clean
        };
        assert!(clean("--clean") && clean("--no-clean --clean"));
        assert!(!clean("--no-clean") && !clean("--clean --no-clean"));
    }

    #[test]
    fn the_proxy_command_that_earlier_versions_wrote_is_parsed() {
        let line = "tbot proxy --destination-dir=/out --proxy-server=a:443 ssh --cluster=c  root@h:22";
        let cli = parse_line(line).unwrap();
        let Command::Proxy(args) = cli.command else { panic!("not `tbot proxy`") };
        assert_eq!(args.arguments, ["ssh", "--cluster=c", "root@h:22"]);
        assert_eq!((args.cluster, args.proxy_server.as_deref()), (None, Some("a:443")));
    }

    #[test]
    fn global_flags_are_accepted_before_and_after_the_command() {
        for line in [
            "tbot --anonymous-telemetry-opt-in -c a.yaml start",
            "tbot start --anonymous-telemetry-opt-in -c a.yaml",
            "tbot -c a.yaml telemetry --anonymous-telemetry-opt-in status",
            "tbot telemetry status -c a.yaml --anonymous-telemetry-opt-in",
        ] {
            let cli = parse_line(line).unwrap();
            assert!(cli.global.anonymous_telemetry_opt_in, "{line}");
            assert_eq!(cli.global.config, Some(PathBuf::from("a.yaml")), "{line}");
        }
    }
}
