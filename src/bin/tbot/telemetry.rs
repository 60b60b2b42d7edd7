//! Anonymous telemetry: consent, the request, its submission at `tbot start`, and the commands `tbot telemetry ...`.
//!
//! Only [`Submission`] sends anything; the commands never do.

mod consent;
mod distinct_id;
mod endpoint;
#[cfg(test)]
mod fuzz;
mod preview;
mod request;
mod status;
mod submit;

pub(crate) use consent::ConsentDecision;
pub(crate) use distinct_id::{distinct_id, random_bytes};
pub(crate) use request::TelemetryRequest;
pub(crate) use submit::Submission;

use crate::cli::{GlobalArgs, TelemetryCommand, TelemetryExplainArgs};
use crate::context::Context;
use crate::exit::Failure;

/// The telemetry documentation of this version: docs/telemetry.md as plain text, without the list of all configuration
/// properties.
const DOCUMENTATION: &str = include_str!("telemetry/generated/explain.txt");

/// The list of all configuration properties, which ends the documentation.
const ALL_PROPERTIES: &str = include_str!("telemetry/generated/all-properties.txt");

/// Returns where the telemetry documentation is: in this program and, if the package metadata has an address of its
/// documentation, there.
pub(crate) fn where_documented(address: &str) -> String {
    let command = "`tbot telemetry explain`";
    if address.is_empty() { command.to_owned() } else { format!("{command} or {address}") }
}

pub(crate) fn telemetry(
    global: &GlobalArgs,
    command: &TelemetryCommand,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    match command {
        TelemetryCommand::Status(args) => status::status(global, args, cx),
        TelemetryCommand::Preview(args) => preview::preview(global, args, cx),
        TelemetryCommand::Explain(TelemetryExplainArgs { full }) => {
            cx.stdout.write_all(DOCUMENTATION.as_bytes())?;
            let rest = if *full { ALL_PROPERTIES } else { "" };
            Ok(cx.stdout.write_all(rest.as_bytes())?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_named_only_if_the_package_has_one() {
        assert_eq!(where_documented(""), "`tbot telemetry explain`");
        assert_eq!(
            where_documented("https://docs.example"),
            "`tbot telemetry explain` or https://docs.example"
        );
    }
}
