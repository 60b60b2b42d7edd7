//! Checks how the bot joins the cluster: `onboarding` and certificate authorities.

use serde_json::Value;

use super::findings::Findings;
use super::formats;
use crate::config::address::Address;
use crate::config::destination::Destination;
use crate::config::load_options::Purpose;
use crate::config::onboarding::{JoinMethod, Onboarding};
use crate::config::scalar::{OptionalString as _, is_on};
use crate::config::token_request::{TokenHttpRequest, is_header_value, is_http_token};
use crate::config::v2::Config;
use crate::diagnostic::{Code, Diagnostic, Severity, Target};
use crate::pointer::Pointer;

/// `value` is the same configuration as a value.
pub(super) fn check(config: &Config, value: &Value, findings: &mut Findings<'_>) {
    let empty = Onboarding::default();
    let onboarding = config.onboarding.as_ref().unwrap_or(&empty);
    check_certificate_authorities(config, onboarding, findings);
    check_join_method(config, onboarding, findings);
    check_token(onboarding, findings);
    check_lost_token(onboarding, value, findings);
    check_bound_keypair(onboarding, findings);
    check_generic_oidc(onboarding, findings);
}

fn check_certificate_authorities(config: &Config, onboarding: &Onboarding, findings: &mut Findings<'_>) {
    let has_pins = onboarding.ca_pins.as_ref().is_some_and(|pins| !pins.is_empty());
    let has_path = onboarding.ca_path.nonempty().is_some();
    let insecure = is_on(config.insecure);
    let pointer = Pointer::root();
    findings.exclude_both(&pointer, ("onboarding.ca_pins", "insecure"), (has_pins, insecure));
    findings.exclude_both(&pointer, ("onboarding.ca_path", "insecure"), (has_path, insecure));
    if !insecure {
        findings.exclude_both(&pointer, ("onboarding.ca_path", "onboarding.ca_pins"), (has_path, has_pins));
    }
    if config.proxy_server.nonempty().is_some() {
        if !insecure {
            report_unused_authorities([("ca_pins", has_pins), ("ca_path", has_path)], findings);
        }
    } else {
        // On the usual ports of a proxy, the server is most probably one. Its certificate is verified without pins.
        let is_auth_server =
            |address: &str| address.parse::<Address>().is_ok_and(|address| !address.has_proxy_port());
        let needs_authorities = config.auth_server.nonempty().is_some_and(is_auth_server);
        let severity = if needs_authorities { Severity::Error } else { Severity::Warning };
        check_pins(onboarding, severity, findings);
        if needs_authorities && !has_pins && !has_path && !insecure {
            let is_of_uri = config.has_join_uri_of_auth_server();
            let proxy =
                if is_of_uri { "begin the join URI with `tbot+proxy+`" } else { "set `proxy_server`" };
            let target = Target::Value(Pointer::root().key("auth_server"));
            let message = "`tbot start` does not join an auth server that it cannot verify, and no certificate authority is set";
            findings.report(
                Diagnostic::new(Code::UnverifiedAuthServer, target, message)
                    .with_help(format!(
                        "set `onboarding.ca_pins` to what `tctl status` prints; if this is the address of a proxy, {proxy} instead"
                    ))
                    .naming(Pointer::from("/onboarding/ca_pins"))
                    .naming(Pointer::root().key("proxy_server")),
            );
        }
    }
    if insecure {
        findings.report_value(
            Code::InsecureConnection,
            Pointer::root().key("insecure"),
            "any certificate from the proxy or auth server is accepted",
            "use it for testing only; otherwise remove it, and add the certificate authority to the system's \
             trust store",
        );
    }
}

/// Reports the properties of `onboarding` that are set although a proxy is verified without them.
fn report_unused_authorities(properties: [(&str, bool); 2], findings: &mut Findings<'_>) {
    for (key, _) in properties.into_iter().filter(|(_, is_set)| *is_set) {
        let target = Target::Key(Pointer::root().key("onboarding").key(key));
        let message = format!(
            "`{key}` is ignored because it applies only to an auth server, and `proxy_server` is set"
        );
        findings.report(
            Diagnostic::new(Code::UnusedAuthorities, target, message)
                .with_help(format!("remove `{key}`"))
                .naming(Pointer::root().key("proxy_server")),
        );
    }
}

