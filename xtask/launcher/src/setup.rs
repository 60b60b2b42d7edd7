//! `cargo xtask setup`: the tools that CI and the ignored tests need, one row per tool.

use anyhow::{Result, bail};
use xtask_launcher::{print_line, shell};

/// A tool.
pub(crate) struct Tool {
    name: &'static str,
    /// What needs it.
    purpose: &'static str,
    /// A command that succeeds if the tool is present.
    check: &'static str,
    source: Source,
}

/// How a tool is installed.
#[derive(Clone, Copy)]
enum Source {
    /// With apt-get: the names of packages.
    Debian(&'static str),
    /// With another command.
    Command(&'static str),
}

const C_COMPILER: Tool = Tool {
    name: "C compiler",
    purpose: "every build: aws-lc and SQLite",
    check: "cc --version",
    source: Source::Debian("gcc libc6-dev"),
};

/// The program that makes the book of the documentation. Like cargo-deny, it runs for seconds, so that building it with optimizations
/// would take longer than it saves.
pub(crate) const MDBOOK: Tool = Tool {
    name: "mdbook",
    purpose: "the documentation as a book",
    check: "mdbook --version",
    source: Source::Command(
        "cargo install --locked --debug --config profile.dev.debug=false mdbook@0.5.4 --no-default-features",
    ),
};

/// All tools. Those that others are installed with come first.
const TOOLS: [Tool; 28] = [
    C_COMPILER,
    Tool {
        name: "rustfmt",
        purpose: "formatting",
        check: "cargo fmt --version",
        source: Source::Command("rustup component add rustfmt"),
    },
    Tool {
        name: "clippy",
        purpose: "lints",
        check: "cargo clippy --version",
        source: Source::Command("rustup component add clippy"),
    },
    Tool {
        name: "cargo-deny",
        purpose: "licences and sources of dependencies",
        check: "cargo deny --version",
        source: Source::Command(
            "cargo install --locked --debug --config profile.dev.debug=false cargo-deny@0.20.2",
        ),
    },
    MDBOOK,
    Tool {
        name: "cargo-deb",
        purpose: "Debian packages",
        check: "cargo deb --version",
        source: Source::Command("cargo install --locked cargo-deb@3.8.0"),
    },
    Tool {
        name: "promtool",
        purpose: "tests of alert rules",
        check: "promtool --version",
        source: Source::Debian("prometheus"),
    },
    Tool {
        name: "strace",
        purpose: "tests of system calls",
        check: "strace --version",
        source: Source::Debian("strace"),
    },
    Tool {
        name: "faketime",
        purpose: "the simulated week",
        check: "faketime --version",
        source: Source::Debian("faketime"),
    },
    Tool {
        name: "zsh",
        purpose: "tests of the completion in zsh",
        check: "zsh --version",
        source: Source::Debian("zsh"),
    },
    Tool {
        name: "fish",
        purpose: "tests of the completion in fish",
        check: "fish --version",
        source: Source::Debian("fish"),
    },
    Tool {
        name: "systemd",
        purpose: "tests of the systemd unit",
        check: "systemd-analyze --version",
        source: Source::Debian("systemd"),
    },
    Tool {
        name: "nspawn",
        purpose: "tests of the packages on a booted Debian",
        check: "systemd-nspawn --version",
        source: Source::Debian("systemd-container"),
    },
    Tool {
        name: "mmdebstrap",
        purpose: "tests of the packages on a booted Debian",
        check: "mmdebstrap --version",
        source: Source::Debian("mmdebstrap"),
    },
    Tool {
        name: "podman",
        purpose: "tests of the container images",
        check: "podman --version",
        source: Source::Debian("podman"),
    },
    Tool {
        name: "runc",
        purpose: "tests of the container images",
        check: "runc --version",
        source: Source::Debian("runc"),
    },
    Tool {
        name: "mandoc",
        purpose: "tests of the manual pages",
        check: "which mandoc",
        source: Source::Debian("mandoc"),
    },
    Tool {
        name: "chromium",
        purpose: "tests and pictures of prehog's report",
        check: "chromium --version",
        source: Source::Debian("chromium fonts-dejavu-core"),
    },
    Tool {
        name: "clickhouse",
        purpose: "tests of prehog's stores",
        check: "which clickhouse-server",
        source: Source::Debian("clickhouse-server"),
    },
    Tool {
        name: "zookeeper",
        purpose: "tests of prehog's store on a cluster",
        check: "java -cp /usr/share/java/zookeeper.jar org.apache.zookeeper.version.VersionInfoMain",
        source: Source::Debian("zookeeper"),
    },
    Tool {
        name: "postgresql",
        purpose: "tests of tunnels to a database",
        check: "psql --version",
        source: Source::Debian("postgresql"),
    },
    Tool {
        name: "openssh-server",
        purpose: "tests of SSH to a node",
        check: "test -x /usr/sbin/sshd",
        source: Source::Debian("openssh-server"),
    },
    Tool {
        name: "curl",
        purpose: "start of clickhouse",
        check: "curl --version",
        source: Source::Debian("curl"),
    },
    Tool {
        name: "node",
        purpose: "tests of the schemas in editors",
        check: "node --version",
        source: Source::Debian("nodejs"),
    },
    Tool {
        name: "npm",
        purpose: "installation of editor tools",
        check: "npm --version",
        source: Source::Debian("npm"),
    },
    Tool {
        name: "python3-venv",
        purpose: "installation of editor tools and of chdb",
        check: "python3 -c __import__('ensurepip')",
        source: Source::Debian("python3-venv"),
    },
    Tool {
        name: "editor tools",
        purpose: "tests of the schemas in editors",
        check: "test -e target/editors/installed",
        source: Source::Command(".ci/editors true"),
    },
    Tool {
        name: "chdb",
        purpose: "tests of prehog's stores on a current ClickHouse",
        check: "test -e target/chdb/installed",
        source: Source::Command(".ci/chdb true"),
    },
];

impl Tool {
    fn is_present(&self) -> bool {
        shell::succeeds(self.check)
    }
}

/// Installs the tools that are missing.
///
/// # Errors
///
/// Returns an error if a tool is still missing afterwards.
pub(crate) fn install() -> Result<()> {
    let missing = print_missing();
    let packages: Vec<&str> = missing.iter().filter_map(|tool| tool.source.debian_packages()).collect();
    if !packages.is_empty() {
        install_debian_packages(&packages.join(" "))?;
    }
    for tool in missing {
        if let Source::Command(command) = tool.source {
            print_line(&format!("running {command}"));
            shell::run(command)?;
        }
        if !tool.is_present() {
            bail!("{} is still missing: `{}` fails", tool.name, tool.check);
        }
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
        let names: Vec<&str> = missing.iter().map(|tool| tool.name).collect();
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
        print_line(&format!("{state}  {:<13} {}", tool.name, tool.purpose));
        if !is_present {
            missing.push(tool);
        }
    }
    missing
}

impl Source {
    fn debian_packages(self) -> Option<&'static str> {
        match self {
            Self::Debian(packages) => Some(packages),
            Self::Command(_) => None,
        }
    }
}

fn install_debian_packages(packages: &str) -> Result<()> {
    if !shell::succeeds("apt-get --version") {
        bail!("there is no apt-get; install what these Debian packages contain: {packages}");
    }
    // Without root, sudo asks for a password if it needs one.
    let sudo = if shell::succeeds("test -w /var/lib/dpkg") { "" } else { "sudo " };
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
