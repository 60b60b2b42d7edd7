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

/// The first listeners with one port.
#[derive(Default)]
struct PortUses {
    /// The first one at any address of IPv4, of IPv6, and at a name, which may have both.
    any: [Option<Pointer>; 3],
    /// The first one at all addresses of IPv4, and at all addresses of the machine.
    wildcards: [Option<Pointer>; 2],
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
        let [v4, v6, name] = &mut self.any;
        let [all_of_v4, all] = &mut self.wildcards;
        let (own_any, own_wildcard, conflicts) = match &host {
            Host::Address(IpAddr::V4(ip)) if ip.is_unspecified() => {
                let conflicts = [v4.clone(), name.clone(), all.clone()];
                (v4, Some(all_of_v4), conflicts)
            }
            Host::Address(IpAddr::V6(ip)) if ip.is_unspecified() => {
                let conflicts = [v4.clone(), v6.clone(), name.clone()];
                (v6, Some(all), conflicts)
            }
            Host::Address(IpAddr::V4(_)) => {
                let conflicts = [all_of_v4.clone(), all.clone(), None];
                (v4, None, conflicts)
            }
            Host::Address(IpAddr::V6(_)) => (v6, None, [all.clone(), None, None]),
            Host::Name(_) => {
                let conflicts = [all_of_v4.clone(), all.clone(), None];
                (name, None, conflicts)
            }
        };
        own_any.get_or_insert_with(|| pointer.clone());
        if let Some(wildcard) = own_wildcard {
            wildcard.get_or_insert_with(|| pointer.clone());
        }
        // Other systems than Linux let one listener have a single address, and another one all addresses.
        let conflict = if cfg!(target_os = "linux") { conflicts.into_iter().flatten().next() } else { None };
        insert_first(&mut self.hosts, host, pointer).or(conflict)
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
