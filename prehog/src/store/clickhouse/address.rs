//! The address of a ClickHouse server, of a database, and the parameters of a cluster. Depends on `url`.

use std::fmt;
use std::num::NonZeroU64;

/// The ports of ClickHouse's HTTP interface, without and with TLS.
const HTTP_PORT: u16 = 8123;
const HTTPS_PORT: u16 = 8443;

/// The address of the HTTP interface of a ClickHouse server, and a database on it:
/// `http://[USER[:PASSWORD]@]HOST:PORT/DATABASE` or the same with `https://`. With `?cluster=NAME`, the data is on all
/// servers of a cluster, and `&quorum=N` can follow.
#[derive(Clone, PartialEq, Eq)]
pub struct ClickHouseUrl {
    /// The address, without the parameters.
    pub(super) server: url::Url,
    pub(super) cluster: Option<ClusterParameters>,
}

/// The parameters of a cluster.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ClusterParameters {
    pub(super) name: String,
    /// How many replicas must have an event before it is acknowledged.
    pub(super) quorum: Option<NonZeroU64>,
}

impl ClickHouseUrl {
    /// Parses an address. An error says what is wrong with it.
    pub(in crate::store) fn parse(address: &str) -> Result<Self, &'static str> {
        let mut url: url::Url = address.parse().map_err(|_| "not a URL")?;
        let default_port = match url.scheme() {
            "http" => HTTP_PORT,
            "https" => HTTPS_PORT,
            _ => return Err("it must start with http:// or https://"),
        };
        if url.port().is_none() && !has_port(address) {
            // Cannot fail, because the URL has a host.
            let _ = url.set_port(Some(default_port));
        }
        let database = url.path().trim_matches('/');
        let is_plain = database.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
        if !is_plain || database.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(
                "the name of the database may contain only letters, digits and _, and not start with a digit",
            );
        }
        let cluster = cluster_parameters(&url)?;
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self { server: url, cluster })
    }

    /// Returns the name of the database.
    pub(super) fn database(&self) -> &str {
        match self.server.path().trim_matches('/') {
            "" => "default",
            database => database,
        }
    }
}

fn cluster_parameters(url: &url::Url) -> Result<Option<ClusterParameters>, &'static str> {
    let (mut cluster, mut quorum) = (None, None);
    for (name, value) in url.query_pairs() {
        match &*name {
            "cluster" if is_cluster_name(&value) => cluster = Some(value.into_owned()),
            "cluster" => return Err("the name of a cluster may contain only letters, digits, _, - and ."),
            "quorum" => {
                quorum =
                    Some(value.parse().map_err(|_| "`quorum` must be a number of replicas, at least 1")?);
            }
            _ => return Err("the only parameters are `cluster` and `quorum`"),
        }
    }
    match cluster {
        None if quorum.is_some() => Err("`quorum` needs `cluster`"),
        None => Ok(None),
        Some(name) => Ok(Some(ClusterParameters { name, quorum })),
    }
}

/// Returns true if a name needs no escaping in a statement.
fn is_cluster_name(name: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "_-.".contains(char);
    !name.is_empty() && name.chars().all(is_plain)
}

/// Returns whether a URL names a port. A parsed URL does not tell whether it named the default port of its scheme.
fn has_port(url: &str) -> bool {
    let authority = url.split("//").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next());
    let (_, port) = authority.unwrap_or_default().rsplit_once(':').unwrap_or_default();
    !port.is_empty() && port.chars().all(|char| char.is_ascii_digit())
}

/// Omits the user and the password.
impl fmt::Display for ClickHouseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, cluster } = self;
        let port = server.port_or_known_default().unwrap_or_default();
        let host = server.host_str().unwrap_or_default();
        write!(f, "{}://{host}:{port}{}", server.scheme(), server.path())?;
        if let Some(ClusterParameters { name, quorum }) = cluster {
            write!(f, "?cluster={name}")?;
            if let Some(quorum) = quorum {
                write!(f, "&quorum={quorum}")?;
            }
        }
        Ok(())
    }
}
