//! What AWS gives to what runs there: the keys of a container's role (ECS, EKS), and of an EC2 instance's, with its region.
//! The instance is asked by version 2 of its metadata service only. Two I/O edges, one request after another.

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderValue};
use url::Url;

use super::super::metadata_client::{Asked, Way, metadata_url, on_this_link, secret_header};
use super::super::{ProofError, Wanted, file};
use super::keys::{Keys, KeysAnswer, Region};
use super::{KEYS, REGION};
use crate::agent::platform::options::{Clock, Environment};

const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
/// Where ECS has a container ask.
const ECS: &str = "http://169.254.170.2";

const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const EC2: &str = "http://169.254.169.254";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
/// Of a session with the metadata service, in seconds: it is over before.
const SESSION: &str = "60";

/// The keys of the container's role; none where this is no container of AWS.
pub(super) async fn container_keys(
    environment: &Environment,
    clock: &Clock,
) -> Result<Option<Keys>, ProofError> {
    let Some(url) = container_url(environment)? else { return Ok(None) };
    let way = if url.scheme() == "https" { Way::World } else { Way::Link };
    let asked = Asked::new(url, way, environment, clock, KEYS)?;
    let mut request = asked.client().get(asked.base().clone());
    if let Some(token) = container_token(environment).await? {
        request = request.header(AUTHORIZATION, token);
    }
    let answer: KeysAnswer = asked.send_for(request, KEYS).await?;
    Keys::from_answer(&answer, &asked.place()).map(Some)
}

fn container_url(environment: &Environment) -> Result<Option<Url>, ProofError> {
    let wrong = |name| move |problem| ProofError::Address { name, problem };
    if let Some(path) = environment.get(RELATIVE) {
        let path = Some(path).filter(|path| path.starts_with('/'));
        let path = path.ok_or("it is no path that begins with /").map_err(wrong(RELATIVE))?;
        let url =
            Url::parse(&format!("{ECS}{path}")).map_err(|_| "it is no path").map_err(wrong(RELATIVE))?;
        return Ok(Some(url));
    }
    let Some(text) = environment.get(FULL) else { return Ok(None) };
    let url = Url::parse(text).map_err(|_| "it is no URL").map_err(wrong(FULL))?;
    match url.scheme() {
        "https" => Ok(Some(url)),
        "http" => on_this_link(url).map(Some).map_err(wrong(FULL)),
        _ => Err(wrong(FULL)("it is no URL of http or https")),
    }
}

async fn container_token(environment: &Environment) -> Result<Option<HeaderValue>, ProofError> {
    if let Some(path) = environment.get(TOKEN_FILE) {
        let text = file::read(path.as_ref(), KEYS).await?;
        return secret_header(text.trim(), KEYS, TOKEN_FILE).map(Some);
    }
    environment.get(TOKEN).map(|token| secret_header(token, KEYS, TOKEN)).transpose()
}

/// A session with an EC2 instance's metadata service.
pub(super) struct Ec2 {
    asked: Asked,
    session: HeaderValue,
}

impl Ec2 {
    /// `wanted` is what it is opened for.
    pub(super) async fn open(
        environment: &Environment,
        clock: &Clock,
        wanted: Wanted,
    ) -> Result<Self, ProofError> {
        if environment.get("AWS_EC2_METADATA_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"))
        {
            return Err(wanted.missing());
        }
        let url = metadata_url(environment.get(ENDPOINT).unwrap_or(EC2));
        let url = url.map_err(|problem| ProofError::Address { name: ENDPOINT, problem })?;
        let asked = Asked::new(url, Way::Link, environment, clock, wanted)?;
        let request = asked.client().put(asked.at("/latest/api/token"));
        let request =
            request.header("x-aws-ec2-metadata-token-ttl-seconds", SESSION).header(CONTENT_LENGTH, 0);
        let session = asked.send(request, wanted).await?;
        let session = secret_header(String::from_utf8_lossy(&session).trim(), wanted, &asked.place())?;
        Ok(Self { asked, session })
    }

    /// The keys of the instance's role.
    pub(super) async fn keys(&self) -> Result<Keys, ProofError> {
        let roles = self.asked.send(self.get(self.asked.at(ROLES)), KEYS).await?;
        let roles = String::from_utf8_lossy(&roles);
        let role = roles.lines().next().map(str::trim).filter(|role| !role.is_empty());
        let role = role.ok_or_else(|| KEYS.missing())?;
        let mut url = self.asked.at(ROLES);
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(role);
        }
        let answer: KeysAnswer = self.asked.send_for(self.get(url), KEYS).await?;
        Keys::from_answer(&answer, &self.asked.place())
    }

    /// The region that the instance is in.
    pub(super) async fn region(&self) -> Result<Region, ProofError> {
        let url = self.asked.at("/latest/meta-data/placement/region");
        let region = self.asked.send(self.get(url), REGION).await?;
        Region::new(&String::from_utf8_lossy(&region), &self.asked.place())
    }

    fn get(&self, url: Url) -> reqwest::RequestBuilder {
        self.asked.client().get(url).header("x-aws-ec2-metadata-token", self.session.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_asks_on_its_own_link_or_over_https() {
        let url = |name: &str, text: &str| {
            let environment = [(name, text)].into_iter().collect();
            container_url(&environment).map(|url| url.map(String::from)).map_err(|error| error.to_string())
        };
        assert_eq!(url("OTHER", "a"), Ok(None));
        let of_ecs = "http://169.254.170.2/v2/credentials/a?b=c".to_owned();
        assert_eq!(url(RELATIVE, "/v2/credentials/a?b=c"), Ok(Some(of_ecs)));
        for bad in ["v2/credentials", "@a.example/", ":1/"] {
            assert!(url(RELATIVE, bad).unwrap_err().starts_with(RELATIVE), "{bad}");
        }
        for good in
            ["http://169.254.170.23/v1/credentials", "http://[fd00:ec2::23]/v1", "https://a.example/b"]
        {
            assert_eq!(url(FULL, good), Ok(Some(good.to_owned())));
        }
        for bad in ["http://a.example/b", "http://10.0.0.1/", "ftp://127.0.0.1/", "a"] {
            assert!(url(FULL, bad).unwrap_err().starts_with(FULL), "{bad}");
        }
    }
}
