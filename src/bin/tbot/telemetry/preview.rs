//! `tbot telemetry preview`: shows the whole request that a start would send, and where each property of the event comes
//! from. Opens no socket, and works even if telemetry is off.

use std::io::Write;

use tbot::config::EffectiveConfig;
use tbot::event::internal::Rules;
use tbot::event::{BuiltEvent, EnvOutcome, EventProperty, Provenance};
use tbot::pointer::Pointer;

use super::consent::ConsentDecision;
use super::request::TelemetryRequest;
use crate::cli::{GlobalArgs, RunArgs};
use crate::configuration::{Configuration, OriginDescriber, report_invalid};
use crate::context::Context;
use crate::exit::Failure;

/// The configuration of a preview if the user gives none.
const EXAMPLE: &str = "\
version: v2
proxy_server: teleport.example.com:443
onboarding:
  join_method: token
  token: /var/lib/teleport/bot-token
services:
  - type: identity
    destination:
      type: directory
      path: /opt/machine-id
";

pub(crate) fn preview(global: &GlobalArgs, args: &RunArgs, cx: &mut Context<'_>) -> Result<(), Failure> {
    let (configuration, is_example) = Configuration::for_run_or_example(global, args, EXAMPLE, cx)?;
    let Some(effective) = configuration.effective() else { return report_invalid(configuration, cx) };
    let rules = Rules::embedded().map_err(|error| Failure::Build(error.into()))?;
    let distinct_id = (cx.new_distinct_id)();
    let (request, event) = TelemetryRequest::build(&rules, effective, &cx.environment, &distinct_id)
        .map_err(|error| Failure::Request { hint: error.hint(), source: error.into() })?;
    let decision = ConsentDecision::for_run(global, effective, &cx.environment);

    let stdout = &mut *cx.stdout;
    if is_example {
        writeln!(
            stdout,
            "this is an example, because there is no configuration: name yours with --config\n"
        )?;
    }
    writeln!(stdout, "anonymous telemetry is {decision}")?;
    writeln!(
        stdout,
        "{}; this preview sends nothing\n",
        if decision.on {
            "`tbot start` sends this request"
        } else {
            "if it were on, `tbot start` would send this request"
        }
    )?;
    write_request(&request, stdout)?;
    writeln!(stdout, "\ndistinctId is an example: every start generates a new one and does not store it\n")?;
    write_properties(&event, effective, &configuration.origins(), stdout)?;
    Ok(())
}

fn write_request(request: &TelemetryRequest, stdout: &mut dyn Write) -> Result<(), Failure> {
    writeln!(stdout, "{} {}", request.method, request.endpoint)?;
    for (name, value) in &request.headers {
        writeln!(stdout, "{name}: {value}")?;
    }
    writeln!(stdout)?;
    stdout.write_all(&request.body)?;
    writeln!(stdout, "\n")?;
    match request.endpoint.proxy() {
        Some(proxy) => writeln!(stdout, "sent through the proxy {proxy}")?,
        None => writeln!(stdout, "sent directly, not through a proxy")?,
    }
    Ok(())
}

fn write_properties(
    event: &BuiltEvent,
    effective: &EffectiveConfig,
    origins: &OriginDescriber<'_>,
    stdout: &mut dyn Write,
) -> Result<(), Failure> {
    writeln!(stdout, "properties of the event, and where their values come from:\n")?;
    for EventProperty { name, value, provenance, .. } in &event.properties {
        match value {
            None => writeln!(stdout, "{name} is omitted")?,
            Some(serde_json::Value::String(string)) => writeln!(stdout, "{name} = {string}")?,
            Some(value) => writeln!(stdout, "{name} = {value}")?,
        }
        writeln!(stdout, "    {}", describe_provenance(provenance, effective, origins))?;
    }
    Ok(())
}

fn describe_provenance(
    provenance: &Provenance,
    effective: &EffectiveConfig,
    origins: &OriginDescriber<'_>,
) -> String {
    let key = |pointer: &Pointer| pointer.as_str().trim_start_matches('/').replace('/', ".");
    match provenance {
        Provenance::Config(pointers) => {
            let descriptions = pointers
                .iter()
                .map(|pointer| format!("{} ({})", origins.describe(effective, pointer), key(pointer)));
            descriptions.collect::<Vec<_>>().join(", ")
        }
        Provenance::Absent(pointers) => {
            let keys: Vec<_> = pointers.iter().map(key).collect();
            format!("default (no {})", keys.join(", no "))
        }
        Provenance::Env { variable, outcome } => match outcome {
            EnvOutcome::Unset => format!("{variable} (not set)"),
            EnvOutcome::Listed => variable.clone(),
            EnvOutcome::Truncated => format!("{variable} (not a listed value: only a prefix of it is sent)"),
            EnvOutcome::Unlisted => format!("{variable} (not sent: not a listed value)"),
            EnvOutcome::MissingCompanion => format!("{variable} (not sent without a listed helper)"),
        },
        Provenance::Build => "this build".to_owned(),
    }
}
