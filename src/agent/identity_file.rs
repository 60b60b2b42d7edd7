//! The `identity` file: key, certificates and host authorities in one text, for `tsh -i` and `tctl -i`. Pure.

use super::Authority;
use crate::agent::identity::Identity;

/// Private key, SSH certificate, TLS certificate, then every cluster's SSH authorities, then every TLS authority.
pub(super) fn identity_file(identity: &Identity, host: &[Authority]) -> String {
    let mut text = String::new();
    push(&mut text, identity.key.private_pem());
    push(&mut text, &identity.certs.ssh);
    push(&mut text, &identity.certs.tls);
    for authority in host {
        for key in &authority.ssh {
            let cluster = &authority.cluster;
            push(&mut text, &format!("@cert-authority {cluster},*.{cluster} {key} type=host"));
        }
    }
    for certificate in host.iter().flat_map(|authority| &authority.tls) {
        push(&mut text, certificate);
    }
    text
}

fn push(text: &mut String, piece: &str) {
    text.push_str(piece);
    if !piece.ends_with('\n') {
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::identity::SignedCerts;
    use crate::agent::keys::KeyPair;
    use crate::agent::output::known_hosts::tests::recorded_host_authority;
    use crate::agent::recordings::recorded;

    #[test]
    fn is_the_file_that_the_go_agent_wrote() {
        let certs = SignedCerts {
            tls: recorded("outputs/identity/tlscert"),
            ssh: recorded("outputs/identity/key-cert.pub"),
            tls_cas: vec![recorded("outputs/identity/teleport-user-ca.crt")],
            ssh_cas: vec![],
        };
        let key = KeyPair::from_pem(&recorded("outputs/identity/key")).unwrap();
        let identity = Identity::new(key, certs).unwrap();
        assert_eq!(
            identity_file(&identity, &[recorded_host_authority()]),
            recorded("outputs/identity/identity")
        );
    }
}
