//! Writes generated files, or fails on drift: shows a short diff and names the command that mends it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::released;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use similar::TextDiff;

/// Whether a generated file is written or compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    Check,
}

impl Mode {
    pub(crate) fn from_arguments(arguments: &[&str]) -> Result<Self> {
        match arguments {
            [] => Ok(Self::Write),
            ["--check"] => Ok(Self::Check),
            other => bail!("unknown arguments {other:?}; only --check is known here"),
        }
    }
}

/// A generated file: its path from the root of the repository, and what it should hold.
pub(crate) struct Generated {
    pub(crate) path: String,
    pub(crate) content: String,
}

/// `cargo xtask schema`.
pub(crate) fn schema(mode: Mode) -> Result<()> {
    let config = tbot::config::schema::generate();
    let event = tbot::event::generate();
    let findings = tbot::event::audit(&event, &config);
    if !findings.is_empty() {
        bail!("the event's declarations break the rules of telemetry:\n  {}", findings.join("\n  "));
    }
    let mut files = vec![
        Generated { path: "schema/tbot.schema.json".into(), content: pretty(&config)? },
        Generated {
            path: "schema/tbot-v1.schema.json".into(),
            content: pretty(&tbot::config::schema::generate_v1())?,
        },
        Generated { path: "schema/tbot.start.schema.json".into(), content: pretty(&event)? },
    ];
    files.extend(released::freeze(&event)?);
    apply(mode, "cargo xtask schema", &files)
}

pub(crate) fn pretty(value: &Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Writes the files, or compares them and fails with a diff of each that differs.
pub(crate) fn apply(mode: Mode, command: &str, files: &[Generated]) -> Result<()> {
    let mut drifted = Vec::new();
    for Generated { path, content } in files {
        let file = root().join(path);
        let present = fs::read_to_string(&file).unwrap_or_default();
        if present == *content {
            continue;
        }
        match mode {
            Mode::Write => {
                if let Some(folder) = file.parent() {
                    fs::create_dir_all(folder)
                        .with_context(|| format!("cannot create the folder of {path}"))?;
                }
                fs::write(&file, content).with_context(|| format!("cannot write {path}"))?;
                report(&format!("wrote {path}"));
            }
            Mode::Check => {
                report(&short_diff(path, &present, content));
                drifted.push(path.as_str());
            }
        }
    }
    if !drifted.is_empty() {
        bail!("{} differ from what generates them; run `{command}`", drifted.join(", "));
    }
    Ok(())
}

fn short_diff(path: &str, present: &str, wanted: &str) -> String {
    const MOST_LINES: usize = 40;
    let diff = TextDiff::from_lines(present, wanted);
    let text = diff.unified_diff().context_radius(1).header(path, "generated").to_string();
    let mut lines: Vec<&str> = text.lines().take(MOST_LINES).collect();
    if text.lines().count() > MOST_LINES {
        lines.push("...");
    }
    lines.join("\n")
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// A line for the person who runs the task.
pub(crate) fn report(line: &str) {
    // Nobody is left to tell where standard error is gone.
    let _ = writeln!(std::io::stderr(), "{line}");
}
