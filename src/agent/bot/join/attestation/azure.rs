//! Obtains the attestation of an Azure virtual machine from the instance metadata service (IMDS): a document, signed by
//! Azure, that identifies the machine and contains the cluster's challenge, and an access token of the machine's
//! managed identity.

use reqwest::Method;
use serde::Deserialize;

use super::azure_issuers;
use super::challenge::Challenge;
use super::endpoint_url::parse_metadata_url;
use super::error::{AttestationError, MAX_BYTES, RequestContext, TOO_LARGE};
use super::jwt::Jwt;
use super::metadata_client::{MetadataClient, ProxyPolicy};
use crate::agent::platform::{Clock, Environment};

/// The variable with which the Azure SDKs override the address of the metadata service.
const ENDPOINT: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
const DEFAULT_ENDPOINT: &str = "http://169.254.169.254";
/// The first API version whose documents contain a nonce.
const MIN_API_VERSION: &str = "2019-06-04";
/// The audience of the access token. The cluster queries this API about the machine.
const RESOURCE: &str = "https://management.azure.com/";

const API_VERSION: RequestContext = RequestContext {
    item: "API version of Azure's metadata service",
    hint: "onboarding.join_method azure works only on an Azure virtual machine",
};
const DOCUMENT: RequestContext = RequestContext { item: "attested document", hint: API_VERSION.hint };
const ISSUER: RequestContext = RequestContext {
    item: "issuer's certificate of the attested document",
    hint: "this cluster requires it: let this machine send HTTP requests to www.microsoft.com",
};
const ACCESS_TOKEN: RequestContext = RequestContext {
    item: "access token",
    hint: "onboarding.join_method azure needs a machine with a managed identity; if it has several, set \
           onboarding.azure.client_id to choose one",
};

/// The part of an Azure attestation that does not depend on the challenge, and the client that obtains the rest.
pub(crate) struct AzureAttestation {
    client: MetadataClient,
    api_version: String,
    access_token: Jwt,
    environment: Environment,
    clock: Clock,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionsResponse {
    api_versions: Vec<String>,
}

#[derive(Deserialize)]
struct AccessTokenResponse {
    access_token: String,
}

/// The attested document, with the only field that the agent checks. The cluster verifies the rest.
#[derive(Deserialize)]
struct Document {
    signature: String,
}

impl AzureAttestation {
    /// Obtains an access token from the metadata service. `client_id` selects one of several managed identities.
    pub(super) async fn new(
        client_id: Option<&str>,
        environment: &Environment,
        clock: &Clock,
    ) -> Result<Self, AttestationError> {
        let url = parse_metadata_url(environment.get(ENDPOINT).unwrap_or(DEFAULT_ENDPOINT));
        let url = url.map_err(|problem| AttestationError::InvalidAddress { variable: ENDPOINT, problem })?;
        let client = MetadataClient::new(url, ProxyPolicy::Direct, environment, clock, API_VERSION).await?;
        let versions: VersionsResponse =
            client.send_for_json(request(&client, "versions", &[("format", "json")]), API_VERSION).await?;
        let newest = versions.api_versions.into_iter().next_back();
        let newest = newest.filter(|version| version.as_str() >= MIN_API_VERSION);
        let too_old = || client.malformed(API_VERSION, "the newest version must be 2019-06-04 or later");
        let api_version = newest.ok_or_else(too_old)?;
        let mut query = vec![("api-version", api_version.as_str()), ("resource", RESOURCE)];
        query.extend(client_id.map(|id| ("client_id", id)));
        let response: AccessTokenResponse =
            client.send_for_json(request(&client, "identity/oauth2/token", &query), ACCESS_TOKEN).await?;
        let access_token = Jwt::parse(&response.access_token, ACCESS_TOKEN, client.response_location())?;
        Ok(Self { client, api_version, access_token, environment: environment.clone(), clock: clock.clone() })
    }

    /// Obtains the attested document for `challenge` and returns it unchanged.
    pub(crate) async fn document(&self, challenge: &Challenge) -> Result<Vec<u8>, AttestationError> {
        let query =
            [("api-version", self.api_version.as_str()), ("format", "json"), ("nonce", challenge.as_str())];
        let request = request(&self.client, "attested/document", &query);
        let body = self.client.send(request, DOCUMENT).await?;
        if body.len() > MAX_BYTES {
            return Err(self.client.malformed(DOCUMENT, TOO_LARGE));
        }
        let is_signed =
            serde_json::from_slice::<Document>(&body).is_ok_and(|document| !document.signature.is_empty());
        if is_signed { Ok(body) } else { Err(self.client.malformed(DOCUMENT, "it is not signed")) }
    }

    /// Downloads the certificates of the issuers of a document, which is the response to [`document`](Self::document). See
    /// [`azure_issuers`].
    pub(crate) async fn issuers(&self, document: &[u8]) -> Result<Vec<u8>, AttestationError> {
        let Ok(Document { signature }) = serde_json::from_slice(document) else { return Ok(Vec::new()) };
        azure_issuers::issuers(&signature, |url| async {
            let policy = ProxyPolicy::FromEnvironment;
            let client =
                MetadataClient::new(url.clone(), policy, &self.environment, &self.clock, ISSUER).await?;
            client.send(client.http().request(Method::GET, url), ISSUER).await
        })
        .await
    }

    pub(crate) fn access_token(&self) -> &Jwt {
        &self.access_token
    }
}

fn request(client: &MetadataClient, path: &str, query: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let mut url = client.url_with_path(&format!("/metadata/{path}"));
    url.query_pairs_mut().extend_pairs(query);
    client.http().request(Method::GET, url).header("metadata", "True")
}
