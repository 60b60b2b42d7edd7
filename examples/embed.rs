//! A program that embeds the agent: it reads a configuration, runs it once, and ends.
//!
//! The library has no code that can send telemetry, so an embedder sends none, whatever its configuration or
//! environment say. Run it with `cargo run --example embed -- tbot.yaml`.

use std::error::Error;
use std::fs;

use tbot::agent::{self, Agent, AgentOptions, Clock, Environment, Randomness};
use tbot::config::{Purpose, load};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: embed <tbot.yaml>")?;
    let text = fs::read_to_string(&path)?;
    let loaded = load(Some(&text), &[], Purpose::Start);
    let effective =
        loaded.effective.ok_or_else(|| format!("{path} is not valid: {:?}", loaded.diagnostics))?;

    let options = AgentOptions {
        environment: Environment::of_process(),
        clock: Clock::system(),
        randomness: Randomness::system(),
        command: std::env::current_exe()?,
    };
    let (_control, signals) = agent::control();
    Agent::new(effective.config(), options)?.run_once(signals).await?;
    Ok(())
}
