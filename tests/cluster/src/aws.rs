//! An AWS user, and the verification of a `GetCallerIdentity` request that the user has signed: its form, challenge and
//! signature. A real cluster sends the request to STS, which verifies the signature. See "Signature Version 4" in the
//! documentation of AWS.

use std::time::{Duration, SystemTime};

use aws_lc_rs::{digest, hmac};

use crate::keys::hex;

const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
/// STS rejects older requests.
const MAX_AGE: Duration = Duration::from_secs(15 * 60);
/// Some of the hosts that a real cluster accepts in a request.
const HOSTS: [&str; 7] = [
    "sts.amazonaws.com",
    "sts.eu-central-1.amazonaws.com",
    "sts.us-east-1.amazonaws.com",
    "sts-fips.us-east-1.amazonaws.com",
    "sts.us-west-2.amazonaws.com",
    "sts.us-gov-west-1.amazonaws.com",
    "sts.cn-north-1.amazonaws.com.cn",
];

/// The credentials of an AWS user or role.
#[derive(Clone, Debug)]
pub struct AwsUser {
    pub access_key_id: String,
    pub secret_access_key: String,
    /// Present if the credentials are temporary, such as those of an assumed role.
    pub session_token: Option<String>,
}

/// The reason why a signed request is rejected. It never contains the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StsRequestError {
    #[error("is not valid UTF-8")]
    Utf8,
    #[error("has malformed headers")]
    MalformedHeaders,
    #[error("is not POST /")]
    RequestLine,
    #[error("lacks a required header or repeats it")]
    HeaderCount,
    #[error("is for an unknown host")]
    Host,
    #[error("has the wrong challenge")]
    Challenge,
    #[error("has an unexpected body")]
    Body,
    #[error("does not accept JSON")]
    Accept,
    #[error("has no signature of version 4")]
    NoSignature,
    #[error("does not sign the host and the challenge")]
    UnsignedHeader,
    #[error("has another session token")]
    SessionToken,
    #[error("has no valid date")]
    Date,
    #[error("is expired or dated in the future")]
    Age,
    #[error("is signed for another region")]
    Region,
    #[error("is not signed by a user that the token allows")]
    Signature,
}

/// A parsed HTTP/1.1 request.
struct HttpRequest<'a> {
    /// Names and values as received.
    headers: Vec<(&'a str, &'a str)>,
    body: &'a str,
}

impl<'a> HttpRequest<'a> {
    fn parse(request: &'a [u8]) -> Result<Self, StsRequestError> {
        let request = std::str::from_utf8(request).map_err(|_| StsRequestError::Utf8)?;
        let (head, body) = request.split_once("\r\n\r\n").ok_or(StsRequestError::MalformedHeaders)?;
        let mut lines = head.split("\r\n");
        if lines.next() != Some("POST / HTTP/1.1") {
            return Err(StsRequestError::RequestLine);
        }
        let headers = lines.map(|line| line.split_once(": ").ok_or(StsRequestError::MalformedHeaders));
        Ok(Self { headers: headers.collect::<Result<_, _>>()?, body })
    }

    /// Returns the value of a header, or `None` if it is missing or repeated.
    fn header(&self, name: &str) -> Option<&'a str> {
        let mut matching = self.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
        let (_, value) = matching.next()?;
        matching.next().is_none().then_some(value)
    }
}

impl AwsUser {
    /// Verifies that a request is signed by this user and contains the challenge.
    pub(crate) fn verify(
        &self,
        request: &[u8],
        challenge: &str,
        now: SystemTime,
    ) -> Result<(), StsRequestError> {
        let request = HttpRequest::parse(request)?;
        let header = |name| request.header(name).ok_or(StsRequestError::HeaderCount);
        let host = header("host")?;
        if !HOSTS.contains(&host) {
            return Err(StsRequestError::Host);
        }
        if header("x-teleport-challenge")? != challenge {
            return Err(StsRequestError::Challenge);
        }
        if request.body != BODY || header("content-length")? != BODY.len().to_string() {
            return Err(StsRequestError::Body);
        }
        if header("accept")? != "application/json" {
            return Err(StsRequestError::Accept);
        }
        let authorization =
            Authorization::parse(header("authorization")?).ok_or(StsRequestError::NoSignature)?;
        let is_signed = |name| authorization.signed_headers.contains(&name);
        if !is_signed("x-teleport-challenge") || !is_signed("host") {
            return Err(StsRequestError::UnsignedHeader);
        }
        if request.header("x-amz-security-token") != self.session_token.as_deref() {
            return Err(StsRequestError::SessionToken);
        }
        let date = header("x-amz-date")?;
        let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date)
            .and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC))
            .map_err(|_| StsRequestError::Date)?;
        let time = SystemTime::from(time.timestamp());
        let distance = now.duration_since(time).or_else(|_| time.duration_since(now)).unwrap_or_default();
        if distance > MAX_AGE || !date.starts_with(authorization.day) {
            return Err(StsRequestError::Age);
        }
        let of_region = ["sts", "sts-fips"].map(|service| format!("{service}.{}.", authorization.region));
        if !of_region.iter().any(|prefix| host.starts_with(prefix)) && host != "sts.amazonaws.com" {
            return Err(StsRequestError::Region);
        }
        if authorization.access_key_id != self.access_key_id
            || self.signature(&request, &authorization, date)? != authorization.signature
        {
            return Err(StsRequestError::Signature);
        }
        Ok(())
    }

    /// Computes the signature that this user would give to a request.
    fn signature(
        &self,
        request: &HttpRequest<'_>,
        authorization: &Authorization<'_>,
        date: &str,
    ) -> Result<String, StsRequestError> {
        let Authorization { day, region, signed_headers, .. } = authorization;
        let mut canonical = "POST\n/\n\n".to_owned();
        for name in signed_headers {
            let value = request.header(name).ok_or(StsRequestError::HeaderCount)?;
            canonical.push_str(&format!("{name}:{}\n", value.trim()));
        }
        canonical.push_str(&format!("\n{}\n{}", signed_headers.join(";"), sha256(request.body)));
        let string_to_sign =
            format!("AWS4-HMAC-SHA256\n{date}\n{day}/{region}/sts/aws4_request\n{}", sha256(&canonical));
        let mut key = format!("AWS4{}", self.secret_access_key).into_bytes();
        for message in [*day, *region, "sts", "aws4_request", string_to_sign.as_str()] {
            let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, &key);
            key = hmac::sign(&hmac_key, message.as_bytes()).as_ref().to_vec();
        }
        Ok(hex(&key))
    }
}

