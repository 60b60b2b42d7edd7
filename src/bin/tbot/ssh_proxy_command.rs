//! `tbot ssh-proxy-command`, which `ssh` runs for each connection: connects standard input and output to a host through the proxy.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use tbot::agent::Clock;
use tbot::agent::internal::{SshProxy, SshProxyError, SshTarget};
use tokio::runtime::Builder;

use crate::cli::{GlobalArgs, SshProxyCommandArgs};
use crate::context::Context;
use crate::exit::Failure;
use crate::output_commands::read_identity;
use crate::overrides::refuse_fips;

/// Runs until the host ends the connection. Nothing but the bytes of the connection is written to standard output.
pub(crate) fn ssh_proxy_command(
    global: &GlobalArgs,
    args: &SshProxyCommandArgs,
    cx: &Context<'_>,
) -> Result<(), Failure> {
    let SshProxyCommandArgs {
        destination_dir,
        proxy_server,
        cluster,
        user,
        host,
        port,
        tls_routing: _,
        no_tls_routing,
        connection_upgrade,
        no_connection_upgrade,
        resume: _,
        no_resume: _,
    } = args;
    refuse_fips(global)?;
    let proxy = read_identity(destination_dir, SshProxy::new)?;
    let target = SshTarget {
        proxy: proxy_server.clone(),
        tls_routing: !no_tls_routing,
        connection_upgrade: (*connection_upgrade || *no_connection_upgrade).then_some(*connection_upgrade),
        insecure: global.insecure,
        cluster: cluster.clone(),
        user: user.clone(),
        host: host.clone(),
        port: Some(*port).filter(|port| *port != 0),
    };
    let (input, mut output) = (unbuffered(io::stdin())?, unbuffered(io::stdout())?);
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::Process)?;
    let clock = Clock::system();
    let forwarded = runtime.block_on(proxy.forward(target, &cx.environment, &clock, input, &mut output));
    // A thread may still wait for input.
    runtime.shutdown_background();
    forwarded.map_err(|error| match error {
        SshProxyError::Output(error) => Failure::Output(error),
        error => Failure::SshProxy(error.into()),
    })
}

/// Returns a standard stream without the buffer of the standard library, which would hold back an incomplete line.
fn unbuffered(stream: impl AsFd) -> Result<tokio::fs::File, Failure> {
    let stream = stream.as_fd().try_clone_to_owned().map_err(Failure::Process)?;
    Ok(tokio::fs::File::from_std(File::from(stream)))
}
