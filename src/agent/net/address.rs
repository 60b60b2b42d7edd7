//! Recognises URLs of this machine.

use url::{Host, Url};

/// Returns true if the host of `url` is this machine: 127.0.0.0/8, `::1` or `localhost`.
#[must_use]
pub fn is_loopback_url(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