fn check_pins(onboarding: &Onboarding, severity: Severity, findings: &mut Findings<'_>) {
    for (index, pin) in onboarding.ca_pins.iter().flatten().enumerate() {
        if !formats::is_ca_pin(pin.as_str()) {
            let pointer = Pointer::from("/onboarding/ca_pins").index(index);
            let message = "not a valid pin of a certificate authority";
            findings.report(
                Diagnostic::new(Code::InvalidCaPin, Target::Value(pointer), message)
                    .with_severity(severity)
                    .with_help("write `sha256:` and 64 hexadecimal digits, as `tctl status` prints them"),
            );
        }
    }
}

fn check_join_method(config: &Config, onboarding: &Onboarding, findings: &mut Findings<'_>) {
    let pointer = Pointer::root().key("onboarding");
    let target = if config.onboarding.is_some() { Target::Key(pointer.clone()) } else { Target::File };
    let Some(method) = onboarding.join_method else {
        findings.missing_unless(
            Code::MissingJoinMethod,
            target,
            "the join method",
            "a flag",
            "write `onboarding: {join_method: token, token: ...}`, or set `--join-method`",
        );
        return;
    };
    let has_token = onboarding.token.nonempty().is_some();
    // With `join_method: token`, a stored identity needs no token. The other methods join again at every renewal.
    if !has_token && method != JoinMethod::Token && method.supported().is_some() {
        findings.missing(
            Code::MissingToken,
            target,
            "the name of the join token",
            "write `token: <name>` under `onboarding`, or set `--token` or `TELEPORT_BOT_TOKEN`",
        );
    }
    for block in onboarding.settings_keys() {
        if method.settings_key() != Some(block) {
            let message = format!("`join_method: {method}` does not use `{block}`");
            findings.report(
                Diagnostic::new(Code::UnusedBlock, Target::Key(pointer.key(block)), message)
                    .with_help(format!("remove `{block}`, or change `join_method`"))
                    .naming(pointer.key("join_method")),
            );
        }
    }
    let lost = match method {
        JoinMethod::Token => {
            "the identity is lost when the agent exits, and a join token can be used only once"
        }
        JoinMethod::BoundKeypair if registers_key_pair(onboarding) => {
            "the key pair is lost when the agent exits, and a registration secret can be used only once"
        }
        _ => return,
    };
    if !config.is_oneshot() && matches!(config.storage, Some(Destination::Memory(_))) {
        findings.report_value(
            Code::StorageInMemory,
            Pointer::root().key("storage"),
            lost,
            "write `storage: {type: directory, path: ...}`",
        );
    }
}

/// Returns whether the bot registers its key pair with a secret, rather than using a static key.
fn registers_key_pair(onboarding: &Onboarding) -> bool {
    onboarding.bound_keypair.as_ref().is_some_and(|bound| {
        let has_secret = bound.registration_secret.nonempty().is_some();
        let static_key = bound.static_private_key_path.nonempty();
        let static_key = static_key.or(bound.static_key_path.nonempty());
        static_key.is_none() && (has_secret || bound.registration_secret_path.nonempty().is_some())
    })
}

/// Returns whether a registration secret looks like a path.
fn looks_like_path(secret: &str) -> bool {
    let is_path_below = |path: &str| path.contains('/') && may_be_path(path);
    secret.starts_with(['~', '.']) || secret.strip_prefix('/').is_some_and(is_path_below)
}

/// Returns whether a secret with a `/` may be a path. One in base64 contains a `/` by chance, and often these characters as well.
fn may_be_path(secret: &str) -> bool {
    !secret.contains(['+', '='])
}

/// Reports a token without a value in a file: `#` begins a comment, and `&` an anchor. The other join methods require a token anyway.
fn check_lost_token(onboarding: &Onboarding, value: &Value, findings: &mut Findings<'_>) {
    let token = Pointer::from("/onboarding/token");
    let is_written = value.pointer(token.as_str()).is_some();
    let is_lost = is_written && onboarding.token.nonempty().is_none();
    if is_lost
        && onboarding.join_method == Some(JoinMethod::Token)
        && findings.options().purpose == Purpose::Validate
    {
        let message = "`token` has no value: without `--token` or TELEPORT_BOT_TOKEN, the agent can start only with an identity that it has \
                       stored";
        findings.report(
            Diagnostic::new(Code::MissingToken, Target::Key(token), message)
                .with_severity(Severity::Note)
                .with_help("write the token; if it begins with `#`, `&` or `!`, put quotes around it"),
        );
    }
}

