//! `tbot validate`: checks files, each by itself, and reports on standard output. Touches no network.

use tbot::diagnostic::Format;

use crate::World;
use crate::cli::{ReportFormat, Validate};
use crate::configuration::{Configuration, render_all};
use crate::exit::{Failure, Status};

pub(crate) fn validate(arguments: &Validate, world: &mut World<'_>) -> Result<(), Failure> {
    let mut configurations = Vec::new();
    let mut unreadable = false;
    for path in &arguments.files {
        match Configuration::of_file(path, world.input) {
            Ok(configuration) => configurations.push(configuration),
            // The others are checked all the same.
            Err(failure) => {
                unreadable = true;
                writeln!(world.errors, "error: {failure}")?;
            }
        }
    }
    let format = match arguments.format {
        ReportFormat::Human => Format::Human,
        ReportFormat::Json => Format::Json,
        ReportFormat::Github => Format::Github,
    };
    let rendered = render_all(&configurations, format, world.colour.output);
    world.output.write_all(rendered.text.as_bytes())?;
    if format == Format::Human && !configurations.is_empty() {
        let gap = if rendered.text.is_empty() { "" } else { "\n" };
        writeln!(world.output, "{gap}{}", rendered.summary)?;
    }
    let invalid = rendered.errors > 0 || (arguments.strict && rendered.warnings > 0);
    match (unreadable, invalid) {
        (true, _) => Err(Failure::Reported(Status::Usage)),
        (false, true) => Err(Failure::Reported(Status::Invalid)),
        (false, false) => Ok(()),
    }
}
