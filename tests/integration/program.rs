//! The program as a process: what it prints, how it ends, what it sends.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod cloud;
mod command_line;
mod configure;
mod consent;
mod credentials;
mod environment;
mod killed;
mod limits;
mod pid_file;
mod preview;
mod receiver;
mod run;
mod scene;
mod services;
mod signals;
mod silence;
mod submission;
mod unsupported;
mod validate;
mod whole_run;
mod workloads;
