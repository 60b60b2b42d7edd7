//! Asks a proxy who it is: `GET /webapi/find`. Everything before the first credential is learned here.

use std::ops::RangeInclusive;

use serde::Deserialize;

use crate::agent::net::address::Address;
use crate::agent::net::web::{WebClient, WebError};
use crate::agent::platform::error_text::describe_json_error;
use crate::agent::teleport::error_body::error_message;
use crate::agent::teleport::server_hints;
use crate::agent::teleport::server_version::major;

/// The majors of Teleport whose protocol this agent knows.
const KNOWN: RangeInclusive<u32> = 15..=19;

/// What the agent was told to talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressField {
    ProxyServer,
    AuthServer,
}

impl AddressField {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ProxyServer => "proxy_server",
            Self::AuthServer => "auth_server",
        }
    }
}

/// Nobody at the address answered as a Teleport proxy.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{setting}: asked https://{address}/webapi/find, but {detail}; {advice}")]
pub struct DiscoveryError {
    setting: &'static str,
    address: Address,
    detail: String,
    advice: &'static str,
    /// True when asking again later may help.
    pub(crate) transient: bool,
}

/// What `find` tells of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) cluster_name: String,
    pub(crate) server_version: String,
    /// The oldest clients that the cluster means to serve; empty when it does not say.
    pub(crate) min_client_version: String,
    /// `host:port` that the proxy advertises, when it does.
    pub(crate) proxy_public_addr: Option<String>,
}

impl Found {
    /// What to expect of a cluster of a version that this agent does not know; none where it knows it.
    ///
    /// Only a warning: this agent's own version does not count as Teleport's do, and servers, which are told none, check none.
    pub(crate) fn version_problem(&self) -> Option<String> {
        let Self { server_version, min_client_version, .. } = self;
        let (oldest, newest) = KNOWN.into_inner();
        let what = match major(server_version) {
            // It does not say.
            0 => return None,
            known if KNOWN.contains(&known) => return None,
            old if old < oldest => {
                "older than this agent knows: what fails may work after an upgrade of the cluster".to_owned()
            }
            _ if major(min_client_version) > newest => format!(
                "which wants clients of at least {min_client_version}, newer than this agent knows: update tbot before it is \
                 refused"
            ),
            _ => "newer than this agent knows: where joining or renewing fails, update tbot".to_owned(),
        };
        Some(format!("the cluster runs Teleport {server_version}, {what} (Teleport {oldest} to {newest})"))
    }
}

#[derive(Deserialize)]
struct Answer {
    cluster_name: String,
    server_version: String,
    #[serde(default)]
    min_client_version: String,
    proxy: ProxySettings,
}

#[derive(Deserialize)]
struct ProxySettings {
    ssh: SshSettings,
}

/// Despite its name this part holds the web address.
#[derive(Deserialize)]
struct SshSettings {
    #[serde(default)]
    public_addr: Option<String>,
}

pub(crate) async fn find(
    web: &WebClient,
    setting: AddressField,
    address: &Address,
) -> Result<Found, DiscoveryError> {
    let failed = |detail, advice, transient| DiscoveryError {
        setting: match setting {
            AddressField::ProxyServer => "proxy_server",
            AddressField::AuthServer => "auth_server",
        },
        address: address.clone(),
        detail,
        advice,
        transient,
    };
    let advice = match setting {
        AddressField::ProxyServer => {
            "check that this is the web address of a Teleport proxy (the address of its web page)"
        }
        AddressField::AuthServer => {
            "joining directly at an auth server is not supported: set proxy_server to the web address of a Teleport proxy"
        }
    };
    let answer = match web.get("/webapi/find").await {
        Ok(answer) => answer,
        Err(WebError::Tls(error)) => return Err(failed(error.to_string(), "mend that first", false)),
        Err(WebError::Failed(detail)) => {
            let advice = server_hints::to_proxy(&detail).unwrap_or(advice);
            return Err(failed(detail, advice, true));
        }
    };
    if !answer.status.is_success() {
        let detail = format!("the answer was {}: {}", answer.status, error_message(&answer.body));
        return Err(failed(detail, advice, answer.status.is_server_error()));
    }
    parse(&answer.body).map_err(|error| {
        failed(
            format!("the answer is not that of a Teleport proxy: {}", describe_json_error(&error)),
            advice,
            false,
        )
    })
}

pub(crate) fn parse(body: &[u8]) -> Result<Found, serde_json::Error> {
    let Answer { cluster_name, server_version, min_client_version, proxy } = serde_json::from_slice(body)?;
    let proxy_public_addr = proxy.ssh.public_addr.filter(|address| !address.is_empty());
    Ok(Found { cluster_name, server_version, min_client_version, proxy_public_addr })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;

    #[test]
    fn a_recorded_answer_is_understood() {
        let found = parse(recorded("webapi-find.json").as_bytes()).unwrap();
        assert_eq!(found.cluster_name, "dev.test");
        assert_eq!(found.server_version, "15.0.0-dev");
        assert_eq!(found.min_client_version, "14.0.0");
        assert_eq!(found.proxy_public_addr.as_deref(), Some("127.0.0.1:4080"));
    }

    #[test]
    fn a_version_that_is_not_known_is_said_with_what_to_do() {
        let found = parse(recorded("webapi-find.json").as_bytes()).unwrap();
        let problem = |server: &str, least: &str| {
            let (server_version, min_client_version) = (server.to_owned(), least.to_owned());
            Found { server_version, min_client_version, ..found.clone() }.version_problem()
        };
        for known in ["15.0.0-dev", "19.4.2", "", "nightly"] {
            assert_eq!(problem(known, "14.0.0"), None);
        }
        for (server, least, says) in [
            ("14.3.1", "13.0.0", "after an upgrade of the cluster"),
            ("20.0.0", "19.0.0", "newer than this agent knows"),
            ("21.1.0", "20.0.0-aa", "at least 20.0.0-aa"),
        ] {
            let said = problem(server, least).unwrap();
            assert!(said.contains(says) && said.contains(server) && said.contains("15 to 19"), "{said}");
        }
    }
}
