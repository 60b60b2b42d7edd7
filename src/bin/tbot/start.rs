//! `tbot start`: configuration, log, consent, then telemetry and the agent side by side, until the agent ends or a signal
//! ends it. The exit status is the agent's alone.

use std::io;
use std::path::Path;

use tbot::agent::{Agent, AgentError, AgentOptions, Clock, Control, Randomness, Signals, control};
use tbot::config::{Effective, Input, Purpose, is_on};
use tbot::diagnostic::Severity;
use tbot::event::{Provenance, Rules, Verdict};
use tbot::pointer::Pointer;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::World;
use crate::cli::{Global, LogFormat, Run};
use crate::configuration::Configuration;
use crate::consent::Decision;
use crate::exit::{Failure, Status};
use crate::log;
use crate::pid_file::PidFile;
use crate::request::{Request, describe};
use crate::submit::Submission;
use crate::telemetry::{PUBLIC_PAGE, decide, refuse};

pub(crate) fn start(global: &Global, arguments: &Run, world: &mut World<'_>) -> Result<(), Failure> {
    let configuration = Configuration::of_run(global, arguments, Purpose::Start, world)?;
    if configuration.effective().is_none() && global.log_format == LogFormat::Text {
        return refuse(configuration, world);
    }
    let verbose = configuration.effective().is_some_and(|effective| is_on(effective.config().debug));
    log::begin(global.log_format, verbose)?;
    log_diagnostics(&configuration);
    let Some(effective) = configuration.effective() else { return Err(Failure::Reported(Status::Invalid)) };
    log_replaced(&configuration);

    let decision = decide(global, &configuration, world);
    announce(&decision);
    let request = if decision.on { request(effective, world)? } else { None };
    let options = AgentOptions {
        environment: world.environment.texts().collect(),
        clock: Clock::system(),
        randomness: Randomness::system(),
        command: (world.program)().map_err(Failure::Process)?,
    };

    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::Process)?;
    let pid_file = arguments.settings.pid_file.as_deref().map(|path| (path, world.process_id));
    let ended = runtime.block_on(run(request, pid_file, &configuration, effective, options));
    // A look-up of a name may hang in a thread of its own; that must not keep the program.
    runtime.shutdown_background();
    ended
}

async fn run(
    request: Option<Request>,
    pid_file: Option<(&Path, u32)>,
    configuration: &Configuration,
    effective: &Effective,
    options: AgentOptions,
) -> Result<(), Failure> {
    let (control, signals) = control();
    let (stopping, mut stop) = watch::channel(false);
    let heard = Heard::new().map_err(Failure::Process)?;
    tokio::spawn(heard.pass_on(control, stopping));

    let submission = request.map(Submission::begin);
    // Lets the submission begin before anything is refused.
    tokio::task::yield_now().await;
    let pid_file = pid_file.map(|(path, id)| PidFile::write(path, id)).transpose();
    let ended = match &pid_file {
        Ok(_) => agent(configuration, effective, options, signals).await,
        Err(error) => {
            tracing::error!("{error}");
            Err(Failure::Reported(Status::Failed))
        }
    };
    if let Some(submission) = submission {
        submission.end(async move { _ = stop.wait_for(|stopping| *stopping).await }).await;
    }
    ended
}

/// Runs the agent, and says why where it fails.
async fn agent(
    configuration: &Configuration,
    effective: &Effective,
    options: AgentOptions,
    signals: Signals,
) -> Result<(), Failure> {
    let ended = match Agent::new(effective.config(), options) {
        Ok(agent) if effective.config().is_oneshot() => agent.run_once(signals).await,
        Ok(agent) => agent.run(signals).await,
        Err(error) => Err(error),
    };
    ended.map_err(|error| {
        match &error {
            AgentError::Unsupported(parts) => {
                let places = configuration.places();
                let place = |pointer: &str| places.of(effective, &Pointer::from(pointer));
                tracing::error!("{}", parts.message(place));
            }
            error => tracing::error!("{error}"),
        }
        Failure::Reported(if error.is_configuration() { Status::Invalid } else { Status::Failed })
    })
}

/// The signals that this program acts on; from here on they no longer end it by themselves.
struct Heard {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    user: Signal,
}

impl Heard {
    fn new() -> io::Result<Self> {
        // A write beyond the limit for the size of files is an error like any other then, and not the end.
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// SIGINT and SIGTERM end the agent and every wait; SIGHUP and SIGUSR1 renew now.
    async fn pass_on(mut self, control: Control, stopping: watch::Sender<bool>) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
                _ = self.hangup.recv() => { control.reload(); continue }
                _ = self.user.recv() => { control.reload(); continue }
            }
            control.shutdown();
            stopping.send_replace(true);
        }
    }
}

/// The one line about telemetry that every start has.
fn announce(decision: &Decision) {
    let what = if decision.on { "one tbot.start event is sent" } else { "nothing is sent" };
    tracing::info!(
        "anonymous telemetry is {decision}; {what}; see `tbot telemetry explain` or {PUBLIC_PAGE}"
    );
}

/// The request that submits this start. Where there cannot be one, that is a warning and no more.
fn request(effective: &Effective, world: &World<'_>) -> Result<Option<Request>, Failure> {
    let rules = Rules::embedded().map_err(|error| Failure::Build(error.to_string()))?;
    let (request, built) = match describe(&rules, effective, &world.environment, &(world.distinct_id)()) {
        Ok(described) => described,
        Err(error) => {
            tracing::warn!("anonymous telemetry was not sent: {error}");
            return Ok(None);
        }
    };
    for property in &built.properties {
        if let Provenance::Env { variable, verdict: Verdict::Unlisted } = &property.provenance {
            tracing::debug!(
                "the value of {variable} is not sent, as it is none of the listed ones; to list one, add it to the \
                 declarations of the event and raise the event's version"
            );
        }
    }
    Ok(Some(request))
}

fn log_diagnostics(configuration: &Configuration) {
    for (diagnostic, place) in configuration.located() {
        let code = diagnostic.code.name();
        let help = diagnostic.help.as_deref().unwrap_or_default();
        match diagnostic.severity {
            Severity::Error => tracing::error!(place, code, help, "{}", diagnostic.message),
            Severity::Warning => tracing::warn!(place, code, help, "{}", diagnostic.message),
        }
    }
}

/// A flag was just written; a variable may come from far away.
fn log_replaced(configuration: &Configuration) {
    for (input, place) in configuration.replaced() {
        match input {
            Input::Flag(_) | Input::Command(_) => tracing::info!("{input} replaces {place}"),
            Input::Variable(_) | Input::JoinUri => tracing::warn!("{input} replaces {place}"),
        }
    }
}
