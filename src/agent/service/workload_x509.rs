//! The `workload-identity-x509` output: a key, its certificate for a workload, and the authorities that verify others.

use tonic::Code;

use super::error::OutputError;
use super::files::Set;
use super::issue::Issuer;
use super::workload_identity::WorkloadIdentityError;
use super::workload_identity::issue;
use crate::agent::credential::authority::Authority;
use crate::agent::credential::keys::KeyPair;
use crate::agent::credential::pem::pem_encode;
use crate::agent::credential::{trust_bundle, x509};
use crate::agent::service::svid::X509Svid;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::auth_client::WorkloadSelector;
use crate::agent::teleport::auth_client::{Federation, SvidRequest};

#[derive(Clone, Debug)]
pub(crate) struct WorkloadX509Output {
    pub(crate) selector: WorkloadSelector,
    /// Whether those of the cluster's applications are trusted, too.
    pub(crate) trust_app_clients: bool,
    /// Whether those of federated trust domains are, too.
    pub(crate) trust_federated: bool,
}

impl WorkloadX509Output {
    pub(super) async fn set(&self, issuer: &Issuer<'_>) -> Result<Set, OutputError> {
        let key = KeyPair::generate()?;
        let request = SvidRequest::X509(key.spki_der().to_vec());
        let credential = issue(issuer, &self.selector, request).await?;
        let svid = X509Svid::new(credential, &key, issuer.cx.clock.now())?;
        // Asked for afterwards, so that what has signed is among them.
        let mut bundle = local(issuer).await?;
        if self.trust_app_clients {
            bundle.push_str(&app_clients(issuer).await?);
        }
        if self.trust_federated {
            bundle.push_str(&federated(&issuer.settings.name, issuer.bot.federations().await?));
        }
        let mut set = Set { files: Vec::new(), not_after: svid.not_after };
        set.push("svid.pem", svid.certificates);
        set.push("svid_key.pem", key.private_pem());
        set.push("svid_bundle.pem", bundle);
        Ok(set)
    }
}

/// The authorities of the cluster's own trust domain in PEM.
async fn local(issuer: &Issuer<'_>) -> Result<String, OutputError> {
    let cluster = issuer.cluster();
    let authority = issuer.bot.authority("spiffe", cluster).await?;
    let bundle = pems(authority)?;
    if bundle.is_empty() {
        return Err(WorkloadIdentityError::NoAuthority(cluster.to_owned()).into());
    }
    Ok(bundle)
}

/// The authorities of what the cluster's applications show; none where the cluster knows no such type, as before 19.
async fn app_clients(issuer: &Issuer<'_>) -> Result<String, OutputError> {
    match issuer.bot.authority("app_client", issuer.cluster()).await {
        Ok(authority) => pems(authority),
        Err(ApiError::Refused { code: Code::InvalidArgument | Code::NotFound, .. }) => {
            tracing::warn!(
                output = %issuer.settings.name,
                "this cluster has no authority for clients of applications (app_client), so the bundle is without it"
            );
            Ok(String::new())
        }
        Err(error) => Err(error.into()),
    }
}

/// Those of other trust domains, in PEM. One that cannot be read does not take the others away, nor the certificate.
fn federated(output: &str, federations: Vec<Federation>) -> String {
    let mut bundle = String::new();
    for Federation { trust_domain, bundle: document } in federations {
        let Some(document) = document else {
            tracing::debug!(output, ?trust_domain, "the cluster has no bundle of this trust domain yet");
            continue;
        };
        match trust_bundle::x509_authorities(&document) {
            Ok(authorities) => bundle.extend(authorities.iter().map(|der| pem_encode("CERTIFICATE", der))),
            Err(error) => tracing::warn!(
                output,
                ?trust_domain,
                "the bundle of a federated trust domain is left out, because it cannot be read: {error}"
            ),
        }
    }
    bundle
}

/// What is trusted of an authority, with nothing in between.
fn pems(authority: Option<Authority>) -> Result<String, OutputError> {
    let text: String = authority.into_iter().flat_map(|authority| authority.tls).collect();
    let ders = x509::certificates(&text).map_err(OutputError::Authority)?;
    Ok(ders.iter().map(|der| pem_encode("CERTIFICATE", der)).collect())
}
