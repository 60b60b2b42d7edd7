//! The flags and environment variables in docs/configuration.md: what each does, and which part of the agent reads it.

use tbot::config::internal::EnvironmentVariables;
use tbot::config::{Destination, JoinMethod, ServiceType};

use super::command_line;
use super::markdown::{code, table};

/// The variables that `tbot` itself reads. All others are in the rows of the service types, join methods and
/// destination types that read them.
const PROGRAM: &[EnvironmentVariables] = &[
    variables(&["TBOT_CONFIG_PATH"], "Same as `--config`."),
    variables(
        &["TBOT_CONFIG"],
        "Same as `--config-string`: the configuration itself, base64-encoded. Line breaks are ignored.",
    ),
    variables(&["TBOT_DEBUG"], "`true` is the same as `--debug`, `false` the same as `--no-debug`."),
    variables(&["TELEPORT_PROXY"], "Same as `--proxy-server`."),
    variables(&["TELEPORT_AUTH_SERVER"], "Same as `--auth-server`."),
    variables(&["TELEPORT_BOT_TOKEN"], "Same as `--token`."),
    variables(
        &["TBOT_USE_PROXY_ADDR"],
        "`yes`: `ssh_config` contains the proxy address from `proxy_server` instead of the address that the proxy \
         advertises. No effect without `proxy_server`.",
    ),
    variables(
        &["SSL_CERT_FILE", "SSL_CERT_DIR"],
        "Certificate authorities to trust for a proxy instead of those of the system: a file, and a list of directories \
         separated by `:`. Each must name at least one certificate.",
    ),
    variables(
        &["HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"],
        "The HTTP proxy to use, and the hosts to connect to directly: names, IP addresses and networks, separated by commas, \
         such as `example.com` (also for the hosts below it), `*.example.com`, `example.com:443`, `10.0.0.0/8`, and `*` for all. \
         The lower-case names work, too.",
    ),
    variables(
        &["TELEPORT_TLS_ROUTING_CONN_UPGRADE"],
        "Whether connections to the proxy use the connection upgrade, which a proxy behind a load balancer that terminates \
         TLS needs: `yes`, `no`, or a list such as `proxy.example.com:443=yes`, separated by commas. By default, the agent \
         tests it.",
    ),
    variables(
        &["TELEPORT_ANONYMOUS_TELEMETRY", "DO_NOT_TRACK"],
        "Opt in to or out of telemetry, see [telemetry.md](telemetry.md).",
    ),
    variables(
        &["TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS"],
        "The endpoint for the telemetry event, see [telemetry.md](telemetry.md).",
    ),
    variables(
        &tbot::event::internal::VARIABLES,
        "Describe the program that started the agent, for the telemetry event, see [telemetry.md](telemetry.md).",
    ),
    variables(
        &["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"],
        "Set by systemd: `tbot start` notifies it of its state, see [health.md](health.md#systemd).",
    ),
    variables(
        &["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "TERM"],
        "Diagnostics have colours if they are written to a terminal, but not if `NO_COLOR` is set or `TERM` is `dumb`, and always \
         if `FORCE_COLOR` or `CLICOLOR_FORCE` is set. `--color` takes precedence.",
    ),
    variables(&["COLUMNS"], "The width of diagnostics. Defaults to that of the terminal, or else to 80."),
    variables(
        &["TSH", "PATH"],
        "The `tsh` program that `tbot proxy` and `tbot db` run. Defaults to `tsh` in `PATH`.",
    ),
];

const fn variables(names: &'static [&'static str], effect: &'static str) -> EnvironmentVariables {
    EnvironmentVariables { names, effect }
}

pub(super) fn section() -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut add = |variables: &[EnvironmentVariables], read_by: String| {
        rows.extend(variables.iter().map(|EnvironmentVariables { names, effect }| {
            let names: Vec<String> = names.iter().copied().map(code).collect();
            vec![names.join(", "), (*effect).to_owned(), read_by.clone()]
        }));
    };
    add(PROGRAM, code("tbot"));
    for method in JoinMethod::ALL {
        add(method.variables(), read_by("join method", method.as_str(), method.supported().is_some()));
    }
    for (name, variables) in Destination::VARIABLES {
        add(variables, read_by("destination", name, true));
    }
    for service_type in ServiceType::ALL {
        add(service_type.variables, read_by("service", service_type.name, service_type.supported));
    }
    let http_proxy = variables(&["HTTP_PROXY"], "HTTP proxy for plain HTTP requests.");
    add(&[http_proxy], "only the Go agent: plain HTTP requests never use a proxy".to_owned());
    let variables = table(&["variable", "effect", "read by"], &rows);
    format!(
        "{}{}{}{variables}",
        include_str!("configuration/flags.md"),
        command_line::missing_table(),
        include_str!("configuration/variables.md")
    )
}

fn read_by(what: &str, name: &str, is_supported: bool) -> String {
    if is_supported {
        format!("{what} {}", code(name))
    } else {
        format!("nothing: the {what} {} is not supported", code(name))
    }
}
