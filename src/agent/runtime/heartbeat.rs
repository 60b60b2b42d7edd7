//! Sends heartbeats to the bot's own cluster: one after the first attempts of all services, then about every half hour; in
//! oneshot mode, one at the end.
//!
//! A heartbeat never fails a run. A failed one is repeated sooner than the next is due. A cluster that does not know heartbeats, which
//! may be upgraded while the agent runs, gets an attempt whenever one is due. Each heartbeat has its own connection: the only
//! connections of a running agent that last longer than one renewal are those that follow rotations and revocations, and they are
//! replaced at other times.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

use super::current_identity::{CurrentIdentity, valid_identity};
use super::health::{Health, HealthStatus, IDENTITY};
use super::running_agent::RunningAgent;
use super::schedule::{self, Backoff, jittered};
use super::services::service_settings;
use crate::agent::credential::identity::Identity;
use crate::agent::platform::error_text::error_line;
use crate::agent::platform::host_name;
use crate::agent::service::error::OutputError;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::auth_client::{AuthClient, Heartbeat, ServiceHealth};
use crate::agent::teleport::messages::BotInstanceHealthStatus;

const INTERVAL: Duration = Duration::from_secs(30 * 60);
/// The waits after failed heartbeats.
const BACKOFF: Backoff = Backoff::between(Duration::from_secs(60), INTERVAL);
/// How long the first heartbeat waits for the first attempts.
const MAX_FIRST_WAIT: Duration = Duration::from_secs(30);
/// How long a run in oneshot mode waits for its heartbeat.
const ONESHOT_TIMEOUT: Duration = Duration::from_secs(5);
/// The type that a heartbeat gives the bot's own identity, which is not a service.
const IDENTITY_TYPE: &str = "internal/identity";

impl RunningAgent {
    /// Sends heartbeats as long as the agent runs.
    pub(super) async fn send_heartbeats(
        self: Arc<Self>,
        mut current: watch::Receiver<CurrentIdentity>,
        health: Arc<Health>,
    ) {
        let started = Instant::now();
        // After the timeout, the services without a first attempt are reported as initializing.
        let _ = tokio::time::timeout(MAX_FIRST_WAIT, health.first_attempts(|_| true)).await;
        let mut is_startup = true;
        let mut backoff = BACKOFF;
        loop {
            // The cluster would refuse an expired identity. The loop of the identity reports that it has expired.
            let Some(identity) = valid_identity(&mut current, &self.bot.clock).await else { return };
            let heartbeat = self.heartbeat(is_startup, false, started, self.service_health(&health));
            let wait = match self.connect_and_submit(&identity, heartbeat).await {
                Ok(()) => {
                    (is_startup, backoff) = (false, BACKOFF);
                    jittered(INTERVAL, &self.randomness)
                }
                Err(error) if error.is_unimplemented() => jittered(INTERVAL, &self.randomness),
                Err(error) => {
                    self.warn_about_heartbeat(&error);
                    backoff.next(&self.randomness)
                }
            };
            schedule::wait(wait, &self.bot.clock).await;
        }
    }

    /// Sends the heartbeat of a run in oneshot mode. `failures` says why each output failed, in the order of the configuration.
    pub(super) async fn send_oneshot_heartbeat(
        &self,
        client: &AuthClient,
        started: Instant,
        failures: &[Option<OutputError>],
    ) {
        let now = self.bot.clock.now();
        let outputs = self.outputs.iter().zip(failures).map(|(output, failure)| ServiceHealth {
            service_type: output.settings.service_type,
            name: output.settings.name.clone(),
            status: if failure.is_some() {
                BotInstanceHealthStatus::Unhealthy
            } else {
                BotInstanceHealthStatus::Healthy
            },
            reason: failure.as_ref().map(|error| error_line(error, error.hint().as_ref())),
            updated_at: Some(now),
        });
        let services = std::iter::once(healthy_identity(now)).chain(outputs).collect();
        let sent = client.submit_heartbeat(self.heartbeat(true, true, started, services));
        match tokio::time::timeout(ONESHOT_TIMEOUT, sent).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.is_unimplemented() => {}
            Ok(Err(error)) => self.warn_about_heartbeat(&error),
            Err(_) => tracing::warn!("the cluster did not respond to the heartbeat in time"),
        }
    }

    async fn connect_and_submit(&self, identity: &Identity, heartbeat: Heartbeat) -> Result<(), ApiError> {
        AuthClient::connect(&self.bot.dialler, identity).await?.submit_heartbeat(heartbeat).await
    }

    fn warn_about_heartbeat(&self, error: &ApiError) {
        self.bot.warnings.warn(
            "heartbeat",
            format_args!(
                "cannot send a heartbeat to the cluster, so it does not know the state of this agent: {}",
                error_line(error, error.hint().as_ref())
            ),
        );
    }

    fn heartbeat(
        &self,
        is_startup: bool,
        is_oneshot: bool,
        started: Instant,
        services: Vec<ServiceHealth>,
    ) -> Heartbeat {
        Heartbeat {
            is_startup,
            is_oneshot,
            recorded_at: self.bot.clock.now(),
            uptime: started.elapsed(),
            host_name: host_name(),
            join_method: self.join_method.to_string(),
            services,
        }
    }

    fn service_health(&self, health: &Health) -> Vec<ServiceHealth> {
        let types = service_settings(&self.outputs, &self.listening).map(|settings| settings.service_type);
        let now = health.now();
        std::iter::once(IDENTITY_TYPE)
            .chain(types)
            .zip(health.services())
            .map(|(service_type, (name, state))| ServiceHealth {
                service_type,
                name: name.to_owned(),
                status: match state.status(now) {
                    HealthStatus::Initializing => BotInstanceHealthStatus::Initializing,
                    HealthStatus::Healthy => BotInstanceHealthStatus::Healthy,
                    HealthStatus::Failing | HealthStatus::Unhealthy => BotInstanceHealthStatus::Unhealthy,
                },
                reason: state.reason().map(str::to_owned),
                updated_at: state.updated_at,
            })
            .collect()
    }
}

fn healthy_identity(now: SystemTime) -> ServiceHealth {
    ServiceHealth {
        service_type: IDENTITY_TYPE,
        name: IDENTITY.to_owned(),
        status: BotInstanceHealthStatus::Healthy,
        reason: None,
        updated_at: Some(now),
    }
}
