//! `tbot`: the command line, environment, telemetry, logs and exit status around the library.
//!
//! `main` collects the arguments, the environment, the standard streams and randomness, and passes them on. Only this
//! program can send telemetry; the library has no code for it.

mod cli;
mod command_line;
mod command_path;
mod completions;
mod configuration;
mod configure;
mod context;
mod destination_uri;
mod exit;
mod http_response;
mod log;
mod output_commands;
mod overrides;
mod pid_file;
mod schema;
mod service_overrides;
mod signals;
mod start;
mod telemetry;
mod validate;
mod wait;

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal as _};
use std::process::ExitCode;

use cli::Command;
use context::{Colour, Context, version_line};
use exit::Failure;
use output_commands::TshCommand;
use tbot::agent::Environment;

fn main() -> ExitCode {
    let environment = Environment::of_process();
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let colour = Colour::new(&environment, stdout.is_terminal(), stderr.is_terminal());
    let (mut stdin, mut stdout, mut stderr) = (io::stdin(), BufWriter::new(stdout), stderr);
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let command_path = std::env::current_exe().unwrap_or_else(|_| {
        command_path::from_name(arguments.first().map(OsString::as_os_str), &environment)
    });
    let result = run(
        arguments,
        Context {
            environment,
            stdin: &mut stdin,
            stdout: &mut stdout,
            stderr: &mut stderr,
            colour,
            new_distinct_id: || uuid::Uuid::new_v4().to_string(),
            process_id: std::process::id(),
            command_path,
            current_dir: std::env::current_dir,
        },
    );
    exit::finish(result, colour, &mut stdout, &mut stderr)
}

fn run(arguments: impl IntoIterator<Item = OsString>, mut cx: Context<'_>) -> Result<(), Failure> {
    let cli = command_line::parse(arguments)?;
    match &cli.command {
        Command::Start(args) => start::start(&cli.global, args, &mut cx),
        Command::Configure(args) => configure::configure(&cli.global, args, &mut cx),
        Command::Migrate(args) => configure::migrate(&cli.global, args, &mut cx),
        Command::Validate(args) => validate::validate(&cli.global, args, &mut cx),
        Command::Proxy(args) => output_commands::exec_tsh(TshCommand::Proxy, &cli.global, args, &cx),
        Command::Db(args) => output_commands::exec_tsh(TshCommand::Db, &cli.global, args, &cx),
        Command::Kube { command } => output_commands::kube(command, &mut cx),
        Command::Schema(args) => schema::schema(args, cx.stdout),
        Command::Telemetry(args) => telemetry::telemetry(&cli.global, &args.command, &mut cx),
        Command::Wait(args) => wait::wait(args),
        Command::Completions(args) => Ok(cx.stdout.write_all(args.shell.script().as_bytes())?),
        Command::Complete(args) => completions::complete(command_line::command(), &args.words, cx.stdout),
        Command::Version => Ok(writeln!(cx.stdout, "tbot {}", version_line())?),
    }
}
