//! Simulated agents, for benchmarks, `cargo xtask load` and demo data. Only with the feature `load`, which no deployed
//! program enables. Depends on tokio and `schema`. Connects to the address in the [`Plan`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tbot::event::internal::ValueSet;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use crate::day::Day;
use crate::property::Property;
use crate::schema::{EventSchema, SchemaError};
use crate::start::{PropertyValue, Start, Submission};
use crate::wire::TBOT_REPORTING_SERVICE_SUBMIT_TBOT_EVENT_SPEC;

const SUBMIT_PATH: &str = TBOT_REPORTING_SERVICE_SUBMIT_TBOT_EVENT_SPEC.procedure;
/// The maximum size of a response, including its header.
const MAX_RESPONSE: usize = 4096;

/// The percentage of agents that have an optional property.
const OPTIONAL_PERCENT: u64 = 40;
/// The percentage of agents that have destinations of a counted kind.
const COUNT_PERCENT: u64 = 25;

/// A pseudorandom number generator (SplitMix64). The same seed gives the same numbers.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap_or(u64::MAX)).unwrap_or(0)
    }

    /// Returns a number below `bound`. Small numbers are more likely.
    fn skewed(&mut self, bound: usize) -> usize {
        self.below(bound).min(self.below(bound)).min(self.below(bound))
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// The simulated agents of a seed. Their values are invented from the declarations of the event, not measured.
#[derive(Clone, Copy, Debug)]
pub struct Agents {
    schema: &'static EventSchema,
    seed: u64,
}

impl Agents {
    /// Creates the agents of a seed.
    ///
    /// # Errors
    ///
    /// Returns an error if this program does not support the event's schema.
    pub fn new(seed: u64) -> Result<Self, SchemaError> {
        Ok(Self { schema: EventSchema::embedded()?, seed })
    }

    /// Returns the submission of the agent with a number on a day.
    pub fn submission(&self, number: u64, day: Day) -> Submission {
        Submission { id: self.id(number).into_bytes(), day, start: self.start(number) }
    }

    /// Returns the start of the agent with a number.
    fn start(&self, number: u64) -> Start {
        let mut random = SplitMix64(self.seed ^ number.wrapping_mul(0xD1B5_4A32_D192_ED03));
        let properties = &self.schema.properties;
        let mut values: Vec<PropertyValue> = Vec::with_capacity(properties.len());
        for property in properties {
            let is_present = if property.requires.is_some() {
                self.schema.permits(property, &values) && random.percent(100 - OPTIONAL_PERCENT)
            } else {
                property.rule.required || random.percent(OPTIONAL_PERCENT)
            };
            let value =
                if is_present { random_value(property, &mut random) } else { property.default_value() };
            values.push(value);
        }
        for (index, property) in properties.iter().enumerate() {
            let parts = property.parts.iter().map(|part| values[*part].as_count());
            let sum = parts.chain([values[index].as_count()]).fold(0, u32::saturating_add);
            if !property.parts.is_empty() {
                values[index] = PropertyValue::Count(sum);
            }
        }
        Start(values.into())
    }

    /// Returns the `distinct_id` of the agent with a number.
    fn id(&self, number: u64) -> Uuid {
        let mut random = SplitMix64(self.seed.rotate_left(32) ^ number);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&random.next().to_be_bytes());
        id[8..].copy_from_slice(&random.next().to_be_bytes());
        uuid::Builder::from_random_bytes(id).into_uuid()
    }

    /// Returns the request body of the agent with a number.
    pub fn body(&self, number: u64) -> String {
        let (start, id) = (self.start(number), self.id(number));
        let mut fields = Map::with_capacity(start.0.len());
        for (property, value) in self.schema.properties.iter().zip(&start.0) {
            let wire = &property.rule.wire;
            let value = match value {
                PropertyValue::Absent => continue,
                PropertyValue::Text(text) => match wire.values.as_ref().and_then(|names| names.get(text)) {
                    Some(name) => Value::from(name.as_str()),
                    None => Value::from(text.as_str()),
                },
                PropertyValue::Count(total) => {
                    let parts = property.parts.iter().map(|part| start.0[*part].as_count());
                    Value::from(total - parts.sum::<u32>())
                }
            };
            fields.insert(wire.name.clone(), value);
        }
        json!({ "distinctId": id.to_string(), "start": fields }).to_string()
    }
}

