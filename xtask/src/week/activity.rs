//! Facts from the kernel about processes: whether any of their threads runs, their memory, and their open files.

use std::fmt;
use std::fs;

use anyhow::{Context as _, Result, bail};

/// How often each thread of some processes has been scheduled, at a moment at which all of them sleep.
#[derive(PartialEq, Eq)]
pub(super) struct Sleep(Vec<(u32, u64)>);

impl Sleep {
    /// Reads the states of the threads of these processes, and of this one except for its main thread, which calls this. Returns
    /// `None` if a thread runs, or waits for a processor or a disk.
    ///
    /// If two calls return the same, one after the other, all threads have slept from the end of the first one to the start of the
    /// second one.
    ///
    /// # Errors
    ///
    /// Returns an error if a process has ended.
    pub(super) fn of(processes: &[u32]) -> Result<Option<Self>> {
        let this = std::process::id();
        let mut threads = Vec::new();
        for process in processes.iter().chain([&this]) {
            let directory = format!("/proc/{process}/task");
            for entry in fs::read_dir(&directory).with_context(|| format!("cannot read {directory}"))? {
                let entry = entry?;
                let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                    continue;
                };
                if id == this {
                    continue;
                }
                // A thread that has just ended was active.
                let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
                if id == *process && has_ended(&status) {
                    bail!("process {process} has ended by itself");
                }
                if !is_asleep(&status) {
                    return Ok(None);
                }
                threads.push((id, switches(&status)));
            }
        }
        Ok(Some(Self(threads)))
    }
}

fn has_ended(status: &str) -> bool {
    value(status, "State:").is_some_and(|state| state.starts_with('Z'))
}

fn is_asleep(status: &str) -> bool {
    value(status, "State:").is_some_and(|state| state.starts_with('S'))
}

fn switches(status: &str) -> u64 {
    let names = ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"];
    names.iter().filter_map(|name| value(status, name)?.parse::<u64>().ok()).sum()
}

/// Returns what follows a name at the beginning of a line.
fn value<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// The memory and the open files of a process.
#[derive(Clone, Copy)]
pub(super) struct Usage {
    pub(super) resident_kib: u64,
    pub(super) descriptors: usize,
}

impl fmt::Display for Usage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} KiB, {} files", self.resident_kib, self.descriptors)
    }
}

impl Usage {
    /// Reads the usage of a process.
    ///
    /// # Errors
    ///
    /// Returns an error if the process does not exist.
    pub(super) fn of(process: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let resident = value(&status, "VmRSS:").and_then(|value| value.split(' ').next()?.parse().ok());
        let descriptors = fs::read_dir(format!("/proc/{process}/fd"))?.count();
        Ok(Self { resident_kib: resident.context("no VmRSS")?, descriptors })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\ttbot\nState:\tS (sleeping)\nvoluntary_ctxt_switches:\t40\n\
                          nonvoluntary_ctxt_switches:\t2\n";

    #[test]
    fn only_a_thread_that_waits_for_an_event_is_asleep() {
        assert!(is_asleep(STATUS));
        assert_eq!(switches(STATUS), 42);
        for active in ["R (running)", "D (disk sleep)", "T (stopped)", "Z (zombie)"] {
            assert!(!is_asleep(&STATUS.replace("S (sleeping)", active)), "{active}");
        }
        assert!(has_ended(&STATUS.replace("S (sleeping)", "Z (zombie)")) && !has_ended(STATUS));
        assert!(!is_asleep(""));
    }

    #[test]
    fn a_process_that_does_not_exist_is_an_error() {
        assert!(Sleep::of(&[u32::MAX]).is_err());
    }

    #[test]
    fn the_usage_of_this_process_is_known() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident_kib > 0 && usage.descriptors > 0);
    }
}
