//! `tbot validate`: checks files one by one, or the configuration that flags or variables name, and reports on standard
//! output. Uses no network.

use tbot::agent::error_chain;
use tbot::config::{LoadOptions, Purpose};
use tbot::diagnostic::ReportFormat;

use crate::cli::{self, GlobalArgs, ValidateArgs};
use crate::configuration::{Configuration, render};
use crate::context::Context;
use crate::exit::{ExitStatus, Failure};

pub(crate) fn validate(
    global: &GlobalArgs,
    args: &ValidateArgs,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    let options = LoadOptions { purpose: Purpose::Validate, process: cx.process_context() };
    let mut configurations = Vec::new();
    if args.files.is_empty() {
        let message = "no file to check: name it, as in `tbot validate tbot.yaml`";
        let configuration = Configuration::from_inputs(global, options.clone(), cx)?;
        configurations.push(configuration.ok_or_else(|| Failure::Usage(message.to_owned()))?);
    }
    let mut unreadable = false;
    for path in &args.files {
        match Configuration::from_file(path, options.clone(), cx.stdin) {
            Ok(configuration) => configurations.push(configuration),
            // The remaining files are still checked.
            Err(failure) => {
                unreadable = true;
                writeln!(cx.stderr, "error: {}", error_chain(&failure))?;
            }
        }
    }
    let format = match args.format {
        cli::FormatArg::Human => ReportFormat::Human,
        cli::FormatArg::Json => ReportFormat::Json,
        cli::FormatArg::Github => ReportFormat::Github,
    };
    let report = render(&configurations, format, cx.colour.stdout);
    cx.stdout.write_all(report.text.as_bytes())?;
    if format == ReportFormat::Human && !configurations.is_empty() {
        let gap = if report.text.is_empty() { "" } else { "\n" };
        writeln!(cx.stdout, "{gap}{}", report.summary)?;
    }
    let invalid = report.errors > 0 || (args.strict && report.warnings > 0);
    match (unreadable, invalid) {
        (true, _) => Err(Failure::Reported(ExitStatus::Usage)),
        (false, true) => Err(Failure::Reported(ExitStatus::Invalid)),
        (false, false) => Ok(()),
    }
}
