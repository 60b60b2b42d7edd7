//! `cargo xtask proto`: prehog's `.proto` file, from the declarations of the event, and the Rust code of its messages and of
//! those of Teleport's APIs, from their `.proto` files.
//!
//! Neither `protoc` nor `buf` is needed: protox compiles the files to descriptors, from which code is generated.

pub(crate) mod prehog;
mod teleport;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::generated::GeneratedFile;

/// Returns all generated files. Intermediate files are written to a temporary directory.
pub(crate) fn generate() -> Result<Vec<GeneratedFile>> {
    let event_schema = prehog::event_schema()?;
    let proto = prehog::proto_file(&event_schema)?;
    let mut files =
        generate_in_directory(prehog::OUTPUT, |directory| prehog::generate(&proto.content, directory))?;
    files.push(proto);
    files.push(prehog::field_reader(&event_schema));
    let teleport_apis = teleport::compile()?;
    files.extend(generate_in_directory(teleport::AGENT_OUTPUT, |directory| {
        teleport::generate_for_agent(&teleport_apis, directory)
    })?);
    files.extend(generate_in_directory(teleport::CLUSTER_OUTPUT, |directory| {
        teleport::generate_for_cluster(&teleport_apis, directory)
    })?);
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

/// Returns the files that `generate` writes to an empty directory, as files of the directory `output` of the repository.
fn generate_in_directory(
    output: &str,
    generate: impl FnOnce(&Path) -> Result<()>,
) -> Result<Vec<GeneratedFile>> {
    let directory = tempfile::tempdir().context("cannot create a temporary directory")?;
    generate(directory.path())?;
    let mut files = Vec::new();
    for entry in fs::read_dir(directory.path())? {
        let entry = entry?;
        let content = fs::read_to_string(entry.path()).context("cannot read the generated code")?;
        files.push(GeneratedFile {
            path: format!("{output}/{}", entry.file_name().to_string_lossy()),
            content,
        });
    }
    Ok(files)
}
