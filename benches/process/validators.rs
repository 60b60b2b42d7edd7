//! `tbot validate` next to general validators with a JSON Schema of `tbot.yaml`: the CPU time for a thousand files, each in a
//! process that checks all of them.
//!
//! The others read the schema of version 0.1.0, so that results of later versions can be compared. `tbot` does more than they do:
//! it also checks what a schema cannot express.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use crate::fixture;
use crate::program::{Program, cpu_time};
use crate::table::Table;

const SCHEMA: &str = include_str!("tbot-0.1.0.schema.json");
const FILES: usize = 1000;
/// The number of measurements of each validator, which take turns. The best one counts.
const ROUNDS: usize = 3;

/// A command line: a program and its arguments.
struct Validator {
    name: &'static str,
    command: Vec<String>,
}

/// Measures `tbot validate`, and each of the others that is installed.
pub(crate) fn measure(program: &Program, table: &mut Table) -> Result<()> {
    let directory = tempfile::tempdir()?;
    fs::write(directory.path().join("schema.json"), SCHEMA)?;
    let yaml = fixture::ten_outputs_config();
    let value: Value = serde_yaml::from_str(&yaml)?;
    for index in 0..FILES {
        fs::write(directory.path().join(format!("{index}.yaml")), &yaml)?;
        fs::write(directory.path().join(format!("{index}.json")), value.to_string())?;
    }
    let tbot = program.path().to_string_lossy().into_owned();
    let yaml_files = || (0..FILES).map(|index| format!("{index}.yaml"));
    let json_files = || (0..FILES).map(|index| format!("{index}.json"));
    let instances = json_files().flat_map(|file| ["--instance".to_owned(), file]);
    compare(
        table,
        directory.path(),
        "YAML",
        "0.1",
        &[
            Validator::new("tbot", &[&tbot, "validate"], yaml_files()),
            Validator::new(
                "ajv",
                &["ajv", "validate", "--spec=draft2020", "--strict=false", "-s", "schema.json", "-d"],
                ["*.yaml".to_owned()],
            ),
            Validator::new(
                "check-jsonschema",
                &["check-jsonschema", "--schemafile", "schema.json"],
                yaml_files(),
            ),
        ],
    )?;
    compare(
        table,
        directory.path(),
        "JSON",
        "1",
        &[
            Validator::new("tbot", &[&tbot, "validate"], json_files()),
            Validator::new("jsonschema-cli", &["jsonschema-cli", "validate", "schema.json"], instances),
        ],
    )
}

/// Compares the first validator with the others that are installed.
fn compare(
    table: &mut Table,
    directory: &Path,
    format: &str,
    target: &str,
    validators: &[Validator],
) -> Result<()> {
    let mut best: Vec<Option<Duration>> = vec![Some(Duration::MAX); validators.len()];
    for _ in 0..ROUNDS {
        for (validator, best) in validators.iter().zip(&mut best) {
            if let Some(time) = *best {
                *best = validator.cpu_time(directory)?.map(|new| time.min(new));
            }
        }
    }
    let entries = validators.iter().zip(best).map(|(validator, time)| (validator.name.to_owned(), time));
    let title = format!("CPU time to validate {FILES} files in {format}");
    table.compare(&format!("validators-{}", format.to_lowercase()), &title, target, entries.collect());
    Ok(())
}

impl Validator {
    fn new(name: &'static str, command: &[&str], files: impl IntoIterator<Item = String>) -> Self {
        Self { name, command: command.iter().map(|&word| word.to_owned()).chain(files).collect() }
    }

    /// Validates all files. Returns `None` if the program is not installed.
    fn cpu_time(&self, directory: &Path) -> Result<Option<Duration>> {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).current_dir(directory);
        cpu_time(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()))
    }
}
