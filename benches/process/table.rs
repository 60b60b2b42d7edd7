//! The table of results.

use std::io::{Write as _, stdout};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::chart::{self, Bar};

/// The results of a run.
#[derive(Default)]
pub(crate) struct Table {
    /// Name, time or size, memory, and target.
    rows: Vec<[String; 4]>,
    comparisons: Vec<Comparison>,
}

/// The contents of a chart.
struct Comparison {
    /// The name of the file.
    file: String,
    title: String,
    bars: Vec<Bar>,
}

impl Table {
    /// Adds a row. `target` is an upper limit, or empty.
    pub(crate) fn row(&mut self, name: &str, value: String, memory: String, target: &str) {
        let target = if target.is_empty() { String::new() } else { format!("at most {target}") };
        self.rows.push([name.to_owned(), value, memory, target]);
    }

    /// Adds rows for the CPU times of programs that did the same, as far as they are installed. `target` is the upper limit of the
    /// ratio between the first program and each of the others.
    pub(crate) fn compare(
        &mut self,
        file: &str,
        title: &str,
        target: &str,
        entries: Vec<(String, Option<Duration>)>,
    ) {
        let own = entries.first().and_then(|(_, time)| *time);
        let mut bars = Vec::new();
        for (index, (name, time)) in entries.into_iter().enumerate() {
            let result = match (time, own) {
                (Some(time), Some(own)) if index > 0 => {
                    let ratio = own.as_secs_f64() / time.as_secs_f64();
                    format!("{time:.3?}; tbot takes {ratio:.3} of it")
                }
                (Some(time), _) => format!("{time:.3?}"),
                (None, _) => "not installed".to_owned(),
            };
            self.row(&format!("{title}, {name}"), result, String::new(), if index > 0 { target } else { "" });
            bars.extend(time.map(|time| Bar {
                name,
                value: time.as_secs_f64(),
                result: format!("{time:.1?}"),
            }));
        }
        self.comparisons.push(Comparison { file: format!("{file}.svg"), title: title.to_owned(), bars });
    }

    /// Writes the charts of the comparisons to a directory.
    pub(crate) fn write_charts(&self, directory: &Path) -> Result<()> {
        for Comparison { file, title, bars } in &self.comparisons {
            chart::write(directory, file, title, bars)?;
        }
        Ok(())
    }

    pub(crate) fn print(&self) -> Result<()> {
        for [name, value, memory, target] in &self.rows {
            writeln!(stdout(), "{name:52} {value:>36} {memory:>14}   {target}")?;
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "rounded to two digits")]
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

#[expect(clippy::cast_precision_loss, reason = "rounded to one digit")]
pub(crate) fn mebibytes(kibibytes: u64) -> String {
    format!("{:.1} MiB", kibibytes as f64 / 1024.0)
}
