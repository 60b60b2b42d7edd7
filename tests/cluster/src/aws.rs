//! A user of AWS, and what a cluster checks of a request that one has signed for it: its form, the challenge, and, in place of
//! STS, which a real cluster asks, the signature. Depends on aws-lc-rs. Source: AWS's "Signature Version 4"; protocol facts,
//! section 2.6.

use std::time::{Duration, SystemTime};

use aws_lc_rs::{digest, hmac};

use crate::keys::hex;

const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
/// STS takes a request no longer.
const GOOD_FOR: Duration = Duration::from_secs(15 * 60);
/// Some of the hosts that a real cluster lets a request be for.
const HOSTS: [&str; 6] = [
    "sts.amazonaws.com",
    "sts.eu-central-1.amazonaws.com",
    "sts.us-east-1.amazonaws.com",
    "sts.us-west-2.amazonaws.com",
    "sts.us-gov-west-1.amazonaws.com",
    "sts.cn-north-1.amazonaws.com.cn",
];

/// Who signs, with its secret.
#[derive(Clone, Debug)]
pub struct AwsUser {
    pub access_key_id: String,
    pub secret_access_key: String,
    /// Of a role that was taken on.
    pub session_token: Option<String>,
}

/// A request, taken apart.
struct Parts<'a> {
    /// By name, as they came.
    headers: Vec<(&'a str, &'a str)>,
    body: &'a str,
}

impl<'a> Parts<'a> {
    fn of(request: &'a [u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(request).map_err(|_| "is not text")?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or("has no end of its headers")?;
        let mut lines = head.split("\r\n");
        if lines.next() != Some("POST / HTTP/1.1") {
            return Err("is not POST /");
        }
        let headers = lines.map(|line| line.split_once(": ").ok_or("has a line that is no header"));
        Ok(Self { headers: headers.collect::<Result<_, _>>()?, body })
    }

    /// The one header of this name.
    fn header(&self, wanted: &str) -> Option<&'a str> {
        let mut all = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let found = all.next()?;
        all.next().is_none().then_some(found.1)
    }
}

impl AwsUser {
    /// What is wrong with a request, that should be signed by this user and carry the challenge. It is not repeated.
    pub(crate) fn check(&self, request: &[u8], challenge: &str, now: SystemTime) -> Result<(), &'static str> {
        let parts = Parts::of(request)?;
        let header = |name| parts.header(name).ok_or("has not each header once");
        let host = header("host")?;
        if !HOSTS.contains(&host) {
            return Err("is for an unknown host");
        }
        if header("x-teleport-challenge")? != challenge {
            return Err("has another challenge");
        }
        if parts.body != BODY || header("content-length")? != BODY.len().to_string() {
            return Err("has another body");
        }
        if header("accept")? != "application/json" {
            return Err("does not ask for JSON");
        }
        let signed = Signed::of(header("authorization")?).ok_or("has no signature of version 4")?;
        if !signed.headers.contains(&"x-teleport-challenge") || !signed.headers.contains(&"host") {
            return Err("has a challenge that is not signed");
        }
        if parts.header("x-amz-security-token") != self.session_token.as_deref() {
            return Err("has another session token");
        }
        let date = header("x-amz-date")?;
        let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date);
        let time = time.and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC)).map_err(|_| "has no date")?;
        let time = SystemTime::from(time.timestamp());
        let apart = now.duration_since(time).or_else(|_| time.duration_since(now)).unwrap_or_default();
        if apart > GOOD_FOR || !date.starts_with(signed.day) {
            return Err("is of another time");
        }
        if !host.starts_with(&format!("sts.{}.", signed.region)) && host != "sts.amazonaws.com" {
            return Err("is signed for another region");
        }
        if signed.id != self.access_key_id || self.signature(&parts, &signed, date)? != signed.signature {
            return Err("is not signed by a user that the token allows");
        }
        Ok(())
    }

    fn signature(&self, parts: &Parts<'_>, signed: &Signed<'_>, date: &str) -> Result<String, &'static str> {
        let mut canonical = "POST\n/\n\n".to_owned();
        for name in &signed.headers {
            let value = parts.header(name).ok_or("has a signed header that is not there")?;
            canonical.push_str(&format!("{name}:{}\n", value.trim()));
        }
        canonical.push_str(&format!("\n{}\n{}", signed.headers.join(";"), sha256(parts.body)));
        let Signed { day, region, .. } = signed;
        let text =
            format!("AWS4-HMAC-SHA256\n{date}\n{day}/{region}/sts/aws4_request\n{}", sha256(&canonical));
        let mut key = format!("AWS4{}", self.secret_access_key).into_bytes();
        for part in [*day, *region, "sts", "aws4_request", text.as_str()] {
            let with = hmac::Key::new(hmac::HMAC_SHA256, &key);
            key = hmac::sign(&with, part.as_bytes()).as_ref().to_vec();
        }
        Ok(hex(&key))
    }
}

/// What `Authorization` says.
struct Signed<'a> {
    id: &'a str,
    day: &'a str,
    region: &'a str,
    headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Signed<'a> {
    fn of(authorization: &'a str) -> Option<Self> {
        let mut parts = authorization.strip_prefix("AWS4-HMAC-SHA256 ")?.split(", ");
        let credential = parts.next()?.strip_prefix("Credential=")?;
        let headers = parts.next()?.strip_prefix("SignedHeaders=")?.split(';').collect();
        let signature = parts.next()?.strip_prefix("Signature=")?;
        let scope: Vec<&str> = credential.split('/').collect();
        match *scope.as_slice() {
            [id, day, region, "sts", "aws4_request"] => Some(Self { id, day, region, headers, signature }),
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

    /// Signed by botocore, with these headers.
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

    fn check(request: &str, secret: &str, seconds_later: u64) -> Result<(), &'static str> {
        let user = AwsUser {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: secret.to_owned(),
            session_token: None,
        };
        let now = UNIX_EPOCH + Duration::from_secs(1_767_323_045 + seconds_later);
        user.check(request.as_bytes(), "0ezlc3usTAkXeZTcfOazUq0BGrRaKmb4EwODk8U7J5A", now)
    }

    #[test]
    fn only_the_user_s_own_request_with_the_challenge_is_taken_while_it_is_good() {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        assert_eq!(check(SIGNED, secret, 0), Ok(()));
        assert_eq!(check(SIGNED, "another", 0), Err("is not signed by a user that the token allows"));
        assert_eq!(check(SIGNED, secret, 3600), Err("is of another time"));
        for (from, to, says) in [
            ("POST / ", "GET / ", "is not POST /"),
            ("POST / ", "POST /a ", "is not POST /"),
            ("Host: sts.eu-central-1.", "Host: sts.evil.", "is for an unknown host"),
            ("Host: sts.eu-central-1.", "Host: sts.us-east-1.", "is signed for another region"),
            ("0ezlc3", "0ezlc4", "has another challenge"),
            (";x-teleport-challenge", "", "has a challenge that is not signed"),
            ("2011-06-15", "2011-06-16", "has another body"),
            ("Host:", "Host: a\r\nHost:", "has not each header once"),
            ("charset=utf-8", "charset=utf-9", "is not signed by a user that the token allows"),
            ("\r\n\r\n", "\r\nX-Amz-Security-Token: a\r\n\r\n", "has another session token"),
        ] {
            assert_eq!(check(&SIGNED.replace(from, to), secret, 0), Err(says), "{from}");
        }
    }
}
