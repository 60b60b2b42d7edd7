//! `tbot schema`: prints a schema that this program embeds, as it is checked in.

use std::io::Write;

use tbot::{config, event};

use crate::cli::{Schema, SchemaName};
use crate::exit::Failure;

pub(crate) fn schema(arguments: &Schema, output: &mut dyn Write) -> Result<(), Failure> {
    let text = match arguments.which {
        SchemaName::Config => config::schema::CONFIG,
        SchemaName::ConfigV1 => config::schema::CONFIG_V1,
        SchemaName::Event => event::SCHEMA,
    };
    Ok(output.write_all(text.as_bytes())?)
}
