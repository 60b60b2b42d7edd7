//! `tbot proxy` and `tbot db`: become `tsh` with an output's credentials. Nothing is left of this program, so signals,
//! input and the exit status are those of `tsh`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::World;
use crate::cli::{Global, Wrapped};
use crate::exit::Failure;
use crate::kube::identity;

/// Which command of `tsh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrap {
    Proxy,
    Db,
}

/// Where `tsh` finds what it would have fetched by a login.
const VIRTUAL_PATHS: [(&str, &str); 6] = [
    ("TSH_VIRTUAL_PATH_KEY", "key"),
    ("TSH_VIRTUAL_PATH_DB", "tlscert"),
    ("TSH_VIRTUAL_PATH_APP", "tlscert"),
    ("TSH_VIRTUAL_PATH_CA_USER", "teleport-user-ca.crt"),
    ("TSH_VIRTUAL_PATH_CA_HOST", "teleport-host-ca.crt"),
    ("TSH_VIRTUAL_PATH_CA_DB", "teleport-database-ca.crt"),
];

/// Returns only when `tsh` cannot be run.
pub(crate) fn become_tsh(
    wrap: Wrap,
    global: &Global,
    wrapped: &Wrapped,
    world: &World<'_>,
) -> Result<(), Failure> {
    let program = world.environment.raw("TSH").unwrap_or_else(|| "tsh".as_ref()).to_owned();
    let proxy = match &wrapped.proxy_server {
        Some(proxy) => proxy.clone(),
        None => world.environment.text("TELEPORT_PROXY")?.map(str::to_owned).ok_or_else(|| {
            Failure::Usage("no proxy: set --proxy-server or TELEPORT_PROXY to its web address".to_owned())
        })?,
    };
    let folder = &wrapped.destination_dir;
    // Read even where nothing of it is needed: what tsh says of a missing file helps nobody.
    let identity = identity(folder)?;
    let cluster = match (&wrapped.cluster, wrap) {
        (Some(cluster), _) => Some(cluster.clone()),
        (None, Wrap::Db) if !names_cluster(&wrapped.arguments) => {
            identity.route_to_cluster().map(str::to_owned)
        }
        (None, _) => None,
    };
    let error = Command::new(&program)
        .args(arguments(wrap, global.debug, folder, &proxy, cluster.as_deref()))
        .args(&wrapped.arguments)
        .envs(VIRTUAL_PATHS.map(|(name, file)| (name, folder.join(file))))
        .exec();
    Err(Failure::Tsh { program: Path::new(&program).display().to_string(), error })
}

fn names_cluster(arguments: &[OsString]) -> bool {
    let mut words = arguments.iter().filter_map(|argument| argument.to_str());
    words.any(|word| word == "--cluster" || word.starts_with("--cluster="))
}

fn arguments(wrap: Wrap, debug: bool, folder: &Path, proxy: &str, cluster: Option<&str>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    if debug {
        arguments.push("-d".into());
    }
    arguments.push("-i".into());
    arguments.push(folder.join("identity").into());
    arguments.push(match wrap {
        Wrap::Proxy => "proxy".into(),
        Wrap::Db => "db".into(),
    });
    arguments.push(format!("--proxy={proxy}").into());
    arguments.extend(cluster.map(|cluster| OsString::from(format!("--cluster={cluster}"))));
    arguments
}
