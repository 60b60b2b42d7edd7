//! Serves the calls for certificate authorities: their certificates, public keys and rotation.

use std::sync::Arc;

use tonic::Code;

use crate::authorities::Authorities;
use crate::authority::AuthorityKeys;
use crate::error::ApiError;
use crate::proto::{
    CaKeySet, CertAuthoritySpecV2, CertAuthorityV2, GetCertAuthoritiesRequest, GetCertAuthoritiesResponse,
    GetCertAuthorityRequest, GetClusterCaCertResponse, JwtKeyPair, SshKeyPair, TlsKeyPair,
};
use crate::shared::Shared;
use crate::tls_authority::TlsAuthority;

/// The first major version that has the authority `app_client`.
const FIRST_VERSION_WITH_APP_CLIENT: u32 = 19;
/// Authorities that a Teleport server has and this cluster does not.
const UNSUPPORTED: [&str; 3] = ["jwt", "saml_idp", "oidc_idp"];

impl Shared {
    pub(crate) fn cluster_ca(&self) -> GetClusterCaCertResponse {
        let authorities = self.authorities();
        GetClusterCaCertResponse {
            tls_ca: authorities.host.trusted_tls().map(TlsAuthority::pem).collect::<String>().into(),
        }
    }

    pub(crate) fn cert_authorities(
        &self,
        request: &GetCertAuthoritiesRequest,
    ) -> Result<GetCertAuthoritiesResponse, ApiError> {
        let of = |cluster: &str, authorities: &Authorities| {
            self.authority(cluster, authorities, &request.r#type, request.include_key)
        };
        let mut all = vec![of(&self.name, &self.authorities())?];
        for (name, authorities) in &self.state().leaves {
            all.push(of(name, authorities)?);
        }
        Ok(GetCertAuthoritiesResponse { cert_authorities_v2: all })
    }

    pub(crate) fn cert_authority(
        &self,
        request: &GetCertAuthorityRequest,
    ) -> Result<CertAuthorityV2, ApiError> {
        let leaf = self.state().leaves.get(&request.domain).cloned();
        let own = self.authorities();
        let authorities = leaf.as_deref().unwrap_or(&own);
        let authority = self.authority(&request.domain, authorities, &request.r#type, request.include_key)?;
        if leaf.is_none() && request.domain != self.name {
            let (kind, domain) = (&request.r#type, &request.domain);
            return Err(ApiError::not_found(format!("{kind} certificate authority {domain:?} is not found")));
        }
        Ok(authority)
    }

    /// Returns an authority as a response, or the error with which a server refuses the request.
    fn authority(
        &self,
        cluster: &str,
        authorities: &Authorities,
        kind: &str,
        include_key: bool,
    ) -> Result<CertAuthorityV2, ApiError> {
        if include_key {
            return Err(ApiError::access_denied());
        }
        let is_known = kind != "app_client" || self.major_version() >= FIRST_VERSION_WITH_APP_CLIENT;
        self.public_authority(cluster, authorities, kind).filter(|_| is_known).ok_or_else(|| {
            if UNSUPPORTED.contains(&kind) {
                let message = format!("the development cluster has no {kind} authority");
                ApiError::new(Code::Unimplemented, message)
            } else {
                ApiError::invalid_argument(format!("{kind:?} is not a known authority type"))
            }
        })
    }

    /// Returns the public part of an authority of `cluster`, or `None` if there is no such authority.
    pub(crate) fn public_authority(
        &self,
        cluster: &str,
        authorities: &Authorities,
        kind: &str,
    ) -> Option<CertAuthorityV2> {
        let authority = authorities.of_kind(kind)?;
        Some(CertAuthorityV2 {
            kind: "cert_authority".to_owned(),
            sub_kind: kind.to_owned(),
            version: "v2".to_owned(),
            metadata: Some(self.metadata(cluster)),
            spec: Some(CertAuthoritySpecV2 {
                r#type: kind.to_owned(),
                cluster_name: cluster.to_owned(),
                rotation: authority.rotation(),
                active_keys: Some(key_set(Some(&authority.active))),
                additional_trusted_keys: Some(key_set(authority.additional.as_ref())),
            }),
        })
    }
}

/// Returns the public halves of `keys`.
fn key_set(keys: Option<&Arc<AuthorityKeys>>) -> CaKeySet {
    let ssh = keys.iter().filter_map(|keys| keys.ssh.as_ref());
    let jwt = keys.iter().filter_map(|keys| keys.jwt.as_ref()?.public_pem().ok());
    CaKeySet {
        jwt: jwt.map(|pem| JwtKeyPair { public_key: pem.into() }).collect(),
        ssh: ssh.map(|ssh| SshKeyPair { public_key: ssh.public_line().into() }).collect(),
        tls: keys
            .iter()
            .filter_map(|keys| keys.tls.as_ref())
            .map(|tls| TlsKeyPair { cert: tls.pem().into() })
            .collect(),
    }
}
