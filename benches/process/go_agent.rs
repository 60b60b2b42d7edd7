//! The agent next to the Go agent: the size of the binaries, the time and memory of `version`, and the CPU time and memory of
//! oneshot runs.
//!
//! The Go agent needs a real cluster for a oneshot run, so the caller names a configuration for each agent, with a token or an
//! identity that has not expired.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::options::Options;
use crate::program::{Program, cpu_time};
use crate::table::{self, Table};

/// The runs of each agent, made in turns. The median counts.
const RUNS: usize = 11;

/// Measures both agents.
pub(crate) fn measure(program: &Program, go_tbot: &Path, options: &Options, table: &mut Table) -> Result<()> {
    let go_tbot = &Program::named(go_tbot)?;
    let agents = [("tbot", program), ("Go agent", go_tbot)];
    let directory = tempfile::tempdir()?;
    for (name, agent) in agents {
        let size = table::megabytes(fs::metadata(agent.path())?.len());
        let (time, memory) = agent.measure(&["version"], directory.path())?;
        table.row(&format!("{name}, binary"), size, String::new(), "");
        table.row(&format!("{name}, version"), time, memory, "");
    }
    let (Some(config), Some(go_config)) = (&options.config, &options.go_config) else { return Ok(()) };
    let mut times = [Vec::new(), Vec::new()];
    let commands = [(program, config), (go_tbot, go_config)];
    for _ in 0..RUNS {
        for ((agent, config), times) in commands.iter().zip(&mut times) {
            times.push(oneshot_run(agent, config)?);
        }
    }
    let entries = agents.iter().zip(&mut times).map(|((name, _), times)| {
        times.sort();
        ((*name).to_owned(), times.get(RUNS / 2).copied())
    });
    table.compare("oneshot", "CPU time of a oneshot run", "0.05", entries.collect());
    for ((name, agent), (_, config)) in agents.iter().zip(&commands) {
        let config = config.to_string_lossy();
        let (time, memory) = agent.measure(&["start", "--oneshot", "-c", &config], directory.path())?;
        table.row(&format!("{name}, oneshot run"), time, memory, "");
    }
    Ok(())
}

fn oneshot_run(agent: &Program, config: &Path) -> Result<Duration> {
    let mut command = Command::new(agent.path());
    command.args(["start", "--oneshot", "-c"]).arg(config).env("TELEPORT_ANONYMOUS_TELEMETRY", "0");
    let time = cpu_time(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
    time.with_context(|| format!("{} is missing", agent.path().display()))
}
