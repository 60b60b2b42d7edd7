//! How much one source may ask for: a count of requests a minute, and of connections at a time. Depends on std only, and
//! writes nothing down: of an address it keeps a count under a hash that no other process has, for a minute.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counters of sources. Two sources share one by accident; with so many of them that matters only in a flood.
const COUNTERS: usize = 1 << 16;

const WINDOW: Duration = Duration::from_secs(60);

/// Where requests come from: an IPv4 address, or the 64 bits of an IPv6 address that one customer has.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source([u8; 8]);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        let mut key = [0; 8];
        match address.to_canonical() {
            IpAddr::V4(address) => key[..4].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => key.copy_from_slice(&address.octets()[..8]),
        }
        Self(key)
    }
}

/// How often each source asks, within fixed windows of a minute. Its memory does not grow.
pub struct RateLimit {
    /// Requests a minute; 0 lets everything through.
    most: u32,
    secret: RandomState,
    begin: Instant,
    window: AtomicU64,
    counts: Box<[AtomicU32]>,
}

impl RateLimit {
    /// A limit of that many requests a minute; 0 for none.
    pub fn new(most: u32) -> Self {
        let counters = if most == 0 { 0 } else { COUNTERS };
        Self {
            most,
            secret: RandomState::new(),
            begin: Instant::now(),
            window: AtomicU64::new(0),
            counts: (0..counters).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// Counts one request; false where the source has had its share of this minute.
    pub fn allows(&self, source: Source) -> bool {
        self.allows_after(source, self.begin.elapsed())
    }

    fn allows_after(&self, source: Source, elapsed: Duration) -> bool {
        if self.most == 0 {
            return true;
        }
        let window = elapsed.as_secs() / WINDOW.as_secs();
        if self.window.swap(window, Ordering::Relaxed) != window {
            self.counts.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        }
        let hash = self.secret.hash_one(source);
        let slot = usize::try_from(hash % (COUNTERS as u64)).unwrap_or(0);
        // Saturates: a flood does not come around to zero.
        let more = |count: u32| (count < self.most).then_some(count + 1);
        self.counts[slot].fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// How many of something each source has at a time: connections, requests under way.
pub struct SourceLimit {
    most: u32,
    held: Mutex<HashMap<Source, u32>>,
}

impl SourceLimit {
    /// A limit of that many a source.
    pub fn new(most: u32) -> Arc<Self> {
        Arc::new(Self { most, held: Mutex::default() })
    }

    /// Takes one more, until what it returns is dropped; none where the source has its share.
    pub fn take(self: &Arc<Self>, source: Source) -> Option<Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(source).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Held { limit: Arc::clone(self), source })
    }
}

/// One that a source has.
pub struct Held {
    limit: Arc<SourceLimit>,
    source: Source,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.limit.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.source);
            }
        }
    }
}

/// Whose forwarding header is believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(pub Vec<IpAddr>);

impl TrustedProxies {
    /// Whether an address is one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|proxy| proxy.to_canonical() == address.to_canonical())
    }

    /// Where a request comes from: the peer, or, where that is a trusted proxy, the last address in `X-Forwarded-For`
    /// that is not one.
    pub fn origin<'a>(&self, peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'a str>) -> IpAddr {
        if !self.contain(peer) {
            return peer;
        }
        let mut origin = peer;
        for text in forwarded.rev().flat_map(|header| header.rsplit(',')) {
            let Ok(address) = text.trim().parse::<IpAddr>() else { return origin };
            origin = address;
            if !self.contain(address) {
                break;
            }
        }
        origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_source_has_its_share_of_each_minute() {
        let limit = RateLimit::new(2);
        let (one, other) = (source("192.0.2.1"), source("192.0.2.2"));
        let at = Duration::from_secs;
        assert!(limit.allows_after(one, at(1)) && limit.allows_after(one, at(2)));
        assert!(!limit.allows_after(one, at(59)));
        assert!(limit.allows_after(other, at(59)));
        assert!(limit.allows_after(one, at(60)));
        assert!((0..1000).all(|_| RateLimit::new(0).allows(one)));
    }

    #[test]
    fn a_customer_is_one_source() {
        assert!(source("2001:db8:1:2::1") == source("2001:db8:1:2:ffff::9"));
        assert!(source("2001:db8:1:2::1") != source("2001:db8:1:3::1"));
        assert!(source("::ffff:192.0.2.1") == source("192.0.2.1"));
    }

    #[test]
    fn connections_are_counted_while_they_are_open() {
        let limit = SourceLimit::new(1);
        let open = limit.take(source("192.0.2.1"));
        assert!(open.is_some() && limit.take(source("192.0.2.1")).is_none());
        assert!(limit.take(source("192.0.2.2")).is_some());
        drop(open);
        assert!(limit.take(source("192.0.2.1")).is_some());
        assert!(limit.held.lock().unwrap().is_empty());
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let proxies = TrustedProxies(vec![ip("10.0.0.1"), ip("10.0.0.2")]);
        let origin = |peer, headers: &[&str]| proxies.origin(ip(peer), headers.iter().copied());
        assert_eq!(origin("192.0.2.9", &["198.51.100.1"]), ip("192.0.2.9"));
        assert_eq!(origin("10.0.0.1", &["203.0.113.7, 198.51.100.1"]), ip("198.51.100.1"));
        assert_eq!(origin("10.0.0.1", &["198.51.100.1", "10.0.0.2"]), ip("198.51.100.1"));
        assert_eq!(origin("10.0.0.1", &[]), ip("10.0.0.1"));
        assert_eq!(origin("10.0.0.1", &["198.51.100.1, nonsense"]), ip("10.0.0.1"));
    }
}
