//! `tbot validate`: checks files one by one, or the configuration that flags or variables name, or `./tbot.yaml`. Reports on
//! standard output. Uses no network.

use tbot::config::{LoadOptions, Purpose};
use tbot::diagnostic::ReportFormat;

use crate::cli::{self, GlobalArgs, ValidateArgs};
use crate::configuration::{Configuration, render};
use crate::context::Context;
use crate::exit::{ExitStatus, Failure};

pub(crate) fn validate(
    global: &GlobalArgs,
    ValidateArgs { files, format, strict, quiet }: &ValidateArgs,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    let options = LoadOptions { purpose: Purpose::Validate, process: cx.process_context() };
    let loaded = match files.as_slice() {
        [] => vec![Configuration::from_inputs(global, options, cx)],
        files => files.iter().map(|path| Configuration::from_file(path, options.clone(), cx.stdin)).collect(),
    };
    let mut configurations = Vec::new();
    let mut unreadable = false;
    for configuration in loaded {
        match configuration {
            Ok(configuration) => configurations.push(configuration),
            // The remaining files are still checked.
            Err(Failure::Unreadable { name, source }) => {
                unreadable = true;
                configurations.push(Configuration::unreadable(name, &source));
            }
            Err(failure) => return Err(failure),
        }
    }
    let format = match format {
        cli::FormatArg::Human => ReportFormat::Human,
        cli::FormatArg::Json => ReportFormat::Json,
        cli::FormatArg::Github => ReportFormat::Github,
        cli::FormatArg::Sarif => ReportFormat::Sarif,
    };
    let report = render(&configurations, format, cx.stdout_terminal());
    cx.stdout.write_all(report.text.as_bytes())?;
    if format == ReportFormat::Human && !quiet {
        cx.stdout.write_all(report.conclusion(&report.summary).as_bytes())?;
    }
    let invalid = report.errors > 0 || (*strict && report.warnings > 0);
    match (unreadable, invalid) {
        (true, _) => Err(Failure::Reported(ExitStatus::Usage)),
        (false, true) => Err(Failure::Reported(ExitStatus::Invalid)),
        (false, false) => Ok(()),
    }
}
