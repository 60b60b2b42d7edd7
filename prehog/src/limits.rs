//! Limits per client: requests per minute, and connections or requests at a time. Depends on std only. Nothing is written
//! to disk. For the rate, only counts are kept: in memory, for at most two minutes, under a hash of the address with a key that is
//! random for every process.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The number of rate counters. Clients whose hashes collide share one, which is rare with so many.
const COUNTERS: usize = 1 << 16;

/// The time for which requests are counted.
pub const WINDOW: Duration = Duration::from_secs(60);

/// The bits of a counter that are the number of requests.
const COUNT_MASK: u64 = 0xFFFF_FFFF;

/// The prefix of the IPv6 addresses that NAT64 gives to IPv4 addresses (RFC 6052), of which an address is the last four bytes.
const NAT64_PREFIX: [u8; 12] = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];

/// The part of a client's address that limits apply to: an IPv4 address, or the /64 network of an IPv6 address, which
/// belongs to one customer. Many customers have several.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientNetwork([u8; 8]);

impl From<IpAddr> for ClientNetwork {
    fn from(address: IpAddr) -> Self {
        let mut key = [0; 8];
        match address.to_canonical() {
            IpAddr::V4(address) => key[..4].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => {
                let octets = address.octets();
                match octets.strip_prefix(&NAT64_PREFIX) {
                    Some(address) => key[..4].copy_from_slice(address),
                    None => key.copy_from_slice(&octets[..8]),
                }
            }
        }
        Self(key)
    }
}

/// Limits the requests of each client in fixed windows of a minute. Uses a fixed amount of memory.
pub struct RateLimit {
    /// Requests per minute; 0 means no limit.
    max: u32,
    secret: RandomState,
    started: Instant,
    /// In the high 32 bits the number of the window, and in the low 32 bits the requests in it. A counter restarts with the
    /// first request of a later window. It never returns to an earlier one, even if requests overtake each other.
    counters: Box<[AtomicU64]>,
}

impl RateLimit {
    /// Creates a limit of `max` requests per minute; 0 means no limit.
    pub fn new(max: u32) -> Self {
        let counters = if max == 0 { 0 } else { COUNTERS };
        Self {
            max,
            secret: RandomState::new(),
            started: Instant::now(),
            counters: (0..counters).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Forgets the requests of past minutes. Otherwise, a counter stays until the next request that has the same one.
    pub fn forget_past(&self) {
        self.forget_before(self.started.elapsed());
    }

    fn forget_before(&self, elapsed: Duration) {
        let window = window_at(elapsed);
        let forget = |counter: u64| (counter != 0 && counter >> 32 < window).then_some(0);
        for counter in &self.counters {
            // Fails if there is nothing to forget.
            let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, forget);
        }
    }

    /// Counts a request, and returns false if the client has exceeded its limit in this minute.
    pub fn allows(&self, client: ClientNetwork) -> bool {
        self.allows_after(client, self.started.elapsed())
    }

    fn allows_after(&self, client: ClientNetwork, elapsed: Duration) -> bool {
        if self.max == 0 {
            return true;
        }
        let window = window_at(elapsed);
        let hash = self.secret.hash_one(client);
        let slot = usize::try_from(hash % (COUNTERS as u64)).unwrap_or(0);
        let increment = |counter: u64| match (counter >> 32, counter & COUNT_MASK) {
            (last, _) if last < window => Some((window << 32) + 1),
            // The count stops at the limit, so that it never overflows.
            (_, count) => (count < u64::from(self.max)).then_some(counter + 1),
        };
        self.counters[slot].fetch_update(Ordering::Relaxed, Ordering::Relaxed, increment).is_ok()
    }
}

/// Returns the number of the window at a time since the start.
const fn window_at(elapsed: Duration) -> u64 {
    elapsed.as_secs() / WINDOW.as_secs()
}

/// Limits how many of something each client has at a time: connections or requests.
pub struct ClientLimit {
    max: u32,
    permits: Mutex<HashMap<ClientNetwork, u32>>,
}

impl ClientLimit {
    /// Creates a limit of `max` permits per client.
    pub fn new(max: u32) -> Arc<Self> {
        Arc::new(Self { max, permits: Mutex::default() })
    }

    /// Acquires a permit, or returns `None` if the client already holds as many as it may.
    pub fn try_acquire(self: &Arc<Self>, client: ClientNetwork) -> Option<ClientPermit> {
        self.try_acquire_below(self.max, client)
    }

    /// Like [`try_acquire`](Self::try_acquire), with a lower limit for this call.
    pub fn try_acquire_below(self: &Arc<Self>, max: u32, client: ClientNetwork) -> Option<ClientPermit> {
        let mut permits = self.permits.lock().unwrap_or_else(PoisonError::into_inner);
        let count = permits.get(&client).copied().unwrap_or(0);
        if count >= max.min(self.max) {
            return None;
        }
        permits.insert(client, count + 1);
        Some(ClientPermit { limit: Arc::clone(self), client })
    }
}

/// A permit of a [`ClientLimit`], released when it is dropped.
pub struct ClientPermit {
    limit: Arc<ClientLimit>,
    client: ClientNetwork,
}

impl Drop for ClientPermit {
    fn drop(&mut self) {
        let mut permits = self.limit.permits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = permits.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                permits.remove(&self.client);
            }
        }
    }
}

