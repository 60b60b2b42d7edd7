//! Joins the cluster: with a `POST` to `/v1/webapi/host/credentials` of the proxy, or through [`join_service`] if the
//! join method responds to a challenge. Each call makes one attempt and never repeats it.
//!
//! With the join method `token`, the token is a single-use secret, and the certificates can be renewed (see `renewal`).
//! With every other method, the token is only a name, and an [`attestation`] accompanies it. The certificates are then
//! not renewable and have no generation: for each renewal, the bot joins again with a new key and a new attestation,
//! and without a renewal marker in its storage. This cannot lock the bot, unless it joined with the method `token`
//! before: servers of version 15 then treat it as a stolen copy.
//!
//! As in version 15 of the Go agent, the request presents no client certificate. Servers from version 17 on keep a
//! record of each bot instance, and treat such a join as a new instance. They delete the record when its certificates
//! expire.

pub(crate) mod attestation;
mod error;
mod join_service;

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use crate::agent::bot::join_token::JoinToken;
use crate::agent::credential::identity::{Identity, SignedCerts};
use crate::agent::credential::keys::KeyPair;
use crate::agent::net::dialler::Dialler;
use crate::agent::net::web::WebClient;
use crate::agent::platform::ServerMessage;
use crate::agent::platform::error_text::describe_json_error;
use crate::agent::teleport::error_body::error_message;
use attestation::Jwt;
pub(crate) use attestation::{Attestation, Attestor};
pub use error::JoinError;
use error::{TOKEN_MAY_BE_USED, hint_for_attestation, hint_for_token};
use join_service::CertRequest;

const PATH: &str = "/v1/webapi/host/credentials";

/// The body of a request. Contains all fields that the Go agent sends; those that do not apply to a bot are `null` or
/// empty.
#[derive(Serialize)]
struct Request<'a> {
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
struct Response {
    ssh: String,
    tls: String,
    tls_ca_certs: Vec<String>,
    ssh_ca_certs: Vec<String>,
}

/// Joins with a fresh key.
///
/// `expires` is the requested expiry of the certificates. The server may choose an earlier one. A join without an
/// attestation uses up the token.
pub(crate) async fn join(
    dialler: &Dialler,
    token: &JoinToken,
    attestation: Option<&Attestation>,
    expires: SystemTime,
) -> Result<Identity, JoinError> {
    let key = KeyPair::generate()?;
    let certs = match attestation {
        None => post(dialler.web(), &key, token, None, expires).await?,
        Some(Attestation::IdToken(id_token)) => {
            post(dialler.web(), &key, token, Some(id_token), expires).await?
        }
        Some(Attestation::Cloud(cloud)) => {
            join_service::join(dialler, cloud, CertRequest { token, key: &key, expires }).await?
        }
    };
    Ok(Identity::new(key, certs)?)
}

async fn post(
    web: &WebClient,
    key: &KeyPair,
    token: &JoinToken,
    id_token: Option<&Jwt>,
    expires: SystemTime,
) -> Result<SignedCerts, JoinError> {
    let response = web.post_json(PATH, request_body(key, token, id_token, expires)?).await;
    let response = response.map_err(|error| {
        let hint = id_token.is_none().then_some(TOKEN_MAY_BE_USED);
        JoinError::NoResponse { error, hint }
    })?;
    if response.status.is_success() {
        return parse_response(&response.body);
    }
    let message = refusal_message(&response.body, token, id_token);
    let is_denied = matches!(response.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
    let hint = match id_token {
        Some(_) => hint_for_attestation(is_denied, message.raw()),
        None => hint_for_token(message.raw()),
    };
    Err(JoinError::Refused { status: response.status.as_u16(), hint, message })
}

/// Returns the message of a refusal. An intermediary may echo the request, so the secret in it is redacted first.
///
/// If there is an ID token, only the ID token is redacted. The join token is then a name and not secret, and replacing
/// a short name could split the ID token into parts that are no longer recognized.
fn refusal_message(body: &[u8], token: &JoinToken, id_token: Option<&Jwt>) -> ServerMessage {
    let message = String::from_utf8_lossy(body);
    let message = match id_token {
        Some(id_token) => id_token.redact(&message),
        None => message.replace(token.expose(), "..."),
    };
    error_message(message.as_bytes())
}

/// Parses the body of a successful response.
pub(crate) fn parse_response(body: &[u8]) -> Result<SignedCerts, JoinError> {
    let malformed = |error| JoinError::MalformedResponse(describe_json_error(&error));
    serde_json::from_slice::<Response>(body).map_err(malformed)?.decode()
}

fn request_body(
    key: &KeyPair,
    token: &JoinToken,
    id_token: Option<&Jwt>,
    expires: SystemTime,
) -> Result<Vec<u8>, JoinError> {
    let expires =
        jiff::Timestamp::try_from(expires).map_err(|error| JoinError::InvalidRequest(error.to_string()))?;
    let request = Request {
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

impl Response {
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
    use crate::untrusted::MAX_CHARS;

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
    fn a_refusal_does_not_repeat_the_token() {
        // The padding moves the token across the length at which messages are truncated.
        for padding in MAX_CHARS - 20..MAX_CHARS {
            let body = format!("{}hunter2 is what you sent", "x".repeat(padding));
            let message = refusal_message(body.as_bytes(), &token("hunter2"), None).to_string();
            assert!(!message.contains("hun"), "{message}");
        }
    }

    #[test]
    fn the_error_for_a_malformed_response_does_not_repeat_it() {
        let body = br#"{"ssh": "", "tls": "", "ssh_ca_certs": [], "tls_ca_certs": "hunter2"}"#;
        let error = parse_response(body).unwrap_err();
        assert!(matches!(error, JoinError::MalformedResponse(_)), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    /// The name of the join token may be a part of the ID token. The name is not secret; the ID token is.
    #[tokio::test]
    async fn the_id_token_is_redacted_even_if_it_contains_the_name_of_the_join_token() {
        let onboarding = serde_json::from_value(serde_json::json!({})).unwrap();
        let environment = [("CIRCLE_OIDC_TOKEN", "head.hunter1.hunter2")].into_iter().collect();
        let attestor =
            Attestor::new(JoinMethod::Circleci, &onboarding, &environment, &Clock::system()).unwrap();
        let Attestation::IdToken(id_token) = attestor.attest().await.unwrap() else {
            panic!("not an ID token");
        };
        for name in ["u", "nt", "head", "hunter1"] {
            let body = b"head.hunter1.hunter2 is refused: hunter1";
            let message = refusal_message(body, &token(name), Some(&id_token)).to_string();
            assert_eq!(message, "... is refused: ...", "{name}");
        }
    }
}
