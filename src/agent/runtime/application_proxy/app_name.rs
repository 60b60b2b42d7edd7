//! Determines which application a request is for: the host of its target, or of its `Host` header if the target is only a path.

use std::net::IpAddr;

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{Method, StatusCode};

/// The longest name of a host.
const MAX_LENGTH: usize = 253;

/// A request does not name an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AppNameError {
    #[error("the method CONNECT is not supported; use http:// URLs, which reach every application")]
    Connect,
    #[error("the URL must begin with http:// or https://")]
    Scheme,
    #[error("the request must name exactly one host, the application, as in http://grafana/")]
    NoHost,
    #[error(
        "the host of the request is not the name of an application; use this address as an HTTP proxy for http://<app>/, or \
         send the header `Host: <app>`"
    )]
    NotAName,
}

impl AppNameError {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Connect => StatusCode::NOT_IMPLEMENTED,
            Self::Scheme | Self::NoHost | Self::NotAName => StatusCode::BAD_REQUEST,
        }
    }
}

/// Returns the name of the application that a request is for, in lower case. Ignores a port.
pub(super) fn app_name(request: &Parts) -> Result<String, AppNameError> {
    if request.method == Method::CONNECT {
        return Err(AppNameError::Connect);
    }
    let target = &request.uri;
    let authority = match target.scheme_str() {
        Some("http" | "https") => target.authority().cloned().ok_or(AppNameError::NoHost)?,
        Some(_) => return Err(AppNameError::Scheme),
        None => {
            let mut hosts = request.headers.get_all(HOST).into_iter();
            let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(AppNameError::NoHost) };
            let authority = Authority::try_from(host.as_bytes()).map_err(|_| AppNameError::NotAName)?;
            if authority.as_str().contains('@') {
                return Err(AppNameError::NotAName);
            }
            authority
        }
    };
    let name = authority.host().to_ascii_lowercase();
    let is_name = (1..=MAX_LENGTH).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        && name.parse::<IpAddr>().is_err()
        && name != "localhost";
    if is_name { Ok(name) } else { Err(AppNameError::NotAName) }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn name(target: &str, hosts: &[&str]) -> Result<String, AppNameError> {
        name_of(Method::GET, target, hosts)
    }

    fn name_of(method: Method, target: &str, hosts: &[&str]) -> Result<String, AppNameError> {
        let request = Request::builder().method(method).uri(target);
        let request = hosts.iter().fold(request, |request, host| request.header(HOST, *host));
        app_name(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_target_takes_precedence_over_the_host_header() {
        for (target, hosts) in [
            ("http://grafana", &["other"][..]),
            ("http://grafana:8080/a?b", &[]),
            ("https://user:password@Grafana/", &["a", "b"]),
            ("/a", &["grafana"]),
            ("/http://other/", &["GRAFANA:80"]),
            ("*", &["grafana"]),
        ] {
            assert_eq!(name(target, hosts).unwrap(), "grafana", "{target}");
        }
        assert_eq!(name("/", &["a_b.c-d"]).unwrap(), "a_b.c-d");
    }

    #[test]
    fn a_request_that_names_no_application_is_refused() {
        for hosts in [&[][..], &["a", "a"]] {
            assert_eq!(name("/", hosts), Err(AppNameError::NoHost));
        }
        for host in ["", "127.0.0.1:8080", "[::1]", "localhost", "a@b", "a%20b", "a/b", "gräfana", "a b"] {
            assert_eq!(name("/", &[host]), Err(AppNameError::NotAName), "{host}");
        }
        assert_eq!(name("/", &[&"a".repeat(254)]), Err(AppNameError::NotAName));
        assert_eq!(name("ftp://grafana/", &["grafana"]), Err(AppNameError::Scheme));
        for target in ["grafana:443", "127.0.0.1:1"] {
            assert_eq!(name_of(Method::CONNECT, target, &["grafana"]), Err(AppNameError::Connect));
        }
    }
}
