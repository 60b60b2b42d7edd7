//! `cargo xtask pictures`: the pictures of the documentation, made from real runs of the programs.

mod ansi;
mod svg;

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use tokio::runtime::Runtime;
use xtask_launcher::{print_line, root};

use crate::interrupt::Interrupt;
use crate::sandbox::{Consent, Sandbox};

/// The width of the recorded terminal in characters.
const COLUMNS: usize = 96;
/// What is typed in the recorded terminal. The first command finds a mistake, which the second one corrects.
const SESSION: [&str; 4] = [
    "tbot validate tbot.yaml",
    "sed -i 's/tokn:/token:/' tbot.yaml && tbot validate tbot.yaml",
    "tbot start --oneshot -c tbot.yaml",
    "tbot telemetry preview --oneshot -c tbot.yaml | grep -A 1 ' = '",
];
const SIMULATED_STARTS: &str = "50000";
/// The size of the screenshot in pixels.
const SCREENSHOT_SIZE: &str = "1000,1375";
/// The maximum sizes of the pictures, which everyone who clones the repository downloads.
const MAX_SVG: usize = 40 * 1024;
const MAX_PNG: usize = 150 * 1024;

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    if let [argument, ..] = arguments {
        bail!("unexpected argument `{argument}`");
    }
    for (program, package) in [("script", "bsdutils"), ("chromium", "chromium")] {
        if Command::new(program).arg("--version").output().is_err() {
            bail!("{program} is missing; install the Debian package {package}");
        }
    }
    let runtime = Runtime::new().context("cannot start the async runtime")?;
    let interrupt = Interrupt::catch(&runtime)?;
    let sandbox = Sandbox::start(&runtime, Consent::Given)?;
    let pictures = make(&sandbox, &interrupt);
    sandbox.close(&runtime)?;
    let (terminal, report) = pictures?;
    save("docs/pictures/terminal.svg", terminal.as_bytes(), MAX_SVG)?;
    save("docs/pictures/report.png", &report, MAX_PNG)
}

fn make(sandbox: &Sandbox, interrupt: &Interrupt) -> Result<(String, Vec<u8>)> {
    let terminal = record_terminal(sandbox, interrupt)?;
    interrupt.check()?;
    let report = capture_report(sandbox, interrupt)?;
    interrupt.check()?;
    Ok((terminal, report))
}

/// Runs the session in a terminal, and returns a picture of it.
fn record_terminal(sandbox: &Sandbox, interrupt: &Interrupt) -> Result<String> {
    let configuration = sandbox.path().join("tbot.yaml");
    let correct = fs::read_to_string(&configuration)?;
    sandbox.write("tbot.yaml", &correct.replace("token: ", "tokn: "))?;
    let mut lines = Vec::new();
    for command in SESSION {
        interrupt.check()?;
        lines.push(format!("\x1b[1;32m$\x1b[0m \x1b[1m{command}\x1b[0m"));
        // `script` connects the programs to a terminal, so that they use colours.
        let output = Command::new("script")
            .args(["--quiet", "--command", command, "/dev/null"])
            .stdin(Stdio::null())
            .current_dir(sandbox.path())
            .env_clear()
            .envs(sandbox.environment())
            .env("PATH", sandbox.path_variable()?)
            .env("TERM", "xterm-256color")
            .output()
            .context("cannot run script")?;
        let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
        lines.extend(text.trim_end().lines().map(str::to_owned));
        lines.push(String::new());
    }
    lines.pop();
    let lines = lines.iter().flat_map(|line| ansi::wrap(ansi::parse(line), COLUMNS)).collect::<Vec<_>>();
    Ok(svg::draw(&lines, COLUMNS))
}

/// Returns a screenshot of the report of simulated starts.
fn capture_report(sandbox: &Sandbox, interrupt: &Interrupt) -> Result<Vec<u8>> {
    let store = "sqlite:simulated.db";
    output(sandbox.command("xtask").args(["load", "--fill", store, "--events", SIMULATED_STARTS]))?;
    interrupt.check()?;
    let report = output(sandbox.command("prehog").args(["report", "--store", store]))?;
    fs::write(sandbox.path().join("report.html"), report)?;
    interrupt.check()?;
    let picture = sandbox.path().join("report.png");
    output(
        Command::new("chromium")
            .args([
                "--headless",
                "--disable-lcd-text",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--hide-scrollbars",
            ])
            .args(["--disable-background-networking", "--blink-settings=preferredColorScheme=1"])
            .arg(format!("--user-data-dir={}", sandbox.path().join("profile").display()))
            .arg(format!("--window-size={SCREENSHOT_SIZE}"))
            .arg(format!("--screenshot={}", picture.display()))
            .arg(format!("file://{}", sandbox.path().join("report.html").display())),
    )?;
    fs::read(&picture).context("chromium wrote no screenshot")
}

/// Runs a command and returns its standard output.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{program} failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(output.stdout)
}

fn save(path: &str, content: &[u8], limit: usize) -> Result<()> {
    if content.len() > limit {
        bail!("{path} would have {} bytes, more than {limit}", content.len());
    }
    let file = root()?.join(path);
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    fs::write(&file, content).with_context(|| format!("cannot write {path}"))?;
    print_line(&format!("wrote {path}, {} bytes", content.len()));
    Ok(())
}
