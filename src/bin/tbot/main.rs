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
mod copy_binaries;
mod deferred_errors;
mod destination_uri;
mod directory_output;
mod exit;
mod explain;
mod flag_value;
mod http_response;
mod init;
mod install;
mod keypair;
mod log;
mod output_commands;
mod overrides;
mod pid_file;
mod replace_file;
mod schema;
mod service_manager;
mod service_overrides;
mod signals;
mod ssh_proxy_command;
mod start;
mod systemd_unit;
mod telemetry;
mod terminal;
mod validate;
mod wait;

use std::ffi::OsString;
use std::io::{self, BufWriter};
use std::process::ExitCode;

use cli::{Cli, ColourChoice, Command, CompleteArgs, CompletionsArgs};
use context::{Context, version_line};
use deferred_errors::DeferredErrors;
use exit::{Colours, Failure};
use output_commands::TshCommand;
use tbot::agent::Environment;
use terminal::{OutputStream, OutputStreams};

fn main() -> ExitCode {
    let environment = Environment::of_process();
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let streams = OutputStreams { stdout: OutputStream::new(&stdout), stderr: OutputStream::new(&stderr) };
    let mut stdin = io::stdin();
    let (mut stdout, mut stderr) = (DeferredErrors::new(BufWriter::new(stdout)), DeferredErrors::new(stderr));
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let command_path = std::env::current_exe().unwrap_or_else(|_| {
        command_path::from_name(arguments.first().map(OsString::as_os_str), &environment)
    });
    let mut cx = Context {
        environment,
        stdin: &mut stdin,
        stdout: &mut stdout,
        stderr: &mut stderr,
        streams,
        colour: ColourChoice::Auto,
        random_bytes: telemetry::random_bytes,
        process_id: std::process::id(),
        monotonic_time: service_manager::monotonic_time,
        command_path,
        current_dir: std::env::current_dir,
    };
    let result = run(arguments, &mut cx);
    let colours = Colours { stdout: cx.stdout_terminal().colour, stderr: cx.stderr_terminal().colour };
    exit::finish(result, colours, cx.stdout, cx.stderr)
}

fn run(arguments: impl IntoIterator<Item = OsString>, cx: &mut Context<'_>) -> Result<(), Failure> {
    let Cli { global, command } = command_line::parse(arguments)?;
    cx.colour = global.color;
    match &command {
        Command::Start(args) => start::start(&global, args, cx),
        Command::Configure(args) => configure::configure(&global, args, cx),
        Command::Migrate(args) => configure::migrate(&global, args, cx),
        Command::Validate(args) => validate::validate(&global, args, cx),
        Command::Explain(args) => explain::explain(args, cx),
        Command::Proxy(args) => output_commands::exec_tsh(TshCommand::Proxy, &global, args, cx),
        Command::Db(args) => output_commands::exec_tsh(TshCommand::Db, &global, args, cx),
        Command::Kube { command } => output_commands::kube(command, cx),
        Command::SshProxy(args) => ssh_proxy_command::ssh_proxy_command(&global, args, cx),
        Command::Schema(args) => schema::schema(args, cx.stdout),
        Command::Telemetry(args) => telemetry::telemetry(&global, &args.command, cx),
        Command::Keypair(args) => keypair::keypair(&global, &args.command, cx),
        Command::Init(args) => init::init(&global, args, cx),
        Command::Install(args) => install::install(&global, &args.command, cx),
        Command::CopyBinaries(args) => copy_binaries::copy_binaries(args, cx),
        Command::Wait(args) => wait::wait(args),
        Command::Completions(CompletionsArgs { shell }) => {
            Ok(cx.stdout.write_all(shell.script().as_bytes())?)
        }
        Command::Complete(CompleteArgs { words }) => {
            completions::complete(command_line::command(), words, cx.stdout)
        }
        Command::Version => Ok(writeln!(cx.stdout, "tbot {}", version_line())?),
    }
}
