//! Joins: `POST /v1/webapi/host/credentials` at the proxy, or, where a challenge has to be answered, [`stream`]. One call,
//! never repeated here.
//!
//! With the method `token`, the token is a secret that works once, and what comes back is renewed (see `renewal`). Every
//! other method has a token that is a mere name, and a proof beside it: [`method`] says where each has it from, [`attestation`] gets
//! it. What comes back is not renewable and not counted, so that the bot joins anew each time, with a new
//! key and a new proof, and nothing is noted on disk before. That locks nobody, but for a bot that has joined with the
//! method `token` before: servers of version 15 take it for a stolen copy.
//!
//! The call is made without a client certificate, as version 15 does it. From version 17 on, servers keep a record of
//! each bot instance, and take such a join for a new one; the records go when their certificates have ended.

pub(crate) mod attestation;
mod method;
mod stream;

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use tonic::Code;

use crate::agent::bot::join_token::Token;
use crate::agent::credential::identity::{Identity, IdentityError, SignedCerts};
use crate::agent::credential::keys::{KeyError, KeyPair};
use crate::agent::net::route::Route;
use crate::agent::net::web::{WebClient, WebError};
use crate::agent::platform::error_text::describe_json_error;
use crate::agent::teleport::error_body::error_message;
use attestation::Jwt;
use attestation::ProofError;
pub(crate) use attestation::{Proof, Prover};
use stream::Wish;

const PATH: &str = "/v1/webapi/host/credentials";

/// A join that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The proxy was not reached, or its answer was lost. A token that works once and was accepted is used up.
    #[error("joining got no answer from the proxy: {error}{hint}")]
    NoAnswer {
        /// What happened.
        error: WebError,
        /// What it may have led to, with a leading semicolon, or nothing.
        hint: &'static str,
    },
    /// The server said no.
    #[error("the cluster refused to let this agent join: {message} (HTTP {status}){hint}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The server's message, as it came. It names no token.
        message: String,
        /// What to check, with a leading semicolon, or nothing.
        hint: &'static str,
    },
    /// The server said no to the answer to its challenge, or before it.
    #[error("the cluster refused to let this agent join: {message} ({code:?}){hint}")]
    Declined {
        /// gRPC status code.
        code: Code,
        /// The server's message, without what it was sent.
        message: String,
        /// What to check, with a leading semicolon, or nothing.
        hint: &'static str,
    },
    /// There is nothing to answer the server's challenge with.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The server said yes, but what it sent is no identity.
    #[error("the cluster's answer to the join is no usable identity: {0}")]
    Answer(#[from] IdentityError),
    /// The answer is not of the known form.
    #[error("the cluster's answer to the join is not understood: {0}")]
    Malformed(String),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl JoinError {
    /// True when the server or a load balancer may answer differently later, and the token is not known to be used.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoAnswer { error: WebError::Failed(_), .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            // What a server has no code for is mostly trouble behind it.
            Self::Declined { code, .. } => matches!(
                code,
                Code::Unknown
                    | Code::Internal
                    | Code::Aborted
                    | Code::Cancelled
                    | Code::DeadlineExceeded
                    | Code::ResourceExhausted
                    | Code::Unavailable
            ),
            Self::Proof(error) => error.is_transient(),
            Self::NoAnswer { error: WebError::Tls(_), .. }
            | Self::Answer(_)
            | Self::Malformed(_)
            | Self::Key(_) => false,
        }
    }
}

/// Every key that the Go agent sends; `null` where a bot has nothing to say.
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

/// Joins with a fresh key. `expires` is when the certificates shall end; the server may choose earlier. Without a proof,
/// the token is used up.
pub(crate) async fn join(
    route: &Route,
    web: &WebClient,
    token: &Token,
    proof: Option<&Proof>,
    expires: SystemTime,
) -> Result<Identity, JoinError> {
    let key = KeyPair::generate()?;
    let certs = match proof {
        None => post(web, &key, token, None, expires).await?,
        Some(Proof::IdToken(id_token)) => post(web, &key, token, Some(id_token), expires).await?,
        Some(Proof::Cloud(cloud)) => {
            stream::certificates(route, web, cloud, Wish { token, key: &key, expires }).await?
        }
    };
    Ok(Identity::new(key, certs)?)
}

async fn post(
    web: &WebClient,
    key: &KeyPair,
    token: &Token,
    proof: Option<&Jwt>,
    expires: SystemTime,
) -> Result<SignedCerts, JoinError> {
    let answer = web.post_json(PATH, request(key, token, proof, expires)?).await;
    let answer = answer.map_err(|error| JoinError::NoAnswer { error, hint: hint_on_no_answer(proof) })?;
    if answer.status.is_success() {
        return certificates(&answer.body);
    }
    let message = refusal(&answer.body, token, proof);
    let is_denied = matches!(answer.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
    let hint = if proof.is_some() { hint_on_proof(is_denied, &message) } else { hint(&message) };
    Err(JoinError::Refused { status: answer.status.as_u16(), hint, message })
}

/// What the server says no with. A proxy on the way may send back what it got, so that what gives access is taken out
/// first: the token, or the proof of one that is a mere name. (A short name, taken out of a proof, would leave pieces.)
fn refusal(body: &[u8], token: &Token, proof: Option<&Jwt>) -> String {
    let text = String::from_utf8_lossy(body);
    let text = match proof {
        Some(proof) => proof.taken_out_of(&text),
        None => text.replace(token.expose(), "..."),
    };
    error_message(text.as_bytes())
}

pub(crate) fn certificates(body: &[u8]) -> Result<SignedCerts, JoinError> {
    let malformed = |error| JoinError::Malformed(describe_json_error(&error));
    serde_json::from_slice::<Response>(body).map_err(malformed)?.decode()
}

fn request(
    key: &KeyPair,
    token: &Token,
    proof: Option<&Jwt>,
    expires: SystemTime,
) -> Result<Vec<u8>, JoinError> {
    let expires =
        jiff::Timestamp::try_from(expires).map_err(|error| JoinError::Malformed(error.to_string()))?;
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
        id_token: proof.map(Jwt::expose).unwrap_or_default(),
        expires: expires.to_string(),
    };
    serde_json::to_vec(&request).map_err(|error| JoinError::Malformed(error.to_string()))
}

