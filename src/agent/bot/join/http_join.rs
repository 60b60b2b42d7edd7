//! Joins with a `POST` to `/v1/webapi/host/credentials` of a proxy, which servers 15 to 19 offer, or to `/v2/tokens/register` of an
//! auth server, which servers 15 to 17 offer.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::attestation::Jwt;
use super::error::JoinError;
use super::request::JoinRequest;
use crate::agent::bot::join_token::JoinToken;
use crate::agent::credential::identity::SignedCerts;
use crate::agent::credential::keys::KeyPair;
use crate::agent::net::dialler::Dialler;
use crate::agent::net::tls::InnerAlpn;
use crate::agent::net::web::WebClient;
use crate::agent::platform::error_text::describe_json_error;
use crate::agent::teleport::rest;

const PATH: &str = "/v1/webapi/host/credentials";

/// The body of a request. Contains all fields that the Go agent sends; those that do not apply to a bot are `null` or
/// empty.
#[derive(Serialize)]
struct RequestBody<'a> {
    #[serde(rename = "hostID")]
    host_id: &'static str,
    node_name: &'static str,
    role: &'static str,
    token: &'a str,
    additional_principals: Option<()>,
    dns_names: Option<()>,
    public_tls_key: String,
    public_ssh_key: String,
    remote_addr: &'static str,
    ec2_id: Option<()>,
    id_token: &'a str,
    expires: String,
}

#[derive(Deserialize)]
struct ResponseBody {
    ssh: String,
    tls: String,
    tls_ca_certs: Vec<String>,
    ssh_ca_certs: Vec<String>,
}

/// Joins with one request, which presents no client certificate.
pub(super) async fn join(
    web: &WebClient,
    id_token: Option<&Jwt>,
    request: &JoinRequest<'_>,
    key: &KeyPair,
) -> Result<SignedCerts, JoinError> {
    let context = request.context();
    let body = request_body(key, request.token, id_token, request.expires)?;
    let response = web.post_json(PATH, body, request.timeout()).await;
    let response = response.map_err(|error| context.no_response(error))?;
    if response.status.is_success() {
        return parse_response(&response.body);
    }
    Err(context.refused(response.status, &response.body))
}

/// Parses the body of a successful response.
pub(crate) fn parse_response(body: &[u8]) -> Result<SignedCerts, JoinError> {
    let malformed = |error| JoinError::MalformedResponse(describe_json_error(&error));
    serde_json::from_slice::<ResponseBody>(body).map_err(malformed)?.decode()
}

/// Joins with one request at an auth server, which the configuration says how to verify.
pub(super) async fn join_at_auth_server(
    dialler: &Dialler,
    id_token: Option<&Jwt>,
    request: &JoinRequest<'_>,
    key: &KeyPair,
) -> Result<SignedCerts, JoinError> {
    let context = request.context();
    let target = dialler.to_auth_before_join(InnerAlpn::Http1).map_err(|error| context.no_response(error))?;
    let body = request_body(key, request.token, id_token, request.expires)?;
    let registered = rest::register(&target, body, request.timeout()).await;
    let (status, body) = registered.map_err(|error| context.no_response(error))?;
    match status {
        _ if status.is_success() => parse_response(&body),
        // The server has neither this request nor the call of the join service.
        StatusCode::NOT_FOUND => Err(context.unsupported(status, &body)),
        _ => Err(context.refused(status, &body)),
    }
}

fn request_body(
    key: &KeyPair,
    token: &JoinToken,
    id_token: Option<&Jwt>,
    expires: SystemTime,
) -> Result<Vec<u8>, JoinError> {
    let expires =
        jiff::Timestamp::try_from(expires).map_err(|error| JoinError::InvalidRequest(error.to_string()))?;
    let request = RequestBody {
        host_id: "",
        node_name: "",
        role: "Bot",
        token: token.expose(),
        additional_principals: None,
        dns_names: None,
        public_tls_key: STANDARD.encode(key.public_pem()),
        public_ssh_key: STANDARD.encode(key.ssh_line()?),
        remote_addr: "",
        ec2_id: None,
        id_token: id_token.map(Jwt::expose).unwrap_or_default(),
        expires: expires.to_string(),
    };
    serde_json::to_vec(&request).map_err(|error| JoinError::InvalidRequest(error.to_string()))
}

impl ResponseBody {
    fn decode(self) -> Result<SignedCerts, JoinError> {
        let decode = |encoded: &String| {
            let malformed = |error: &dyn std::error::Error| JoinError::MalformedResponse(error.to_string());
            let bytes = STANDARD.decode(encoded).map_err(|error| malformed(&error))?;
            String::from_utf8(bytes).map_err(|error| malformed(&error))
        };
        Ok(SignedCerts {
            tls: decode(&self.tls)?,
            ssh: decode(&self.ssh)?,
            tls_cas: self.tls_ca_certs.iter().map(decode).collect::<Result<_, _>>()?,
            ssh_cas: self.ssh_ca_certs.iter().map(decode).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::bot::join_token::JoinTokenSource;
    use crate::agent::platform::Clock;
    use crate::agent::platform::reminders::RecurringWarnings;
    use crate::agent::recordings::recorded;
    use crate::config::JoinMethod;

    fn recorded_join() -> serde_json::Value {
        let calls: serde_json::Value = serde_json::from_str(&recorded("first-join.json")).unwrap();
        calls[0].clone()
    }

    fn token(value: &str) -> JoinToken {
        let warnings = RecurringWarnings::new(Clock::system());
        JoinTokenSource::new(value, JoinMethod::Token).resolve_blocking(&warnings).unwrap()
    }

    #[test]
    fn the_request_has_the_same_fields_as_the_recorded_one() {
        let key = KeyPair::generate().unwrap();
        let body = request_body(&key, &token("hunter2"), None, SystemTime::UNIX_EPOCH).unwrap();
        let request: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let fields =
            |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(fields(&request), fields(&recorded_join()["request"]));
        assert_eq!(request["expires"], "1970-01-01T00:00:00Z");
    }

    #[test]
    fn the_recorded_response_is_decoded() {
        let certs = parse_response(recorded_join()["response"].to_string().as_bytes()).unwrap();
        assert!(certs.ssh.starts_with("ssh-rsa-cert-v01@openssh.com "));
        assert_eq!((certs.tls_cas.len(), certs.ssh_cas.len()), (2, 2));
    }

    #[test]
    fn the_error_for_a_malformed_response_does_not_repeat_it() {
        let body = br#"{"ssh": "", "tls": "", "ssh_ca_certs": [], "tls_ca_certs": "hunter2"}"#;
        let error = parse_response(body).unwrap_err();
        assert!(matches!(error, JoinError::MalformedResponse(_)), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
