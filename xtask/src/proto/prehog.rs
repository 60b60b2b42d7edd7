//! Messages and service of prehog: the `.proto` file, from the declarations of the event, and the code that connectrpc
//! generates from it.

mod messages;

use std::fs;
use std::path::Path;

use ::prehog::schema::EventSchema;
use anyhow::{Context as _, Result};
use tbot::event::internal::Rules;

use crate::generated::GeneratedFile;

/// The directory of `.proto` files, which imports are relative to.
const PROTO_DIRECTORY: &str = "prehog/proto";
const PROTO_FILE: &str = "prehog/v1alpha/tbot.proto";
pub(super) const OUTPUT: &str = "prehog/src/wire/generated";
const FIELD_READER: &str = "prehog/src/wire/start_fields.rs";

/// Returns the `.proto` file.
pub(crate) fn proto_file(schema: &EventSchema) -> Result<GeneratedFile> {
    let content = messages::proto_file(schema)?;
    Ok(GeneratedFile { path: format!("{PROTO_DIRECTORY}/{PROTO_FILE}"), content })
}

/// Returns the function that reads the fields of the event's message.
pub(super) fn field_reader(schema: &EventSchema) -> GeneratedFile {
    GeneratedFile { path: FIELD_READER.to_owned(), content: messages::field_reader(schema) }
}

/// Returns the schema of the event, from its Rust types.
pub(super) fn event_schema() -> Result<EventSchema> {
    Ok(EventSchema::new(&Rules::read(&tbot::event::internal::generate_schema())?)?)
}

/// Writes the code of a `.proto` file to `directory`.
pub(super) fn generate(proto: &str, directory: &Path) -> Result<()> {
    let temporary = tempfile::tempdir().context("cannot create a temporary directory")?;
    let source = temporary.path().join(PROTO_FILE);
    fs::create_dir_all(source.parent().unwrap_or(temporary.path()))
        .and_then(|()| fs::write(&source, proto))
        .context("cannot write the .proto file")?;
    let mut compiler = protox::Compiler::new([temporary.path()])?;
    compiler.include_imports(true).include_source_info(true).open_file(PROTO_FILE)?;
    let descriptors = temporary.path().join("descriptors");
    fs::write(&descriptors, compiler.encode_file_descriptor_set())
        .context("cannot write the descriptor set")?;
    connectrpc_build::Config::new()
        .descriptor_set(&descriptors)
        .files(&[PROTO_FILE])
        .out_dir(directory)
        .emit_rerun_directives(false)
        .emit_register_fn(false)
        .gate_client_feature(true)
        .include_file("mod.rs")
        .compile()?;
    Ok(())
}
