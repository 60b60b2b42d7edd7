//! Embeds the agent in another program: reads a configuration and runs the agent, once or until the program is killed.
//!
//! The library has no code that can send telemetry, so a program that embeds it sends none, whatever its configuration
//! and environment say. Run it with `cargo run --example embed -- tbot.yaml`.

use std::fs;
use std::process::ExitCode;

use tbot::agent::{self, Agent, AgentOptions, Clock, Environment, Randomness};
use tbot::config::{EffectiveConfig, Purpose, load};
use tbot::diagnostic::{Report, ReportFormat, SourceFile, Terminal, render};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stderr, reason = "the example reports errors as a program does")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let path = std::env::args().nth(1).ok_or("usage: embed <tbot.yaml>")?;
    let file = fs::read(&path).map_err(|error| format!("error: cannot read {path}: {error}"))?;
    let effective = validate(&path, &file)?;

    let options = AgentOptions {
        environment: Environment::of_process(),
        clock: Clock::system(),
        randomness: Randomness::system(),
        // Where tbot is installed: `ssh` and `kubectl` run it, and this program has none of its commands.
        command: "/usr/local/bin/tbot".into(),
    };
    let (_control, signals) = agent::control();
    let result = match Agent::new(effective.config(), options) {
        Ok(agent) if effective.config().is_oneshot() => agent.run_once(signals).await,
        Ok(agent) => agent.run(signals).await,
        Err(error) => Err(error),
    };
    result.map_err(|error| format!("error: {}", agent::error_line(&error, error.hint().as_ref())))
}

/// Returns the effective configuration, or everything that is wrong with the file, with excerpts of it.
fn validate(path: &str, file: &[u8]) -> Result<EffectiveConfig, String> {
    let mut loaded = load(Some(file), &[], Purpose::Start);
    if let Some(effective) = loaded.effective.take() {
        return Ok(effective);
    }
    let disclosure = loaded.disclosure();
    let source = SourceFile::new(path, file, &disclosure);
    let report = Report::new(&source, loaded.diagnostics);
    let mut message = String::new();
    render(&mut message, ReportFormat::Human, Terminal::default(), &[report])
        .map_err(|error| error.to_string())?;
    Err(message)
}
