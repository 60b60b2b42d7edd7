//! The table that is printed. Depends on nothing.

use std::io::{Write as _, stdout};

use anyhow::Result;

/// Rows of: what, time or size, memory, and what is aimed at.
#[derive(Default)]
pub(crate) struct Table(Vec<[String; 4]>);

impl Table {
    pub(crate) fn row(&mut self, what: &str, value: String, memory: String, target: &str) {
        let target = if target.is_empty() { String::new() } else { format!("at most {target}") };
        self.0.push([what.to_owned(), value, memory, target]);
    }

    pub(crate) fn print(&self) -> Result<()> {
        for [what, value, memory, target] in &self.0 {
            writeln!(stdout(), "{what:28} {value:>36} {memory:>14}   {target}")?;
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people, with two digits")]
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

#[expect(clippy::cast_precision_loss, reason = "for people, with one digit")]
pub(crate) fn mebibytes(kibibytes: u64) -> String {
    format!("{:.1} MiB", kibibytes as f64 / 1024.0)
}
