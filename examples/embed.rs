//! Embeds the agent in another program: reads a configuration and runs the agent, once or until SIGINT or SIGTERM.
//!
//! The library has no code that can send telemetry, so a program that embeds it sends none, whatever its configuration
//! and environment say. Run it with `cargo run --example embed -- tbot.yaml`.

use std::fs;
use std::io;
use std::process::ExitCode;

use rustix::process::Signal;
use tbot::agent::{self, Agent, AgentOptions, Clock, Control, Environment, Randomness};
use tbot::config::{Config, EffectiveConfig, Purpose, load};
use tbot::diagnostic::{Report, ReportFormat, SourceFile, Terminal, render};
use tbot::yaml;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

#[expect(clippy::print_stderr, reason = "the example reports errors as a program does")]
fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let path = std::env::args().nth(1).ok_or("usage: embed <tbot.yaml>")?;
    let file = fs::read(&path).map_err(|error| format!("error: cannot read {path}: {error}"))?;
    let effective = validate(&path, &file)?;
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("error: cannot start: {error}"))?;
    let result = runtime.block_on(run_agent(effective.config()));
    // A file system or a DNS look-up that does not respond must not keep the program from exiting.
    runtime.shutdown_background();
    result
}

async fn run_agent(config: &Config) -> Result<(), String> {
    let options = AgentOptions {
        environment: Environment::of_process(),
        clock: Clock::system(),
        randomness: Randomness::system(),
        // Where tbot is installed: `ssh` and `kubectl` run it, and this program has none of its commands.
        command: "/usr/local/bin/tbot".into(),
    };
    let (control, signals) = agent::control();
    stop_on_signal(control).map_err(|error| format!("error: cannot handle signals: {error}"))?;
    let result = match Agent::new(config, options) {
        Ok(agent) if config.is_oneshot() => agent.run_once(signals).await,
        Ok(agent) => agent.run(signals).await,
        Err(error) => Err(error),
    };
    result.map_err(|error| format!("error: {}", agent::error_line(&error, error.hint().as_ref())))
}

/// Shuts the agent down at SIGINT or SIGTERM, which would otherwise end the program in the middle of a renewal.
fn stop_on_signal(control: Control) -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // With a handler, a write beyond the file size limit fails. Without one, the program ends, even while it saves an identity.
    drop(signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        control.shutdown();
    });
    Ok(())
}

/// Returns the effective configuration, or everything that is wrong with the file, with excerpts of it.
fn validate(path: &str, file: &[u8]) -> Result<EffectiveConfig, String> {
    let mut loaded = load(Some(file), &[], Purpose::Start);
    if let Some(effective) = loaded.effective.take() {
        return Ok(effective);
    }
    let disclosure = loaded.disclosure();
    // Of a file in UTF-16, only the decoded text has places that can be shown.
    let text = yaml::decode(file);
    let shown = text.as_deref().map_or(file, str::as_bytes);
    let source = SourceFile::new(path, shown, &disclosure);
    let report = Report::new(&source, loaded.diagnostics);
    let mut message = String::new();
    render(&mut message, ReportFormat::Human, Terminal::default(), &[report])
        .map_err(|error| error.to_string())?;
    Err(message)
}
