//! Simulated agents, for benchmarks, `cargo xtask load` and demo data. Only with the feature `load`, which no deployed
//! program enables. Depends on tokio and `start`. Connects to the address in the [`Plan`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::day::Day;
use crate::start::{Start, Submission, UseCase};

const SUBMIT_PATH: &str = "/prehog.v1alpha.TbotReportingService/SubmitTbotEvent";
/// The maximum size of a response, including its header.
const MAX_RESPONSE: usize = 4096;

// The values of the simulated agents and their shares in percent. They are invented, not measured.
const VERSIONS: [(&str, u64); 8] = [
    ("0.1.0", 30),
    ("0.1.1", 25),
    ("0.2.0", 15),
    ("15.0.0", 10),
    ("15.0.1", 8),
    ("15.1.0", 6),
    ("16.0.0-rc.1", 4),
    ("0.3.0-dev", 2),
];
const JOIN_METHODS: [(&str, u64); 8] = [
    ("github", 38),
    ("kubernetes", 20),
    ("iam", 12),
    ("token", 11),
    ("gitlab", 9),
    ("circleci", 5),
    ("azure", 4),
    ("tpm", 1),
];
const HELPERS: [(&str, u64); 5] = [
    ("", 62),
    ("gha:teleport-actions/auth", 20),
    ("gha:teleport-actions/auth-k8s", 10),
    ("gha:teleport-actions/auth-application", 5),
    ("other", 3),
];
const HELPER_VERSIONS: [(&str, u64); 3] = [("v2", 60), ("v1", 30), ("v1.0.4", 10)];

/// A pseudorandom number generator (SplitMix64). The same seed gives the same numbers.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Picks a value with the probability of its share.
    fn weighted(&mut self, shares: &[(&str, u64)]) -> String {
        let mut remaining = self.next() % shares.iter().map(|(_, share)| share).sum::<u64>().max(1);
        for (value, share) in shares {
            if remaining < *share {
                return (*value).to_owned();
            }
            remaining -= share;
        }
        String::new()
    }

    /// Returns a number from 1 to 4 in `percent` percent of the cases, and 0 otherwise.
    fn few(&mut self, percent: u64) -> u32 {
        if self.next() % 100 < percent { u32::try_from(self.next() % 4).unwrap_or(0) + 1 } else { 0 }
    }
}

/// Returns the start of the agent with a number, among the agents of a seed.
pub fn start(seed: u64, number: u64) -> Start {
    let mut random = SplitMix64(seed ^ number.wrapping_mul(0xD1B5_4A32_D192_ED03));
    let helper = Some(random.weighted(&HELPERS)).filter(|helper| !helper.is_empty());
    let is_known = helper.as_deref().is_some_and(|helper| helper != "other");
    let helper_version = is_known.then(|| random.weighted(&HELPER_VERSIONS));
    let run_mode =
        if random.next() % 100 < if helper.is_some() { 97 } else { 35 } { "one-shot" } else { "continuous" };
    let (database, kubernetes, application) = (random.few(18), random.few(30), random.few(12));
    Start {
        run_mode: run_mode.to_owned(),
        version: random.weighted(&VERSIONS),
        join_type: random.weighted(&JOIN_METHODS),
        helper,
        helper_version,
        destinations_configured: database + kubernetes + application + random.few(70),
        destinations_configured_database_access: database,
        destinations_configured_kubernetes_access: kubernetes,
        destinations_configured_application_access: application,
    }
}

/// Returns the `distinct_id` of the agent with a number, among the agents of a seed.
fn id(seed: u64, number: u64) -> [u8; 16] {
    let mut random = SplitMix64(seed.rotate_left(32) ^ number);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random.next().to_be_bytes());
    id[8..].copy_from_slice(&random.next().to_be_bytes());
    id[6] = id[6] & 0x0F | 0x40;
    id[8] = id[8] & 0x3F | 0x80;
    id
}

/// Returns the submission of an agent on a day.
pub fn submission(seed: u64, number: u64, day: Day) -> Submission {
    Submission { id: id(seed, number), day, start: start(seed, number) }
}

/// Returns the request body of an agent.
pub fn body(seed: u64, number: u64) -> String {
    let (start, id) = (start(seed, number), id(seed, number));
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let id = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    let mode = if start.run_mode == "one-shot" { "RUN_MODE_ONE_SHOT" } else { "RUN_MODE_DAEMON" };
    let body = json!({
        "distinctId": id,
        "start": {
            "runMode": mode,
            "version": start.version,
            "joinType": start.join_type,
            "helper": start.helper,
            "helperVersion": start.helper_version,
            "destinationsOther": start.destinations(UseCase::Other),
            "destinationsDatabase": start.destinations(UseCase::Database),
            "destinationsKubernetes": start.destinations(UseCase::Kubernetes),
            "destinationsApplication": start.destinations(UseCase::Application),
        },
    });
    body.to_string()
}

