//! Finds the certificates between that of an attested document and its root, which `teleport.join.v1` asks for.
//!
//! Each certificate says where its issuer can be downloaded. Azure's documents name Microsoft's repository there, and no other
//! address is requested.

use std::future::Future;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;
use x509_parser::asn1_rs::{Any, Class};
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate};

/// Where Microsoft publishes the certificates of its CAs.
const HOST: &str = "www.microsoft.com";
const DIRECTORY: &str = "/pkiops/certs/";
const EXTENSION: &str = ".crt";
/// `id-ad-caIssuers`: the access method of an issuer's certificate.
const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";
const MAX_ISSUERS: usize = 10;

/// Returns the DER certificates of the issuers, concatenated: from the issuer of the certificate that signed, to the last one below
/// the root. Empty if the certificate does not say where its issuer is.
///
/// `signature` is the document's signature, in PKCS #7 and base64. `download` gets the certificate at an address.
pub(super) async fn issuers<E, F: Future<Output = Result<Vec<u8>, E>>>(
    signature: &str,
    download: impl Fn(Url) -> F,
) -> Result<Vec<u8>, E> {
    let mut issuers = Vec::new();
    let mut next = STANDARD.decode(signature).ok().and_then(|pkcs7| issuer_url(certificates(&pkcs7)?));
    for _ in 0..MAX_ISSUERS {
        let Some(url) = next.take() else { break };
        let issuer = download(url).await?;
        let Ok((rest, parsed)) = X509Certificate::from_der(&issuer) else { break };
        if !rest.is_empty() || parsed.subject() == parsed.issuer() {
            break;
        }
        next = issuer_url(&issuer);
        issuers.extend(issuer);
    }
    Ok(issuers)
}

/// Returns the certificates of a PKCS #7 `SignedData`, the first of which is the one that signed.
fn certificates(pkcs7: &[u8]) -> Option<&[u8]> {
    let (_, content_info) = Any::from_der(pkcs7).ok()?;
    let (content, _type) = Any::from_der(content_info.data).ok()?;
    let (_, content) = Any::from_der(content).ok()?;
    let (_, signed_data) = Any::from_der(content.data).ok()?;
    let mut fields = signed_data.data;
    while !fields.is_empty() {
        let (rest, field) = Any::from_der(fields).ok()?;
        if field.header.class() == Class::ContextSpecific && field.header.tag().0 == 0 {
            return Some(field.data);
        }
        fields = rest;
    }
    None
}

/// Returns the address of the issuer of the first certificate in `der`, if it is in Microsoft's repository.
fn issuer_url(der: &[u8]) -> Option<Url> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let access =
        certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityInfoAccess(access) => Some(access),
            _ => None,
        })?;
    let urls = access.accessdescs.iter().filter(|access| access.access_method.to_id_string() == CA_ISSUERS);
    let urls = urls.filter_map(|access| match access.access_location {
        GeneralName::URI(url) => Url::parse(url).ok(),
        _ => None,
    });
    urls.into_iter().find(is_in_repository)
}

fn is_in_repository(url: &Url) -> bool {
    let path = url.path();
    url.scheme() == "http"
        && url.host_str() == Some(HOST)
        && url.port().is_none()
        && url.query().is_none()
        && path.starts_with(DIRECTORY)
        && path.ends_with(EXTENSION)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, Issuer, KeyPair};

    use super::*;

    /// Encodes a value of ASN.1 whose content has these parts.
    fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &length[..], &content].concat()
    }

    /// Returns a certificate of `subject`, issued by `issuer`, which is at `url`.
    fn certificate(subject: &str, issuer: &str, url: &str) -> Vec<u8> {
        let name = |common_name: &str| {
            let mut name = DistinguishedName::new();
            name.push(DnType::CommonName, common_name);
            name
        };
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name = name(issuer);
        let issuer = Issuer::new(params.clone(), KeyPair::generate().unwrap());
        params.distinguished_name = name(subject);
        let method: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 2];
        let access = tlv(0x30, &[&tlv(0x30, &[method, &tlv(0x86, &[url.as_bytes()])])]);
        let aia = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access);
        params.custom_extensions = vec![aia];
        params.signed_by(&key, &issuer).unwrap().der().to_vec()
    }

    /// Returns a signature with this certificate and another one after it, as in an attested document.
    fn signature(certificate: &[u8]) -> String {
        let other = tlv(0x30, &[]);
        let version: &[u8] = &[2, 1, 1];
        let signed_data = tlv(
            0x30,
            &[version, &tlv(0x31, &[]), &tlv(0x30, &[]), &tlv(0xa0, &[certificate, &other]), &tlv(0x31, &[])],
        );
        let signed_data_type: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
        STANDARD.encode(tlv(0x30, &[signed_data_type, &tlv(0xa0, &[&signed_data])]))
    }

    fn url(name: &str) -> String {
        format!("http://www.microsoft.com/pkiops/certs/{name}.crt")
    }

    /// Returns the issuers, and the addresses that were requested.
    async fn find(
        signature: &str,
        published: &BTreeMap<String, Vec<u8>>,
    ) -> (Result<Vec<u8>, ()>, Vec<String>) {
        let requested = RefCell::new(Vec::new());
        let issuers = issuers(signature, |url| {
            requested.borrow_mut().push(url.to_string());
            std::future::ready(published.get(url.as_str()).cloned().ok_or(()))
        });
        (issuers.await, requested.take())
    }

    #[tokio::test]
    async fn issuers_are_followed_up_to_the_root() {
        let leaf = certificate("leaf", "first", &url("first"));
        let first = certificate("first", "second", &url("second"));
        let second = certificate("second", "root", &url("root"));
        let root = certificate("root", "root", &url("root"));
        let published = [(url("first"), first.clone()), (url("second"), second.clone()), (url("root"), root)];
        let (issuers, requested) = find(&signature(&leaf), &published.into_iter().collect()).await;
        assert_eq!(issuers, Ok([first, second].concat()));
        assert_eq!(requested, [url("first"), url("second"), url("root")]);

        let (missing, _) = find(&signature(&leaf), &BTreeMap::new()).await;
        assert_eq!(missing, Err(()));
    }

    #[tokio::test]
    async fn certificates_that_name_each_other_end() {
        let (even, odd) = (certificate("a", "b", &url("odd")), certificate("b", "a", &url("even")));
        let published = [(url("even"), even.clone()), (url("odd"), odd)].into_iter().collect();
        let (issuers, requested) = find(&signature(&even), &published).await;
        assert!(issuers.is_ok());
        assert_eq!(requested.len(), MAX_ISSUERS);
    }

    #[tokio::test]
    async fn only_microsofts_repository_is_requested() {
        let elsewhere = [
            "http://169.254.169.254/pkiops/certs/a.crt",
            "http://www.microsoft.com.example/pkiops/certs/a.crt",
            "http://www.microsoft.com:8080/pkiops/certs/a.crt",
            "https://www.microsoft.com/pkiops/certs/a.crt",
            "http://www.microsoft.com/pkiops/certs/../../a.crt",
            "http://www.microsoft.com/pkiops/certs/a.crt?b",
            "http://www.microsoft.com/a.crt",
        ];
        let leaves = elsewhere.map(|url| signature(&certificate("leaf", "first", url)));
        let not_pkcs7 = ["", "e30.e30.hunter2", "AAAA"].map(str::to_owned);
        for signature in leaves.iter().chain(&not_pkcs7) {
            assert_eq!(find(signature, &BTreeMap::new()).await, (Ok(vec![]), vec![]), "{signature}");
        }
    }
}
