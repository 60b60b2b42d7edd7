//! The context of errors from joining: the secrets that a server's message may repeat, and whether the token is one of them.

use std::error::Error as _;

use http::StatusCode;
use tonic::{Code, Status};

use super::attestation::{Attestation, CloudAttestation};
use super::error::{
    JoinError, TOKEN_MAY_BE_USED, UNSUPPORTED_PROTOCOL, hint_for_attestation, hint_for_bound_keypair,
    hint_for_token,
};
use crate::agent::bot::bound_keypair::RegistrationSecret;
use crate::agent::bot::join_token::JoinToken;
use crate::agent::net::web::HttpError;
use crate::agent::platform::{Hint, ServerMessage};
use crate::agent::teleport::api_error::connection_error;
use crate::agent::teleport::error_body::error_message;
use crate::agent::teleport::grpc_code::GrpcCode;

/// Creates the errors of one join.
pub(super) struct RefusalContext {
    /// The longest first, because one may be a part of another.
    secrets: Vec<String>,
    proof: JoinProof,
}

/// What a join proves to the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum JoinProof {
    /// That the bot knows the token, which is secret and can be used once.
    Token,
    /// Where the agent runs. The token is then only a name.
    Attestation,
    /// That the bot has a key pair.
    BoundKeypair { has_secret: bool },
}

impl RefusalContext {
    /// With an attestation, only the attestation is redacted: replacing a short name of a token could split an ID token into
    /// parts that are no longer recognised.
    pub(super) fn new(token: &JoinToken, attestation: Option<&Attestation>) -> Self {
        let secrets = match attestation {
            None => vec![token.expose().to_owned()],
            Some(Attestation::IdToken(id_token)) => id_token.secrets(),
            Some(Attestation::Cloud(cloud)) => cloud.secrets(),
        };
        let proof = if attestation.is_some() { JoinProof::Attestation } else { JoinProof::Token };
        let mut context = Self { secrets, proof };
        context.sort();
        context
    }

    /// For the join method `bound_keypair`.
    pub(super) fn with_bound_keypair(registration_secret: Option<&RegistrationSecret>) -> Self {
        let secrets = registration_secret.map(|secret| secret.expose().to_owned()).into_iter().collect();
        Self { secrets, proof: JoinProof::BoundKeypair { has_secret: registration_secret.is_some() } }
    }

    /// Adds a secret that became known during the exchange.
    pub(super) fn add_secret(&mut self, secret: String) {
        self.secrets.push(secret);
        self.sort();
    }

