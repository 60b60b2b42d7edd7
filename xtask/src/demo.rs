//! `cargo xtask demo`: one run of `tbot` against a development cluster and a receiver of telemetry, explained step by step.

mod report;

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use prehog::day::Day;
use tokio::runtime::Runtime;
use xtask_launcher::{bold, print_line};

use crate::interrupt::{Interrupt, Interrupted};
use crate::sandbox::{Consent, STORE, Sandbox};

/// The number of simulated starts in the report that `--keep` serves.
const SIMULATED_STARTS: &str = "20000";
/// How long the signal of Ctrl-C may take to arrive after it has ended a command.
const SIGNAL_DELAY: Duration = Duration::from_millis(200);

/// The options of the demo.
struct Options {
    keep: bool,
    consent: Consent,
}

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let mut options = Options { keep: false, consent: Consent::Given };
    for argument in arguments {
        match *argument {
            "--keep" => options.keep = true,
            "--no-consent" => options.consent = Consent::NotGiven,
            other => bail!("unexpected argument `{other}`; run `cargo xtask demo --help`"),
        }
    }
    let runtime = Runtime::new().context("cannot start the async runtime")?;
    let interrupt = Interrupt::catch(&runtime)?;
    let sandbox = Sandbox::start(&runtime, options.consent)?;
    let directory = sandbox.path().display().to_string();
    let result = Demo { sandbox: &sandbox, runtime: &runtime, interrupt: &interrupt }.show(&options);
    sandbox.close(&runtime)?;
    print_line(&format!("\nStopped everything and removed {directory}"));
    result
}

struct Demo<'a> {
    sandbox: &'a Sandbox,
    runtime: &'a Runtime,
    interrupt: &'a Interrupt,
}

