//! `cargo xtask setup`: installs the tools that CI and the ignored tests need.

use std::thread;

use anyhow::{Result, bail};
use xtask_launcher::tools::{C_COMPILER, Source, TOOLS, Tool};
use xtask_launcher::{print_line, shell};

/// Installs the tools that are missing.
///
/// # Errors
///
/// Returns an error if a tool is still missing afterwards.
pub(crate) fn install() -> Result<()> {
    let missing = print_missing();
    let packages: Vec<&str> = missing.iter().filter_map(|tool| tool.debian_packages()).collect();
    let install_packages = || match packages.as_slice() {
        [] => Ok(()),
        packages => install_debian_packages(&packages.join(" ")),
    };
    let (crates, others): (Vec<_>, Vec<_>) =
        missing.iter().copied().partition(|tool| matches!(tool.source, Source::Crate { .. }));
    if C_COMPILER.is_present() && is_root() {
        // The compiler needs the processor, and apt-get mostly the network and the disk. Nothing asks for a password.
        thread::scope(|scope| {
            let packages = scope.spawn(install_packages);
            let crates = run_install_commands(&crates);
            packages.join().unwrap_or_else(|_| bail!("the installation of packages failed"))?;
            crates
        })?;
    } else {
        install_packages()?;
        run_install_commands(&crates)?;
    }
    run_install_commands(&others)?;
    for tool in missing {
        if !tool.is_present() {
            bail!("{} is still missing: see `{}`", tool.label(), tool.check);
        }
    }
    Ok(())
}

fn run_install_commands(tools: &[&Tool]) -> Result<()> {
    for command in tools.iter().filter_map(|tool| tool.install_command()) {
        print_line(&format!("running {command}"));
        shell::run(&command)?;
    }
    Ok(())
}

/// Prints the tools, and checks that none is missing.
///
/// # Errors
///
/// Returns an error that lists what is missing.
pub(crate) fn check() -> Result<()> {
    fail_if_missing(&print_missing())
}

/// Checks that no tool is missing.
///
/// # Errors
///
/// Returns an error that lists what is missing.
pub(crate) fn require_all() -> Result<()> {
    fail_if_missing(&TOOLS.iter().filter(|tool| !tool.is_present()).collect::<Vec<_>>())
}

/// Checks that a tool is present.
///
/// # Errors
///
/// Returns an error if it is missing, which names the command that installs it.
pub(crate) fn require(tool: &Tool) -> Result<()> {
    if tool.is_present() { Ok(()) } else { fail_if_missing(&[tool]) }
}

fn fail_if_missing(missing: &[&Tool]) -> Result<()> {
    if !missing.is_empty() {
        let names: Vec<String> = missing.iter().map(|tool| tool.label()).collect();
        bail!("missing: {}; run `cargo xtask setup`", names.join(", "));
    }
    Ok(())
}

/// Warns if there is no C compiler, because the build would fail only after some time, and would not say what to do.
pub(crate) fn warn_without_c_compiler() {
    if !C_COMPILER.is_present() {
        print_line(
            "warning: there is no C compiler `cc`, which the build needs unless CC names another one;\n\
             run `cargo xtask setup`",
        );
    }
}

/// Prints for each tool whether it is present, and returns those that are missing.
fn print_missing() -> Vec<&'static Tool> {
    let mut missing = Vec::new();
    for tool in &TOOLS {
        let is_present = tool.is_present();
        let state = if is_present { "present" } else { "missing" };
        print_line(&format!("{state}  {:<17} {}", tool.label(), tool.purpose));
        if !is_present {
            missing.push(tool);
        }
    }
    missing
}

/// Returns whether this user can install packages.
fn is_root() -> bool {
    shell::succeeds("test -w /var/lib/dpkg")
}

fn install_debian_packages(packages: &str) -> Result<()> {
    if !shell::succeeds("apt-get --version") {
        bail!("there is no apt-get; install what these Debian packages contain: {packages}");
    }
    // sudo asks for a password if it needs one.
    let sudo = if is_root() { "" } else { "sudo " };
    print_line(&format!("running {sudo}apt-get install {packages}"));
    shell::run(&format!("{sudo}apt-get update -qq"))?;
    shell::run(&format!(
        "{sudo}env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends {packages}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(check: &'static str) -> Tool {
        Tool { name: "a tool", purpose: "a test", check, source: Source::Debian("a-package") }
    }

    #[test]
    fn the_error_for_a_missing_tool_says_how_to_install_it() {
        require(&tool("true")).unwrap();
        let error = require(&tool("false")).unwrap_err();
        assert_eq!(error.to_string(), "missing: a tool; run `cargo xtask setup`");
    }
}
