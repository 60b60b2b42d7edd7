//! `tbot schema`: prints an embedded JSON Schema, byte for byte as it is checked in.

use std::io::Write;

use tbot::{config, event};

use crate::cli::{SchemaArgs, SchemaName};
use crate::exit::Failure;

pub(crate) fn schema(SchemaArgs { name }: &SchemaArgs, stdout: &mut dyn Write) -> Result<(), Failure> {
    let schema = match name {
        SchemaName::Config => config::SCHEMA,
        SchemaName::ConfigV1 => config::SCHEMA_V1,
        SchemaName::Event => event::SCHEMA,
    };
    Ok(stdout.write_all(schema.as_bytes())?)
}
