//! `tbot`: command line, environment, consent, telemetry's submission and preview, logs and exit status around the library.
//!
//! `main` gathers everything ambient (arguments, environment, standard streams, randomness) and passes it on. Only
//! this program can send telemetry; the library has no code for it.

mod cli;
mod configuration;
mod configure;
mod consent;
mod endpoint;
mod environment;
mod exit;
mod kube;
mod log;
mod migrate;
mod overrides;
mod pid_file;
mod preview;
mod request;
mod schema;
mod service;
mod start;
mod storage_uri;
mod submit;
mod telemetry;
mod tsh;
mod validate;

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal as _, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use cli::Command;
use environment::Environment;
use exit::Failure;
use tsh::Wrap;

/// Everything outside that a command may touch.
struct World<'a> {
    environment: Environment,
    input: &'a mut dyn Read,
    output: &'a mut dyn Write,
    errors: &'a mut dyn Write,
    colour: Colour,
    /// Makes a UUID v4 in its hyphenated form, a fresh one at each call.
    distinct_id: fn() -> String,
    /// This process's id.
    process_id: u32,
    /// Tells the path of this program.
    program: fn() -> io::Result<PathBuf>,
}

/// Whether a stream is coloured.
#[derive(Clone, Copy)]
struct Colour {
    output: bool,
    errors: bool,
}

impl Colour {
    /// Terminals, unless <https://no-color.org> or the terminal says otherwise.
    fn new(environment: &Environment, output: bool, errors: bool) -> Self {
        let plain = environment.raw("NO_COLOR").is_some()
            || environment.raw("TERM").is_some_and(|terminal| terminal == "dumb");
        Self { output: output && !plain, errors: errors && !plain }
    }
}

fn main() -> ExitCode {
    let environment = Environment::of_process();
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let colour = Colour::new(&environment, stdout.is_terminal(), stderr.is_terminal());
    let (mut input, mut output, mut errors) = (io::stdin(), BufWriter::new(stdout), stderr);
    let ended = run(
        std::env::args_os(),
        World {
            environment,
            input: &mut input,
            output: &mut output,
            errors: &mut errors,
            colour,
            distinct_id: || uuid::Uuid::new_v4().to_string(),
            process_id: std::process::id(),
            program: std::env::current_exe,
        },
    );
    exit::end(ended, &mut output, &mut errors)
}

fn run(arguments: impl IntoIterator<Item = OsString>, mut world: World<'_>) -> Result<(), Failure> {
    let cli = cli::parse(arguments)?;
    match &cli.command {
        Command::Start(run) => start::start(&cli.global, run, &mut world),
        Command::Configure(arguments) => configure::configure(&cli.global, arguments, &mut world),
        Command::Migrate(arguments) => migrate::migrate(&cli.global, arguments, &mut world),
        Command::Validate(arguments) => validate::validate(arguments, &mut world),
        Command::Proxy(wrapped) => tsh::become_tsh(Wrap::Proxy, &cli.global, wrapped, &world),
        Command::Db(wrapped) => tsh::become_tsh(Wrap::Db, &cli.global, wrapped, &world),
        Command::Kube { command } => kube::kube(command, &mut world),
        Command::Schema(arguments) => schema::schema(arguments, world.output),
        Command::Telemetry(arguments) => telemetry::telemetry(&cli.global, &arguments.command, &mut world),
        Command::Version => Ok(writeln!(world.output, "tbot {}", request::VERSION)?),
    }
}
