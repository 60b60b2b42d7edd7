//! The commands of `cargo xtask`.
//!
//! `cargo xtask` runs the program of this package, which builds in seconds. It prints help, installs tools and runs the steps
//! of CI itself. For the other commands, it builds the package `xtask`, which depends on everything in this repository, and
//! replaces itself with it.

mod commands;
mod root;
pub mod shell;
mod terminal;
pub mod tools;

pub use commands::{Action, COMMANDS, Command, Task, find};
pub use root::root;
pub use terminal::{bold, print_line};
