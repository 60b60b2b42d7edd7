//! Embeds the agent in another program: reads a configuration and runs the agent, once or until the program is killed.
//!
//! The library has no code that can send telemetry, so a program that embeds it sends none, whatever its configuration
//! and environment say. Run it with `cargo run --example embed -- tbot.yaml`.

use std::error::Error;
use std::fs;

use tbot::agent::{self, Agent, AgentOptions, Clock, Environment, Randomness};
use tbot::config::{Purpose, load};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: embed <tbot.yaml>")?;
    let yaml = fs::read_to_string(&path)?;
    let loaded = load(Some(&yaml), &[], Purpose::Start);
    let effective =
        loaded.effective.ok_or_else(|| format!("{path} is not valid: {:?}", loaded.diagnostics))?;

    let options = AgentOptions {
        environment: Environment::of_process(),
        clock: Clock::system(),
        randomness: Randomness::system(),
        command: std::env::current_exe()?,
    };
    let (_control, signals) = agent::control();
    let result = match Agent::new(effective.config(), options) {
        Ok(agent) if effective.config().is_oneshot() => agent.run_once(signals).await,
        Ok(agent) => agent.run(signals).await,
        Err(error) => Err(error),
    };
    result.map_err(|error| agent::error_line(&error, error.hint().as_ref()).into())
}
