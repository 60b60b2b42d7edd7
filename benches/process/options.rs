//! The arguments of the benchmark.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::program::Program;

/// The measurements to make: all of them if none is named.
#[derive(Default)]
pub(crate) struct Options {
    /// The names of measurements.
    measurements: Vec<String>,
    /// The Go agent to compare with. Only this is measured then.
    pub(crate) go: Option<GoAgent>,
    /// The directory to write a chart of each comparison to.
    pub(crate) charts: Option<PathBuf>,
}

/// A Go agent, and what it needs for a oneshot run.
pub(crate) struct GoAgent {
    pub(crate) program: Program,
    pub(crate) oneshot: Option<OneshotConfigs>,
}

/// Configurations for a real cluster.
pub(crate) struct OneshotConfigs {
    pub(crate) own: PathBuf,
    pub(crate) other: PathBuf,
}

impl Options {
    /// Reads the arguments after `--bench`, which Cargo adds.
    pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Self> {
        let mut options = Self::default();
        let (mut go_agent, mut own, mut other) = (None, None, None);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let name = argument.to_string_lossy().into_owned();
            let mut path =
                || arguments.next().map(PathBuf::from).with_context(|| format!("{name} needs a path"));
            match name.as_str() {
                "--bench" => {}
                "--go-tbot" => go_agent = Some(path()?),
                "--config" => own = Some(path()?),
                "--go-config" => other = Some(path()?),
                "--charts" => options.charts = Some(path()?),
                "tunnel" | "ssh" | "validators" => options.measurements.push(name),
                _ => bail!("unknown argument `{name}`"),
            }
        }
        let oneshot = match (own, other) {
            (Some(own), Some(other)) => Some(OneshotConfigs { own, other }),
            (None, None) => None,
            _ => bail!("--config and --go-config belong together"),
        };
        options.go = match go_agent {
            Some(path) => Some(GoAgent { program: Program::named(&path)?, oneshot }),
            None if oneshot.is_some() => bail!("--config and --go-config need --go-tbot"),
            None => None,
        };
        Ok(options)
    }

    /// Returns whether only this is to be measured.
    pub(crate) fn is_only(&self, measurement: &str) -> bool {
        self.measurements.iter().any(|name| name == measurement)
    }
}
