//! The join URI: address, join method and join token in one string, `tbot+proxy+METHOD://TOKEN[:PARAMETER]@HOST:PORT`.
//! Depends on `diagnostic`.
//!
//! No message repeats any part of it except the join method: the rest is a secret.

use std::borrow::Cow;

use serde_json::{Value, json};
use url::Url;

use super::onboarding::JoinMethod;
use crate::diagnostic::{Code, Diagnostic, Target, suggest};
use crate::pointer::Pointer;

/// What to write, for a help text.
pub(super) const EXPECTED_FORM: &str =
    "write `tbot+proxy+METHOD://TOKEN@HOST:PORT`, or `tbot+auth+...` for an auth server";

/// A parsed join URI.
struct JoinUri {
    /// The key of the address: `proxy_server` or `auth_server`.
    address_key: &'static str,
    address: String,
    method: JoinMethod,
    token: String,
    parameter: Option<String>,
}

/// Returns the values that the join URI of a configuration sets, each with its pointer, except those that conflict with a
/// property. Reports the conflicts, and a join URI that is invalid.
pub(super) fn expand(config: &Value, diagnostics: &mut Vec<Diagnostic>) -> Vec<(Pointer, Value)> {
    let Some(uri) = config.get("join_uri").and_then(Value::as_str).filter(|uri| !uri.is_empty()) else {
        return Vec::new();
    };
    let uri_target = Target::Value(Pointer::root().key("join_uri"));
    let uri = match parse(uri) {
        Ok(uri) => uri,
        Err((message, help)) => {
            diagnostics.push(Diagnostic::new(Code::InvalidJoinUri, uri_target, message).with_help(help));
            return Vec::new();
        }
    };

    let mut values = vec![
        (Pointer::root().key(uri.address_key), json!(uri.address)),
        (Pointer::from("/onboarding/join_method"), json!(uri.method.as_str())),
        (Pointer::from("/onboarding/token"), json!(uri.token)),
    ];
    if let Some(parameter) = uri.parameter {
        match uri.method.uri_parameter() {
            Some(pointer) => values.push((Pointer::from(pointer), json!(parameter))),
            None => diagnostics.push(
                Diagnostic::new(
                    Code::UnusedBlock,
                    uri_target.clone(),
                    format!("the join URI has a parameter, which `{}` does not use", uri.method),
                )
                .with_help("remove the parameter: the `:` and everything up to the `@`"),
            ),
        }
    }

    let configured = |pointer: &str| {
        let value = config.pointer(pointer).filter(|value| !value.is_null() && **value != json!(""));
        value.map(|value| (Pointer::from(pointer), value))
    };
    // An address or a token conflicts with a join URI even if both have the same value.
    let mut conflicts: Vec<Pointer> = ["/auth_server", "/proxy_server", "/onboarding/token"]
        .into_iter()
        .filter_map(|pointer| configured(pointer).map(|(pointer, _)| pointer))
        .collect();
    for (pointer, value) in &values {
        let is_different = configured(pointer.as_str()).is_some_and(|(_, present)| present != value);
        if is_different && !conflicts.contains(pointer) {
            conflicts.push(pointer.clone());
        }
    }
    // The other values still count, so that nothing is reported as missing that the join URI contains.
    let has_address = conflicts.iter().any(|pointer| pointer.as_str().ends_with("_server"));
    let is_address = |pointer: &Pointer| pointer.last().as_deref() == Some(uri.address_key);
    let conflicts_with_file =
        |pointer: &Pointer| conflicts.contains(pointer) || (has_address && is_address(pointer));
    values.retain(|(pointer, _)| !conflicts_with_file(pointer));
    diagnostics.extend(conflicts.into_iter().map(|pointer| {
        let key = pointer.as_str().trim_start_matches('/').replace('/', ".");
        let contained = if pointer.as_str().ends_with("_server") { "an address" } else { "it" };
        let message = format!("`{key}` conflicts with `join_uri`, which already contains {contained}");
        Diagnostic::new(Code::JoinUriConflict, Target::Value(pointer), message)
            .with_related("`join_uri` is set here", uri_target.clone())
            .with_help("remove one of them")
    }));
    values
}

/// Parses a join URI.
///
/// # Errors
///
/// Returns a message and a hint if the URI is invalid.
fn parse(uri: &str) -> Result<JoinUri, (String, String)> {
    let malformed = |message: &str| (message.to_owned(), EXPECTED_FORM.to_owned());
    // `url` would remove them, which Go does not.
    if uri.contains(|character: char| character.is_ascii_control() || character.is_ascii_whitespace()) {
        return Err(malformed("the join URI contains a space or a line break"));
    }
    let (scheme, rest) = uri.split_once("://").ok_or_else(|| malformed("the join URI has no `://`"))?;
    let parts: Vec<&str> = scheme.split('+').collect();
    let ["tbot", server, method] = parts.as_slice() else {
        return Err(malformed("the scheme of the join URI is not of the form `tbot+proxy+METHOD`"));
    };
    let address_key = match *server {
        "proxy" => "proxy_server",
        "auth" => "auth_server",
        _ => return Err(malformed("the second part of the join URI's scheme is neither `proxy` nor `auth`")),
    };
    let method = join_method(method).ok_or_else(|| {
        let mut known = JoinMethod::ALL.iter().map(|method| method.as_str());
        let help = (known.clone().find(|known| known == method))
            .or_else(|| suggest(&method.replace('-', "_"), known.by_ref()))
            .map_or_else(
                || EXPECTED_FORM.to_owned(),
                |close| format!("did you mean `{}`?", close.replace('_', "-")),
            );
        ("the join URI has an unknown join method".to_owned(), help)
    })?;
    // The scheme is already parsed; `url` only has to split the rest.
    let url =
        Url::parse(&format!("tbot://{rest}")).map_err(|_| malformed("the join URI is not a valid URI"))?;
    if url.username().is_empty() {
        return Err(malformed("the join URI has no token before the `@`"));
    }
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return Err(malformed("the join URI has no host"));
    };
    let address = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    Ok(JoinUri {
        address_key,
        address,
        method,
        token: decode(url.username()).ok_or_else(|| malformed("the token of the join URI is not UTF-8"))?,
        parameter: url
            .password()
            .map(|parameter| {
                decode(parameter).ok_or_else(|| malformed("the parameter of the join URI is not UTF-8"))
            })
            .transpose()?,
    })
}

/// Returns the join method with a name as spelled in a URI: with `-` instead of `_`, or without separators.
fn join_method(spelled: &str) -> Option<JoinMethod> {
    let is_spelling = |method: &&JoinMethod| {
        let name = method.as_str();
        spelled == name.replace('_', "-") || spelled == name.replace('_', "")
    };
    JoinMethod::ALL.iter().find(is_spelling).copied()
}

/// Decodes `%20` and the like. Returns `None` if the result is not UTF-8.
fn decode(encoded: &str) -> Option<String> {
    percent_encoding::percent_decode_str(encoded).decode_utf8().ok().map(Cow::into_owned)
}
