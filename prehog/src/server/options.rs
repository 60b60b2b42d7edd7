//! The options of a server and their defaults.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::clock::Clock;
use crate::limits::TrustedProxies;
use crate::report::DEFAULT_MIN_GROUP;

/// The default limit of requests per minute and client.
pub const DEFAULT_RATE_LIMIT: u32 = 600;
/// The default limit of open connections.
pub const DEFAULT_MAX_CONNECTIONS: usize = 1024;
/// The default limit of concurrent requests.
pub const DEFAULT_MAX_REQUESTS: usize = 512;
/// The default maximum size of a store, in MiB.
pub const DEFAULT_MAX_STORE_MIB: u32 = 10 * 1024;

/// The limits and settings of a server.
#[derive(Clone)]
pub struct Options {
    /// The receiver's clock.
    pub clock: Clock,
    /// Requests per minute and client; 0 means no limit.
    pub rate_limit: u32,
    /// The proxies whose `X-Forwarded-For` header is trusted.
    pub trusted_proxies: TrustedProxies,
    /// Open connections of all clients.
    pub max_connections: usize,
    /// Open connections of one client, and an eighth of that once half of all are open; trusted proxies are exempt.
    pub max_connections_per_client: u32,
    /// Concurrent requests of all clients.
    pub max_requests: usize,
    /// Concurrent requests of one client.
    pub max_requests_per_client: u32,
    /// How long the header of a request may take to arrive, and how long a connection may be idle; for trusted proxies, both
    /// may take longer.
    pub header_timeout: Duration,
    /// How long a request may take from the end of its header to its response.
    pub request_timeout: Duration,
    /// The maximum size of the store, in bytes; 0 means no limit. A store that has reached it rejects events.
    pub max_store_bytes: u64,
    /// For how many days starts are kept; `None` keeps them forever. With fewer than
    /// [`MIN_RETENTION_DAYS`](crate::store::MIN_RETENTION_DAYS), which the command line refuses, a report
    /// may have no starts.
    pub retain_days: Option<NonZeroU32>,
    /// The minimum number of starts of a group in the report, at least [`DEFAULT_MIN_GROUP`]. Smaller groups are hidden.
    pub min_group: u64,
}

impl Options {
    /// Returns the defaults of `prehog serve`.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            rate_limit: DEFAULT_RATE_LIMIT,
            trusted_proxies: TrustedProxies::default(),
            max_connections: DEFAULT_MAX_CONNECTIONS,
            max_connections_per_client: 64,
            max_requests: DEFAULT_MAX_REQUESTS,
            max_requests_per_client: 128,
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            max_store_bytes: u64::from(DEFAULT_MAX_STORE_MIB) << 20,
            retain_days: None,
            min_group: DEFAULT_MIN_GROUP,
        }
    }
}