/// The parsed `Authorization` header.
struct Authorization<'a> {
    access_key_id: &'a str,
    day: &'a str,
    region: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let mut parts = header.strip_prefix("AWS4-HMAC-SHA256 ")?.split(", ");
        let credential = parts.next()?.strip_prefix("Credential=")?;
        let signed_headers = parts.next()?.strip_prefix("SignedHeaders=")?.split(';').collect();
        let signature = parts.next()?.strip_prefix("Signature=")?;
        let scope: Vec<&str> = credential.split('/').collect();
        match *scope.as_slice() {
            [access_key_id, day, region, "sts", "aws4_request"] => {
                Some(Self { access_key_id, day, region, signed_headers, signature })
            }
            _ => None,
        }
    }
}

fn sha256(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// Signed by botocore with these headers.
    const SIGNED: &str = "POST / HTTP/1.1\r\n\
        Host: sts.eu-central-1.amazonaws.com\r\n\
        Accept: application/json\r\n\
        Content-Length: 43\r\n\
        Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n\
        X-Teleport-Challenge: 0ezlc3usTAkXeZTcfOazUq0BGrRaKmb4EwODk8U7J5A\r\n\
        X-Amz-Date: 20260102T030405Z\r\n\
        Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-central-1/sts/aws4_request, \
        SignedHeaders=accept;content-length;content-type;host;x-amz-date;x-teleport-challenge, \
        Signature=6dee8c78dd4346b8d689359177cea16247987f5b8779dfdd95b1576acf8ee17b\r\n\r\n\
        Action=GetCallerIdentity&Version=2011-06-15";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn verify(request: &str, secret: &str, seconds_later: u64) -> Result<(), StsRequestError> {
        let user = AwsUser {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: secret.to_owned(),
            session_token: None,
        };
        let now = UNIX_EPOCH + Duration::from_secs(1_767_323_045 + seconds_later);
        user.verify(request.as_bytes(), "0ezlc3usTAkXeZTcfOazUq0BGrRaKmb4EwODk8U7J5A", now)
    }

    #[test]
    fn only_recent_requests_of_the_user_with_the_challenge_are_accepted() {
        assert_eq!(verify(SIGNED, SECRET, 0), Ok(()));
        assert_eq!(verify(SIGNED, "another", 0), Err(StsRequestError::Signature));
        assert_eq!(verify(SIGNED, SECRET, 3600), Err(StsRequestError::Age));
        for (from, to, error) in [
            ("POST / ", "GET / ", StsRequestError::RequestLine),
            ("POST / ", "POST /a ", StsRequestError::RequestLine),
            ("Host: sts.eu-central-1.", "Host: sts.evil.", StsRequestError::Host),
            ("Host: sts.eu-central-1.", "Host: sts.us-east-1.", StsRequestError::Region),
            ("0ezlc3", "0ezlc4", StsRequestError::Challenge),
            (";x-teleport-challenge", "", StsRequestError::UnsignedHeader),
            ("2011-06-15", "2011-06-16", StsRequestError::Body),
            ("Host:", "Host: a\r\nHost:", StsRequestError::HeaderCount),
            ("charset=utf-8", "charset=utf-9", StsRequestError::Signature),
            ("\r\n\r\n", "\r\nX-Amz-Security-Token: a\r\n\r\n", StsRequestError::SessionToken),
        ] {
            assert_eq!(verify(&SIGNED.replace(from, to), SECRET, 0), Err(error), "{from}");
        }
    }
}
