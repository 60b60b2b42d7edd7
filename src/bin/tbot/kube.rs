//! `tbot kube credentials`: what the kubeconfig of an output runs. Reads the output's `identity` file anew each time, so
//! that a renewal reaches whoever asks next. Depends on the library's reader of that file.

use std::fs;
use std::path::Path;

use tbot::agent::{Clock, IdentityFile};

use crate::World;
use crate::cli::KubeCommand;
use crate::exit::Failure;

pub(crate) fn kube(command: &KubeCommand, world: &mut World<'_>) -> Result<(), Failure> {
    let KubeCommand::Credentials { destination_dir } = command;
    let identity = identity(destination_dir)?;
    Ok(writeln!(world.output, "{}", identity.exec_credential(&Clock::system()))?)
}

/// The `identity` file of an output's directory.
pub(crate) fn identity(folder: &Path) -> Result<IdentityFile, Failure> {
    let path = folder.join("identity");
    let text = fs::read_to_string(&path)
        .map_err(|source| Failure::Unreadable { name: path.display().to_string(), source })?;
    IdentityFile::parse(&text).map_err(|error| Failure::Identity { path, error })
}
