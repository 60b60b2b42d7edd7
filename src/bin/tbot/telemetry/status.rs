//! `tbot telemetry status`: shows whether telemetry is on, and what each input contributes. Sends nothing.

use tbot::agent::error_line;
use tbot::config::Purpose;
use tbot::event::internal::Rules;
use tbot::pointer::Pointer;

use super::consent::{ConsentDecision, ConsentInput, InputConsent};
use super::endpoint::TelemetryEndpoint;
use crate::cli::{GlobalArgs, RunArgs};
use crate::configuration::{Configuration, report_invalid};
use crate::context::Context;
use crate::exit::Failure;

pub(crate) fn status(global: &GlobalArgs, args: &RunArgs, cx: &mut Context<'_>) -> Result<(), Failure> {
    let configuration = Configuration::for_run(global, args, Purpose::Validate, cx)?;
    let Some(effective) = configuration.effective() else {
        writeln!(
            cx.stdout,
            "anonymous telemetry is off: the configuration is invalid, so `tbot start` exits before sending"
        )?;
        return report_invalid(configuration, cx);
    };
    let decision = ConsentDecision::for_run(global, effective, &cx.environment);
    writeln!(cx.stdout, "anonymous telemetry is {decision}\n")?;
    writeln!(cx.stdout, "{:<32}{:<9}REASON", "INPUT", "CONSENT")?;
    for InputConsent { input, consent, reason } in &decision.inputs {
        write!(cx.stdout, "{input:<32}{consent:<9}{reason}")?;
        if *input == ConsentInput::Configuration && effective.config().anonymous_telemetry_opt_in.is_some() {
            let property = Pointer::root().key("anonymous_telemetry_opt_in");
            write!(cx.stdout, " ({})", configuration.origins().describe(effective, &property))?;
        }
        writeln!(cx.stdout)?;
    }
    if decision.on {
        let rules = Rules::embedded().map_err(|error| Failure::Build(error.into()))?;
        match TelemetryEndpoint::choose(&rules.transport, &cx.environment) {
            Ok(endpoint) => writeln!(cx.stdout, "\n`tbot start` sends one event to {endpoint}")?,
            Err(error) => {
                let error = error_line(&error, Some(&error.hint()));
                writeln!(cx.stdout, "\n`tbot start` cannot send the event: {error}")?;
            }
        }
    }
    if let Some(file) = configuration.ignored_default_file() {
        writeln!(cx.stdout, "\nhint: {file} was not read: name it with --config")?;
    }
    writeln!(cx.stdout, "\nSee also `tbot telemetry preview` and `tbot telemetry explain`.")?;
    Ok(())
}