    fn sort(&mut self) {
        self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    fn redact(&self, message: &str) -> String {
        let secrets = self.secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(message.to_owned(), |message, secret| message.replace(secret.as_str(), "..."))
    }

    fn hint(&self, is_denied: bool, message: &ServerMessage) -> Option<Hint> {
        match self.proof {
            JoinProof::Token => hint_for_token(message.raw()),
            JoinProof::Attestation => hint_for_attestation(is_denied, message.raw()),
            JoinProof::BoundKeypair { has_secret } => {
                hint_for_bound_keypair(is_denied, has_secret, message.raw())
            }
        }
    }

    /// Returns the error for an HTTP status and the body of its response. An intermediary may repeat the request in it.
    pub(super) fn refused(&self, status: StatusCode, body: &[u8]) -> JoinError {
        let message = self.body_message(body);
        let is_denied = matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
        let hint = self.hint(is_denied, &message);
        JoinError::Refused { status: status.as_u16(), hint, message }
    }

    /// Returns the error for an HTTP status of a server that does not know the request.
    pub(super) fn unsupported(&self, status: StatusCode, body: &[u8]) -> JoinError {
        let (status, message) = (status.as_u16(), self.body_message(body));
        JoinError::Refused { status, hint: Some(UNSUPPORTED_PROTOCOL), message }
    }

    fn body_message(&self, body: &[u8]) -> ServerMessage {
        error_message(self.redact(&String::from_utf8_lossy(body)).as_bytes())
    }

    /// Returns the error for a gRPC status. One with a source comes from the connection, any other from the server.
    pub(super) fn join_error(&self, status: Status) -> JoinError {
        if status.source().is_some() {
            return self.no_response(connection_error(status));
        }
        self.service_refused(status.code(), status.message())
    }

    fn service_refused(&self, code: Code, message: &str) -> JoinError {
        let message = ServerMessage::from(self.redact(message));
        let hint = match code {
            Code::Unimplemented => Some(UNSUPPORTED_PROTOCOL),
            _ => self.hint(matches!(code, Code::PermissionDenied | Code::NotFound), &message),
        };
        JoinError::ServiceRefused { code: GrpcCode::new(code), message, hint }
    }

    /// Returns the error for a response that was lost. A token may be used up then.
    pub(super) fn no_response(&self, error: impl Into<HttpError>) -> JoinError {
        let hint = (self.proof == JoinProof::Token).then_some(TOKEN_MAY_BE_USED);
        JoinError::NoResponse { error: error.into(), hint }
    }
}

impl CloudAttestation {
    fn secrets(&self) -> Vec<String> {
        match self {
            Self::Aws(aws) => aws.secrets().map(str::to_owned).collect(),
            Self::Azure(azure) => azure.access_token().secrets(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::bot::join::attestation::Attestor;
    use crate::agent::bot::join_token::JoinTokenSource;
    use crate::agent::platform::Clock;
    use crate::agent::platform::reminders::RecurringWarnings;
    use crate::config::JoinMethod;
    use crate::untrusted::MAX_CHARS;

    fn token(value: &str) -> JoinToken {
        let warnings = RecurringWarnings::new(Clock::system());
        JoinTokenSource::new(value, JoinMethod::Token).resolve_blocking(&warnings).unwrap()
    }

    fn refusal(context: &RefusalContext, message: &str) -> String {
        let error = context.refused(StatusCode::FORBIDDEN, message.as_bytes());
        let JoinError::Refused { message, .. } = error else { panic!("{error}") };
        message.to_string()
    }

    #[test]
    fn a_refusal_does_not_repeat_the_token() {
        // The padding moves the token across the length at which messages are truncated.
        for padding in MAX_CHARS - 20..MAX_CHARS {
            let body = format!("{}hunter2 is what you sent", "x".repeat(padding));
            let message = refusal(&RefusalContext::new(&token("hunter2"), None), &body);
            assert!(!message.contains("hun"), "{message}");
        }
    }

    /// The name of the join token may be a part of the ID token. The name is not secret; the ID token is.
    #[tokio::test]
    async fn the_id_token_is_redacted_even_if_it_contains_the_name_of_the_join_token() {
        let onboarding = serde_json::from_value(serde_json::json!({})).unwrap();
        let environment = [("CIRCLE_OIDC_TOKEN", "head.hunter1.hunter2")].into_iter().collect();
        let attestor =
            Attestor::new(JoinMethod::Circleci, &onboarding, &environment, &Clock::system()).unwrap();
        let id_token = attestor.attest().await.unwrap();
        for name in ["u", "nt", "head", "hunter1"] {
            let context = RefusalContext::new(&token(name), Some(&id_token));
            assert_eq!(
                refusal(&context, "head.hunter1.hunter2 is refused: hunter1"),
                "... is refused: ...",
                "{name}"
            );
        }
    }

    #[tokio::test]
    async fn the_credentials_of_a_cloud_are_redacted() {
        let onboarding = serde_json::from_value(serde_json::json!({})).unwrap();
        let environment = [
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "hunter1"),
            ("AWS_SESSION_TOKEN", "hunter2"),
            ("AWS_REGION", "eu-west-1"),
        ];
        let environment = environment.into_iter().collect();
        let attestor = Attestor::new(JoinMethod::Iam, &onboarding, &environment, &Clock::system()).unwrap();
        let context = RefusalContext::new(&token("name"), Some(&attestor.attest().await.unwrap()));
        assert_eq!(refusal(&context, "AKID, hunter1 or hunter2 of name"), "..., ... or ... of name");
    }

    #[test]
    fn secrets_that_contain_others_are_redacted_as_a_whole() {
        let mut context = RefusalContext::new(&token("hunter2"), None);
        context.add_secret("session/hunter2".to_owned());
        let error = context.service_refused(Code::PermissionDenied, "got session/hunter2 and hunter2");
        assert!(!error.is_transient());
        let JoinError::ServiceRefused { code, message, .. } = error else { panic!("{error}") };
        assert_eq!((code, message.raw()), (GrpcCode::PermissionDenied, "got ... and ..."));
    }

    #[test]
    fn codes_of_an_outage_are_transient() {
        let context = RefusalContext::new(&token("abc"), None);
        for (code, is_transient) in [
            (Code::Unknown, true),
            (Code::Internal, true),
            (Code::Unavailable, true),
            (Code::ResourceExhausted, true),
            (Code::DeadlineExceeded, true),
            (Code::InvalidArgument, false),
            (Code::NotFound, false),
            (Code::Unimplemented, false),
        ] {
            assert_eq!(context.service_refused(code, "no").is_transient(), is_transient, "{code:?}");
        }
    }

    #[test]
    fn the_hint_depends_on_what_the_join_proves() {
        let with_token = RefusalContext::new(&token("abc"), None);
        let with_key_pair = RefusalContext::with_bound_keypair(None);
        let hint = |error: JoinError| error.hint();
        let refused = |context: &RefusalContext, message: &str| {
            hint(context.service_refused(Code::PermissionDenied, message))
        };
        let (used, locked) = [&with_token, &with_key_pair]
            .map(|context| refused(context, "token expired or not found"))
            .into();
        assert!(used.is_some() && locked.is_some() && used != locked);
        let required = "a valid registration secret is required";
        let refused_secret = hint_for_bound_keypair(true, true, required);
        assert!(refused_secret.is_some() && refused_secret != refused(&with_key_pair, required));
        assert_eq!(hint(with_token.service_refused(Code::Unimplemented, "no")), Some(UNSUPPORTED_PROTOCOL));

        let lost = || Status::unavailable("gone");
        let no_response = |context: &RefusalContext| hint(context.no_response(connection_error(lost())));
        assert_eq!(no_response(&with_token), Some(TOKEN_MAY_BE_USED));
        assert_eq!(no_response(&with_key_pair), None);
    }
}