/// Returns a value from the closed set of a property.
fn random_value(property: &Property, random: &mut SplitMix64) -> PropertyValue {
    match &property.rule.values {
        ValueSet::Enum(values) => {
            let value = values.get(random.skewed(values.len()));
            value.map_or(PropertyValue::Absent, |value| PropertyValue::Text(value.clone()))
        }
        // The example, with another last digit and as a version of any implementation, if that matches as well.
        ValueSet::Pattern(pattern) => {
            let example = property.rule.example.as_ref().and_then(Value::as_str).unwrap_or_default();
            let digit = random.skewed(8).to_string();
            let mut text = example.to_owned();
            if let Some(last) = example.rfind(|letter: char| letter.is_ascii_digit()) {
                text.replace_range(last..=last, &digit);
            }
            let implementations = &property.rule.implementations;
            if let Some(implementation) = implementations.get(random.below(implementations.len()))
                && let Some((_, rest)) = text.split_once('.')
            {
                text = format!("{}.{rest}", implementation.first_major);
            }
            PropertyValue::Text(if pattern.is_match(&text) { text } else { example.to_owned() })
        }
        ValueSet::Count { minimum, maximum } => {
            let has_any = random.percent(COUNT_PERCENT);
            let count = if has_any { 1 + u64::try_from(random.below(4)).unwrap_or(0) } else { 0 };
            PropertyValue::Count(u32::try_from(count.clamp(*minimum, *maximum)).unwrap_or(u32::MAX))
        }
    }
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
/// Returns an error if a connection cannot be opened or breaks, or if this program does not support the event's schema.
pub async fn drive(plan: Plan, done: Arc<AtomicU64>) -> std::io::Result<Outcome> {
    let agents = Agents::new(plan.seed).map_err(std::io::Error::other)?;
    let started = Instant::now();
    let mut senders = JoinSet::new();
    for sender in 0..plan.connections {
        senders.spawn(send(plan, agents, sender, started, Arc::clone(&done)));
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

async fn send(
    plan: Plan,
    agents: Agents,
    sender: u64,
    started: Instant,
    done: Arc<AtomicU64>,
) -> std::io::Result<Outcome> {
    let mut stream = TcpStream::connect(plan.address).await?;
    stream.set_nodelay(true)?;
    let mut outcome = Outcome::default();
    let mut buffer = vec![0; MAX_RESPONSE];
    let mut number = sender;
    while number < plan.events {
        let body = agents.body(number);
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
        let (one, same, other) = (Agents::new(1).unwrap(), Agents::new(1).unwrap(), Agents::new(2).unwrap());
        assert_eq!(one.body(7), same.body(7));
        assert_ne!(one.id(7), other.id(7));
        assert_ne!(one.id(7), one.id(8));
    }

    #[test]
    fn simulated_events_are_valid() {
        let validator = crate::validation::EventValidator::new().unwrap();
        let agents = Agents::new(3).unwrap();
        for number in 0..200 {
            let request: crate::wire::SubmitTbotEventRequest =
                serde_json::from_str(&agents.body(number)).unwrap();
            let bytes = buffa::Message::encode_to_vec(&request);
            let view =
                <crate::wire::SubmitTbotEventRequestView<'_> as buffa::MessageView<'_>>::decode_view(&bytes);
            let validated = validator.validate(&view.unwrap(), std::time::UNIX_EPOCH).unwrap();
            assert_eq!(validated, agents.submission(number, Day(0)));
        }
    }

    #[test]
    fn simulated_agents_use_the_values_of_every_property() {
        let agents = Agents::new(4).unwrap();
        let starts: Vec<Start> = (0..2000).map(|number| agents.start(number)).collect();
        for (index, property) in agents.schema.properties.iter().enumerate() {
            let values: std::collections::BTreeSet<_> = starts.iter().map(|start| &start.0[index]).collect();
            assert!(values.len() > 1, "{}: {values:?}", property.name());
        }
    }
}
