//! Checks the addresses of the cluster and of the health server.

use super::findings::Findings;
use crate::config::address::{Address, ListenAddress};
use crate::config::scalar::OptionalString as _;
use crate::config::v2::Config;
use crate::diagnostic::{Code, Diagnostic, Severity, Target};
use crate::pointer::Pointer;

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let proxy = config.proxy_server.nonempty();
    let auth = config.auth_server.nonempty();
    match (proxy, auth) {
        (Some(_), Some(_)) => {
            let target = Target::Value(Pointer::root().key("auth_server"));
            let message = "`auth_server` is ignored because `proxy_server` is set";
            findings.report(
                Diagnostic::new(Code::BothAddresses, target, message)
                    .with_help("remove `auth_server`")
                    .naming(Pointer::root().key("proxy_server")),
            );
        }
        (None, None) => findings.missing(
            Code::MissingAddress,
            Target::File,
            "the address of a proxy or an auth server",
            "write `proxy_server: <host>:443`, or set `--proxy-server` or `TELEPORT_PROXY`",
        ),
        _ => {}
    }
    if let Some(address) = proxy {
        check_server("proxy_server", address, Severity::Error, findings);
    }
    if let (None, Some(address)) = (proxy, auth) {
        check_for_proxy(config, address, findings);
    }
    if let Some(address) = auth {
        // An address that is ignored does no harm.
        let severity = if proxy.is_some() { Severity::Warning } else { Severity::Error };
        check_server("auth_server", address, severity, findings);
    }
    if let Some(address) = config.diag_addr.nonempty()
        && let Err(error) = address.parse::<ListenAddress>()
    {
        let (pointer, help) = (Pointer::root().key("diag_addr"), ListenAddress::help_for(address, error));
        findings.report_value(Code::InvalidAddress, pointer, error.to_string(), help);
    }
}

/// Reports a proxy in `auth_server`, which the Go agent accepted at first.
fn check_for_proxy(config: &Config, address: &str, findings: &mut Findings<'_>) {
    let Ok(parsed) = address.parse::<Address>() else { return };
    if !parsed.has_proxy_port() || !Address::has_port(address) {
        return;
    }
    let help = if config.has_join_uri_of_auth_server() {
        "if this is a proxy, begin the join URI with `tbot+proxy+`"
    } else {
        "if this is a proxy, use `proxy_server`; Teleport's agents know it since a late release of version 15"
    };
    let message = format!(
        "port {} is usually that of a proxy, and Teleport's agents from 17.5.3 onwards accept only an auth server here",
        parsed.port()
    );
    let target = Target::Value(Pointer::root().key("auth_server"));
    let diagnostic = Diagnostic::new(Code::Deprecated, target, message).with_help(help);
    findings.report(diagnostic.naming(Pointer::root().key("proxy_server")));
}

fn check_server(key: &str, address: &str, severity: Severity, findings: &mut Findings<'_>) {
    let pointer = Pointer::root().key(key);
    if Address::has_http_scheme(address) && address.parse::<Address>().is_ok() {
        let message = "the connection uses TLS, although the address begins with `http://`";
        findings.report_value(Code::HttpScheme, pointer.clone(), message, "write `<host>:<port>`");
    }
    match address.parse::<Address>() {
        Err(error) => findings.report(
            Diagnostic::new(Code::InvalidAddress, Target::Value(pointer), error.to_string())
                .with_severity(severity)
                .with_help(error.help_for_server()),
        ),
        Ok(_) if !Address::has_port(address) => findings.report_value(
            Code::AddressWithoutPort,
            pointer,
            "address has no port; assuming 443",
            match key {
                "auth_server" => "write `<host>:3025`, or `proxy_server: <host>:443` if this is a proxy",
                _ => "write `<host>:<port>`",
            },
        ),
        Ok(parsed) => {
            // `auth_server` has separate checks, because it may also be the address of a proxy.
            if let Some(server) = parsed.usual_server().filter(|_| key == "proxy_server") {
                findings.report_value(
                    Code::UnusualPort,
                    pointer,
                    format!("port {} is usually that of {server}", parsed.port()),
                    "use the port of the proxy's web UI, such as 443 or 3080",
                );
            }
        }
    }
}
