//! `tbot start`: loads the configuration, starts the log, decides about telemetry, then runs the agent until it ends or
//! is shut down by a signal. Telemetry is submitted concurrently and never affects the exit status.

use std::future::pending;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tbot::agent::{
    Agent, AgentError, AgentOptions, Clock, OutputFailure, Randomness, Signals, control, error_line,
    resolve_links,
};
use tbot::config::{
    EffectiveConfig, LoadOptions, OptionalString as _, OverrideSource, ProcessContext, Purpose, is_on,
};
use tbot::diagnostic::{Code, Severity};
use tbot::event::internal::Rules;
use tbot::event::{BuildError, EnvOutcome, Provenance};
use tbot::pointer::Pointer;
use tbot::untrusted::escape;
use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::cli::{GlobalArgs, LogFormat, RunArgs};
use crate::configuration::{Configuration, report_invalid};
use crate::context::{Context, VERSION};
use crate::exit::{ExitStatus, Failure};
use crate::flag_value::nonempty;
use crate::log;
use crate::pid_file::PidFile;
use crate::service_manager::ServiceManager;
use crate::signals::SignalForwarder;
use crate::telemetry::{ConsentDecision, Submission, TelemetryRequest, distinct_id, where_documented};

pub(crate) fn start(global: &GlobalArgs, args: &RunArgs, cx: &mut Context<'_>) -> Result<(), Failure> {
    let process = cx.process_context();
    // The configuration is used on this machine, so its symbolic links are resolved.
    let process = process.map(|process| ProcessContext { resolve_links: Some(resolve_links), ..process });
    let configuration =
        Configuration::for_run(global, args, LoadOptions { purpose: Purpose::Start, process }, cx)?;
    if configuration.effective().is_none() && global.log_format == LogFormat::Text {
        let default_file = configuration.ignored_default_file();
        let result = report_invalid(configuration, cx);
        if let Some(file) = default_file {
            writeln!(cx.stderr, "hint: {file} was not read: name it with --config")?;
        }
        return result;
    }
    let debug = configuration.effective().is_some_and(|effective| is_on(effective.config().debug));
    let _log = log::init(global.log_format, debug)?;
    log_start(&configuration);
    log_diagnostics(&configuration);
    let Some(effective) = configuration.effective() else {
        return Err(Failure::Reported(ExitStatus::Invalid));
    };
    log_overridden(&configuration);

    let decision = ConsentDecision::for_run(global, effective, &cx.environment);
    log_decision(&decision);
    let request = if decision.on { telemetry_request(effective, cx) } else { None };
    let options = AgentOptions {
        environment: cx.environment.clone(),
        clock: Clock::system(),
        randomness: Randomness::system(),
        command: cx.command_path.clone(),
    };

    raise_file_limit();
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::Process)?;
    let pid_file = nonempty(args.bot.pid_file.as_deref()).map(|path| (path, cx.process_id));
    let manager = ServiceManager::from_environment(&cx.environment, cx.process_id, cx.monotonic_time);
    let result = runtime.block_on(run(request, pid_file, manager, &configuration, effective, options));
    // A DNS lookup may still block another thread; it must not keep the program from exiting.
    runtime.shutdown_background();
    result
}

/// Lets the process open as many files as the system permits, because every connection of a tunnel needs two.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // If this fails, the usual limit applies.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

async fn run(
    request: Option<TelemetryRequest>,
    pid_file: Option<(&Path, u32)>,
    manager: Option<ServiceManager>,
    configuration: &Configuration,
    effective: &EffectiveConfig,
    options: AgentOptions,
) -> Result<(), Failure> {
    let (control, signals) = control();
    let (stopping, mut stop) = watch::channel(false);
    let forwarder = SignalForwarder::install().map_err(Failure::Process)?;
    tokio::spawn(forwarder.forward(control, stopping));

    let submission = request.map(|request| Submission::start(request, options.environment.clone()));
    // Lets the submission start before the agent can reject the configuration.
    tokio::task::yield_now().await;
    let pid_file = pid_file.map(|(path, id)| PidFile::write(path, id)).transpose();
    let result = match &pid_file {
        Ok(_) => run_agent(configuration, effective, options, signals, manager).await,
        Err(error) => {
            tracing::error!("{}", error_line(error, Some(&error.hint())));
            Err(Failure::Reported(ExitStatus::Failed))
        }
    };
    if let Some(submission) = submission {
        submission.finish(async move { _ = stop.wait_for(|stopping| *stopping).await }).await;
    }
    if result.is_ok() {
        let end = if effective.config().is_oneshot() { "finished" } else { "stopped" };
        tracing::info!("tbot has {end}");
    }
    result
}

