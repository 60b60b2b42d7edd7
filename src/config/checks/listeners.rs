//! Checks that no two listeners have the same address. In oneshot mode, nothing listens.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::destination_key::Normalizer;
use super::findings::Findings;
use crate::config::address::ListenAddress;
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
    let mut first_uses = FirstUses::default();
    let normalizer = Normalizer(findings.options().process.as_ref());
    for (pointer, uri) in diag_addr.into_iter().chain(listeners) {
        let Some(uri) = uri.filter(is_fixed) else { continue };
        if let Some(first) = first_uses.insert(&uri, &pointer, &normalizer) {
            findings.report(
                Diagnostic::new(
                    Code::SameListener,
                    Target::Value(pointer),
                    "the agent already listens on this address, and can do so only once",
                )
                .with_related("this is the first use of the address", Target::Value(first))
                .with_help("use a different port or path for each"),
            );
        }
    }
}

/// The first listener at each address.
#[derive(Default)]
struct FirstUses {
    sockets: HashMap<String, Pointer>,
    ports: HashMap<u16, PortUses>,
}

/// The first listener at each host with one port.
#[derive(Default)]
struct PortUses {
    /// The first of all.
    any: Option<Pointer>,
    /// The first at all addresses of the machine.
    wildcard: Option<Pointer>,
    hosts: HashMap<Host, Pointer>,
}

#[derive(PartialEq, Eq, Hash)]
enum Host {
    Address(IpAddr),
    Name(String),
}

impl FirstUses {
    /// Adds a listener. Returns the first one that it conflicts with.
    fn insert(&mut self, uri: &ListenUri, pointer: &Pointer, normalizer: &Normalizer<'_>) -> Option<Pointer> {
        match uri {
            ListenUri::Unix(path) => {
                let path = normalizer.normalize(&path.to_string_lossy()).into_owned();
                insert_first(&mut self.sockets, path, pointer)
            }
            ListenUri::Tcp(address) => self.ports.entry(address.port()).or_default().insert(address, pointer),
        }
    }
}

impl PortUses {
    fn insert(&mut self, address: &ListenAddress, pointer: &Pointer) -> Option<Pointer> {
        let host = host(address);
        let is_wildcard = matches!(host, Host::Address(ip) if ip.is_unspecified());
        // Other systems than Linux let one listener have a single address, and another one all addresses.
        let all = if !cfg!(target_os = "linux") {
            None
        } else if is_wildcard {
            self.any.clone()
        } else {
            self.wildcard.clone()
        };
        self.any.get_or_insert_with(|| pointer.clone());
        if is_wildcard {
            self.wildcard.get_or_insert_with(|| pointer.clone());
        }
        insert_first(&mut self.hosts, host, pointer).or(all)
    }
}

/// Inserts a pointer, unless the map has one for the key, which is returned.
fn insert_first<K: Eq + Hash>(
    firsts: &mut HashMap<K, Pointer>,
    key: K,
    pointer: &Pointer,
) -> Option<Pointer> {
    match firsts.entry(key) {
        Entry::Occupied(first) => Some(first.get().clone()),
        Entry::Vacant(vacant) => {
            vacant.insert(pointer.clone());
            None
        }
    }
}

/// Returns the host in a form in which two can be compared. Without one, the agent listens on all addresses.
fn host(address: &ListenAddress) -> Host {
    match address.host().map(str::to_ascii_lowercase) {
        None => Host::Address(Ipv6Addr::UNSPECIFIED.into()),
        Some(name) if name == "localhost" => Host::Address(Ipv4Addr::LOCALHOST.into()),
        Some(name) => name.parse().map_or(Host::Name(name), Host::Address),
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
