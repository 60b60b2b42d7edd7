//! The join URI: `tbot+proxy+METHOD://TOKEN[:PARAMETER]@HOST:PORT`, one text for address, join method and token. Pure.
//!
//! No message repeats any of it but the kind and the method: the rest is a secret.

use serde_json::{Value, json};
use url::Url;

use super::JoinMethod;
use crate::diagnostic::{Code, Diagnostic, Target, suggest};
use crate::pointer::Pointer;

const FORM: &str = "write `tbot+proxy+METHOD://TOKEN@HOST:PORT`, or `tbot+auth+...` for an auth server";

/// What a join URI says.
struct JoinUri {
    server: &'static str,
    method: JoinMethod,
    token: String,
    parameter: Option<String>,
    address: String,
}

/// The values that a configuration's join URI gives, each with its place. Reports a join URI that is none, and all that
/// says something else.
pub(super) fn expand(config: &Value, found: &mut Vec<Diagnostic>) -> Vec<(Pointer, Value)> {
    let Some(text) = config.get("join_uri").and_then(Value::as_str).filter(|text| !text.is_empty()) else {
        return Vec::new();
    };
    let place = Target::Value(Pointer::root().key("join_uri"));
    let uri = match parse(text) {
        Ok(uri) => uri,
        Err((message, help)) => {
            found.push(Diagnostic::new(Code::InvalidJoinUri, place, message).with_help(help));
            return Vec::new();
        }
    };

    let mut given = vec![
        (Pointer::root().key(uri.server), json!(uri.address)),
        (Pointer::from("/onboarding/join_method"), json!(uri.method.as_str())),
        (Pointer::from("/onboarding/token"), json!(uri.token)),
    ];
    if let Some(parameter) = uri.parameter {
        match parameter_place(uri.method) {
            Some(pointer) => given.push((pointer, json!(parameter))),
            None => found.push(
                Diagnostic::new(
                    Code::UnusedBlock,
                    place.clone(),
                    format!("the join URI has a parameter, which `{}` does not use", uri.method),
                )
                .with_help("remove the `:` and what stands between it and `@`"),
            ),
        }
    }

    let set = |pointer: &str| {
        let value = config.pointer(pointer).filter(|value| !value.is_null() && **value != json!(""));
        value.map(|value| (Pointer::from(pointer), value))
    };
    // An address or a token beside a join URI is a conflict even where it is the same one.
    let mut conflicts: Vec<Pointer> = ["/auth_server", "/proxy_server", "/onboarding/token"]
        .into_iter()
        .filter_map(|pointer| set(pointer).map(|(pointer, _)| pointer))
        .collect();
    for (pointer, value) in &given {
        if !conflicts.contains(pointer) && set(pointer.as_str()).is_some_and(|(_, present)| present != value)
        {
            conflicts.push(pointer.clone());
        }
    }
    let conflicts = conflicts.into_iter().map(|pointer| {
        let key = pointer.as_str().trim_start_matches('/').replace('/', ".");
        let message = format!("`{key}` stands beside `join_uri`, which says where and how to join");
        Diagnostic::new(Code::JoinUriConflict, Target::Value(pointer), message)
            .with_related("the join URI is here", place.clone())
            .with_help("remove one of them")
    });
    let before = found.len();
    found.extend(conflicts);
    if found.len() > before { Vec::new() } else { given }
}

fn parameter_place(method: JoinMethod) -> Option<Pointer> {
    let place = match method {
        JoinMethod::Azure => "/onboarding/azure/client_id",
        JoinMethod::TerraformCloud => "/onboarding/terraform/audience_tag",
        JoinMethod::Gitlab => "/onboarding/gitlab/token_env_var_name",
        JoinMethod::BoundKeypair => "/onboarding/bound_keypair/registration_secret",
        _ => return None,
    };
    Some(Pointer::from(place))
}

fn parse(text: &str) -> Result<JoinUri, (String, String)> {
    let form = |message: &str| (message.to_owned(), FORM.to_owned());
    let (scheme, rest) = text.split_once("://").ok_or_else(|| form("the join URI has no `://`"))?;
    let parts: Vec<&str> = scheme.split('+').collect();
    let ["tbot", kind, method] = parts.as_slice() else {
        return Err(form("the join URI's scheme is not of the form `tbot+proxy+METHOD`"));
    };
    let server = match *kind {
        "proxy" => "proxy_server",
        "auth" => "auth_server",
        _ => return Err(form("the join URI's second word is neither `proxy` nor `auth`")),
    };
    let method = join_method(method).ok_or_else(|| {
        let mut known = JoinMethod::ALL.iter().map(|method| method.as_str());
        let help = (known.clone().find(|known| known == method))
            .or_else(|| suggest(&method.replace('-', "_"), known.by_ref()))
            .map_or_else(|| FORM.to_owned(), |close| format!("did you mean `{}`?", close.replace('_', "-")));
        ("the join URI's join method is not known".to_owned(), help)
    })?;
    // The scheme is not one that the URL standard gives a host to, so read the rest as one that it does.
    let url = Url::parse(&format!("tbot://{rest}")).map_err(|_| form("the join URI is no URI"))?;
    if url.username().is_empty() {
        return Err(form("the join URI has no token before an `@`"));
    }
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return Err(form("the join URI has no host"));
    };
    let address = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    Ok(JoinUri {
        server,
        method,
        token: decode(url.username()),
        parameter: url.password().map(decode),
        address,
    })
}

/// A join method as a URI has it: with dashes, or without any.
fn join_method(text: &str) -> Option<JoinMethod> {
    let fold = |name: &str| name.replace(['_', '-'], "");
    let spelled = |method: &&JoinMethod| {
        let name = method.as_str();
        text == name.replace('_', "-") || text == fold(name)
    };
    JoinMethod::ALL.iter().find(spelled).copied()
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