/// Logs what is about to run: the version, the configuration and, if that is valid, what it is about.
fn log_start(configuration: &Configuration) {
    let config = configuration.effective().map(EffectiveConfig::config);
    let mode = config.map(|config| if config.is_oneshot() { "oneshot" } else { "continuous" });
    let proxy_server = config.and_then(|config| config.proxy_server.nonempty());
    // Ignored if `proxy_server` is set.
    let auth_server = config.and_then(|config| config.auth_server.nonempty());
    let auth_server = auth_server.filter(|_| proxy_server.is_none());
    let join_method = config.and_then(|config| config.onboarding.as_ref()?.join_method);
    tracing::info!(
        version = %VERSION,
        configuration = %escape(configuration.name()),
        // Fields that are `None` are not logged.
        mode = mode.map(display),
        proxy_server = proxy_server.map(escape).map(display),
        auth_server = auth_server.map(escape).map(display),
        join_method = join_method.map(display),
        services = config.map(|config| config.named_services().count()),
        "starting tbot"
    );
}

/// Runs the agent, and logs the reason if it fails.
async fn run_agent(
    configuration: &Configuration,
    effective: &EffectiveConfig,
    options: AgentOptions,
    signals: Signals,
    manager: Option<ServiceManager>,
) -> Result<(), Failure> {
    let result = match Agent::new(effective.config(), options) {
        Ok(agent) if effective.config().is_oneshot() => agent.run_once(signals).await,
        Ok(agent) => {
            let health = agent.health(&signals);
            let notify = async {
                match manager {
                    Some(manager) => manager.report(health).await,
                    None => pending().await,
                }
            };
            // Polled first, so that the service manager learns of a shutdown before the agent ends.
            tokio::select! {
                biased;
                never = notify => match never {},
                result = agent.run(signals) => result,
            }
        }
        Err(error) => Err(error),
    };
    result.map_err(|error| {
        let origins = configuration.origins();
        log_failure(&error, &|pointer| origins.describe(effective, pointer));
        let status = if error.is_configuration() { ExitStatus::Invalid } else { ExitStatus::Failed };
        Failure::Reported(status)
    })
}

/// Logs why the agent has failed, with a line for each of several errors. `locate` converts a pointer to where the user
/// finds the value.
fn log_failure(error: &AgentError, locate: &dyn Fn(&Pointer) -> String) {
    let hint = error.hint();
    match error {
        AgentError::Several(errors) => errors.iter().for_each(|error| log_failure(error, locate)),
        AgentError::Outputs(failures) => {
            for OutputFailure { name, error, .. } in failures {
                tracing::error!(output = name, "{}", error_line(error, error.hint().as_ref()));
            }
        }
        AgentError::Unsupported(parts) => {
            let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            tracing::error!(code = Code::NotSupported.name(), "{}{hint}", parts.message(locate));
        }
        error => tracing::error!("{}", error_line(error, hint.as_ref())),
    }
}

/// Logs, at every start, whether telemetry is on and why.
fn log_decision(decision: &ConsentDecision) {
    let effect = if decision.on { "this start sends one tbot.start event" } else { "nothing is sent" };
    tracing::info!(
        "anonymous telemetry is {decision}: {effect}; see {}",
        where_documented(env!("CARGO_PKG_DOCUMENTATION"))
    );
}

/// Builds the request that submits this start. If that fails, logs a warning and returns `None`.
fn telemetry_request(effective: &EffectiveConfig, cx: &Context<'_>) -> Option<TelemetryRequest> {
    let built = Rules::embedded().map_err(|error| BuildError::from(error).into()).and_then(|rules| {
        TelemetryRequest::build(rules, effective, &cx.environment, &distinct_id((cx.random_bytes)()))
    });
    let (request, event) = match built {
        Ok(built) => built,
        Err(error) => {
            let error = error_line(&error, error.hint().as_ref());
            tracing::warn!("anonymous telemetry was not sent: {error}");
            return None;
        }
    };
    for property in event.properties() {
        if let Provenance::Env { variable, outcome: EnvOutcome::Unlisted } = &property.provenance {
            tracing::debug!(
                "{variable} does not have a listed value; `tbot telemetry explain` lists what can be sent"
            );
        }
    }
    Some(request)
}

fn log_diagnostics(configuration: &Configuration) {
    for (diagnostic, location) in configuration.located_diagnostics() {
        // The refusal that follows names all unsupported parts at once.
        if diagnostic.code == Code::NotSupported && configuration.effective().is_some() {
            continue;
        }
        let code = diagnostic.code.name();
        let help = diagnostic.help.as_deref().unwrap_or_default();
        match diagnostic.severity {
            Severity::Error => tracing::error!(place = location, code, help, "{}", diagnostic.message),
            Severity::Warning => tracing::warn!(place = location, code, help, "{}", diagnostic.message),
            Severity::Note => tracing::info!(place = location, code, help, "{}", diagnostic.message),
        }
    }
}

/// Logs what overrides the file. A variable is a warning, because the user may not know that it is set.
fn log_overridden(configuration: &Configuration) {
    for (input, overridden) in configuration.overridden() {
        match input {
            OverrideSource::Flag(_) | OverrideSource::Command(_) => {
                tracing::info!("{input} overrides {overridden}");
            }
            OverrideSource::Variable(_) | OverrideSource::JoinUri => {
                tracing::warn!("{input} overrides {overridden}");
            }
        }
    }
}
