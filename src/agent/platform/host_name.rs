//! The name of this machine.

/// Returns the host name that the kernel knows.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
