//! Measures whole processes of the release build: binary size, and time and memory of `tbot version`, `tbot validate`,
//! oneshot runs and idle daemons. Runs and daemons use the development cluster on loopback.
//!
//! `cargo bench --bench process` builds the release binary and prints a table; with `-- --help` it lists its options.
//!
//! If `TBOT_BENCH_PROGRAM` names a binary, that binary is measured and nothing is built.

mod chart;
mod daemon;
mod fixture;
mod go_agent;
mod options;
mod program;
mod ssh;
mod table;
mod tunnel;
mod validators;

use std::ffi::OsString;
use std::fs;

use anyhow::Result;
use clap::Parser as _;
use tbot_cluster::{Cluster, ClusterConfig, clock};

use daemon::Daemon;
use fixture::{BotDirectory, five_outputs, identity_outputs};
use options::{Measurement, Options};
use program::Program;
use table::Table;

/// The numbers of outputs for which daemons are measured.
const OUTPUTS: [usize; 3] = [1, 100, 1000];

fn main() -> Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let [first, command @ ..] = arguments.as_slice()
        && first == "--measure"
    {
        return program::run_measurement(command);
    }
    // `cargo test --benches` runs this program without `--bench`, only to check that it builds.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let options = Options::parse();
    let mut table = Table::default();
    measure(&Program::under_test()?, &options, &mut table)?;
    table.print()?;
    options.charts.map_or(Ok(()), |directory| table.write_charts(&directory))
}

fn measure(program: &Program, options: &Options, table: &mut Table) -> Result<()> {
    if let Some(go_tbot) = &options.go_tbot {
        return go_agent::measure(program, go_tbot, options, table);
    }
    if let Some(Measurement::Validators) = options.measurement {
        return validators::measure(program, table);
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let cluster = runtime.block_on(Cluster::start(ClusterConfig::new(clock::system())))?;
    match options.measurement {
        Some(Measurement::Tunnel) => return tunnel::measure(program, &cluster, table),
        Some(Measurement::Ssh) => return ssh::measure(program, &cluster, table),
        Some(Measurement::Validators) | None => {}
    }
    let size = fs::metadata(program.path())?.len();
    table.row("stripped binary", table::megabytes(size), String::new(), "8.73 MB");
    short_commands(program, table)?;
    oneshot_runs(program, &cluster, table)?;
    daemons(program, &cluster, table)
}

fn short_commands(program: &Program, table: &mut Table) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (time, memory) = program.measure(&["version"], directory.path())?;
    table.row("tbot version", time, memory, "6 ms, 8 MiB");
    fs::write(directory.path().join("ten.yaml"), fixture::ten_outputs_config())?;
    let (time, memory) = program.measure(&["validate", "ten.yaml"], directory.path())?;
    table.row("tbot validate, ten outputs", time, memory, "");
    Ok(())
}

/// The first run joins and the others renew. Each run generates a key and requests a certificate for every output.
fn oneshot_runs(program: &Program, cluster: &Cluster, table: &mut Table) -> Result<()> {
    let start = ["start", "-c", "tbot.yaml", "--oneshot"];
    let one = BotDirectory::new(cluster, "one", &identity_outputs(1))?;
    let (time, memory) = program.measure(&start, one.path())?;
    table.row("oneshot run, one output", time, memory, "");
    let five = BotDirectory::new(cluster, "five", &five_outputs())?;
    let (time, memory) = program.measure(&start, five.path())?;
    table.row("oneshot run, five outputs", time, memory, "300 ms, 15 MiB");
    Ok(())
}

fn daemons(program: &Program, cluster: &Cluster, table: &mut Table) -> Result<()> {
    let mut base = None;
    for count in OUTPUTS {
        let directory = BotDirectory::new(cluster, &format!("daemon-{count}"), &identity_outputs(count))?;
        let daemon = Daemon::start(program, &directory)?;
        let first = daemon.wait_for_any(count)?;
        let all = daemon.wait_for_all(count)?;
        let resident = daemon.resident_kib()?;
        let (outputs, limit) = if count == 1 { ("output", "12 MiB") } else { ("outputs", "") };
        let time = format!("{first:.0?} to the first, {all:.1?} to all");
        table.row(&format!("daemon, {count} {outputs}"), time, table::mebibytes(resident), limit);
        let (base_count, base_resident) = *base.get_or_insert((count, resident));
        if count > base_count {
            let per_output = resident.saturating_sub(base_resident) / u64::try_from(count - base_count)?;
            // With few outputs, the difference is mostly the memory for writing eight outputs at once.
            let limit = if count >= 1000 { "20 KiB" } else { "" };
            table.row("  per output", String::new(), format!("{per_output} KiB"), limit);
        }
    }
    Ok(())
}
