//! Issues certificates for SSH hosts, by gRPC or, on servers up to 15, by REST.

use std::time::Duration;

use super::AuthClient;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::grpc::unary;
use crate::agent::teleport::messages::{GenerateHostCertRequest, GenerateHostCertResponse};
use crate::agent::teleport::rest::{self, HostCertParams};

const GENERATE_HOST_CERT: &str = "/teleport.trust.v1.TrustService/GenerateHostCert";

impl AuthClient {
    /// Issues a host certificate, one line with a newline, for the key in `ssh_line`.
    pub(crate) async fn host_cert(
        &self,
        ssh_line: &str,
        principals: &[String],
        cluster: &str,
        ttl: Duration,
    ) -> Result<String, ApiError> {
        if self.info.server_major >= 16 {
            let request = GenerateHostCertRequest {
                key: ssh_line.as_bytes().to_vec(),
                principals: principals.to_vec(),
                cluster_name: cluster.to_owned(),
                role: "Node".to_owned(),
                ttl: prost_types::Duration::try_from(ttl).ok(),
            };
            match unary::<_, GenerateHostCertResponse>(&self.channel, GENERATE_HOST_CERT, request).await {
                Err(error) if error.is_unimplemented() => {}
                response => return Ok(String::from_utf8_lossy(&response?.ssh_certificate).into_owned()),
            }
        }
        let request = HostCertParams { ssh_line, principals, cluster, ttl };
        Ok(rest::host_cert(&self.target.auth_over_http1(), &request).await?)
    }
}
