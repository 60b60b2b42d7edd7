//! Malformed files: keys and certificates in PEM, SSH certificates, the file `identity`, and the bot's storage.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::{CASES, Mutation, check_error, lossy, mutate, mutations};
use crate::agent::bot::storage::{Storage, StorageError};
use crate::agent::credential::identity_file::IdentityFile;
use crate::agent::credential::keys::KeyPair;
use crate::agent::credential::pem::pem_encode;
use crate::agent::credential::ssh_cert;
use crate::agent::credential::x509::{self, UserCert};
use crate::agent::destination::target::DirectoryTarget;
use crate::agent::platform::Clock;
use crate::agent::platform::reminders::RecurringWarnings;
use crate::agent::recordings::{copy_recorded_directory, recorded};

/// Mutates the PEM string, or if `decode_first` is true, only the bytes that it encodes, so that the PEM decoder
/// accepts the result.
fn mutate_pem(pem: &str, mutations: &[Mutation], decode_first: bool) -> String {
    if !decode_first {
        return lossy(&mutate(pem.as_bytes(), mutations));
    }
    let label = pem.lines().next().unwrap().trim_matches('-').trim_start_matches("BEGIN ");
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    pem_encode(label, &mutate(&STANDARD.decode(body).unwrap(), mutations))
}

/// Mutates the line, or if `decode_first` is true, only the bytes that its base64 encodes.
fn mutate_ssh_line(line: &str, mutations: &[Mutation], decode_first: bool) -> String {
    if !decode_first {
        return lossy(&mutate(line.as_bytes(), mutations));
    }
    let mut words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
    words[1] = STANDARD.encode(mutate(&STANDARD.decode(&words[1]).unwrap(), mutations));
    words.join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn a_private_key_is_read_or_refused(mutations in mutations(), decode_first: bool) {
        let pem = mutate_pem(&recorded("storage/key"), &mutations, decode_first);
        match KeyPair::from_pem(&pem) {
            Ok(key) => prop_assert!(key.ssh_line().is_ok()),
            Err(error) => {
                check_error(&error)?;
                prop_assert!(error.to_string().contains("private key"), "{error}");
            }
        }
    }

    #[test]
    fn a_certificate_is_read_or_refused(mutations in mutations(), decode_first: bool) {
        let pem = mutate_pem(&recorded("storage/tlscert"), &mutations, decode_first);
        let _ = x509::subject_common_name(&pem);
        if let Err(error) = UserCert::from_pem(&pem) {
            check_error(&error)?;
            prop_assert!(error.to_string().contains("certificate"), "{error}");
        }
    }

    #[test]
    fn an_ssh_certificate_is_read_or_refused(mutations in mutations(), decode_first: bool, is_host: bool) {
        let name = if is_host { "outputs/ssh_host/ssh_host-cert.pub" } else { "storage/key-cert.pub" };
        let line = mutate_ssh_line(&recorded(name), &mutations, decode_first);
        let key = KeyPair::from_pem(&recorded("outputs/ssh_host/ssh_host")).unwrap();
        let errors = [ssh_cert::certified_key(&line).err(), ssh_cert::host_certificate_expiry(&line, key.ssh_key()).err()];
        for error in errors.into_iter().flatten() {
            check_error(&error)?;
            prop_assert!(error.to_string().contains("certificate"), "{error}");
        }
    }

    #[test]
    fn an_identity_file_is_read_or_refused(mutations in mutations()) {
        let content = lossy(&mutate(recorded("outputs/kube/identity").as_bytes(), &mutations));
        match IdentityFile::parse(&content) {
            Ok(file) => {
                let clock = Clock::from_fn(|| std::time::SystemTime::UNIX_EPOCH);
                if let Ok(credential) = file.exec_credential(&clock) {
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&credential).is_ok());
                }
                if let Err(error) = file.into_identity() {
                    check_error(&error)?;
                }
            }
            Err(error) => {
                check_error(&error)?;
                prop_assert!(error.to_string().contains("identity file"), "{error}");
            }
        }
    }

    #[test]
    fn a_stored_identity_is_loaded_or_missing_or_damaged(
        name in prop::sample::select(
            &["key", "key.pub", "tlscert", "key-cert.pub", "tlscacerts", "sshcacerts", "tokenhash", "renewal-pending"][..],
        ),
        mutations in mutations(),
    ) {
        let root = copy_recorded_directory("storage");
        let storage = Storage::open_directory(DirectoryTarget::with_defaults(root.path()), RecurringWarnings::new(Clock::system())).unwrap();
        let path = root.path().join(name);
        let original = std::fs::read(&path).unwrap_or_default();
        std::fs::write(&path, mutate(&original, &mutations)).unwrap();
        match storage.load() {
            Ok(None) => {}
            Ok(Some(stored)) => {
                let key = PrivateKeyDer::from_pem_slice(stored.identity.key.private_pem().as_bytes()).unwrap();
                let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
                prop_assert_eq!(&*key.public_key().unwrap(), &*stored.identity.user.spki_der);
                prop_assert!(!stored.renewal_pending);
            }
            Err(error @ StorageError::Damaged { .. }) => {
                check_error(&error)?;
                prop_assert!(error.to_string().contains(root.path().to_str().unwrap()), "{error}");
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}
