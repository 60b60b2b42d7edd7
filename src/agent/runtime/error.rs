//! The reasons why an agent does not start, or stops with an error.

use super::health_server::HealthServerError;
use super::unsupported::Unsupported;
use crate::agent::bot::renewal::RenewalError;
use crate::agent::bot::renewal::preflight::OutputDestinationError;
use crate::agent::bot::storage::StorageError;
use crate::agent::net::http_proxy::HttpProxyError;
use crate::agent::net::listener::ListenerError;
use crate::agent::net::upgrade_variable::ConnectionUpgradeVariableError;
use crate::agent::net::web::HttpError;
use crate::agent::platform::Hint;
use crate::agent::platform::error_text::{error_line, error_list};
use crate::agent::service::error::OutputError;
use crate::config::{AddressError, JoinMethod, ListenUriError, Overlap};

/// An agent did not start, or stopped with an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The configuration contains parts that this version cannot run. Nothing was joined or written.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The agent would overwrite its own identity, or files of another service or of the user. Nothing was joined or written.
    #[error(transparent)]
    Overlap(Overlap),
    /// Neither `proxy_server` nor `auth_server` is set.
    #[error("proxy_server is not set")]
    NoAddress,
    /// The address of the proxy or auth server cannot be parsed.
    #[error("{field} is not valid")]
    Address {
        /// `proxy_server` or `auth_server`.
        field: &'static str,
        /// The problem.
        #[source]
        error: AddressError,
    },
    /// The address of the health server cannot be parsed.
    #[error("diag_addr is not valid")]
    DiagAddr(#[source] AddressError),
    /// The address that a service listens on cannot be parsed.
    #[error("listen of {service} is not valid")]
    Listen {
        /// The name of the service.
        service: String,
        /// The problem.
        #[source]
        error: ListenUriError,
    },
    /// The environment names an HTTP proxy that cannot be used.
    #[error(transparent)]
    HttpProxy(#[from] HttpProxyError),
    /// `TELEPORT_TLS_ROUTING_CONN_UPGRADE` is not valid.
    #[error(transparent)]
    ConnectionUpgrade(#[from] ConnectionUpgradeVariableError),
    /// `onboarding.join_method` is not set.
    #[error("onboarding.join_method is not set")]
    NoJoinMethod,
    /// `onboarding.token` is not set, and the join method needs the name of a join token.
    #[error("onboarding.token is not set, and the join method {method} needs it")]
    NoTokenName {
        /// The join method.
        method: JoinMethod,
    },
    /// TLS to the server cannot be set up.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The destination of an output cannot be used.
    #[error(transparent)]
    Destination(#[from] OutputDestinationError),
    /// The health server cannot listen.
    #[error(transparent)]
    HealthServer(#[from] HealthServerError),
    /// A service cannot listen.
    #[error("{service} cannot serve clients")]
    Listener {
        /// The name of the service.
        service: String,
        /// The problem.
        #[source]
        error: ListenerError,
    },
    /// The storage cannot be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The bot has no identity and cannot obtain one.
    #[error(transparent)]
    Renewal(#[from] RenewalError),
    /// Oneshot mode could not write these outputs; it has written the others.
    #[error("{}", failures(.0))]
    Outputs(Vec<OutputFailure>),
    /// Several things must be fixed before the agent can start. It has not joined.
    #[error("{}", error_list(.0, Self::hint))]
    Several(Vec<Self>),
    /// A part of the agent ended, which is a bug of the agent.
    #[error("the task {task} has ended unexpectedly, which is a bug of tbot")]
    TaskEnded {
        /// The name of the service, or of another part of the agent.
        task: String,
    },
    /// Oneshot mode was stopped before all outputs were written.
    #[error("stopped before all outputs were written")]
    Interrupted,
}

impl AgentError {
    /// Returns advice for the operator, if there is any. The hints of several errors are in the messages of [`Outputs`](Self::Outputs)
    /// and [`Several`](Self::Several).
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::NoAddress => {
                Some(Hint::new("set proxy_server to the web address of a Teleport proxy, as host:port"))
            }
            Self::NoJoinMethod => {
                Some(Hint::new("choose how the bot joins, for example `join_method: token`"))
            }
            Self::ConnectionUpgrade(error) => Some(error.hint()),
            Self::NoTokenName { method } => Some(
                format!("set it to the name of a join token for the join method {method} (tctl tokens ls)")
                    .into(),
            ),
            Self::Unsupported(_) => Some(Hint::new("remove these parts, or use an agent that supports them")),
            Self::Overlap(overlap) => overlap.help.clone().map(Hint::from),
            Self::Address { error, .. } => Some(Hint::new(error.help_for_server())),
            Self::DiagAddr(error) => Some(Hint::new(error.help_for_listener())),
            Self::Listen { error, .. } => Some(Hint::new(error.help())),
            Self::Listener { error, .. } => error.hint(),
            Self::HttpProxy(error) => Some(error.hint()),
            Self::Http(error) => error.hint(),
            Self::Destination(error) => error.hint(),
            Self::HealthServer(error) => Some(error.hint()),
            Self::Storage(error) => error.hint(),
            Self::Renewal(error) => error.hint(),
            Self::TaskEnded { .. } => Some(Hint::new("start tbot again")),
            Self::Outputs(_) | Self::Several(_) | Self::Interrupted => None,
        }
    }

    /// Returns true if the configuration must change. The agent has not joined.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Unsupported(_)
            | Self::Overlap(_)
            | Self::NoAddress
            | Self::Address { .. }
            | Self::DiagAddr(_)
            | Self::Listen { .. }
            | Self::NoJoinMethod
            | Self::NoTokenName { .. } => true,
            Self::Renewal(error) => error.is_configuration(),
            Self::Several(errors) => errors.iter().any(Self::is_configuration),
            _ => false,
        }
    }

    /// Returns whether the same run may succeed later without any change by the operator, for example after an outage, or when
    /// another process has released the lock of the storage. If so, the caller of [`run_once`](crate::agent::Agent::run_once) can
    /// call it again, for example after a minute; several errors must all be of this kind. Otherwise, a retry does not help: someone
    /// must act, as the [hint](Self::hint) says, for example after a refused token or a renewal whose response was lost. False for a
    /// run that was stopped, and for an address that is in use.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Destination(destination) => destination.error.is_transient(),
            Self::Storage(error) => error.is_transient(),
            // `RenewalError` answers another question about it: whether the request was certainly not processed.
            Self::Renewal(RenewalError::Api(error)) => error.is_transient(),
            Self::Renewal(error) => error.is_transient(),
            Self::Outputs(failures) => failures.iter().all(|failure| failure.error.is_transient()),
            Self::Several(errors) => errors.iter().all(Self::is_transient),
            Self::Unsupported(_)
            | Self::Overlap(_)
            | Self::NoAddress
            | Self::Address { .. }
            | Self::DiagAddr(_)
            | Self::Listen { .. }
            | Self::HttpProxy(_)
            | Self::ConnectionUpgrade(_)
            | Self::NoJoinMethod
            | Self::NoTokenName { .. }
            | Self::Http(_)
            | Self::HealthServer(_)
            | Self::Listener { .. }
            | Self::TaskEnded { .. }
            | Self::Interrupted => false,
        }
    }

    /// Returns a single error as it is, and several errors as [`Several`](Self::Several).
    pub(super) fn all(mut errors: Vec<Self>) -> Self {
        if errors.len() == 1 { errors.remove(0) } else { Self::Several(errors) }
    }
}