impl Demo<'_> {
    fn show(&self, options: &Options) -> Result<()> {
        let (cluster, receiver) = (self.sandbox.cluster(), self.sandbox.receiver());
        print_line(&format!(
            "\n\
             tbot joins a development cluster, and reports to a receiver of telemetry.\n\
             Both run on this machine, and nothing connects to anywhere else.\n\
             \n\
             \x20 cluster   {} at {}\n\
             \x20 receiver  prehog at {}\n\
             \x20 files     {}",
            cluster.name(),
            cluster.proxy_addr(),
            receiver.url(),
            self.sandbox.path().display()
        ));

        self.step("1. The configuration: join the cluster, keep an identity in a directory")?;
        self.show_configuration()?;
        self.command("tbot", &["validate", "tbot.yaml"])?;

        self.step("2. The agent: tbot joins the cluster and writes credentials")?;
        self.command("tbot", &["start", "--oneshot", "-c", "tbot.yaml"])?;

        let heading = match options.consent {
            Consent::Given => "3. The event: what tbot sent, and where each value comes from",
            Consent::NotGiven => "3. The event: without consent, tbot sent nothing",
        };
        self.step(heading)?;
        self.command("tbot", &["telemetry", "preview", "--oneshot", "-c", "tbot.yaml"])?;

        self.step("4. The files: credentials for ssh and tsh in identity/, tbot's in storage/")?;
        list_files(self.sandbox.path(), self.sandbox.path())?;

        self.step("5. The report: what the receiver knows")?;
        self.show_report(options.consent)?;

        if options.keep {
            self.keep()
        } else {
            print_line(
                "\n\
                 `cargo xtask demo --keep` serves a report for a browser. docs/telemetry.md says\n\
                 what is collected and why, and docs/prehog.md explains the report.",
            );
            Ok(())
        }
    }

    fn show_report(&self, consent: Consent) -> Result<()> {
        let today = Day::of(prehog::clock::system()()).to_string();
        let arguments =
            ["report", "--store", STORE, "--since", &today, "--until", &today, "--min-group", "1"];
        // Counts everything that the receiver has acknowledged, so it comes before the export.
        let report = self.output("prehog", &[&arguments[..], &["--format", "csv"]].concat())?;
        let table = report::table(&report);
        print_line("\nIts rows with starts, in columns:\n");
        print_line(if table.is_empty() { "(no starts)" } else { &table });
        print_line("");
        let starts = self.output("prehog", &["export", "--store", STORE])?;
        print_line(if starts.is_empty() { "(no starts)" } else { starts.trim_end() });
        let expected = usize::from(consent == Consent::Given);
        if starts.lines().count() != expected {
            bail!("the receiver stored {} starts, expected {expected}", starts.lines().count());
        }
        print_line(match consent {
            Consent::Given => {
                "\n\
                 The receiver counts starts, and keeps nothing about who sent them. With\n\
                 --min-group 1, a reader of the store sees a single start of this week. A report\n\
                 for others covers complete weeks, and hides values with fewer than 10 starts in\n\
                 a week."
            }
            Consent::NotGiven => {
                "\n\
                 The receiver got nothing. With `anonymous_telemetry_opt_in: true` in tbot.yaml,\n\
                 tbot would have sent the event that the preview shows."
            }
        });
        Ok(())
    }

    /// Serves a report that shows something, and waits for Ctrl-C.
    fn keep(&self) -> Result<()> {
        self.step("6. A report for others: simulated starts, because it hides a single one")?;
        self.command("xtask", &["load", "--fill", STORE, "--events", SIMULATED_STARTS])?;
        let variables =
            self.sandbox.environment().map(|(name, value)| format!("  export {name}={value}\n")).concat();
        print_line(&format!(
            "\n\
             Everything keeps running. Open the report in a browser:\n\
             \n\
             \x20 {}\n\
             \n\
             All starts in it are simulated. A start of the current week is not shown yet.\n\
             To run tbot again:\n\
             \n\
             \x20 cd {}\n\
             {variables}\
             \x20 {} start --oneshot -c tbot.yaml\n\
             \n\
             Ctrl-C stops everything and removes the files.",
            self.sandbox.receiver().report_url(),
            self.sandbox.path().display(),
            self.sandbox.program("tbot").display()
        ));
        self.runtime.block_on(self.interrupt.wait());
        Ok(())
    }

    /// Prints the heading of a step.
    fn step(&self, heading: &str) -> Result<(), Interrupted> {
        print_line(&format!("\n{}\n", bold(&format!("── {heading}"))));
        self.interrupt.check()
    }

    fn show_configuration(&self) -> Result<()> {
        let content = fs::read_to_string(self.sandbox.path().join("tbot.yaml"))?;
        print_line("$ cat tbot.yaml");
        print_line(&content.replace(self.sandbox.token(), "(a token of the cluster)"));
        Ok(())
    }

    /// Runs a program, and prints its output.
    fn command(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let stdout = self.output(program, arguments)?;
        if !stdout.is_empty() {
            print_line(stdout.trim_end());
        }
        Ok(())
    }

    /// Runs a program, and prints its standard error. Returns its standard output.
    fn output(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let command = format!("{program} {}", arguments.join(" "));
        print_line(&format!("$ {command}"));
        let Output { status, stdout, stderr } = self
            .sandbox
            .command(program)
            .args(arguments)
            .output()
            .with_context(|| format!("cannot run {program}"))?;
        if !status.success() {
            // Ctrl-C may have ended the command.
            let wait = async { tokio::time::timeout(SIGNAL_DELAY, self.interrupt.wait()).await };
            let _ = self.runtime.block_on(wait);
        }
        self.interrupt.check()?;
        let stderr = String::from_utf8_lossy(&stderr);
        if !stderr.is_empty() {
            print_line(stderr.trim_end());
        }
        if !status.success() {
            bail!("{command} failed: {status}");
        }
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    }
}

/// Prints the files of the subdirectories of `base`, as far as they are below `directory`.
fn list_files(base: &Path, directory: &Path) -> Result<()> {
    let mut entries: Vec<_> = fs::read_dir(directory)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        // Generation directories and `..data` are internal. Programs open the links to them, which are listed.
        if entry.file_name().to_string_lossy().starts_with("..") {
            continue;
        }
        if path.is_dir() {
            list_files(base, &path)?;
        } else if let Ok(name) = path.strip_prefix(base)
            && name.components().count() > 1
        {
            print_line(&format!("{:>6} bytes  {}", fs::metadata(&path)?.len(), name.display()));
        }
    }
    Ok(())
}
