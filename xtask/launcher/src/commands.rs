//! The table of commands: one row per command.

/// A command of `cargo xtask`.
pub struct Command {
    /// The name on the command line.
    pub name: &'static str,
    /// The arguments, as the help shows them.
    pub arguments: &'static str,
    /// One line for the list of commands.
    pub summary: &'static str,
    /// Further lines for the help of the command.
    pub details: &'static str,
    /// What the command runs.
    pub action: Action,
}

/// What a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Install tools. The launcher does this itself.
    Setup,
    /// Build the documentation as a book. The launcher does this itself.
    Book,
    /// Run the steps of CI. The launcher does this itself.
    Ci,
    /// Run fuzz tests with libFuzzer. The launcher does this itself.
    Fuzz,
    /// Run a task of the package `xtask`.
    Task(Task),
}

/// A task of the package `xtask`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Run `tbot` and `prehog` against a development cluster.
    Demo,
    /// Send or store simulated events.
    Load,
    /// Make the pictures of the documentation.
    Pictures,
    /// Generate the schemas.
    Schema,
    /// Generate pages of the documentation.
    Docs,
    /// Generate protobuf code.
    Proto,
    /// Check the claims of the product.
    Prove,
    /// List what a program consists of.
    Sbom,
    /// Make archives and packages.
    Dist,
    /// Build twice and compare.
    Reproduce,
    /// Run `tbot` and `prehog` for a simulated week.
    Week,
}

const GENERATOR_DETAILS: &str =
    "Generated files are checked in. With --check, nothing is written: the command
fails and prints a diff if a file is out of date.";