/// An output that failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct OutputFailure {
    /// The service's name, or its type and number.
    pub name: String,
    /// The error.
    pub error: OutputError,
}

fn failures(failures: &[OutputFailure]) -> String {
    let messages = failures.iter().map(|OutputFailure { name, error }| {
        format!("output {name}: {}", error_line(error, error.hint().as_ref()))
    });
    messages.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::bot::join::JoinError;
    use crate::agent::bot::renewal::JoinReason;
    use crate::agent::destination::directory::DirectoryError;
    use crate::agent::destination::error::DestinationError;
    use crate::agent::destination::kubernetes_secret::{
        KubeconfigProblem, KubernetesClusterError, KubernetesSecretError,
    };
    use crate::agent::destination::readers::ReaderError;
    use crate::agent::service::lookup::LookupError;
    use crate::agent::service::svid::SvidError;

    #[test]
    fn the_hint_of_the_innermost_error_reaches_the_agents_error() {
        let proxy = HttpProxyError::Scheme { variable: "ALL_PROXY", scheme: "socks5".to_owned() };
        let problem = KubeconfigProblem::NoCurrentContext;
        let (of_proxy, of_problem) = (proxy.hint(), problem.hint().unwrap());
        let kubeconfig = KubernetesClusterError::Kubeconfig { path: "config".to_owned(), problem };
        for (cluster, hint) in [(KubernetesClusterError::Proxy(proxy), of_proxy), (kubeconfig, of_problem)] {
            let destination = DestinationError::from(KubernetesSecretError::from(cluster));
            let storage = AgentError::from(StorageError::from(destination));
            assert_eq!(storage.hint(), Some(hint));
        }
        let reader = ReaderError::Unknown { user_or_group: "user", name: "nobody".to_owned() };
        let hint = reader.hint();
        let destination = OutputDestinationError { output: "a".to_owned(), error: reader.into() };
        assert!(hint.is_some());
        assert_eq!(AgentError::from(RenewalError::from(destination)).hint(), hint);
    }

    #[test]
    fn the_hints_of_failed_outputs_are_those_of_their_causes() {
        let lookup = LookupError::NotFound {
            kind: "app",
            name: "grafana".to_owned(),
            list: "tctl apps ls",
            labels: "app_labels",
        };
        let hint = lookup.hint();
        assert_eq!(OutputError::from(lookup).hint(), Some(hint));
        assert_eq!(OutputError::from(SvidError::Expired).hint(), SvidError::Expired.hint());
        assert!(SvidError::Expired.hint().is_some());
    }

    #[test]
    fn several_errors_are_transient_only_if_each_of_them_is() {
        let busy = || DestinationError::from(DirectoryError::Busy { path: "/a".into(), holder: None });
        let output = |error: OutputError| OutputFailure { name: "a".to_owned(), error };
        let outputs = |second| AgentError::Outputs(vec![output(busy().into()), output(second)]);
        assert!(outputs(busy().into()).is_transient() && !outputs(SvidError::Expired.into()).is_transient());
        let storage = || AgentError::from(StorageError::from(DirectoryError::Locked("/a".into())));
        let several = |second| AgentError::Several(vec![storage(), second]);
        assert!(several(storage()).is_transient() && !several(AgentError::NoAddress).is_transient());
    }

    #[test]
    fn an_unexpected_expiry_is_a_further_hint() {
        let refused = |reason, hint| RenewalError::Join {
            reason,
            error: JoinError::Refused { status: 403, message: "no".into(), hint },
        };
        let clock = JoinReason::Expired.hint();
        assert_eq!(refused(JoinReason::Expired, None).hint(), clock);
        let token = Hint::new("create a token");
        assert_eq!(refused(JoinReason::NothingStored, Some(token.clone())).hint(), Some(token.clone()));
        let both = refused(JoinReason::Expired, Some(token.clone())).hint().unwrap();
        assert!([token, clock.unwrap()].iter().all(|hint| both.as_str().contains(hint.as_str())), "{both}");
    }
}
