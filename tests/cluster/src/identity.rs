//! The identity that Teleport encodes in both certificates of a user, and reads back from the X.509 certificate of a
//! client. Makes no access decisions.

use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::name::Name;

use crate::error::Error;
use crate::proto::{RouteToApp, RouteToDatabase};
use crate::x509::{COMMON_NAME, NameBuilder, ORGANIZATION, attribute_values};

/// A login in every user certificate, so that no list of principals is empty.
pub(crate) const INTERNAL_JOIN: &str = "-teleport-internal-join";
/// The encoded traits of a bot, which are empty.
pub(crate) const TRAITS: &str = r#"{"logins":null}"#;
/// The private key policy that allows private keys in files.
pub(crate) const KEY_POLICY: &str = "none";

const LOCALITY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.7");
const STREET: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.9");
const POSTAL_CODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.17");
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
/// The number on a real server is not known. No client reads it.
const BOT_INSTANCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.2.99");
const DISALLOW_REISSUE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.2.9");

/// The holder of a certificate.
pub(crate) enum CertHolder {
    /// The bot itself. A generation reveals copies; after a join with an attestation there is none. A renewable certificate has
    /// one. Servers that keep a record of bot instances name the instance.
    Bot { generation: Option<u64>, is_renewable: bool, instance: Option<String> },
    /// An output of a bot, with impersonated roles. It cannot request certificates unless it is reissuable.
    Output { bot_user: String, reissuable: bool },
}

/// The application and the database that a certificate is routed to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    pub(crate) app: Option<RouteToApp>,
    pub(crate) database: Option<RouteToDatabase>,
}

/// The content of a user certificate.
pub(crate) struct Identity {
    /// `bot-<name>`.
    pub(crate) username: String,
    pub(crate) roles: Vec<String>,
    /// The SSH principals and, in the X.509 certificate, the localities. Never empty.
    pub(crate) principals: Vec<String>,
    pub(crate) route_to_cluster: String,
    pub(crate) kubernetes_cluster: Option<String>,
    pub(crate) kubernetes_groups: Vec<String>,
    pub(crate) db_names: Vec<String>,
    pub(crate) db_users: Vec<String>,
    pub(crate) routes: Routes,
    pub(crate) holder: CertHolder,
}

impl Identity {
    /// Returns the X.509 subject with its attributes in the recorded order. `cluster` is the issuing cluster.
    pub(crate) fn subject(&self, cluster: &str) -> Result<Name, Error> {
        let name = NameBuilder::default()
            .one_rdn(LOCALITY, &self.principals)?
            .one_rdn(STREET, &[&self.route_to_cluster])?
            .one_rdn(POSTAL_CODE, &[TRAITS])?
            .one_rdn(ORGANIZATION, &self.roles)?
            .one_rdn(COMMON_NAME, &[&self.username])?
            .rdn_per_value(KUBE_GROUPS, &self.kubernetes_groups)?
            .rdn_per_value(KUBE_CLUSTER, self.kubernetes_cluster.as_slice())?;
        let name = match &self.routes.app {
            None => name,
            Some(app) => name
                .one_rdn(APP_SESSION, non_empty(&app.session_id))?
                .one_rdn(APP_PUBLIC_ADDR, non_empty(&app.public_addr))?
                .one_rdn(APP_CLUSTER, non_empty(&app.cluster_name))?
                .one_rdn(APP_NAME, non_empty(&app.name))?,
        };
        let name = match &self.holder {
            CertHolder::Bot { generation, is_renewable, instance } => {
                let name = if *is_renewable { name.one_rdn(RENEWABLE, &["true"])? } else { name };
                let name = name.one_rdn(TELEPORT_CLUSTER, &[cluster])?;
                let name = match generation {
                    Some(generation) => name.one_rdn(GENERATION, &[generation.to_string()])?,
                    None => name,
                };
                name.one_rdn(BOT_INSTANCE, instance.as_slice())?
            }
            CertHolder::Output { bot_user, reissuable } => {
                let name = name.one_rdn(TELEPORT_CLUSTER, &[cluster])?;
                let name = match &self.routes.database {
                    None => name,
                    Some(database) => name
                        .one_rdn(DB_SERVICE, non_empty(&database.service_name))?
                        .one_rdn(DB_PROTOCOL, non_empty(&database.protocol))?
                        .one_rdn(DB_USER, non_empty(&database.username))?
                        .one_rdn(DB_NAME, non_empty(&database.database))?,
                };
                let name = name
                    .rdn_per_value(DB_NAMES, &self.db_names)?
                    .rdn_per_value(DB_USERS, &self.db_users)?
                    .one_rdn(IMPERSONATOR, &[bot_user])?;
                if *reissuable { name } else { name.one_rdn(DISALLOW_REISSUE, &["true"])? }
            }
        };
        Ok(name.one_rdn(PRIVATE_KEY_POLICY, &[KEY_POLICY])?.build())
    }
}

/// Returns a slice with `value`, or an empty one if the string is empty.
fn non_empty(value: &String) -> &[String] {
    if value.is_empty() { &[] } else { std::slice::from_ref(value) }
}

/// The client of the auth server, as read from its verified certificate.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) username: String,
    pub(crate) roles: Vec<String>,
    pub(crate) generation: Option<u64>,
    pub(crate) is_renewable: bool,
    /// The bot instance, if the server keeps a record of it.
    pub(crate) instance: Option<String>,
    pub(crate) disallow_reissue: bool,
    pub(crate) routes: Routes,
}

impl Caller {
    /// Reads a certificate that rustls has verified.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, Error> {
        let subject = Certificate::from_der(der)?.tbs_certificate.subject;
        let one = |oid| attribute_values(&subject, oid).next().map(str::to_owned);
        let text = |oid| one(oid).unwrap_or_default();
        Ok(Self {
            username: one(COMMON_NAME).unwrap_or_default(),
            roles: attribute_values(&subject, ORGANIZATION).map(str::to_owned).collect(),
            generation: one(GENERATION).and_then(|value| value.parse().ok()),
            is_renewable: one(RENEWABLE).is_some_and(|value| value == "true"),
            instance: one(BOT_INSTANCE),
            disallow_reissue: one(DISALLOW_REISSUE).is_some_and(|value| value == "true"),
            routes: Routes {
                app: one(APP_NAME).map(|name| RouteToApp {
                    name,
                    session_id: text(APP_SESSION),
                    public_addr: text(APP_PUBLIC_ADDR),
                    cluster_name: text(APP_CLUSTER),
                }),
                database: one(DB_SERVICE).map(|service_name| RouteToDatabase {
                    service_name,
                    protocol: text(DB_PROTOCOL),
                    username: text(DB_USER),
                    database: text(DB_NAME),
                }),
            },
        })
    }
}
