//! `cargo xtask proto`: the messages and the service of prehog's wire, from their .proto file. Neither `protoc` nor
//! `buf` is needed: protox compiles the file, and connectrpc's generator reads the descriptor set that it makes.

use std::fs;

use anyhow::{Context as _, Result};

use crate::generate::{Generated, Mode, apply, root};

const INCLUDE: &str = "prehog/proto";
const FILE: &str = "prehog/v1alpha/tbot.proto";
const OUTPUT: &str = "prehog/src/wire/generated";

/// `cargo xtask proto [--check]`.
pub(crate) fn proto(mode: Mode) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let descriptors = folder.path().join("descriptors");
    let mut compiler = protox::Compiler::new([root().join(INCLUDE)])?;
    compiler.include_imports(true).include_source_info(true).open_file(FILE)?;
    fs::write(&descriptors, compiler.encode_file_descriptor_set())
        .context("cannot write the descriptor set")?;
    let output = folder.path().join("generated");
    fs::create_dir(&output).context("cannot make the folder of what is generated")?;
    connectrpc_build::Config::new()
        .descriptor_set(&descriptors)
        .files(&[FILE])
        .out_dir(&output)
        .emit_rerun_directives(false)
        .emit_register_fn(false)
        .gate_client_feature(true)
        .include_file("mod.rs")
        .compile()?;
    let mut files = Vec::new();
    for entry in fs::read_dir(&output)? {
        let entry = entry?;
        let content = fs::read_to_string(entry.path()).context("cannot read what was generated")?;
        files.push(Generated { path: format!("{OUTPUT}/{}", entry.file_name().to_string_lossy()), content });
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    apply(mode, "cargo xtask proto", &files)
}
