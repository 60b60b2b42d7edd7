//! Files: keys and certificates in PEM, SSH certificates, the `identity` file, the storage.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::{CASES, Damage, assert_telling, damages, lossy, spoilt};
use crate::agent::bot::storage::{Storage, StorageError};
use crate::agent::credential::identity_file::IdentityFile;
use crate::agent::credential::keys::KeyPair;
use crate::agent::credential::pem::pem_encode;
use crate::agent::credential::ssh_cert;
use crate::agent::credential::x509::{self, UserCert};
use crate::agent::destination::writer::Directory;
use crate::agent::platform::options::Clock;
use crate::agent::recordings::{recorded, recorded_folder};

/// Spoils a text, or what its base64 stands for, which gets past the first look at it.
fn spoilt_pem(pem: &str, damages: &[Damage], inside: bool) -> String {
    if !inside {
        return lossy(&spoilt(pem.as_bytes(), damages));
    }
    let label = pem.lines().next().unwrap().trim_matches('-').trim_start_matches("BEGIN ");
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    pem_encode(label, &spoilt(&STANDARD.decode(body).unwrap(), damages))
}

fn spoilt_ssh_line(line: &str, damages: &[Damage], inside: bool) -> String {
    let mut words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
    if !inside {
        return lossy(&spoilt(line.as_bytes(), damages));
    }
    words[1] = STANDARD.encode(spoilt(&STANDARD.decode(&words[1]).unwrap(), damages));
    words.join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn a_private_key_is_read_or_refused(damages in damages(), inside: bool) {
        let pem = spoilt_pem(&recorded("storage/key"), &damages, inside);
        match KeyPair::from_pem(&pem) {
            Ok(key) => prop_assert!(key.ssh_line().is_ok()),
            Err(error) => {
                assert_telling(&error)?;
                prop_assert!(error.to_string().contains("private key"), "{error}");
            }
        }
    }

    #[test]
    fn a_certificate_is_read_or_refused(damages in damages(), inside: bool) {
        let pem = spoilt_pem(&recorded("storage/tlscert"), &damages, inside);
        let _ = x509::subject_common_name(&pem);
        if let Err(error) = UserCert::from_pem(&pem) {
            assert_telling(&error)?;
            prop_assert!(error.to_string().contains("certificate"), "{error}");
        }
    }

    #[test]
    fn an_ssh_certificate_is_read_or_refused(damages in damages(), inside: bool, of_host: bool) {
        let name = if of_host { "outputs/ssh_host/ssh_host-cert.pub" } else { "storage/key-cert.pub" };
        let line = spoilt_ssh_line(&recorded(name), &damages, inside);
        let key = KeyPair::from_pem(&recorded("outputs/ssh_host/ssh_host")).unwrap();
        let errors = [ssh_cert::certified_key(&line).err(), ssh_cert::host_certificate_expiry(&line, key.ssh_key()).err()];
        for error in errors.into_iter().flatten() {
            assert_telling(&error)?;
            prop_assert!(error.to_string().contains("certificate"), "{error}");
        }
    }

    #[test]
    fn an_identity_file_gives_a_credential_or_is_refused(damages in damages()) {
        let text = lossy(&spoilt(recorded("outputs/kube/identity").as_bytes(), &damages));
        match IdentityFile::parse(&text) {
            Ok(file) => {
                let credential = file.exec_credential(&Clock::from_fn(|| std::time::SystemTime::UNIX_EPOCH));
                prop_assert!(serde_json::from_str::<serde_json::Value>(&credential).is_ok());
            }
            Err(error) => {
                assert_telling(&error)?;
                prop_assert!(error.to_string().contains("identity file"), "{error}");
            }
        }
    }

    #[test]
    fn a_stored_identity_is_whole_or_none_or_damaged(
        name in prop::sample::select(
            &["key", "key.pub", "tlscert", "key-cert.pub", "tlscacerts", "sshcacerts", "tokenhash", "renewal-pending"][..],
        ),
        damages in damages(),
    ) {
        let root = recorded_folder("storage");
        let storage = Storage::open_directory(Directory::at(root.path())).unwrap();
        let path = root.path().join(name);
        let whole = std::fs::read(&path).unwrap_or_default();
        std::fs::write(&path, spoilt(&whole, &damages)).unwrap();
        match storage.load() {
            Ok(None) => {}
            Ok(Some(stored)) => {
                let key = PrivateKeyDer::from_pem_slice(stored.identity.key.private_pem().as_bytes()).unwrap();
                let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
                prop_assert_eq!(&*key.public_key().unwrap(), &*stored.identity.user.spki_der);
                prop_assert!(!stored.renewal_pending);
            }
            Err(error @ StorageError::Damaged { .. }) => {
                assert_telling(&error)?;
                prop_assert!(error.to_string().contains(root.path().to_str().unwrap()), "{error}");
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}
