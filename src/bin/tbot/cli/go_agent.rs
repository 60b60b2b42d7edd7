//! The commands and flags of Teleport's `tbot`, the Go agent, that this program does not have.

/// Each missing command or flag, and what to do instead. The row of a command also applies to its subcommands and flags.
pub(crate) const MISSING: &[(&str, &str)] = &[
    (
        "tpm",
        "print the hash of a TPM with the Go agent; this agent joins only without a TPM, for example with the method `token`",
    ),
    ("spiffe-inspect", "inspect a Workload API with `spire-agent api fetch x509 -socketPath PATH`"),
    ("--proxy-templates", "name each host in full: `NODE.CLUSTER`"),
    (
        "ssh-multiplexer-proxy-command",
        "the `ssh_config` that runs it is from the Go agent: use the one of a service of type `identity`",
    ),
    ("--diag-socket-for-updater", "use `--diag-addr`, and check the health of the agent at that address"),
    ("--diag-addr-for-updater", "use `--diag-addr`, and check the health of the agent at that address"),
    ("--trace", "use `--debug` to see more of what the agent does"),
    ("--trace-exporter", "use `--debug` to see more of what the agent does"),
    ("--cpu-profile", "it is for Go programs; use `perf record`"),
    ("--mem-profile", "it is for Go programs; use `heaptrack`"),
    ("--trace-profile", "it is for Go programs; use `perf trace`"),
    ("--help-long", "use `tbot COMMAND --help`"),
    ("--help-man", "use the pages in `docs/man`"),
    ("--completion-bash", "use the script of `tbot completions bash`"),
    ("--completion-script-bash", "use `tbot completions bash`"),
    ("--completion-script-zsh", "use `tbot completions zsh`"),
];
