//! `tbot migrate`: writes a file of version 1 as the version 2 that `tbot start` reads it as. Comments are lost.

use tbot::diagnostic::{Code, Format};

use crate::World;
use crate::cli::{Global, Migrate};
use crate::configuration::{Configuration, render_all};
use crate::configure::write;
use crate::exit::Failure;
use crate::telemetry::refuse;

pub(crate) fn migrate(global: &Global, arguments: &Migrate, world: &mut World<'_>) -> Result<(), Failure> {
    let (path, configuration) = Configuration::of_named_file(global, world)?;
    if arguments.written.output.as_ref() == Some(&path) {
        let message = "--output is the file to convert: name another, so that the old one is kept";
        return Err(Failure::Usage(message.to_owned()));
    }
    let Some(effective) = configuration.effective() else { return refuse(configuration, world) };
    if !configuration.has(Code::Version1) {
        return Err(Failure::Usage(format!("{} is of version 2 already", path.display())));
    }
    write("migrate", effective.value(), &arguments.written, world)?;
    world.output.flush()?;
    let rendered = render_all(&[configuration], Format::Human, world.colour.errors);
    writeln!(world.errors, "{}\nthe comments of the old file are not in the new one", rendered.text)?;
    Ok(())
}
