//! Whole processes of the release build: size, time and memory of `tbot version`, `tbot validate`, one-shot runs and
//! daemons at rest, these against the development cluster on loopback.
//!
//! `cargo bench --bench process` builds the release binary and prints a table. With `TBOT_BENCH_PROGRAM` naming a binary,
//! that one is measured instead, and nothing is built. With `TBOT_BENCH_AGAINST` naming another agent's binary, its
//! `version` is measured beside ours, in turns.

mod daemon;
mod program;
mod scene;
mod table;

use std::ffi::OsString;
use std::fs;

use anyhow::Result;
use tbot_cluster::{Cluster, ClusterConfig, clock};

use daemon::Daemon;
use program::Program;
use scene::{Scene, five_outputs, identity_outputs};
use table::Table;

/// Numbers of outputs between which a daemon's memory is compared.
const OUTPUTS: [usize; 3] = [1, 100, 1000];

fn main() -> Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let [first, command @ ..] = arguments.as_slice()
        && first == "--measure"
    {
        return program::measure(command);
    }
    // `cargo test --benches` runs this too, and wants to know no more than that it builds.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let program = Program::ours()?;
    let mut table = Table::default();
    let size = fs::metadata(program.path())?.len();
    table.row("stripped binary", table::megabytes(size), String::new(), "8 MB");
    short_commands(&program, &mut table)?;

    let runtime = tokio::runtime::Runtime::new()?;
    let cluster = runtime.block_on(Cluster::start(ClusterConfig::new(clock::system())))?;
    one_shot_runs(&program, &cluster, &mut table)?;
    daemons(&program, &cluster, &mut table)?;
    table.print()
}

fn short_commands(program: &Program, table: &mut Table) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (time, memory) = program.measured(&["version"], folder.path())?;
    table.row("tbot version", time, memory, "6 ms, 8 MiB");
    if let Some(other) = Program::other() {
        let (time, memory) = other.measured(&["version"], folder.path())?;
        table.row("the other's version", time, memory, "");
    }
    fs::write(folder.path().join("ten.yaml"), scene::ten_outputs())?;
    let (time, memory) = program.measured(&["validate", "ten.yaml"], folder.path())?;
    table.row("tbot validate, ten outputs", time, memory, "");
    Ok(())
}

/// The first run joins, the others renew. Every one of them makes new keys for every output, and has it certified.
fn one_shot_runs(program: &Program, cluster: &Cluster, table: &mut Table) -> Result<()> {
    let start = ["start", "-c", "tbot.yaml", "--oneshot"];
    let one = Scene::new(cluster, "one", &identity_outputs(1))?;
    let (time, memory) = program.measured(&start, one.folder())?;
    table.row("one-shot run, one output", time, memory, "");
    let five = Scene::new(cluster, "five", &five_outputs())?;
    let (time, memory) = program.measured(&start, five.folder())?;
    table.row("one-shot run, five outputs", time, memory, "300 ms, 15 MiB");
    Ok(())
}

fn daemons(program: &Program, cluster: &Cluster, table: &mut Table) -> Result<()> {
    let mut smallest = None;
    for count in OUTPUTS {
        let scene = Scene::new(cluster, &format!("daemon-{count}"), &identity_outputs(count))?;
        let daemon = Daemon::start(program, &scene)?;
        let first = daemon.wait_for_any(count)?;
        let all = daemon.wait_for_all(count)?;
        let resident = daemon.resident()?;
        let (outputs, limit) = if count == 1 { ("output", "12 MiB") } else { ("outputs", "") };
        let time = format!("{first:.0?} to the first, {all:.1?} to all");
        table.row(&format!("daemon, {count} {outputs}"), time, table::mebibytes(resident), limit);
        let (fewest, least) = *smallest.get_or_insert((count, resident));
        if count > fewest {
            let each = resident.saturating_sub(least) / u64::try_from(count - fewest)?;
            // What a few outputs add is mostly what writing eight at once takes.
            let limit = if count >= 1000 { "20 KiB" } else { "" };
            table.row("  for each output", String::new(), format!("{each} KiB"), limit);
        }
    }
    Ok(())
}
