//! Heartbeats: what the agent tells its own cluster about itself, which an administrator sees with `tctl bots instances`.
//!
//! A heartbeat is not telemetry: it goes only to the cluster that issues the bot's credentials. Servers that do not know
//! heartbeats refuse them as unimplemented.

use std::time::{Duration, SystemTime};

use prost_types::Timestamp;

use super::AuthClient;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::grpc::unary;
use crate::agent::teleport::messages::{
    BotInstanceHealthStatus, BotInstanceServiceHealth, BotInstanceServiceIdentifier,
    BotInstanceStatusHeartbeat, BotKind, SubmitHeartbeatRequest, SubmitHeartbeatResponse,
};

const SUBMIT_HEARTBEAT: &str = "/teleport.machineid.v1.BotInstanceService/SubmitHeartbeat";
/// The limits of servers, in bytes.
const MAX_NAME: usize = 64;
const MAX_REASON: usize = 256;

/// The state of an agent.
#[derive(Clone, Debug)]
pub(crate) struct Heartbeat {
    /// Whether this is the first heartbeat of a run.
    pub(crate) is_startup: bool,
    pub(crate) is_oneshot: bool,
    pub(crate) recorded_at: SystemTime,
    /// How long the run has lasted.
    pub(crate) uptime: Duration,
    pub(crate) host_name: String,
    pub(crate) join_method: String,
    pub(crate) services: Vec<ServiceHealth>,
}

/// The state of one service.
#[derive(Clone, Debug)]
pub(crate) struct ServiceHealth {
    pub(crate) service_type: &'static str,
    pub(crate) name: String,
    pub(crate) status: BotInstanceHealthStatus,
    /// Why the last attempt failed. Contains no secret.
    pub(crate) reason: Option<String>,
    pub(crate) updated_at: Option<SystemTime>,
}

impl AuthClient {
    /// Sends a heartbeat as the bot.
    pub(crate) async fn submit_heartbeat(&self, heartbeat: Heartbeat) -> Result<(), ApiError> {
        let request = SubmitHeartbeatRequest::from(heartbeat);
        let SubmitHeartbeatResponse {} = unary(&self.channel, SUBMIT_HEARTBEAT, request).await?;
        Ok(())
    }
}

impl From<Heartbeat> for SubmitHeartbeatRequest {
    fn from(heartbeat: Heartbeat) -> Self {
        Self {
            heartbeat: Some(BotInstanceStatusHeartbeat {
                recorded_at: Some(Timestamp::from(heartbeat.recorded_at)),
                is_startup: heartbeat.is_startup,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                hostname: heartbeat.host_name,
                uptime: prost_types::Duration::try_from(heartbeat.uptime).ok(),
                join_method: heartbeat.join_method,
                one_shot: heartbeat.is_oneshot,
                architecture: go_architecture(std::env::consts::ARCH).to_owned(),
                os: go_os(std::env::consts::OS).to_owned(),
                kind: BotKind::TbotBinary.into(),
            }),
            service_health: heartbeat.services.into_iter().map(BotInstanceServiceHealth::from).collect(),
        }
    }
}

impl From<ServiceHealth> for BotInstanceServiceHealth {
    fn from(service: ServiceHealth) -> Self {
        let name = cut(&service.name, MAX_NAME).to_owned();
        Self {
            service: Some(BotInstanceServiceIdentifier { r#type: service.service_type.to_owned(), name }),
            status: service.status.into(),
            reason: service.reason.map(|reason| cut(&reason, MAX_REASON).to_owned()),
            updated_at: service.updated_at.map(Timestamp::from),
        }
    }
}

/// Returns the longest prefix of `text` with at most `limit` bytes.
fn cut(text: &str, limit: usize) -> &str {
    let ends = (0..=limit.min(text.len())).rev();
    let end = ends.into_iter().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    &text[..end]
}

/// Returns the name that Go programs use for an architecture.
fn go_architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// Returns the name that Go programs use for an operating system.
fn go_os(rust: &str) -> &str {
    if rust == "macos" { "darwin" } else { rust }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_and_reasons_are_cut_between_characters() {
        let service = ServiceHealth {
            service_type: "identity",
            name: "ä".repeat(40),
            status: BotInstanceHealthStatus::Unhealthy,
            reason: Some(format!("a{}", "ä".repeat(200))),
            updated_at: Some(SystemTime::UNIX_EPOCH),
        };
        let sent = BotInstanceServiceHealth::from(service);
        assert_eq!(sent.status(), BotInstanceHealthStatus::Unhealthy);
        assert_eq!(sent.service.unwrap().name, "ä".repeat(32));
        assert_eq!(sent.reason.unwrap().len(), 255);
    }
}