/// Reports a token that looks like a path, although only an absolute path is read as a file.
fn check_token(onboarding: &Onboarding, findings: &mut Findings<'_>) {
    if let Some(token) = &onboarding.token {
        let token = token.as_str();
        if !token.starts_with('/') && (token.starts_with('~') || (token.contains('/') && may_be_path(token)))
        {
            findings.report_value(
                Code::RelativeTokenPath,
                Pointer::from("/onboarding/token"),
                "this looks like a path, but only an absolute path is read as a file",
                "write an absolute path if the token is in a file",
            );
        }
    }
}

fn check_bound_keypair(onboarding: &Onboarding, findings: &mut Findings<'_>) {
    if let Some(bound) = &onboarding.bound_keypair {
        let pointer = Pointer::from("/onboarding/bound_keypair");
        if bound.registration_secret.as_ref().is_some_and(|secret| looks_like_path(secret.as_str())) {
            let target = Target::Value(pointer.key("registration_secret"));
            let message = "this looks like a path, but is used as the secret itself";
            findings.report(
                Diagnostic::new(Code::SecretLooksLikePath, target, message)
                    .with_help("use `registration_secret_path`, which names a file")
                    .naming(pointer.key("registration_secret_path")),
            );
        }
        findings.exclude_both(
            &pointer,
            ("registration_secret", "registration_secret_path"),
            (
                bound.registration_secret.nonempty().is_some(),
                bound.registration_secret_path.nonempty().is_some(),
            ),
        );
        if bound.static_key_path.is_some() {
            findings.deprecated(
                Target::Key(pointer.key("static_key_path")),
                "`static_key_path` is another name for `static_private_key_path`",
                "write `static_private_key_path`, because Teleport's own agent ignores the other name",
            );
            findings.exclude_both(
                &pointer,
                ("static_key_path", "static_private_key_path"),
                (
                    bound.static_key_path.nonempty().is_some(),
                    bound.static_private_key_path.nonempty().is_some(),
                ),
            );
        }
    }
}

fn check_generic_oidc(onboarding: &Onboarding, findings: &mut Findings<'_>) {
    let pointer = Pointer::from("/onboarding/generic_oidc");
    let Some(oidc) = &onboarding.generic_oidc else {
        if onboarding.join_method == Some(JoinMethod::GenericOidc) {
            findings.report_value(
                Code::ExactlyOne,
                Pointer::from("/onboarding/join_method"),
                "no source of the ID token is set",
                "set one of `env`, `command` and `http_request` in `onboarding.generic_oidc`",
            );
        }
        return;
    };
    let command = oidc.command.as_ref().filter(|command| !command.is_empty());
    let sources = [
        ("env", oidc.env.nonempty().is_some()),
        ("command", command.is_some()),
        ("http_request", oidc.http_request.is_some()),
    ];
    findings.require_exactly_one(pointer.clone(), &sources);
    if command.and_then(|command| command.first()).is_some_and(|program| program.is_empty()) {
        findings.report_value(
            Code::EmptyValue,
            pointer.key("command").index(0),
            "the program is empty",
            "write the name or the path of a program",
        );
    }
    if let Some(request) = &oidc.http_request {
        check_token_request(request, &pointer.key("http_request"), findings);
    }
    if oidc.timeout.is_some_and(|timeout| timeout.is_negative()) {
        findings.report_value(
            Code::NegativeDuration,
            pointer.key("timeout"),
            "`timeout` cannot be negative",
            "write a positive duration",
        );
    }
}

fn check_token_request(http_request: &TokenHttpRequest, pointer: &Pointer, findings: &mut Findings<'_>) {
    let TokenHttpRequest { request, .. } = http_request;
    let at_request = |key: &str| pointer.key("request").key(key);
    if let Err(error) = request.url() {
        findings.report_value(Code::InvalidAddress, at_request("url"), error.message(), error.help());
    }
    if request.method().is_none() {
        findings.report_value(
            Code::InvalidFormat,
            at_request("method"),
            "not a valid HTTP method",
            "write a method such as `GET` or `POST`",
        );
    }
    for (name, value) in request.headers() {
        if !is_http_token(name) || !is_header_value(value) {
            findings.report_value(
                Code::InvalidFormat,
                at_request("headers").key(name),
                "not a valid HTTP header",
                "write the name of a header, and a value without line breaks",
            );
        }
    }
    if let Err(error) = http_request.json_path() {
        findings.report_value(
            Code::InvalidFormat,
            pointer.key("result").key("json_path"),
            "not a JSONPath that selects one value",
            error.message(),
        );
    }
}
