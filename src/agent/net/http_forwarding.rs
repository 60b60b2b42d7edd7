//! Removes what an HTTP proxy must not forward from a message (RFC 9110, section 7.6.1), except the upgrade to another protocol,
//! which it passes on.
//!
//! Each connection has its own framing of the body. The header `Content-Length` is forwarded only if the body arrived with it, so
//! that every server agrees with the agent about where a message ends.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    TE, TRANSFER_ENCODING, UPGRADE,
};

/// The headers that are for one connection only, in addition to those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes the headers that are only for the connection on which a message arrived. Returns the protocol to which it upgrades
/// the connection, if any.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let named: Vec<String> = tokens(headers, &CONNECTION).collect();
    let is_upgrade = named.iter().any(|name| name == "upgrade");
    let upgrade = headers.get(UPGRADE).filter(|_| is_upgrade).cloned();
    let accepts_trailers = tokens(headers, &TE).any(|coding| coding == "trailers");
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    for name in named.iter().map(String::as_str).chain(HOP_BY_HOP.iter().map(HeaderName::as_str)) {
        // Without a header of this name, which may not even be valid, nothing happens.
        headers.remove(name);
    }
    // Trailers are forwarded.
    if accepts_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    upgrade
}

/// Asks for, or confirms, the upgrade to another protocol.
pub(crate) fn insert_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Returns the elements of the lists in all headers with a name, in lower case.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> + 'a {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|token| token.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    /// Returns the names of the headers that are left.
    fn left(pairs: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = headers(pairs);
        remove_hop_by_hop(&mut headers);
        headers.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn headers_for_one_connection_are_removed_and_others_are_kept() {
        let all = [
            ("accept", "*/*"),
            ("connection", "close, X-First"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic YTpi"),
            ("proxy-authenticate", "Basic"),
            ("upgrade", "h2c"),
            ("x-first", "1"),
            ("x-second", "2"),
            ("authorization", "Bearer a"),
        ];
        assert_eq!(left(&all), ["accept", "x-second", "authorization"]);
    }

    #[test]
    fn all_headers_that_name_others_count() {
        let mut headers = headers(&[("x-first", "1"), ("x-second", "2"), ("x-third", "3")]);
        headers.append(CONNECTION, HeaderValue::from_static("x-first"));
        headers.append(CONNECTION, HeaderValue::from_static(" X-Second ,not a name,"));
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-third"]);
    }

    #[test]
    fn a_length_is_forwarded_only_without_a_transfer_encoding() {
        assert_eq!(left(&[("content-length", "5")]), ["content-length"]);
        assert!(left(&[("content-length", "5"), ("transfer-encoding", "chunked")]).is_empty());
    }

    #[test]
    fn only_trailers_are_accepted_as_a_transfer_coding() {
        let mut headers = headers(&[("te", "gzip, Trailers"), ("trailer", "x-checksum")]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers["te"], "trailers");
        assert_eq!(headers["trailer"], "x-checksum");
        assert!(left(&[("te", "gzip")]).is_empty());
    }

    #[test]
    fn an_upgrade_is_requested_by_both_headers() {
        let upgrade = |pairs: &[_]| remove_hop_by_hop(&mut headers(pairs));
        let web_socket = ("upgrade", "websocket");
        assert_eq!(upgrade(&[("connection", "keep-alive, Upgrade"), web_socket]).unwrap(), "websocket");
        assert_eq!(upgrade(&[("connection", "keep-alive"), web_socket]), None);
        assert_eq!(upgrade(&[("connection", "upgrade")]), None);
    }
}
