//! `tbot telemetry preview`: shows the event that a start would send and the whole request, with the name and value of each
//! property in both, and where the value comes from. Opens no socket, and works even if telemetry is off.

mod json;
mod text;

use serde_json::Value;
use tbot::config::EffectiveConfig;
use tbot::event::BuiltEvent;
use tbot::event::internal::Rules;
use tbot::pointer::Pointer;

use super::consent::ConsentDecision;
use super::distinct_id::distinct_id;
use super::request::TelemetryRequest;
use crate::cli::{GlobalArgs, TelemetryFormat, TelemetryRunArgs};
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

/// The contents of a preview.
struct Preview<'a> {
    /// The configuration, if it is an example.
    example: Option<&'static str>,
    /// The name of the default file, if it exists and was not read.
    ignored_file: Option<&'static str>,
    effective: &'a EffectiveConfig,
    origins: OriginDescriber<'a>,
    decision: ConsentDecision,
    rules: &'a Rules,
    built: BuiltEvent,
    request: TelemetryRequest,
    /// The body of the request, parsed.
    body: Value,
}

pub(crate) fn preview(
    global: &GlobalArgs,
    TelemetryRunArgs { format, run }: &TelemetryRunArgs,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    let (configuration, is_example) = Configuration::for_run_or_example(global, run, EXAMPLE, cx)?;
    let Some(effective) = configuration.effective() else { return report_invalid(configuration, cx) };
    let rules = Rules::embedded().map_err(|error| Failure::Build(error.into()))?;
    let distinct_id = distinct_id((cx.random_bytes)());
    let (request, built) = TelemetryRequest::build(rules, effective, &cx.environment, &distinct_id)
        .map_err(|error| Failure::Request { hint: error.hint(), source: error.into() })?;
    let preview = Preview {
        example: is_example.then_some(EXAMPLE),
        ignored_file: configuration.ignored_default_file(),
        effective,
        origins: configuration.origins(),
        decision: ConsentDecision::for_run(global, effective, &cx.environment),
        rules,
        built,
        body: serde_json::from_slice(&request.body).map_err(|error| Failure::Build(error.into()))?,
        request,
    };
    match format {
        TelemetryFormat::Human => text::write(&preview, cx.stdout),
        TelemetryFormat::Json => json::write(&preview, cx.stdout),
    }
}

impl Preview<'_> {
    /// Returns the value of a property in the request, by its name there. `None` if the request does not contain it.
    fn wire_value(&self, wire_name: &str) -> Option<&Value> {
        self.body["start"].get(wire_name)
    }
}

/// Returns the key of a configuration property as users write it, such as `onboarding.join_method`.
fn key(pointer: &Pointer) -> String {
    pointer.as_str().trim_start_matches('/').replace('/', ".")
}