impl Response {
    fn decode(self) -> Result<SignedCerts, JoinError> {
        let text = |encoded: &String| {
            let bytes = STANDARD.decode(encoded).map_err(|error| JoinError::Malformed(error.to_string()))?;
            String::from_utf8(bytes).map_err(|error| JoinError::Malformed(error.to_string()))
        };
        Ok(SignedCerts {
            tls: text(&self.tls)?,
            ssh: text(&self.ssh)?,
            tls_cas: self.tls_ca_certs.iter().map(text).collect::<Result<_, _>>()?,
            ssh_cas: self.ssh_ca_certs.iter().map(text).collect::<Result<_, _>>()?,
        })
    }
}

fn hint_on_no_answer(proof: Option<&Jwt>) -> &'static str {
    match proof {
        Some(_) => "",
        None => {
            "; if the next attempt says that the token is unknown, the lost one used it up: create a new token"
        }
    }
}

/// Servers word this in many ways; they all come down to the token's own definition.
fn hint_on_proof(is_denied: bool, message: &str) -> &'static str {
    if message.contains("generation mismatch") {
        "; this bot has joined with a token before, and is locked now that it joins in another way: remove the lock (tctl get locks), and make another bot for this join method"
    } else if message.ends_with("access denied") {
        "; check whether the bot or its user is locked (tctl get locks) or was removed (tctl bots ls)"
    } else if message.contains("sts api returned") {
        "; AWS does not take what this agent has signed: check its keys, and this machine's clock"
    } else if message.contains("unknown STS host") {
        "; set AWS_REGION to a region whose STS this server knows"
    } else if is_denied {
        "; check (tctl get tokens) that onboarding.token names a token of this join method, whose rules allow where this agent runs"
    } else {
        ""
    }
}

fn hint(message: &str) -> &'static str {
    if message.contains("token expired or not found") {
        "; a token works once and not for long: create a new one (tctl bots add, or tctl bots instances add) and set onboarding.token"
    } else if message.contains("has already been issued a renewable certificate") {
        "; this server lets a bot join once: remove the bot, create it anew, and set onboarding.token"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::bot::join_token::TokenSetting;
    use crate::agent::platform::options::Clock;
    use crate::agent::recordings::recorded;
    use crate::config::JoinMethod;

    fn recorded_join() -> serde_json::Value {
        let calls: serde_json::Value = serde_json::from_str(&recorded("first-join.json")).unwrap();
        calls[0].clone()
    }

    #[test]
    fn the_request_has_the_recorded_keys() {
        let token = TokenSetting::new("hunter2").resolve().unwrap();
        let body = request(&KeyPair::generate().unwrap(), &token, None, SystemTime::UNIX_EPOCH).unwrap();
        let ours: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&ours), keys(&recorded_join()["request"]));
        assert_eq!(ours["expires"], "1970-01-01T00:00:00Z");
    }

    #[test]
    fn the_recorded_response_is_decoded() {
        let certs = certificates(recorded_join()["response"].to_string().as_bytes()).unwrap();
        assert!(certs.ssh.starts_with("ssh-rsa-cert-v01@openssh.com "));
        assert_eq!((certs.tls_cas.len(), certs.ssh_cas.len()), (2, 2));
    }

    #[test]
    fn an_answer_that_repeats_the_token_is_not_repeated() {
        let token = TokenSetting::new("hunter2").resolve().unwrap();
        // Wherever the message is cut off, nothing of the token is left.
        for before in 280..300 {
            let message =
                refusal(format!("{}hunter2 is what you sent", "x".repeat(before)).as_bytes(), &token, None);
            assert!(!message.contains("hun"), "{message}");
        }
        let body = br#"{"ssh": "", "tls": "", "ssh_ca_certs": [], "tls_ca_certs": "hunter2"}"#;
        let refused = certificates(body).unwrap_err().to_string();
        assert!(refused.contains("line 1") && !refused.contains("hunter2"), "{refused}");
    }

    /// Letters of a token's name may stand in a proof; the name is no secret, the proof is.
    #[tokio::test]
    async fn an_answer_that_repeats_the_proof_is_not_repeated_whatever_the_token_is_called() {
        let onboarding = serde_json::from_value(serde_json::json!({})).unwrap();
        let environment = [("CIRCLE_OIDC_TOKEN", "head.hunter1.hunter2")].into_iter().collect();
        let prover = Prover::new(JoinMethod::Circleci, &onboarding, &environment, &Clock::system()).unwrap();
        let Proof::IdToken(proof) = prover.prove().await.unwrap() else { panic!("another proof") };
        for name in ["u", "nt", "head", "hunter1"] {
            let token = TokenSetting::new(name).resolve().unwrap();
            let said = refusal(b"head.hunter1.hunter2 is refused: hunter1", &token, Some(&proof));
            assert_eq!(said, "... is refused: ...", "{name}");
        }
    }

    #[test]
    fn a_used_token_is_explained() {
        assert!(
            hint("\"\" can not join the cluster with role \"Bot\", token expired or not found")
                .contains("new one")
        );
    }
}
