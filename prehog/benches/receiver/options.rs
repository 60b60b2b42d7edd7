//! The arguments of the benchmark.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// The measurements to make: all of them if none is named.
#[derive(Default)]
pub(crate) struct Options {
    /// The names of measurements.
    measurements: Vec<String>,
    /// An earlier build of this benchmark, whose server is measured as well.
    pub(crate) baseline: Option<PathBuf>,
    /// The directory to write charts to.
    pub(crate) charts: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments after `--bench`, which Cargo adds.
    pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Self> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let name = argument.to_string_lossy().into_owned();
            let mut path =
                || arguments.next().map(PathBuf::from).with_context(|| format!("{name} needs a path"));
            match name.as_str() {
                "--bench" => {}
                "--baseline" => options.baseline = Some(path()?),
                "--charts" => options.charts = Some(path()?),
                "ingest" | "report" => options.measurements.push(name),
                _ => bail!("unknown argument `{name}`"),
            }
        }
        if options.baseline.is_some() && options.charts.is_some() {
            bail!("--charts and --baseline cannot be used together: the chart shows no earlier build");
        }
        Ok(options)
    }

    /// Returns whether this is to be measured.
    pub(crate) fn includes(&self, measurement: &str) -> bool {
        self.measurements.is_empty() || self.measurements.iter().any(|name| name == measurement)
    }
}
