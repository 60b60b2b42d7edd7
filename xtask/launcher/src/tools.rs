//! The tools that CI and the ignored tests need, one row per tool.

use crate::shell;

/// A tool.
pub struct Tool {
    /// The name, which may be that of a Debian package or a program.
    pub name: &'static str,
    /// What needs it.
    pub purpose: &'static str,
    /// A command that succeeds if the tool is present.
    pub check: &'static str,
    /// How to install it.
    pub source: Source,
}

/// How a tool is installed.
#[derive(Clone, Copy)]
pub enum Source {
    /// With apt-get: the names of packages.
    Debian(&'static str),
    /// With `cargo install`: this version of the crate that has the name of the tool, and further options. Another version counts as
    /// missing. These tools run for seconds, so that building them with optimizations would take longer than it saves; cargo-deb
    /// optimizes its compression in any build.
    Crate { version: &'static str, options: &'static str },
    /// With another command.
    Command(&'static str),
}

/// The compiler that every build needs.
pub const C_COMPILER: Tool = Tool {
    name: "C compiler",
    purpose: "every build: aws-lc and SQLite",
    check: "cc --version",
    source: Source::Debian("gcc libc6-dev"),
};

/// The program that makes the book of the documentation.
pub const MDBOOK: Tool = Tool {
    name: "mdbook",
    purpose: "the documentation as a book",
    check: "mdbook --version",
    source: Source::Crate { version: "0.5.4", options: "--no-default-features" },
};

/// The program that makes Debian packages. Its version determines their content.
pub const CARGO_DEB: Tool = Tool {
    name: "cargo-deb",
    purpose: "Debian packages",
    check: "cargo deb --version",
    source: Source::Crate { version: "3.8.0", options: "" },
};

/// All tools. Those that others are installed with come first.
pub static TOOLS: [Tool; 28] = [
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
        source: Source::Crate { version: "0.20.2", options: "" },
    },
    MDBOOK,
    CARGO_DEB,
    Tool {
        name: "promtool",
        purpose: "tests of alert rules",
        check: "promtool --version",
        source: Source::Debian("prometheus"),
    },
    Tool {
        name: "strace",
        purpose: "tests of system calls",
        // Also fails if the kernel does not permit it.
        check: "strace -o /dev/null true",
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
    /// Returns whether the tool is present, in the version that is needed.
    pub fn is_present(&self) -> bool {
        shell::output(self.check).is_some_and(|printed| self.is_version(&printed))
    }

    /// Returns whether the check of the tool has printed the version that is needed, if one is.
    fn is_version(&self, printed: &str) -> bool {
        let Source::Crate { version, .. } = self.source else { return true };
        printed.split_whitespace().any(|word| word.trim_start_matches('v') == version)
    }

    /// Returns the name, with the version if a certain one is needed.
    pub fn label(&self) -> String {
        match self.source {
            Source::Crate { version, .. } => format!("{} {version}", self.name),
            _ => self.name.to_owned(),
        }
    }

    /// Returns the packages, if the tool is installed with apt-get.
    pub const fn debian_packages(&self) -> Option<&'static str> {
        match self.source {
            Source::Debian(packages) => Some(packages),
            _ => None,
        }
    }

    /// Returns the command that installs the tool, unless it is installed with apt-get.
    pub fn install_command(&self) -> Option<String> {
        match self.source {
            Source::Debian(_) => None,
            Source::Crate { version, options } => Some(
                format!(
                    "cargo install --locked --debug --config profile.dev.debug=false {}@{version} {options}",
                    self.name
                )
                .trim_end()
                .to_owned(),
            ),
            Source::Command(command) => Some(command.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_of_a_crate_counts_as_missing() {
        for printed in ["0.5.4", "mdbook v0.5.4\n", "mdbook 0.5.4 (abc)"] {
            assert!(MDBOOK.is_version(printed), "{printed}");
        }
        for printed in ["", "mdbook v0.5.40", "mdbook 0.4.5", "10.5.4"] {
            assert!(!MDBOOK.is_version(printed), "{printed}");
        }
        assert!(C_COMPILER.is_version("any"));
        assert_eq!(CARGO_DEB.label(), "cargo-deb 3.8.0");
        let command = "cargo install --locked --debug --config profile.dev.debug=false cargo-deb@3.8.0";
        assert_eq!(CARGO_DEB.install_command().unwrap(), command);
    }
}
