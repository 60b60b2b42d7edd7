//! `tbot copy-binaries`: copies this program to a directory, for an init container that has no shell and no `cp`.

use std::fs;

use crate::cli::CopyBinariesArgs;
use crate::context::Context;
use crate::exit::Failure;
use crate::replace_file::replace_file;

pub(crate) fn copy_binaries(
    CopyBinariesArgs { directory, include_fdpass }: &CopyBinariesArgs,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    let unreadable = |source| Failure::Unreadable { name: cx.command_path.display().to_string(), source };
    let program = fs::read(&cx.command_path).map_err(unreadable)?;
    let copy = directory.join("tbot");
    let name = copy.display().to_string();
    replace_file(&copy, &program, 0o755).map_err(|source| Failure::Unwritable { name, source })?;
    if *include_fdpass {
        let note =
            "note: there is no fdpass-teleport to copy: the ssh_config files of this agent run tbot itself";
        writeln!(cx.stderr, "{note}")?;
    }
    Ok(())
}
