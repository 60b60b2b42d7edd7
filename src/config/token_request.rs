//! The HTTP request with which `join_method: generic_oidc` obtains its ID token. Depends on the scalar types and
//! `json_path`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use url::{Host, Url};

use super::json_path::{JsonPath, JsonPathError};
use super::scalar::{Location, Secret, Setting, Switch, is_on};

/// The hosts to which a request may be sent over plain http: the usual address of a cloud's metadata service, and this
/// machine.
const HTTP_HOSTS: [&str; 2] = ["169.254.169.254", "127.0.0.1"];

/// An HTTP request whose response contains the ID token. It goes directly to its server, without an HTTP proxy, and follows
/// no redirect. The names of the keys are inferred from the error messages of Teleport's own agent, because Teleport's
/// documentation does not contain them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct TokenHttpRequest {
    /// The request.
    pub request: TokenRequestTarget,
    /// The location of the ID token in the response. If unset, the whole response is the ID token.
    pub result: Option<TokenLocation>,
}

/// A request for an ID token. It has no body.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct TokenRequestTarget {
    /// The HTTP method.
    #[schemars(extend("default" = "GET"))]
    pub method: Option<Setting>,
    /// The URL: `https`, or `http` if the host is `169.254.169.254` or `127.0.0.1`. It may not contain a user name or a
    /// password. Write secrets to `headers` or `query_params`.
    #[schemars(example = "https://issuer.example.com/token")]
    pub url: Location,
    /// Parameters to add to the query of the URL. They replace those of the same name.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub query_params: Option<BTreeMap<String, Secret>>,
    /// Headers of the request.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub headers: Option<BTreeMap<String, Secret>>,
    /// Allows `http` to any host. Everyone on the network can then read and replace the ID token.
    #[schemars(extend("default" = false))]
    pub insecure_allow_http: Option<Switch>,
}

/// The location of an ID token in a response.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct TokenLocation {
    /// The JSONPath of the string that is the ID token, of names and indexes: `$.token`, `$['id-token']`, `$.tokens[0]`. If
    /// empty, the whole response is the ID token.
    #[schemars(example = "$.token")]
    pub json_path: Option<Setting>,
}

/// A URL to which the agent does not send a request for an ID token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.message())]
#[non_exhaustive]
pub enum TokenUrlError {
    /// The string is not a URL.
    NotAUrl,
    /// The scheme is neither `https` nor `http`.
    Scheme,
    /// The URL contains a user name or a password.
    Credentials,
    /// The scheme is `http`, and the host is not one of those to which this is allowed.
    Unencrypted,
}

impl TokenUrlError {
    /// Returns the message.
    pub const fn message(self) -> &'static str {
        match self {
            Self::NotAUrl => "it is not a URL",
            Self::Scheme => "it is neither an https nor an http URL",
            Self::Credentials => "it contains a user name or a password",
            Self::Unencrypted => "http is accepted only for 169.254.169.254 and 127.0.0.1",
        }
    }

    /// Returns advice for the operator.
    pub const fn help(self) -> &'static str {
        match self {
            Self::NotAUrl | Self::Scheme => "write `https://` and a host",
            Self::Credentials => "write them to the header `authorization` under `headers`",
            Self::Unencrypted => "use https, or set `insecure_allow_http: true` for testing",
        }
    }
}

