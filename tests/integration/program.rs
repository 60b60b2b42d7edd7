//! The program as a process: what it prints, how it exits, and what it sends.

#![expect(clippy::unwrap_used, reason = "a panic in a helper fails the test")]

mod anonymity;
mod blocked_streams;
mod bot_fixture;
mod bound_keypair;
mod canaries;
mod cloud;
mod command_line;
mod configure;
mod consent;
mod copy_binaries;
mod crash;
mod credentials;
mod directories;
mod distinct_id;
mod documentation;
mod environment;
mod explain;
mod fake_server;
mod fixture;
mod init;
mod inputs;
mod install;
mod limits;
mod log;
mod pid_file;
mod preview;
mod run_as_root;
mod server_tls;
mod service_manager;
mod services;
mod shells;
mod signals;
mod silence;
pub(crate) mod ssh;
mod submission;
mod system_calls;
mod telemetry_and_agent;
mod telemetry_times;
mod tunnels;
mod unsupported;
mod validate;
mod verdict;
mod wait;
mod workload_identity;
