//! Whether a flag has a value. Scripts pass flags for variables that may be unset, as in `--token="$TOKEN"`, so an empty value of a flag
//! counts as not set, like an empty variable.

use std::ffi::OsStr;

use tbot::agent::Environment;
use tbot::config::GoDuration;

use crate::exit::Failure;

/// Returns the value of a flag, unless it is empty.
pub(crate) fn nonempty<T: AsRef<OsStr> + ?Sized>(value: Option<&T>) -> Option<&T> {
    value.filter(|value| !value.as_ref().is_empty())
}

/// Returns the value of a flag for a duration, unless it is empty or zero. A duration of zero means the default, which the Go agent takes
/// only if the file does not set another.
pub(crate) fn nonzero(value: Option<&str>) -> Option<&str> {
    value.filter(|value| !value.parse().is_ok_and(GoDuration::is_zero))
}

/// Returns the address of the proxy in a flag or its variable.
///
/// # Errors
///
/// Returns an error if the variable is not valid UTF-8.
pub(crate) fn proxy_server(flag: Option<&str>, environment: &Environment) -> Result<Option<String>, Failure> {
    let proxy = match nonempty(flag) {
        Some(proxy) => Some(proxy),
        None => environment.get_utf8("TELEPORT_PROXY")?,
    };
    Ok(proxy.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_and_a_duration_of_zero_count_as_not_set() {
        assert_eq!((nonempty(Some("a")), nonempty(Some("")), nonempty::<str>(None)), (Some("a"), None, None));
        for (value, set) in
            [("1h", true), ("0", false), ("0s", false), ("-0h0m", false), ("-1s", true), ("x", true)]
        {
            assert_eq!(nonzero(Some(value)).is_some(), set, "{value}");
        }
    }

    #[test]
    fn an_empty_proxy_server_is_that_of_the_variable() {
        let environment = [("TELEPORT_PROXY", "b:443")].into_iter().collect();
        let proxy = |flag| proxy_server(flag, &environment).unwrap().unwrap();
        assert_eq!(proxy(Some("a:443")), "a:443");
        assert_eq!((proxy(Some("")), proxy(None)), ("b:443".to_owned(), "b:443".to_owned()));
    }
}
