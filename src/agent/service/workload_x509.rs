//! The `workload-identity-x509` output: a key, its certificate for a workload, and the CAs that verify other workloads.

use super::error::{OutputError, WorkloadIdentityError};
use super::files::FileSet;
use super::issue::Issuer;
use super::svid::X509Svid;
use super::workload_identity::{issue, selector_of};
use crate::agent::credential::authority::CertAuthority;
use crate::agent::credential::keys::KeyPair;
use crate::agent::credential::pem::pem_encode;
use crate::agent::credential::revocation_list::RevocationList;
use crate::agent::credential::{trust_bundle, x509};
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::auth_client::{Federation, SvidRequest, WorkloadSelector};
use crate::agent::teleport::grpc_code::GrpcCode;
use crate::config::{TrustDomain, WorkloadIdentityX509Service, is_on};

/// The file with the list of revoked X.509 SVIDs.
const REVOCATIONS: &str = "svid_crl.pem";

#[derive(Clone, Debug)]
pub(crate) struct WorkloadX509Output {
    selector: WorkloadSelector,
    /// Whether to also trust the CA that signs client certificates for applications.
    trust_app_clients: bool,
    /// Whether to also trust the CAs of federated trust domains.
    trust_federated: bool,
}

impl WorkloadX509Output {
    pub(crate) fn new(service: &WorkloadIdentityX509Service) -> Self {
        let WorkloadIdentityX509Service {
            destination: _,
            selector,
            include_federated_trust_bundles,
            trust_domains,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
        } = service;
        let trust_domains = trust_domains.as_deref().unwrap_or_default();
        Self {
            selector: selector_of(selector),
            trust_app_clients: trust_domains.contains(&TrustDomain::AppClient),
            trust_federated: is_on(*include_federated_trust_bundles),
        }
    }

    pub(super) async fn issue(&self, issuer: &Issuer<'_>) -> Result<FileSet, OutputError> {
        let key = KeyPair::generate()?;
        let request = SvidRequest::X509(key.spki_der().to_vec());
        let credential = issue(issuer, &self.selector, request).await?;
        let svid = X509Svid::new(credential, &key, issuer.context.clock.now())?;
        // Fetched after the certificate, so that the CA that signed it is included.
        let mut bundle = local_cas(issuer).await?;
        if self.trust_app_clients {
            bundle.push_str(&app_client_cas(issuer).await?);
        }
        if self.trust_federated {
            bundle.push_str(&federated_cas(issuer, issuer.bot_client.federations().await?));
        }
        let mut files = FileSet::new(svid.not_after);
        files.push("svid.pem", svid.certificates);
        files.push("svid_key.pem", key.private_pem());
        files.push("svid_bundle.pem", bundle);
        match &issuer.context.revocations {
            RevocationList::Pem(pem) => files.push(REVOCATIONS, pem.as_str()),
            RevocationList::Absent => files.earlier.removed.push(REVOCATIONS),
            // An older list is better than none.
            RevocationList::Pending | RevocationList::Unavailable => {
                files.earlier.kept.push(REVOCATIONS);
                issuer.warn(format_args!(
                    "the list of revoked X.509 SVIDs is not available: writing the certificate without updating {REVOCATIONS}"
                ));
            }
        }
        Ok(files)
    }
}

/// Returns the CAs of the cluster's own trust domain, in PEM.
async fn local_cas(issuer: &Issuer<'_>) -> Result<String, OutputError> {
    let cluster = issuer.cluster();
    let authority = issuer.bot_client.authority("spiffe", cluster).await?;
    let bundle = validated_ca_pem(authority)?;
    if bundle.is_empty() {
        return Err(WorkloadIdentityError::NoAuthority(cluster.to_string()).into());
    }
    Ok(bundle)
}

/// Returns the CAs that sign client certificates for applications, in PEM; empty before Teleport 19, which added this
/// type.
async fn app_client_cas(issuer: &Issuer<'_>) -> Result<String, OutputError> {
    match issuer.bot_client.authority("app_client", issuer.cluster()).await {
        Ok(authority) => validated_ca_pem(authority),
        Err(ApiError::Refused { code: GrpcCode::InvalidArgument | GrpcCode::NotFound, .. }) => {
            issuer.warn(
                "this cluster has no CA for application clients (app_client): the bundle does not contain it",
            );
            Ok(String::new())
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the CAs of federated trust domains, in PEM, without those that cannot be read.
fn federated_cas(issuer: &Issuer<'_>, federations: Vec<Federation>) -> String {
    let mut bundle = String::new();
    for Federation { trust_domain, bundle: document } in federations {
        let Some(document) = document else {
            let output = &issuer.settings.name;
            tracing::debug!(%output, ?trust_domain, "the cluster has no bundle of this trust domain yet");
            continue;
        };
        match trust_bundle::x509_authorities(&document) {
            Ok(authorities) => bundle.extend(authorities.iter().map(|der| pem_encode("CERTIFICATE", der))),
            Err(error) => issuer.warn(format_args!(
                "cannot read the bundle of the federated trust domain {trust_domain:?}, so its CAs are not trusted: {error}"
            )),
        }
    }
    bundle
}

/// Returns the certificates of a CA, concatenated in PEM. Returns an error if one of them cannot be parsed.
fn validated_ca_pem(authority: Option<CertAuthority>) -> Result<String, OutputError> {
    let pem: String = authority.into_iter().flat_map(|authority| authority.tls).collect();
    let ders = x509::certificates(&pem).map_err(OutputError::Authority)?;
    Ok(ders.iter().map(|der| pem_encode("CERTIFICATE", der)).collect())
}
