//! The proof of Azure: a document that says which machine this is, with the cluster's challenge in it and signed by Azure, and an
//! access token of the machine's identity. Asked of the metadata service on the machine's own link. Source: protocol
//! facts, section 2.7.

use serde::Deserialize;

use super::metadata_client::{Asked, Way, metadata_url};
use super::{Challenge, Jwt, LARGEST, ProofError, Wanted};
use crate::agent::platform::options::{Clock, Environment};

/// What the SDKs of Azure take another host of the metadata service from.
const ENDPOINT: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
const IMDS: &str = "http://169.254.169.254";
/// Since then documents have a nonce.
const OLDEST: &str = "2019-06-04";
/// Whom the access token is for. The cluster asks there which machine this is.
const RESOURCE: &str = "https://management.azure.com/";

const VERSIONS: Wanted = Wanted {
    what: "version of Azure's metadata service",
    needs: "onboarding.join_method azure works on a virtual machine of Azure",
};
const DOCUMENT: Wanted = Wanted { what: "attested document", needs: VERSIONS.needs };
const ACCESS_TOKEN: Wanted = Wanted {
    what: "access token",
    needs: "onboarding.join_method azure needs a machine with a managed identity; where it has several, \
            onboarding.azure.client_id says which",
};

/// What a machine of Azure can say before it knows the challenge, and whom to ask then.
pub(crate) struct Azure {
    asked: Asked,
    api_version: String,
    access_token: Jwt,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    api_versions: Vec<String>,
}

#[derive(Deserialize)]
struct AccessToken {
    access_token: String,
}

/// As far as it is looked at: the cluster reads the rest.
#[derive(Deserialize)]
struct Document {
    signature: String,
}

impl Azure {
    /// As the managed identity of `client_id`, where the machine has several.
    pub(super) async fn find(
        client_id: Option<&str>,
        environment: &Environment,
        clock: &Clock,
    ) -> Result<Self, ProofError> {
        let url = metadata_url(environment.get(ENDPOINT).unwrap_or(IMDS));
        let url = url.map_err(|problem| ProofError::Address { name: ENDPOINT, problem })?;
        let asked = Asked::new(url, Way::Link, environment, clock, VERSIONS)?;
        let versions: Versions =
            asked.send_for(request(&asked, "versions", &[("format", "json")]), VERSIONS).await?;
        let newest = versions.api_versions.into_iter().next_back();
        let newest = newest.filter(|version| version.as_str() >= OLDEST);
        let api_version =
            newest.ok_or_else(|| asked.malformed(VERSIONS, "the newest has to be of 2019-06-04 or later"))?;
        let mut query = vec![("api-version", api_version.as_str()), ("resource", RESOURCE)];
        query.extend(client_id.map(|id| ("client_id", id)));
        let answer: AccessToken =
            asked.send_for(request(&asked, "identity/oauth2/token", &query), ACCESS_TOKEN).await?;
        let access_token = Jwt::new(&answer.access_token, ACCESS_TOKEN.what, asked.place())?;
        Ok(Self { asked, api_version, access_token })
    }

    /// The document for this challenge, as it came.
    pub(in crate::agent::bot::join) async fn document(
        &self,
        challenge: &Challenge,
    ) -> Result<Vec<u8>, ProofError> {
        let query =
            [("api-version", self.api_version.as_str()), ("format", "json"), ("nonce", challenge.as_str())];
        let request = request(&self.asked, "attested/document", &query);
        let body = self.asked.send(request, DOCUMENT).await?;
        if body.len() > LARGEST {
            return Err(self.asked.malformed(DOCUMENT, "it is longer than 64 KiB"));
        }
        let is_signed = serde_json::from_slice::<Document>(&body).is_ok_and(|d| !d.signature.is_empty());
        if is_signed { Ok(body) } else { Err(self.asked.malformed(DOCUMENT, "it is not signed")) }
    }

    pub(in crate::agent::bot::join) fn access_token(&self) -> &Jwt {
        &self.access_token
    }
}

fn request(asked: &Asked, path: &str, query: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let mut url = asked.at(&format!("/metadata/{path}"));
    url.query_pairs_mut().extend_pairs(query);
    asked.client().get(url).header("metadata", "True")
}
