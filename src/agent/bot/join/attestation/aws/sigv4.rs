//! Signs the STS request `GetCallerIdentity` with AWS Signature Version 4. Pure: the same arguments give the same
//! bytes. Source: AWS's documentation of Signature Version 4, and the form that Teleport's auth server accepts.

use std::fmt::Write as _;
use std::time::SystemTime;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, Tag, sign};
use jiff::Timestamp;

use super::credentials::AwsCredentials;
use super::region::{Region, StsEndpoint};
use crate::agent::bot::join::attestation::challenge::Challenge;
use crate::agent::platform::hex::{hex, sha256_hex};

/// The auth server requires exactly these bytes.
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Returns a `POST /` to `endpoint`, signed with `credentials` at `now`, in HTTP/1.1 wire format. Signs every
/// header except `authorization`, including the one that contains the challenge.
///
/// # Errors
///
/// Returns an error if `now` is outside the range of [`Timestamp`].
pub(super) fn sign_get_caller_identity(
    challenge: &Challenge,
    endpoint: &StsEndpoint,
    credentials: &AwsCredentials,
    now: SystemTime,
) -> Result<String, jiff::Error> {
    let now = Timestamp::try_from(now)?.strftime("%Y%m%dT%H%M%SZ").to_string();
    let date = now.get(..8).unwrap_or_default();
    let StsEndpoint { region, host } = endpoint;
    let length = BODY.len().to_string();
    // Sorted by name, as the signature requires.
    let mut headers = vec![
        ("accept", "application/json"),
        ("content-length", &length),
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("host", host),
        ("x-amz-date", &now),
    ];
    headers.extend(credentials.session_token().map(|token| ("x-amz-security-token", token)));
    headers.push(("x-teleport-challenge", challenge.as_str()));

    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines = |separator: &str, end: &str| {
        headers.iter().fold(String::new(), |mut lines, (name, value)| {
            // Writing to a String cannot fail.
            let _ = write!(lines, "{name}{separator}{value}{end}");
            lines
        })
    };
    let canonical = format!("POST\n/\n\n{}\n{names}\n{}", lines(":", "\n"), sha256_hex(BODY));
    let scope = format!("{date}/{}/sts/aws4_request", region.as_str());
    let to_sign = format!("{ALGORITHM}\n{now}\n{scope}\n{}", sha256_hex(&canonical));
    let signature = hex(hmac(signing_key(credentials, date, region), &to_sign));
    let authorization = format!(
        "{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        credentials.id()
    );
    Ok(format!("POST / HTTP/1.1\r\n{}authorization: {authorization}\r\n\r\n{BODY}", lines(": ", "\r\n")))
}

fn signing_key(credentials: &AwsCredentials, date: &str, region: &Region) -> Tag {
    let secret = Key::new(HMAC_SHA256, format!("AWS4{}", credentials.secret()).as_bytes());
    let date_key = sign(&secret, date.as_bytes());
    [region.as_str(), "sts", "aws4_request"].into_iter().fold(date_key, hmac)
}

fn hmac(key: Tag, message: &str) -> Tag {
    sign(&Key::new(HMAC_SHA256, key.as_ref()), message.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// 2026-01-02T03:04:05Z.
    const NOW: u64 = 1_767_323_045;
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn signed(region: &str, id: &str, token: Option<&str>, challenge: &str) -> String {
        let credentials = AwsCredentials::new(id, SECRET, token, "test").ok().unwrap();
        let endpoint = StsEndpoint::new(Region::parse(region, "test").unwrap());
        let challenge = Challenge::new(challenge.to_owned()).unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        sign_get_caller_identity(&challenge, &endpoint, &credentials, now).unwrap()
    }

    /// The expected signature is that of botocore 1.43 for the same headers, credentials and time.
    #[test]
    fn the_signature_equals_that_of_another_implementation() {
        let request =
            signed("eu-central-1", "AKIDEXAMPLE", None, "0ezlc3usTAkXeZTcfOazUq0BGrRaKmb4EwODk8U7J5A");
        assert_eq!(
            request,
            "POST / HTTP/1.1\r\n\
             accept: application/json\r\n\
             content-length: 43\r\n\
             content-type: application/x-www-form-urlencoded; charset=utf-8\r\n\
             host: sts.eu-central-1.amazonaws.com\r\n\
             x-amz-date: 20260102T030405Z\r\n\
             x-teleport-challenge: 0ezlc3usTAkXeZTcfOazUq0BGrRaKmb4EwODk8U7J5A\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-central-1/sts/aws4_request, \
             SignedHeaders=accept;content-length;content-type;host;x-amz-date;x-teleport-challenge, \
             Signature=6dee8c78dd4346b8d689359177cea16247987f5b8779dfdd95b1576acf8ee17b\r\n\
             \r\n\
             Action=GetCallerIdentity&Version=2011-06-15"
        );
    }

    #[test]
    fn a_session_token_is_sent_and_signed() {
        let token = "IQoJb3JpZ2luX2VjEXAMPLE//session+token==";
        let request = signed("cn-north-1", "ASIDEXAMPLE", Some(token), &"A".repeat(43));
        assert!(request.contains("\r\nhost: sts.cn-north-1.amazonaws.com.cn\r\n"), "{request}");
        assert!(request.contains(&format!("\r\nx-amz-security-token: {token}\r\n")), "{request}");
        assert!(
            request.contains(
                "SignedHeaders=accept;content-length;content-type;host;x-amz-date;x-amz-security-token;x-teleport-challenge, \
                 Signature=45918a3990f708c9e2bce7f9e162df2b3f4b204ce7bc8e02ab34bf41db244484\r\n"
            ),
            "{request}"
        );
    }
}
