//! `tbot telemetry`: says whether telemetry is on and why, and prints its documentation. Sends nothing, ever.

use tbot::config::Purpose;
use tbot::diagnostic::Format;
use tbot::event::Rules;
use tbot::pointer::Pointer;

use crate::World;
use crate::cli::{Global, Run, TelemetryCommand};
use crate::configuration::{Configuration, render_all};
use crate::consent::{self, Ballot, Decision, Input};
use crate::endpoint::Endpoint;
use crate::exit::{Failure, Status};
use crate::preview::preview;

/// The page of this very binary.
const PAGE: &str = include_str!("../../../docs/telemetry.md");

/// The page in public.
pub(crate) const PUBLIC_PAGE: &str = "https://goteleport.com/docs/machine-id/reference/telemetry/";

pub(crate) fn telemetry(
    global: &Global,
    command: &TelemetryCommand,
    world: &mut World<'_>,
) -> Result<(), Failure> {
    match command {
        TelemetryCommand::Status(run) => status(global, run, world),
        TelemetryCommand::Preview(run) => preview(global, run, world),
        TelemetryCommand::Explain => Ok(world.output.write_all(PAGE.as_bytes())?),
    }
}

fn status(global: &Global, run: &Run, world: &mut World<'_>) -> Result<(), Failure> {
    let configuration = Configuration::of_run(global, run, Purpose::Validate, world)?;
    let Some(effective) = configuration.effective() else {
        writeln!(
            world.output,
            "anonymous telemetry is off: `tbot start` ends before it, as the configuration is invalid"
        )?;
        return refuse(configuration, world);
    };
    let decision = decide(global, &configuration, world);
    writeln!(world.output, "anonymous telemetry is {decision}\n")?;
    writeln!(world.output, "{:<32}{:<9}BECAUSE", "INPUT", "SAYS")?;
    for Ballot { input, vote, because } in &decision.ballots {
        write!(world.output, "{input:<32}{vote:<9}{because}")?;
        if *input == Input::Configuration && effective.config().anonymous_telemetry_opt_in.is_some() {
            let place = Pointer::root().key("anonymous_telemetry_opt_in");
            write!(world.output, " ({})", configuration.places().of(effective, &place))?;
        }
        writeln!(world.output)?;
    }
    if decision.on {
        let rules = Rules::embedded().map_err(|error| Failure::Build(error.to_string()))?;
        match Endpoint::choose(&rules.transport, &world.environment) {
            Ok(endpoint) => writeln!(world.output, "\n`tbot start` sends one event to {endpoint}")?,
            Err(error) => writeln!(world.output, "\n`tbot start` cannot send the event: {error}")?,
        }
    }
    writeln!(world.output, "\nSee `tbot telemetry preview` and `tbot telemetry explain`.")?;
    Ok(())
}

/// The decision of a run with this configuration.
pub(crate) fn decide(global: &Global, configuration: &Configuration, world: &World<'_>) -> Decision {
    let configured =
        configuration.effective().and_then(|effective| effective.config().anonymous_telemetry_opt_in);
    let inputs = consent::Inputs::gather(global.anonymous_telemetry_opt_in, configured, &world.environment);
    consent::decide(&inputs)
}

/// Says on standard error what is wrong with a configuration, and fails.
pub(crate) fn refuse(configuration: Configuration, world: &mut World<'_>) -> Result<(), Failure> {
    let rendered = render_all(&[configuration], Format::Human, world.colour.errors);
    world.output.flush()?;
    writeln!(world.errors, "{}\nerror: {}", rendered.text, rendered.summary)?;
    Err(Failure::Reported(Status::Invalid))
}
