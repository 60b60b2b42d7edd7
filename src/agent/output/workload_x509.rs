//! The `workload-identity-x509` output: a key, its certificate for a workload, and the authorities that verify others.

use super::files::Set;
use super::issue::Issuer;
use super::workload_identity::issue;
use super::{OutputError, WorkloadIdentityError, WorkloadSelector};
use crate::agent::api::SvidRequest;
use crate::agent::keys::{KeyPair, pem_encode};
use crate::agent::svid::{SvidError, X509Svid};
use crate::agent::x509;

#[derive(Clone, Debug)]
pub(crate) struct WorkloadX509 {
    pub(crate) selector: WorkloadSelector,
}

impl WorkloadX509 {
    pub(super) async fn set(&self, issuer: &Issuer<'_>) -> Result<Set, OutputError> {
        let key = KeyPair::generate()?;
        let request = SvidRequest::X509(key.spki_der().to_vec());
        let credential = issue(issuer, &self.selector, request).await?;
        let svid = X509Svid::new(credential, &key, issuer.around.clock.now())?;
        // Asked for afterwards, so that what has signed is among them.
        let bundle = local(issuer).await?;
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
    let pems: String = authority.into_iter().flat_map(|authority| authority.tls).collect();
    let ders = x509::certificates(&pems).map_err(SvidError::from)?;
    if ders.is_empty() {
        return Err(WorkloadIdentityError::NoAuthority(cluster.to_owned()).into());
    }
    Ok(ders.iter().map(|der| pem_encode("CERTIFICATE", der)).collect())
}