impl TokenRequestTarget {
    /// Returns the URL, with the additional query parameters.
    ///
    /// # Errors
    ///
    /// Returns an error if the agent does not send a request to the URL.
    pub fn url(&self) -> Result<Url, TokenUrlError> {
        let mut url = Url::parse(self.url.as_str()).map_err(|_| TokenUrlError::NotAUrl)?;
        if !url.has_host() {
            return Err(TokenUrlError::NotAUrl);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TokenUrlError::Credentials);
        }
        match url.scheme() {
            "https" => {}
            "http" if is_on(self.insecure_allow_http) || is_http_host(&url) => {}
            "http" => return Err(TokenUrlError::Unencrypted),
            _ => return Err(TokenUrlError::Scheme),
        }
        if let Some(added) = self.query_params.as_ref().filter(|added| !added.is_empty()) {
            let kept: Vec<_> =
                url.query_pairs().into_owned().filter(|(name, _)| !added.contains_key(name)).collect();
            let added = added.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            url.query_pairs_mut().clear().extend_pairs(kept).extend_pairs(added);
        }
        Ok(url)
    }

    /// Returns the HTTP method in upper case, or `None` if it is not valid.
    pub fn method(&self) -> Option<String> {
        let method = self.method.as_ref().map(Setting::as_str).filter(|method| !method.is_empty());
        let method = method.unwrap_or("GET");
        is_http_token(method).then(|| method.to_ascii_uppercase())
    }

    /// Returns the headers. The checks of the configuration refuse names and values that HTTP does not allow.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().flatten().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl TokenHttpRequest {
    /// Returns the location of the ID token in the response, or `None` if the whole response is the ID token.
    ///
    /// # Errors
    ///
    /// Returns an error if the location is not a JSONPath that selects one value.
    pub fn json_path(&self) -> Result<Option<JsonPath>, JsonPathError> {
        let path = self.result.as_ref().and_then(|result| result.json_path.as_ref()).map(Setting::as_str);
        path.filter(|path| !path.is_empty()).map(JsonPath::parse).transpose()
    }
}

fn is_http_host(url: &Url) -> bool {
    matches!(url.host(), Some(Host::Ipv4(address)) if HTTP_HOSTS.contains(&address.to_string().as_str()))
}

/// Returns whether a string is a token of HTTP, as methods and the names of headers are (RFC 9110, 5.6.2).
pub(super) fn is_http_token(value: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !value.is_empty() && value.bytes().all(is_token)
}

/// Returns whether a string can be the value of a header.
pub(super) fn is_header_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn target(request: serde_json::Value) -> TokenRequestTarget {
        serde_json::from_value(request).unwrap()
    }

    fn url(url: &str) -> Result<String, TokenUrlError> {
        target(json!({ "url": url })).url().map(String::from)
    }

    #[test]
    fn a_token_is_requested_over_https_or_on_the_machine_unless_more_is_allowed() {
        for valid in [
            "https://a.example/x?y=z",
            "http://169.254.169.254/x",
            "http://127.0.0.1:8080/",
            "https://[::1]/",
        ] {
            assert_eq!(url(valid).as_deref(), Ok(valid));
        }
        for (invalid, expected) in [
            ("", TokenUrlError::NotAUrl),
            ("a.example", TokenUrlError::NotAUrl),
            ("https://", TokenUrlError::NotAUrl),
            ("data:text/plain,a", TokenUrlError::NotAUrl),
            ("ftp://a.example/", TokenUrlError::Scheme),
            ("https://user@a.example/", TokenUrlError::Credentials),
            ("https://:password@a.example/", TokenUrlError::Credentials),
            ("http://a.example/", TokenUrlError::Unencrypted),
            ("http://localhost/", TokenUrlError::Unencrypted),
            ("http://127.0.0.1.example/", TokenUrlError::Unencrypted),
            ("http://169.254.169.253/", TokenUrlError::Unencrypted),
        ] {
            assert_eq!(url(invalid), Err(expected), "{invalid}");
        }
        let insecure = target(json!({ "url": "http://a.example/", "insecure_allow_http": true }));
        assert!(insecure.url().is_ok());
    }

    #[test]
    fn query_parameters_replace_those_of_the_same_name() {
        let request = target(json!({
            "url": "https://a.example/x?audience=old&b=1&audience=older#f",
            "query_params": { "audience": "a b", "c": "&" },
        }));
        assert_eq!(request.url().unwrap().as_str(), "https://a.example/x?b=1&audience=a+b&c=%26#f");
    }

    #[test]
    fn methods_are_sent_in_upper_case() {
        let method = |method: serde_json::Value| target(json!({ "url": "", "method": method })).method();
        assert_eq!(method(json!(null)).as_deref(), Some("GET"));
        assert_eq!(method(json!("")).as_deref(), Some("GET"));
        assert_eq!(method(json!("post")).as_deref(), Some("POST"));
        assert_eq!(method(json!("GET /")), None);
    }

    #[test]
    fn debug_output_does_not_contain_secrets() {
        let request = target(json!({
            "url": "https://a.example/",
            "query_params": { "key": "hunter2" },
            "headers": { "authorization": "hunter3" },
        }));
        assert!(!format!("{request:?}").contains("hunter"), "{request:?}");
    }
}
