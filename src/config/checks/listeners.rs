//! Checks that no two listeners have the same address. In oneshot mode, nothing listens.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::destination_key::Normalizer;
use super::findings::Findings;
use crate::config::address::ListenAddress;
use crate::config::listen_uri::ListenUri;
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
        let listen = named.service.listen()?;
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

/// The first listener in each scope.
#[derive(Default)]
struct FirstUses(HashMap<Scope, Pointer>);

/// What a listener occupies: a socket file, a host and port, or one port of several hosts.
#[derive(PartialEq, Eq, Hash)]
enum Scope {
    Socket(String),
    Host(u16, Host),
    /// All listeners with a port whose hosts are of one kind.
    AnyHost(u16, HostKind),
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Host {
    Address(IpAddr),
    Name(String),
}

#[derive(PartialEq, Eq, Hash)]
enum HostKind {
    V4,
    V6,
    /// It may have addresses of both kinds.
    Name,
}

const ALL_V4: Host = Host::Address(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
/// All addresses of the machine.
const ALL: Host = Host::Address(IpAddr::V6(Ipv6Addr::UNSPECIFIED));

impl Host {
    fn kind(&self) -> HostKind {
        match self {
            Self::Address(IpAddr::V4(_)) => HostKind::V4,
            Self::Address(IpAddr::V6(_)) => HostKind::V6,
            Self::Name(_) => HostKind::Name,
        }
    }

    /// Returns the other scopes with the same port in which a listener conflicts with one at this host.
    fn conflicting_scopes(&self, port: u16) -> Vec<Scope> {
        // Other systems than Linux let one listener have a single address, and another one all addresses.
        if !cfg!(target_os = "linux") {
            return Vec::new();
        }
        let any = |kind| Scope::AnyHost(port, kind);
        let at = |host| Scope::Host(port, host);
        match self {
            host if *host == ALL => vec![any(HostKind::V4), any(HostKind::V6), any(HostKind::Name)],
            host if *host == ALL_V4 => vec![any(HostKind::V4), any(HostKind::Name), at(ALL)],
            Self::Address(IpAddr::V6(_)) => vec![at(ALL)],
            Self::Address(IpAddr::V4(_)) | Self::Name(_) => vec![at(ALL_V4), at(ALL)],
        }
    }
}

impl FirstUses {
    /// Adds a listener. Returns the first one that it conflicts with.
    fn insert(&mut self, uri: &ListenUri, pointer: &Pointer, normalizer: &Normalizer<'_>) -> Option<Pointer> {
        let (scopes, conflicting) = match uri {
            ListenUri::Unix(path) => {
                let path = normalizer.normalize(&path.to_string_lossy()).into_owned();
                (vec![Scope::Socket(path)], Vec::new())
            }
            ListenUri::Tcp(address) => {
                let (port, host) = (address.port(), host(address));
                let conflicting = host.conflicting_scopes(port);
                (vec![Scope::Host(port, host.clone()), Scope::AnyHost(port, host.kind())], conflicting)
            }
        };
        let same = scopes.first();
        let first = same.into_iter().chain(&conflicting).find_map(|scope| self.0.get(scope).cloned());
        for scope in scopes {
            self.0.entry(scope).or_insert_with(|| pointer.clone());
        }
        first
    }
}

/// Returns the normalised host. An address without a host means all addresses.
fn host(address: &ListenAddress) -> Host {
    match address.host().map(str::to_ascii_lowercase) {
        None => ALL,
        Some(name) if name == "localhost" => Host::Address(Ipv4Addr::LOCALHOST.into()),
        Some(name) => name.parse().map_or(Host::Name(name), Host::Address),
    }
}

/// Returns false if the system chooses the port.
fn is_fixed(uri: &ListenUri) -> bool {
    !matches!(uri, ListenUri::Tcp(address) if address.port() == 0)
}
