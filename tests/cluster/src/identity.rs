//! Who a certificate speaks for: what Teleport writes into both certificates of a user, and reads back from one.
//! Depends on [`crate::x509`] for names; decides nothing.

use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::name::Name;

use crate::error::Error;
use crate::proto::{RouteToApp, RouteToDatabase};
use crate::x509::{NameBuilder, values};

/// The login that every user certificate carries, so that no principal list is empty.
pub(crate) const INTERNAL_JOIN: &str = "-teleport-internal-join";
/// A bot has no traits; this is how the server writes that.
pub(crate) const TRAITS: &str = r#"{"logins":null}"#;
/// The server demands nothing of how private keys are kept.
pub(crate) const KEY_POLICY: &str = "none";

const CN: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const LOCALITY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.7");
const STREET: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.9");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const POSTAL_CODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.17");
const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");
const KUBE_GROUPS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.1.2");
const KUBE_CLUSTER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.1.3");
const APP_SESSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.1.4");
const APP_CLUSTER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.1.5");
const APP_PUBLIC_ADDR: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.1.6");
const APP_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.1.10");
const DB_SERVICE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.2.1");
const DB_PROTOCOL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.2.2");
const DB_USER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.2.3");
const DB_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.2.4");
const TELEPORT_CLUSTER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.1.7");
const RENEWABLE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.1.13");
const GENERATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.1.14");
const PRIVATE_KEY_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.1.15");
const DB_NAMES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.2.5");
const DB_USERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.2.6");
const IMPERSONATOR: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.2.7");
const DISALLOW_REISSUE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.2.9");

/// Which of the two kinds of certificate it is.
pub(crate) enum Standing {
    /// The bot's own: renewable with a counter that catches copies, or, of a join with a proof, neither.
    Bot { generation: Option<u64> },
    /// An output's: cannot ask for further certificates.
    Impersonated { by: String, reissuable: bool },
}

/// What it leads to, beyond a cluster.
#[derive(Default)]
pub(crate) struct Routes {
    pub(crate) app: Option<RouteToApp>,
    pub(crate) database: Option<RouteToDatabase>,
}

/// What a new certificate says about its holder.
pub(crate) struct Identity {
    /// `bot-<name>`.
    pub(crate) username: String,
    pub(crate) roles: Vec<String>,
    /// SSH principals, the same list as the X.509 localities. Never empty.
    pub(crate) principals: Vec<String>,
    pub(crate) route_to_cluster: String,
    pub(crate) kubernetes_cluster: Option<String>,
    pub(crate) kubernetes_groups: Vec<String>,
    pub(crate) db_names: Vec<String>,
    pub(crate) db_users: Vec<String>,
    pub(crate) routes: Routes,
    pub(crate) standing: Standing,
}

impl Identity {
    /// The X.509 subject, in the recorded order of attributes. `cluster` is the one that issues.
    pub(crate) fn subject(&self, cluster: &str) -> Result<Name, Error> {
        let name = NameBuilder::default()
            .all(LOCALITY, &self.principals)?
            .all(STREET, &[&self.route_to_cluster])?
            .all(POSTAL_CODE, &[TRAITS])?
            .all(ORGANIZATION, &self.roles)?
            .all(CN, &[&self.username])?
            .each(KUBE_GROUPS, &self.kubernetes_groups)?
            .each(KUBE_CLUSTER, self.kubernetes_cluster.as_slice())?;
        let name = match &self.routes.app {
            None => name,
            Some(app) => name
                .all(APP_SESSION, set(&app.session_id))?
                .all(APP_PUBLIC_ADDR, set(&app.public_addr))?
                .all(APP_CLUSTER, set(&app.cluster_name))?
                .all(APP_NAME, set(&app.name))?,
        };
        let name = match &self.standing {
            Standing::Bot { generation: Some(generation) } => name
                .all(RENEWABLE, &["true"])?
                .all(TELEPORT_CLUSTER, &[cluster])?
                .all(GENERATION, &[generation.to_string()])?,
            Standing::Bot { generation: None } => name.all(TELEPORT_CLUSTER, &[cluster])?,
            Standing::Impersonated { by, reissuable } => {
                let name = name.all(TELEPORT_CLUSTER, &[cluster])?;
                let name = match &self.routes.database {
                    None => name,
                    Some(database) => name
                        .all(DB_SERVICE, set(&database.service_name))?
                        .all(DB_PROTOCOL, set(&database.protocol))?
                        .all(DB_USER, set(&database.username))?
                        .all(DB_NAME, set(&database.database))?,
                };
                let name = name
                    .each(DB_NAMES, &self.db_names)?
                    .each(DB_USERS, &self.db_users)?
                    .all(IMPERSONATOR, &[by])?;
                if *reissuable { name } else { name.all(DISALLOW_REISSUE, &["true"])? }
            }
        };
        Ok(name.all(PRIVATE_KEY_POLICY, &[KEY_POLICY])?.build())
    }
}

/// A text as the values of an attribute: none when it is empty.
fn set(text: &String) -> &[String] {
    if text.is_empty() { &[] } else { std::slice::from_ref(text) }
}

/// The name of an authority: authorities of one cluster differ in the serial number alone.
pub(crate) fn authority_name(cluster: &str, serial: [u8; 16]) -> Result<Name, Error> {
    Ok(NameBuilder::default()
        .all(ORGANIZATION, &[cluster])?
        .all(CN, &[cluster])?
        .all(SERIAL_NUMBER, &[u128::from_be_bytes(serial).to_string()])?
        .build())
}

/// A plain name, for the certificates of servers.
pub(crate) fn common_name(cn: &str) -> Result<Name, Error> {
    Ok(NameBuilder::default().all(CN, &[cn])?.build())
}

/// What the auth server reads of a verified client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) username: String,
    pub(crate) roles: Vec<String>,
    /// Present on renewable certificates only.
    pub(crate) generation: Option<u64>,
    pub(crate) disallow_reissue: bool,
}

impl Caller {
    /// Reads a certificate that TLS has verified.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, Error> {
        let subject = Certificate::from_der(der)?.tbs_certificate.subject;
        let one = |oid| values(&subject, oid).next().map(str::to_owned);
        let renewable = one(RENEWABLE).is_some_and(|value| value == "true");
        Ok(Self {
            username: one(CN).unwrap_or_default(),
            roles: values(&subject, ORGANIZATION).map(str::to_owned).collect(),
            generation: one(GENERATION).filter(|_| renewable).and_then(|value| value.parse().ok()),
            disallow_reissue: one(DISALLOW_REISSUE).is_some_and(|value| value == "true"),
        })
    }
}
