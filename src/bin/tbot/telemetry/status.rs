//! `tbot telemetry status`: shows whether telemetry is on, and what each input contributes. Sends nothing.

use std::io::Write;

use serde_json::json;
use tbot::agent::error_line;
use tbot::config::{EffectiveConfig, LoadOptions, Purpose};
use tbot::diagnostic::Code;
use tbot::event::internal::Rules;
use tbot::pointer::Pointer;

use super::consent::{ConsentDecision, ConsentInput, InputConsent};
use super::endpoint::{EndpointError, TelemetryEndpoint};
use crate::cli::{GlobalArgs, TelemetryFormat, TelemetryRunArgs};
use crate::configuration::{Configuration, report_invalid};
use crate::context::Context;
use crate::exit::Failure;

/// The codes of missing settings that a start requires, without which it exits before it sends anything, and of further documents in the
/// file, whose opt-out would not be read.
const NOTED: [Code; 4] =
    [Code::MissingAddress, Code::MissingJoinMethod, Code::MissingToken, Code::DocumentsIgnored];

/// The contents of a status.
struct Status<'a> {
    configuration: &'a Configuration,
    effective: &'a EffectiveConfig,
    decision: ConsentDecision,
    /// The endpoint that receives the event if telemetry is on.
    endpoint: Result<TelemetryEndpoint, EndpointError>,
}

pub(crate) fn status(
    global: &GlobalArgs,
    TelemetryRunArgs { format, run }: &TelemetryRunArgs,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    // Flags and variables may still set what is missing.
    let options = LoadOptions { purpose: Purpose::Validate, process: cx.process_context() };
    let configuration = Configuration::for_run(global, run, options, cx)?;
    let Some(effective) = configuration.effective() else {
        if *format == TelemetryFormat::Human {
            writeln!(
                cx.stdout,
                "anonymous telemetry is off: the configuration is invalid, so `tbot start` exits before sending"
            )?;
        }
        return report_invalid(configuration, cx);
    };
    let rules = Rules::embedded().map_err(|error| Failure::Build(error.into()))?;
    let status = Status {
        configuration: &configuration,
        effective,
        decision: ConsentDecision::for_run(global, effective, &cx.environment),
        endpoint: TelemetryEndpoint::choose(&rules.transport, &cx.environment),
    };
    match format {
        TelemetryFormat::Human => status.write_text(cx.stdout),
        TelemetryFormat::Json => status.write_json(cx.stdout),
    }
}

impl Status<'_> {
    fn write_text(&self, stdout: &mut dyn Write) -> Result<(), Failure> {
        writeln!(stdout, "anonymous telemetry is {}\n", self.decision)?;
        writeln!(stdout, "{:<32}{:<9}REASON", "INPUT", "CONSENT")?;
        for InputConsent { input, consent, reason } in &self.decision.inputs {
            write!(stdout, "{input:<32}{consent:<9}{reason}")?;
            let is_set = self.effective.config().anonymous_telemetry_opt_in.is_some();
            if *input == ConsentInput::Configuration && is_set {
                let property = Pointer::root().key("anonymous_telemetry_opt_in");
                write!(stdout, " ({})", self.configuration.origins().describe(self.effective, &property))?;
            }
            writeln!(stdout)?;
        }
        if self.decision.on {
            match &self.endpoint {
                Ok(endpoint) => writeln!(stdout, "\n`tbot start` sends one event to {endpoint}")?,
                Err(error) => {
                    let error = error_line(error, Some(&error.hint()));
                    writeln!(stdout, "\n`tbot start` cannot send the event: {error}")?;
                }
            }
        }
        for note in self.notes() {
            writeln!(stdout, "note: {note}")?;
        }
        if let Some(file) = self.configuration.ignored_default_file() {
            writeln!(stdout, "\nhint: {file} was not read: name it with --config")?;
        }
        writeln!(stdout, "\nSee also `tbot telemetry preview` and `tbot telemetry explain`.")?;
        Ok(())
    }

    /// Returns why `tbot start` would exit before it sends the event, and what it would ignore. Empty if telemetry is off.
    fn notes(&self) -> Vec<&str> {
        if !self.decision.on {
            return Vec::new();
        }
        let diagnostics = self.configuration.located_diagnostics();
        let noted = diagnostics.into_iter().filter(|(diagnostic, _)| NOTED.contains(&diagnostic.code));
        noted.map(|(diagnostic, _)| diagnostic.message.as_str()).collect()
    }

    /// Writes the status for programs. The members have the names and meanings of those of the preview; docs/telemetry.md
    /// lists them, and a test compares them.
    fn write_json(&self, stdout: &mut dyn Write) -> Result<(), Failure> {
        let endpoint = self.endpoint.as_ref();
        let document = json!({
            "consent": self.decision.to_json(),
            "notes": self.notes(),
            "request": {
                "url": endpoint.ok().map(ToString::to_string),
                "proxy": endpoint.ok().and_then(TelemetryEndpoint::proxy).map(ToString::to_string),
                "error": endpoint.err().map(|error| error_line(error, Some(&error.hint()))),
            },
        });
        writeln!(stdout, "{document:#}")?;
        Ok(())
    }
}
