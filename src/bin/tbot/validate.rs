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
    let mut configurations = Vec::new();
    let mut unreadable = false;
    let files = if files.is_empty() { vec![None] } else { files.iter().map(Some).collect() };
    for file in files {
        let loaded = match file {
            Some(path) => Configuration::from_file(path, options.clone(), cx.stdin),
            None => Configuration::from_inputs(global, options.clone(), cx),
        };
        match loaded {
            Ok(configuration) => configurations.push(configuration.into()),
            // The remaining files are still checked.
            Err(Failure::Unreadable { name, source }) => {
                unreadable = true;
                configurations.push(Configuration::unreadable(name, &source).into());
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
