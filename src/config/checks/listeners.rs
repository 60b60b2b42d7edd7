//! Checks that no two listeners have the same address. In oneshot mode, nothing listens.

use std::collections::HashMap;

use super::findings::Findings;
use crate::config::listen_uri::ListenUri;
use crate::config::scalar::Location;
use crate::config::service::Service;
use crate::config::service_names::NamedService;
use crate::config::v2::Config;
use crate::diagnostic::{Code, Diagnostic, Target};
use crate::pointer::Pointer;

pub(super) fn check(config: &Config, services: &[NamedService<'_>], findings: &mut Findings<'_>) {
    if config.is_oneshot() {
        return;
    }
    let diag_addr = config
        .diag_addr
        .as_ref()
        .map(|address| (Pointer::root().key("diag_addr"), address.as_str().parse().ok().map(ListenUri::Tcp)));
    let listeners = services.iter().filter_map(|named| {
        let listen = listen(named.service)?;
        Some((named.pointer.key("listen"), listen.as_str().parse().ok()))
    });
    let mut first_uses: HashMap<String, Pointer> = HashMap::new();
    for (pointer, uri) in diag_addr.into_iter().chain(listeners) {
        let Some(uri) = uri.filter(is_fixed) else { continue };
        if let Some(first) = first_uses.get(&uri.to_string()) {
            findings.report(
                Diagnostic::new(
                    Code::SameListener,
                    Target::Value(pointer),
                    "the agent already listens on this address, and can do so only once",
                )
                .with_related("this is the first use of the address", Target::Value(first.clone()))
                .with_help("use a different port or path for each"),
            );
        } else {
            first_uses.insert(uri.to_string(), pointer);
        }
    }
}

/// Returns false if the system chooses the port.
fn is_fixed(uri: &ListenUri) -> bool {
    !matches!(uri, ListenUri::Tcp(address) if address.port() == 0)
}

fn listen(service: &Service) -> Option<&Location> {
    match service {
        Service::ApplicationTunnel(tunnel) => Some(&tunnel.listen),
        Service::ApplicationProxy(proxy) => Some(&proxy.listen),
        Service::DatabaseTunnel(tunnel) => Some(&tunnel.listen),
        Service::WorkloadIdentityApi(api) => Some(&api.listen),
        Service::SpiffeWorkloadApi(api) => Some(&api.listen),
        _ => None,
    }
}