/// The load to put on a receiver.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The address of the receiver.
    pub address: SocketAddr,
    /// The number of connections that send concurrently.
    pub connections: u64,
    /// The total number of events.
    pub events: u64,
    /// Events per second of all connections together, or `None` to send as fast as possible.
    pub rate: Option<f64>,
    /// The seed of the agents.
    pub seed: u64,
}

/// The result of a [`Plan`].
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The number of acknowledged events.
    pub stored: u64,
    /// The number of events that were not acknowledged.
    pub failed: u64,
    /// The total duration.
    pub elapsed: Duration,
    /// The latency of each event, in ascending order. With a rate, it is measured from the time when the event was due.
    pub latencies: Vec<Duration>,
}

impl Outcome {
    /// Returns the acknowledged events per second.
    #[expect(clippy::cast_precision_loss, reason = "for display only")]
    pub fn rate(&self) -> f64 {
        self.stored as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// Returns the latency that `share` of 1000 events do not exceed: 990 gives the 99th percentile.
    pub fn permille(&self, share: usize) -> Duration {
        let index = self.latencies.len().saturating_sub(1) * share / 1000;
        self.latencies.get(index).copied().unwrap_or_default()
    }
}

/// Sends the events of a plan to a receiver. Increments `done` for each of them, to show progress.
///
/// # Errors
///
/// Returns an error if a connection cannot be opened or breaks.
pub async fn drive(plan: Plan, done: Arc<AtomicU64>) -> std::io::Result<Outcome> {
    let started = Instant::now();
    let mut senders = JoinSet::new();
    for sender in 0..plan.connections {
        senders.spawn(send(plan, sender, started, Arc::clone(&done)));
    }
    let mut outcome = Outcome::default();
    while let Some(sent) = senders.join_next().await {
        let sent = sent.map_err(std::io::Error::other)??;
        outcome.stored += sent.stored;
        outcome.failed += sent.failed;
        outcome.latencies.extend(sent.latencies);
    }
    outcome.elapsed = started.elapsed();
    outcome.latencies.sort_unstable();
    Ok(outcome)
}

async fn send(plan: Plan, sender: u64, started: Instant, done: Arc<AtomicU64>) -> std::io::Result<Outcome> {
    let mut stream = TcpStream::connect(plan.address).await?;
    stream.set_nodelay(true)?;
    let mut outcome = Outcome::default();
    let mut buffer = vec![0; MAX_RESPONSE];
    let mut number = sender;
    while number < plan.events {
        let body = body(plan.seed, number);
        let request = format!(
            "POST {SUBMIT_PATH} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nConnect-Protocol-Version: 1\r\n\
             Content-Length: {}\r\n\r\n{body}",
            plan.address,
            body.len(),
        );
        #[expect(clippy::cast_precision_loss, reason = "a schedule; exact enough for the number of events")]
        let due = plan.rate.map(|rate| started + Duration::from_secs_f64(number as f64 / rate));
        if let Some(due) = due {
            tokio::time::sleep_until(due).await;
        }
        let measured_from = due.unwrap_or_else(Instant::now);
        stream.write_all(request.as_bytes()).await?;
        if read_response(&mut stream, &mut buffer).await? {
            outcome.stored += 1;
        } else {
            outcome.failed += 1;
        }
        outcome.latencies.push(measured_from.elapsed());
        done.fetch_add(1, Ordering::Relaxed);
        number += plan.connections;
    }
    Ok(outcome)
}

/// Reads one response to its end, and returns true if its status is 200.
async fn read_response(stream: &mut TcpStream, buffer: &mut [u8]) -> std::io::Result<bool> {
    let mut read = 0;
    loop {
        let more = stream.read(buffer.get_mut(read..).unwrap_or_default()).await?;
        if more == 0 {
            return Err(std::io::Error::other(
                "the receiver closed the connection, or its response is too long",
            ));
        }
        read += more;
        let text = String::from_utf8_lossy(&buffer[..read]);
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && is_complete(head, body)
        {
            return Ok(head.starts_with("HTTP/1.1 200"));
        }
    }
}

fn is_complete(head: &str, body: &str) -> bool {
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) => body.len() >= length,
        None => body.ends_with("0\r\n\r\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_agents() {
        assert_eq!(body(1, 7), body(1, 7));
        assert_ne!(id(1, 7), id(2, 7));
        assert_ne!(id(1, 7), id(1, 8));
    }

    #[test]
    fn simulated_events_are_valid() {
        let validator = crate::validation::EventValidator::new().unwrap();
        for number in 0..200 {
            let request: crate::wire::SubmitTbotEventRequest =
                serde_json::from_str(&body(3, number)).unwrap();
            let bytes = buffa::Message::encode_to_vec(&request);
            let view =
                <crate::wire::SubmitTbotEventRequestView<'_> as buffa::MessageView<'_>>::decode_view(&bytes);
            let validated = validator.validate(&view.unwrap(), std::time::UNIX_EPOCH).unwrap();
            assert_eq!(validated, submission(3, number, Day(0)));
        }
    }
}
