//! `cargo xtask proto`: Rust code of the messages and the service that prehog speaks, from their `.proto` file.
//!
//! Neither `protoc` nor `buf` is needed: protox compiles the file to a descriptor set, from which connectrpc generates code.

use std::fs;

use anyhow::{Context as _, Result};

use crate::generated::GeneratedFile;
use crate::workspace::root;

/// The directory that imports are relative to.
const INCLUDE: &str = "prehog/proto";
const PROTO_FILE: &str = "prehog/v1alpha/tbot.proto";
const OUTPUT: &str = "prehog/src/wire/generated";

/// Returns the files of `prehog/src/wire/generated/`. Intermediate files are written to a temporary directory.
pub(crate) fn generate() -> Result<Vec<GeneratedFile>> {
    let directory = tempfile::tempdir().context("cannot create a temporary directory")?;
    let descriptors = directory.path().join("descriptors");
    let mut compiler = protox::Compiler::new([root().join(INCLUDE)])?;
    compiler.include_imports(true).include_source_info(true).open_file(PROTO_FILE)?;
    fs::write(&descriptors, compiler.encode_file_descriptor_set())
        .context("cannot write the descriptor set")?;
    let output = directory.path().join("generated");
    fs::create_dir(&output).context("cannot create the directory for the generated code")?;
    connectrpc_build::Config::new()
        .descriptor_set(&descriptors)
        .files(&[PROTO_FILE])
        .out_dir(&output)
        .emit_rerun_directives(false)
        .emit_register_fn(false)
        .gate_client_feature(true)
        .include_file("mod.rs")
        .compile()?;
    let mut files = Vec::new();
    for entry in fs::read_dir(&output)? {
        let entry = entry?;
        let content = fs::read_to_string(entry.path()).context("cannot read the generated code")?;
        let path = format!("{OUTPUT}/{}", entry.file_name().to_string_lossy());
        files.push(GeneratedFile { path, content });
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}
