//! `cargo xtask fuzz`: runs fuzz tests with libFuzzer.
//!
//! They are the tests that `cargo test` runs, built with the coverage counters of LLVM, for which stable Rust needs only flags of
//! the compiler. `tests/fuzz` links libFuzzer and calls it.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use xtask_launcher::{print_line, root, shell};

/// A fuzz test.
struct FuzzTest {
    /// The name of its inputs in `tests/fuzz/corpus`.
    name: &'static str,
    /// The options of `cargo test` that select the program with the test.
    program: &'static str,
    /// The path of the test.
    path: &'static str,
}

const TESTS: [FuzzTest; 8] = [
    FuzzTest {
        name: "agent-environment",
        program: "--package tbot --lib",
        path: "agent::malformed_input::fuzz::any_variable_is_used_or_refused",
    },
    FuzzTest {
        name: "configuration",
        program: "--package tbot --test config",
        path: "fuzz::any_file_is_loaded_or_reported",
    },
    FuzzTest {
        name: "prehog-requests",
        program: "--package prehog --test prehog",
        path: "fuzz::any_request_is_accepted_or_refused_and_only_accepted_events_are_stored",
    },
    FuzzTest {
        name: "server-replies",
        program: "--package tbot --lib",
        path: "agent::malformed_input::fuzz::any_reply_is_used_or_refused",
    },
    FuzzTest {
        name: "telemetry-environment",
        program: "--package tbot --bin tbot",
        path: "telemetry::fuzz::any_environment_has_a_decision_and_a_request_or_an_error",
    },
    FuzzTest {
        name: "telemetry-response",
        program: "--package tbot --bin tbot",
        path: "telemetry::fuzz::any_response_is_a_success_or_an_error_that_does_not_show_it",
    },
    FuzzTest {
        name: "web-socket",
        program: "--package tbot --lib",
        path: "agent::net::web_socket::fuzz::any_bytes_arrive_however_they_are_split",
    },
    FuzzTest {
        name: "yaml",
        program: "--package tbot-yaml --lib",
        path: "tests::fuzz::any_file_is_read_or_rejected",
    },
];

/// The calls of each test, unless the command line says otherwise: together, more than ten million.
const DEFAULT_EXECUTIONS: u64 = 1_500_000;

/// Flags of rustc: the coverage counters that libFuzzer reads, and the settings with which bolero links libFuzzer.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "--cfg=fuzzing_libfuzzer",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // For the tests of a package, cargo also links its programs, which have no libFuzzer and are not run.
    "-Clink-arg=-Wl,--unresolved-symbols=ignore-all",
];

/// How many lines of the log of a failed test are printed.
const SHOWN_LINES: usize = 40;

/// Runs the fuzz tests that are named, or all, and stops at the first failure.
///
/// # Errors
///
/// Returns an error if an argument is unknown, if a build fails, or if a test fails or is not found.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let (executions, names) = match *arguments {
        ["--executions", number, ref names @ ..] => {
            (number.parse().context("--executions needs a number")?, names)
        }
        ref names => (DEFAULT_EXECUTIONS, names),
    };
    if let Some(unknown) = names.iter().find(|name| TESTS.iter().all(|test| test.name != **name)) {
        bail!("unexpected argument {unknown}; run `cargo xtask fuzz --help`");
    }
    let directory = root()?.join("target/fuzz");
    let target = host()?;
    for test in TESTS.iter().filter(|test| names.is_empty() || names.contains(&test.name)) {
        let reached = run_test(test, executions, &directory, &target)?;
        print_line(&format!("figure: {}: {reached}", test.name));
    }
    Ok(())
}

/// Returns the platform of this machine. If cargo is told to build for it, the flags do not apply to build scripts.
fn host() -> Result<String> {
    let output = shell::parse("cargo --version --verbose")?.output().context("cannot run cargo")?;
    let output = String::from_utf8(output.stdout).context("the version of cargo is not UTF-8")?;
    let host = output.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("cargo does not name its host")?.to_owned())
}

