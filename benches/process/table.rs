//! The table of results.

use std::io::{Write as _, stdout};

use anyhow::Result;

/// Rows of name, time or size, memory, and target.
#[derive(Default)]
pub(crate) struct Table(Vec<[String; 4]>);

impl Table {
    /// Adds a row. `target` is an upper limit, or empty.
    pub(crate) fn row(&mut self, name: &str, value: String, memory: String, target: &str) {
        let target = if target.is_empty() { String::new() } else { format!("at most {target}") };
        self.0.push([name.to_owned(), value, memory, target]);
    }

    pub(crate) fn print(&self) -> Result<()> {
        for [name, value, memory, target] in &self.0 {
            writeln!(stdout(), "{name:28} {value:>36} {memory:>14}   {target}")?;
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
