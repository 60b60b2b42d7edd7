//! Anonymous telemetry: consent, the request, its submission at `tbot start`, and the commands `tbot telemetry ...`.
//!
//! Only [`Submission`] sends anything; the commands never do.

mod consent;
mod endpoint;
mod preview;
mod request;
mod status;
mod submit;

pub(crate) use consent::ConsentDecision;
pub(crate) use request::TelemetryRequest;
pub(crate) use submit::Submission;

use crate::cli::{GlobalArgs, TelemetryCommand};
use crate::context::Context;
use crate::exit::Failure;

/// The telemetry documentation of this version.
const DOCUMENTATION: &str = include_str!("../../../docs/telemetry.md");

/// The address of the public telemetry documentation.
pub(crate) const PUBLIC_PAGE: &str = "https://goteleport.com/docs/machine-id/reference/telemetry/";

pub(crate) fn telemetry(
    global: &GlobalArgs,
    command: &TelemetryCommand,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    match command {
        TelemetryCommand::Status(args) => status::status(global, args, cx),
        TelemetryCommand::Preview(args) => preview::preview(global, args, cx),
        TelemetryCommand::Explain => Ok(cx.stdout.write_all(DOCUMENTATION.as_bytes())?),
    }
}
