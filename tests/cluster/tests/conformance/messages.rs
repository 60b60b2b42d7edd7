//! Every recorded message of a method that the cluster serves goes through our declarations and comes out the same,
//! but for the fields that we name here and do not declare.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use tbot_cluster::method;
use tbot_cluster::proto::{
    AppSessionReply, CertAuthority, Certs, ClusterCaCert, CreateAppSessionRequest, Empty,
    GetCertAuthoritiesRequest, GetCertAuthoritiesResponse, GetCertAuthorityRequest, GetRoleRequest,
    ListResourcesRequest, ListResourcesResponse, PingResponse, Role, UserCertsRequest,
};

use crate::recording::all_calls;
use crate::wire::Tree;

/// What is known of a message beside its declaration: which paths are messages, and which recorded ones we leave out.
pub(crate) struct Known {
    pub(crate) messages: &'static [&'static str],
    pub(crate) undeclared: &'static [&'static str],
}

const PLAIN: Known = Known { messages: &[], undeclared: &[] };
/// Features of editions and products that no agent asks about.
const PING: Known = Known { messages: &["3"], undeclared: &["3.10", "3.18", "3.19", "3.21"] };
const CERTS_REQUEST: Known = Known { messages: &["3", "8", "11", "13"], undeclared: &[] };
/// Of a role, an agent reads only whom it may impersonate: options, rules and label matchers are left out.
const ROLE: Known = Known {
    messages: &["4", "4.5", "5", "5.2", "5.2.14", "5.3"],
    undeclared: &[
        "5.1", "5.2.2", "5.2.3", "5.2.4", "5.2.8", "5.2.9", "5.2.10", "5.2.11", "5.2.18", "5.2.26", "5.2.27",
        "5.3.2", "5.3.3", "5.3.8", "5.3.9", "5.3.10", "5.3.11", "5.3.18", "5.3.26", "5.3.27",
    ],
};
const AUTHORITIES: Known =
    Known { messages: &["1", "1.4", "1.5", "1.5.11", "1.5.11.1", "1.5.11.2", "1.5.12"], undeclared: &[] };
const AUTHORITY: Known = Known { messages: &["4", "5", "5.11", "5.11.1", "5.11.2", "5.12"], undeclared: &[] };

const LIST_REQUEST: Known = Known { messages: &["8", "10"], undeclared: &[] };
/// Rotation, clouds' settings and statuses are left out: an agent reads names, labels, addresses and protocols.
const LIST: Known = Known {
    messages: &[
        "1",
        "1.1",
        "1.1.4",
        "1.1.5",
        "1.1.5.12",
        "1.1.5.12.4",
        "1.1.5.12.4.5",
        "1.1.5.12.5",
        "1.2",
        "1.2.4",
        "1.2.5",
        "1.2.5.5",
        "1.2.5.5.4",
        "1.2.5.5.4.5",
        "1.2.5.5.5",
        "1.7",
        "1.7.4",
        "1.7.5",
        "1.7.5.5",
        "1.7.5.5.4",
    ],
    undeclared: &[
        "1.1.5.10",
        "1.1.5.12.5.5",
        "1.1.5.12.5.6",
        "1.1.5.12.5.7",
        "1.1.5.12.5.8",
        "1.1.5.12.5.9",
        "1.1.5.12.5.10",
        "1.1.5.12.5.11",
        "1.1.5.12.5.12",
        "1.1.5.12.5.13",
        "1.1.5.12.6",
        "1.2.5.4",
        "1.7.5.4",
        "1.7.5.5.5",
    ],
};
/// A session's keys and tokens are left out: an agent reads its name.
const SESSION: Known = Known {
    messages: &["1", "1.4", "1.5"],
    undeclared: &["1.5.2", "1.5.3", "1.5.4", "1.5.5", "1.5.6", "1.5.8"],
};