/// All commands, in the order of the help.
pub const COMMANDS: [Command; 15] = [
    Command {
        name: "demo",
        arguments: "[--keep] [--no-consent]",
        summary: "show what tbot and prehog do, step by step",
        details: "Runs tbot against a development cluster, and shows the event that it sent, the
source of each value, the files that it wrote, and prehog's report. Everything
listens on loopback, and is removed at the end or on Ctrl-C.

  --keep         leave everything running until Ctrl-C, and serve a report
  --no-consent   run without consent to telemetry: nothing is sent",
        action: Action::Task(Task::Demo),
    },
    Command {
        name: "setup",
        arguments: "[--check]",
        summary: "install the tools that CI and the ignored tests need",
        details: "Lists the tools and installs the missing ones: Debian packages with apt-get,
which needs root or sudo, and the others with rustup, cargo, npm and pip.

  --check   install nothing; fail if a tool is missing",
        action: Action::Setup,
    },
    Command {
        name: "ci",
        arguments: "[--fast]",
        summary: "run everything that CI runs, including all tests",
        details: "Prints each step as a command that can be run alone, and stops at the first
failure.

  --fast   only formatting, lints, generated files, paths and layers: under a
           minute, once everything is built",
        action: Action::Ci,
    },
    Command {
        name: "schema",
        arguments: "[--check]",
        summary: "generate schema/ from the Rust types",
        details: GENERATOR_DETAILS,
        action: Action::Task(Task::Schema),
    },
    Command {
        name: "docs",
        arguments: "[--check]",
        summary: "generate the pages, man pages and completions in docs/",
        details: GENERATOR_DETAILS,
        action: Action::Task(Task::Docs),
    },
    Command {
        name: "book",
        arguments: "[--open]",
        summary: "build the documentation as a book",
        details: "Needs mdBook, which `cargo xtask setup` installs. Prints the path of the first
page.

  --open   also open the book in a browser",
        action: Action::Book,
    },
    Command {
        name: "proto",
        arguments: "[--check]",
        summary: "generate prehog's .proto file, and Rust code from all .proto files",
        details: GENERATOR_DETAILS,
        action: Action::Task(Task::Proto),
    },
    Command {
        name: "load",
        arguments: "[--to ADDRESS | --fill sqlite:PATH] [--events N] ...",
        summary: "send simulated events to prehog, or fill a store with them",
        details: "Without --fill, sends events to a running prehog, and prints how fast it stored
them.

  --to ADDRESS         address of prehog [default: 127.0.0.1:8337]
  --fill sqlite:PATH   add events of the last 12 complete weeks to a store
  --events N           number of events [default: 100000]
  --connections N      number of connections [default: 32]
  --rate N             events per second [default: as many as possible]
  --seed N             seed of the random values [default: 1]",
        action: Action::Task(Task::Load),
    },
    Command {
        name: "prove",
        arguments: "[--full] [WORD]...",
        summary: "check every claim of docs/proofs.md, and print a table",
        details: "Runs the tests behind each claim, and prints their figures. Fails if one fails,
if a command or a filter runs no test, or if a check is not run because it needs
root or a program that is missing (docs/proofs.md). `cargo xtask setup` installs
the programs.

  --full   run the long versions: more random cases and kills, some hours; also
           mutants, which need cargo-mutants (docs/proofs.md)
  WORD     only the checks whose name or claim contains it, such as durability,
           killed, space, inodes, descriptors, clock, outage, week, input or
           mutants",
        action: Action::Task(Task::Prove),
    },
    Command {
        name: "fuzz",
        arguments: "[--executions N] [TEST]...",
        summary: "run the fuzz tests with inputs that reach new code",
        details: "Builds the fuzz tests with coverage counters and libFuzzer, which mutates the
inputs that reach new code, and prints how much they reach. The inputs found
are kept in target/fuzz, and a further run goes on from them. An input that
fails is printed as a line for tests/fuzz/corpus. Needs a C++ compiler.

  --executions N   calls of each test [default: 1500000]
  TEST             agent-environment, configuration, prehog-requests,
                   server-replies, telemetry-environment, telemetry-response,
                   web-socket or yaml [default: all]",
        action: Action::Fuzz,
    },
    Command {
        name: "week",
        arguments: "[--short]",
        summary: "run tbot and prehog for a week of simulated time",
        details: "Runs both programs against a development cluster while the time leaps forward
whenever nothing happens, with restarts, a rotation, outages and a full disk.
Prints what happened on each day, and fails if something did not hold. Needs
root, to mount small file systems, and libfaketime, which `cargo xtask setup`
installs.

  --short   two days with a little of everything, as in CI",
        action: Action::Task(Task::Week),
    },
    Command {
        name: "sbom",
        arguments: "[tbot | prehog]",
        summary: "list the crates that a program consists of (CycloneDX)",
        details: "Prints a software bill of materials as CycloneDX 1.6 in JSON: the crates that
are linked into the program on this platform, with versions, licences and the
checksums of Cargo.lock. It contains no time and no random number, so it is the
same for the same Cargo.lock.",
        action: Action::Task(Task::Sbom),
    },
    Command {
        name: "dist",
        arguments: "[--binaries DIR] [--target TARGET] [--output DIR] ...",
        summary: "make archives and Debian packages of tbot and prehog",
        details: "Builds both programs, and writes for each an archive, a Debian package and a
bill of materials, and SHA256SUMS of all in the directory, also for other
platforms. The same commit, compiler and tools give the same files. Needs
cargo-deb in the version that `cargo xtask setup` installs, and dpkg.

  --binaries DIR    pack the programs in this directory instead of building them
  --target TARGET   aarch64-unknown-linux-gnu or x86_64-unknown-linux-gnu
                    [default: the platform of this machine]
  --output DIR      a directory without packages of another version
                    [default: target/dist]
  --maintainer \"NAME <ADDRESS>\"
                    the contact in the Debian packages, which is required to
                    publish them; otherwise, they say that nobody maintains them
                    [default: Unpublished build <root@localhost>]",
        action: Action::Task(Task::Dist),
    },
    Command {
        name: "reproduce",
        arguments: "[--dev] [tbot] [prehog]",
        summary: "build the programs twice, and compare the binaries",
        details: "Copies the checkout to two directories, builds the release binaries in each, and
fails if they differ. Without names, builds both programs, which takes some ten
minutes.

  --dev   compare builds without optimizations",
        action: Action::Task(Task::Reproduce),
    },
    Command {
        name: "pictures",
        arguments: "",
        summary: "make the pictures in docs/pictures/ from a real run",
        details: "Needs chromium and script. Writes docs/pictures/terminal.svg, a recorded
terminal, and docs/pictures/report.png, a screenshot of prehog's report of
simulated events.",
        action: Action::Task(Task::Pictures),
    },
];

/// Returns the command with this name.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}