/// The proxies whose `X-Forwarded-For` header is trusted.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(pub Vec<IpAddr>);

impl TrustedProxies {
    /// Returns true if an address belongs to a trusted proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|proxy| proxy.to_canonical() == address.to_canonical())
    }

    /// Returns the address of the client that sent a request: the peer or, if the peer is a trusted proxy, the last address
    /// in the values of `X-Forwarded-For` that is not a trusted proxy.
    pub fn client_address<'a>(
        &self,
        peer: IpAddr,
        forwarded: impl DoubleEndedIterator<Item = &'a str>,
    ) -> IpAddr {
        if !self.contains(peer) {
            return peer;
        }
        let mut client = peer;
        for entry in forwarded.rev().flat_map(|header| header.rsplit(',')) {
            let Some(address) = parse_forwarded(entry.trim()) else { return client };
            client = address;
            if !self.contains(address) {
                break;
            }
        }
        client
    }
}

/// Parses an address in `X-Forwarded-For`. Some load balancers append the port of the client.
fn parse_forwarded(entry: &str) -> Option<IpAddr> {
    let without_brackets = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']')).unwrap_or(entry);
    let with_port = || entry.parse::<SocketAddr>().ok().map(|address| address.ip());
    without_brackets.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> ClientNetwork {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_client_may_send_its_limit_every_minute() {
        let limit = RateLimit::new(2);
        let (one, other) = (client("192.0.2.1"), client("192.0.2.2"));
        let at = Duration::from_secs;
        assert!(limit.allows_after(one, at(1)) && limit.allows_after(one, at(2)));
        assert!(!limit.allows_after(one, at(59)));
        assert!(limit.allows_after(other, at(59)));
        assert!(limit.allows_after(one, at(60)));
        assert!((0..1000).all(|_| RateLimit::new(0).allows(one)));
    }

    #[test]
    fn the_requests_of_past_minutes_are_forgotten() {
        let limit = RateLimit::new(2);
        let at = Duration::from_secs;
        assert!(
            limit.allows_after(client("192.0.2.1"), at(1)) && limit.allows_after(client("192.0.2.2"), at(61))
        );
        let kept = || limit.counters.iter().filter(|counter| counter.load(Ordering::Relaxed) != 0).count();
        limit.forget_before(at(59));
        assert_eq!(kept(), 2);
        limit.forget_before(at(61));
        assert_eq!(kept(), 1);
        limit.forget_before(at(120));
        assert_eq!(kept(), 0);
    }

    /// Requests that read the time just before the end of a minute may be counted just after it.
    #[test]
    fn a_late_request_does_not_restart_the_minute() {
        let limit = RateLimit::new(2);
        let one = client("192.0.2.1");
        let allowed = [59, 60, 59, 60, 59, 60].map(|at| limit.allows_after(one, Duration::from_secs(at)));
        assert_eq!(allowed, [true, true, true, false, false, false]);
    }

    #[test]
    fn addresses_of_one_customer_are_one_client() {
        assert!(client("2001:db8:1:2::1") == client("2001:db8:1:2:ffff::9"));
        assert!(client("2001:db8:1:2::1") != client("2001:db8:1:3::1"));
        assert!(client("::ffff:192.0.2.1") == client("192.0.2.1"));
        assert!(client("64:ff9b::192.0.2.1") == client("192.0.2.1"));
        assert!(client("64:ff9b::192.0.2.1") != client("64:ff9b::192.0.2.2"));
    }

    #[test]
    fn a_permit_counts_until_it_is_dropped() {
        let limit = ClientLimit::new(1);
        let permit = limit.try_acquire(client("192.0.2.1"));
        assert!(permit.is_some() && limit.try_acquire(client("192.0.2.1")).is_none());
        assert!(limit.try_acquire(client("192.0.2.2")).is_some());
        drop(permit);
        assert!(limit.try_acquire(client("192.0.2.1")).is_some());
        assert!(limit.permits.lock().unwrap().is_empty());
    }

    #[test]
    fn only_a_trusted_proxy_can_name_another_client() {
        let ip = |address: &str| address.parse::<IpAddr>().unwrap();
        let proxies = TrustedProxies(vec![ip("10.0.0.1"), ip("10.0.0.2")]);
        let client = |peer, headers: &[&str]| proxies.client_address(ip(peer), headers.iter().copied());
        assert_eq!(client("192.0.2.9", &["198.51.100.1"]), ip("192.0.2.9"));
        assert_eq!(client("10.0.0.1", &["203.0.113.7, 198.51.100.1"]), ip("198.51.100.1"));
        assert_eq!(client("10.0.0.1", &["198.51.100.1", "10.0.0.2"]), ip("198.51.100.1"));
        assert_eq!(client("10.0.0.1", &[]), ip("10.0.0.1"));
        assert_eq!(client("10.0.0.1", &["198.51.100.1, nonsense"]), ip("10.0.0.1"));
        assert_eq!(client("10.0.0.1", &["203.0.113.7, 198.51.100.1:4711, 10.0.0.2:80"]), ip("198.51.100.1"));
        for entry in ["[2001:db8::1]:4711", "[2001:db8::1]", "2001:db8::1"] {
            assert_eq!(client("10.0.0.1", &[entry]), ip("2001:db8::1"));
        }
    }
}