/// Runs one test, and returns what it has reached.
fn run_test(test: &FuzzTest, executions: u64, directory: &Path, target: &str) -> Result<Coverage> {
    let command = format!("cargo test --locked --profile fuzz --target {target} {}", test.program);
    let flags = FLAGS.join(" ");
    let built = shell::parse(&format!("{command} --no-run"))?.env("RUSTFLAGS", &flags).status()?;
    if !built.success() {
        bail!("`{command} --no-run` failed");
    }
    let [inputs, temporary] = ["inputs", "tmp"].map(|name| directory.join(test.name).join(name));
    for directory in [&inputs, &temporary] {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    let log = directory.join(test.name).join("log");
    let written = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    print_line(&format!(
        "{}: {executions} executions; what libFuzzer prints is in {}",
        test.name,
        log.display()
    ));
    let options = format!(
        "-runs={executions} -timeout=60 -artifact_prefix={0}/ {1}",
        directory.join(test.name).display(),
        inputs.display()
    );
    let status = shell::parse(&format!("{command} -- --exact --nocapture {}", test.path))?
        .env("RUSTFLAGS", &flags)
        .env("TBOT_FUZZ_INPUTS", &inputs)
        .env("BOLERO_LIBFUZZER_ARGS", options)
        // libFuzzer ends the process, so that the test does not remove its own.
        .env("TMPDIR", &temporary)
        .stdout(written.try_clone()?)
        .stderr(written)
        .status()?;
    fs::remove_dir_all(&temporary).with_context(|| format!("cannot remove {}", temporary.display()))?;
    let log = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let reached = Coverage::parse(&log);
    match reached {
        Some(reached) if status.success() => Ok(reached),
        _ => {
            let lines: Vec<&str> = log.lines().collect();
            bail!("{} failed:\n{}", test.name, lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n"))
        }
    }
}

/// How much code a test reached, in the numbers of libFuzzer.
#[derive(Debug, PartialEq, Eq)]
struct Coverage {
    executions: u64,
    /// The branches that the first inputs reached.
    first_branches: u64,
    /// The branches that all inputs reached.
    branches: u64,
}

impl Coverage {
    /// Reads lines such as `#200000 DONE cov: 6333 ft: 26988`.
    fn parse(log: &str) -> Option<Self> {
        let words_of = |event: &str| {
            let mut lines = log.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            lines.find(|words| words.get(1) == Some(&event))
        };
        let branches = |words: &[&str]| words.iter().skip_while(|word| **word != "cov:").nth(1)?.parse().ok();
        let (initial, done) = (words_of("INITED")?, words_of("DONE")?);
        Some(Self {
            executions: done.first()?.strip_prefix('#')?.parse().ok()?,
            first_branches: branches(&initial)?,
            branches: branches(&done)?,
        })
    }
}

impl std::fmt::Display for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { executions, first_branches, branches } = self;
        write!(
            f,
            "{executions} executions reached {branches} branches, the inputs at their start {first_branches}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_corpus_has_a_test() {
        let corpora = fs::read_dir(root().unwrap().join("tests/fuzz/corpus")).unwrap();
        let mut corpora: Vec<String> =
            corpora.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        corpora.sort();
        assert_eq!(corpora, TESTS.map(|test| format!("{}.txt", test.name)));
    }

    #[test]
    fn the_help_names_each_test() {
        let command = xtask_launcher::find("fuzz").unwrap();
        for FuzzTest { name, .. } in TESTS {
            assert!(command.details.contains(name), "{name}");
        }
    }

    #[test]
    fn the_output_of_libfuzzer_is_read() {
        let log = "INFO: Seed: 1\n#368\tINITED cov: 4190 ft: 13817 corp: 242/51Kb exec/s: 184 rss: 255Mb\n\
                   #369\tNEW    cov: 4191 ft: 13818 corp: 243/51Kb\n#2000\tDONE   cov: 6333 ft: 26988 corp: 3187/1014Kb\n";
        let reached = Coverage { executions: 2000, first_branches: 4190, branches: 6333 };
        assert_eq!(Coverage::parse(log), Some(reached));
        // A test that libFuzzer has stopped, or no test.
        assert_eq!(Coverage::parse(log.split_at(80).0), None);
        assert_eq!(Coverage::parse("running 0 tests\n"), None);
    }
}
