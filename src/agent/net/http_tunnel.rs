//! Connects to a server through an HTTP proxy, with the method `CONNECT`.

use http::{Method, Request, StatusCode, header};
use hyper::upgrade::Parts;
use hyper_util::rt::TokioIo;

use super::byte_stream::BoxedByteStream;
use super::http_body;
use super::http_proxy::HttpProxy;
use super::http_upgrade::{self, UpgradeResponse};
use super::resolver;
use crate::agent::platform::Hint;
use crate::config::Address;

/// A connection failed at the HTTP proxy. Other failures are those of the server behind it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpTunnelError {
    #[error("cannot connect to the HTTP proxy {proxy}")]
    Unreachable {
        proxy: HttpProxy,
        #[source]
        error: std::io::Error,
    },
    #[error("the HTTP proxy {proxy} refused to connect to {target} (HTTP {status})")]
    Refused { proxy: HttpProxy, target: String, status: StatusCode },
    #[error("the HTTP proxy {proxy} did not respond like one")]
    NotAProxy {
        proxy: HttpProxy,
        #[source]
        error: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl HttpTunnelError {
    pub(crate) fn hint(&self) -> Hint {
        let (Self::Unreachable { proxy, .. } | Self::Refused { proxy, .. } | Self::NotAProxy { proxy, .. }) =
            self;
        let variable = proxy.variable();
        match self {
            Self::Refused { status: StatusCode::PROXY_AUTHENTICATION_REQUIRED, .. } => {
                format!("set the user name and password of the proxy in {variable}, as http://USER:PASSWORD@HOST:PORT")
            }
            _ => format!("check {variable}, or add the host of the server to NO_PROXY to connect to it directly"),
        }
        .into()
    }
}

/// Returns a connection on which `target` sees only what the caller sends.
pub(super) async fn connect(proxy: &HttpProxy, target: &Address) -> Result<BoxedByteStream, HttpTunnelError> {
    let unreachable = |error| HttpTunnelError::Unreachable { proxy: proxy.clone(), error };
    let not_a_proxy = |error| HttpTunnelError::NotAProxy { proxy: proxy.clone(), error };
    let target = target.to_string();

    let stream = resolver::connect(proxy.host(), proxy.port()).await.map_err(unreachable)?;
    let mut request = Request::builder().method(Method::CONNECT).uri(&target).header(header::HOST, &target);
    if let Some(authorization) = proxy.authorization() {
        request = request.header(header::PROXY_AUTHORIZATION, authorization);
    }
    let request = request.body(http_body::empty()).map_err(|error| not_a_proxy(error.into()))?;
    match http_upgrade::send(Box::new(stream), request).await.map_err(|error| not_a_proxy(error.into()))? {
        UpgradeResponse::Refused(status) => {
            Err(HttpTunnelError::Refused { proxy: proxy.clone(), target, status })
        }
        UpgradeResponse::Switched(upgraded, _) => match upgraded.downcast::<TokioIo<BoxedByteStream>>() {
            Ok(Parts { io, read_buf, .. }) if read_buf.is_empty() => Ok(io.into_inner()),
            // A server never speaks first in TLS.
            _ => Err(not_a_proxy("data arrived before the connection was used".into())),
        },
    }
}