/// What is known of the reply to `method`.
pub(crate) fn known_reply(method: &str) -> Known {
    match method {
        method::PING => PING,
        method::GET_ROLE => ROLE,
        method::GET_CERT_AUTHORITIES => AUTHORITIES,
        method::GET_CERT_AUTHORITY => AUTHORITY,
        method::LIST_RESOURCES => LIST,
        method::CREATE_APP_SESSION => SESSION,
        _ => PLAIN,
    }
}

fn again<M: Message + Default>(bytes: &[u8]) -> Vec<u8> {
    M::decode(bytes).unwrap().encode_to_vec()
}

/// Request and reply of `method` through our declarations; none for what the cluster does not serve.
fn through(method: &str, request: &[u8], reply: &[u8]) -> Option<(Known, Vec<u8>, Vec<u8>)> {
    Some(match method {
        method::PING => (PLAIN, again::<Empty>(request), again::<PingResponse>(reply)),
        method::GENERATE_USER_CERTS => {
            (CERTS_REQUEST, again::<UserCertsRequest>(request), again::<Certs>(reply))
        }
        method::GET_CLUSTER_CA_CERT => (PLAIN, again::<Empty>(request), again::<ClusterCaCert>(reply)),
        method::GET_ROLE => (PLAIN, again::<GetRoleRequest>(request), again::<Role>(reply)),
        method::GET_CERT_AUTHORITIES => {
            (PLAIN, again::<GetCertAuthoritiesRequest>(request), again::<GetCertAuthoritiesResponse>(reply))
        }
        method::GET_CERT_AUTHORITY => {
            (PLAIN, again::<GetCertAuthorityRequest>(request), again::<CertAuthority>(reply))
        }
        method::LIST_RESOURCES => {
            (LIST_REQUEST, again::<ListResourcesRequest>(request), again::<ListResourcesResponse>(reply))
        }
        method::CREATE_APP_SESSION => {
            (PLAIN, again::<CreateAppSessionRequest>(request), again::<AppSessionReply>(reply))
        }
        _ => return None,
    })
}

/// Compares one message, and adds the paths that our declaration lost to `lost`.
fn compare(method: &str, recorded: &[u8], ours: &[u8], known: &Known, lost: &mut BTreeSet<String>) {
    let undeclared: BTreeSet<String> = known.undeclared.iter().map(|path| (*path).to_owned()).collect();
    let tree = Tree::parse(recorded, known.messages);
    assert_eq!(tree.encode(), recorded, "{method}: the walker itself must lose nothing");
    lost.extend(tree.paths().difference(&Tree::parse(ours, known.messages).paths()).cloned());
    assert_eq!(
        Tree::parse(ours, known.messages),
        tree.without(&undeclared),
        "{method}: declared fields came out differently"
    );
}

#[test]
fn recorded_messages_come_out_as_they_went_in() {
    let mut lost: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for call in all_calls().iter().filter(|call| !call.method.starts_with("POST ")) {
        let (request, reply) = (call.request_bytes(), call.response_bytes());
        let Some((known_request, our_request, our_reply)) = through(&call.method, &request, &reply) else {
            panic!("{} is recorded and not served", call.method);
        };
        let lost = lost.entry(call.method.clone()).or_default();
        let mut lost_request = BTreeSet::new();
        compare(&call.method, &request, &our_request, &known_request, &mut lost_request);
        assert!(lost_request.is_empty(), "{} loses {lost_request:?} of its request", call.method);
        let known = known_reply(&call.method);
        compare(&call.method, &reply, &our_reply, &known, lost);
        // Undeclared bytes aside, what we write is what the server wrote.
        let undeclared = known.undeclared.iter().map(|path| (*path).to_owned()).collect();
        let declared = Tree::parse(&reply, known.messages).without(&undeclared);
        assert_eq!(our_reply, declared.encode(), "{}", call.method);
        seen.insert(call.method.clone());
    }
    assert_eq!(seen.len(), 8, "every method is recorded at least once: {seen:?}");
    for (method, lost) in lost {
        let named: BTreeSet<String> =
            known_reply(&method).undeclared.iter().map(|path| (*path).to_owned()).collect();
        assert_eq!(lost, named, "{method}: the list of undeclared fields must be exact");
    }
}
