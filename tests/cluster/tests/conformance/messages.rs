//! Decodes every recorded message with our declarations and encodes it again. The result must be the same, except for the
//! fields that we do not declare, which are listed here.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use tbot_cluster::method;
use tbot_cluster::proto::{
    CertAuthorityV2, Certs, CreateAppSessionRequest, CreateAppSessionResponse, GetCertAuthoritiesRequest,
    GetCertAuthoritiesResponse, GetCertAuthorityRequest, GetClusterCaCertResponse, GetRoleRequest,
    ListResourcesRequest, ListResourcesResponse, PingRequest, PingResponse, RoleV6, UserCertsRequest,
};

use crate::message_tree::MessageTree;
use crate::recording::all_calls;

/// The fields of a message type that matter for the comparison, as paths such as `5.2.14`.
pub(crate) struct FieldPaths {
    /// The fields that are messages.
    pub(crate) messages: &'static [&'static str],
    /// The recorded fields that we do not declare.
    pub(crate) undeclared: &'static [&'static str],
}

const FLAT: FieldPaths = FieldPaths { messages: &[], undeclared: &[] };
/// Agents do not use the features of editions and other products.
const PING: FieldPaths = FieldPaths { messages: &["3"], undeclared: &["3.10", "3.18", "3.19", "3.21"] };
const CERTS_REQUEST: FieldPaths = FieldPaths { messages: &["3", "8", "11", "13"], undeclared: &[] };
/// Agents only read which roles a role may impersonate, not its options, rules and label matchers.
const ROLE: FieldPaths = FieldPaths {
    messages: &["4", "4.5", "5", "5.2", "5.2.14", "5.3"],
    undeclared: &[
        "5.1", "5.2.2", "5.2.3", "5.2.4", "5.2.8", "5.2.9", "5.2.10", "5.2.11", "5.2.18", "5.2.26", "5.2.27",
        "5.3.2", "5.3.3", "5.3.8", "5.3.9", "5.3.10", "5.3.11", "5.3.18", "5.3.26", "5.3.27",
    ],
};
const AUTHORITIES: FieldPaths = FieldPaths {
    messages: &["1", "1.4", "1.5", "1.5.11", "1.5.11.1", "1.5.11.2", "1.5.12"],
    undeclared: &[],
};
const AUTHORITY: FieldPaths =
    FieldPaths { messages: &["4", "5", "5.11", "5.11.1", "5.11.2", "5.12"], undeclared: &[] };

const LIST_REQUEST: FieldPaths = FieldPaths { messages: &["8", "10"], undeclared: &[] };
/// Agents read names, labels, addresses and protocols, not rotations, cloud settings and statuses.
const LIST: FieldPaths = FieldPaths {
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
/// Agents read the name of a session, not its keys and tokens.
const SESSION: FieldPaths = FieldPaths {
    messages: &["1", "1.4", "1.5"],
    undeclared: &["1.5.2", "1.5.3", "1.5.4", "1.5.5", "1.5.6", "1.5.8"],
};

/// Returns the fields of the response to `method`.
pub(crate) fn response_fields(method: &str) -> FieldPaths {
    match method {
        method::PING => PING,
        method::GET_ROLE => ROLE,
        method::GET_CERT_AUTHORITIES => AUTHORITIES,
        method::GET_CERT_AUTHORITY => AUTHORITY,
        method::LIST_RESOURCES => LIST,
        method::CREATE_APP_SESSION => SESSION,
        _ => FLAT,
    }
}

fn reencode<M: Message + Default>(bytes: &[u8]) -> Vec<u8> {
    M::decode(bytes).unwrap().encode_to_vec()
}

/// Reencodes a request and response of `method`, and returns them with the fields of the request. `None` if the cluster
/// does not serve the method.
fn reencode_call(method: &str, request: &[u8], response: &[u8]) -> Option<(FieldPaths, Vec<u8>, Vec<u8>)> {
    Some(match method {
        method::PING => (FLAT, reencode::<PingRequest>(request), reencode::<PingResponse>(response)),
        method::GENERATE_USER_CERTS => {
            (CERTS_REQUEST, reencode::<UserCertsRequest>(request), reencode::<Certs>(response))
        }
        method::GET_CLUSTER_CA_CERT => {
            (FLAT, reencode::<()>(request), reencode::<GetClusterCaCertResponse>(response))
        }
        method::GET_ROLE => (FLAT, reencode::<GetRoleRequest>(request), reencode::<RoleV6>(response)),
        method::GET_CERT_AUTHORITIES => (
            FLAT,
            reencode::<GetCertAuthoritiesRequest>(request),
            reencode::<GetCertAuthoritiesResponse>(response),
        ),
        method::GET_CERT_AUTHORITY => {
            (FLAT, reencode::<GetCertAuthorityRequest>(request), reencode::<CertAuthorityV2>(response))
        }
        method::LIST_RESOURCES => (
            LIST_REQUEST,
            reencode::<ListResourcesRequest>(request),
            reencode::<ListResourcesResponse>(response),
        ),
        method::CREATE_APP_SESSION => (
            FLAT,
            reencode::<CreateAppSessionRequest>(request),
            reencode::<CreateAppSessionResponse>(response),
        ),
        _ => return None,
    })
}

/// Compares a message, and adds the paths that our declaration does not preserve to `lost`.
fn compare(method: &str, recorded: &[u8], ours: &[u8], fields: &FieldPaths, lost: &mut BTreeSet<String>) {
    let undeclared: BTreeSet<String> = fields.undeclared.iter().map(|path| (*path).to_owned()).collect();
    let tree = MessageTree::parse(recorded, fields.messages);
    assert_eq!(tree.encode(), recorded, "{method}: parsing must be lossless");
    lost.extend(tree.paths().difference(&MessageTree::parse(ours, fields.messages).paths()).cloned());
    assert_eq!(
        MessageTree::parse(ours, fields.messages),
        tree.without(&undeclared),
        "{method}: declared fields differ"
    );
}

#[test]
fn recorded_messages_survive_decoding_and_encoding() {
    let mut lost: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for call in all_calls().iter().filter(|call| !call.method.starts_with("POST ")) {
        let (request, response) = (call.request_bytes(), call.response_bytes());
        let Some((request_fields, our_request, our_response)) =
            reencode_call(&call.method, &request, &response)
        else {
            panic!("{} is recorded but not served", call.method);
        };
        let lost = lost.entry(call.method.clone()).or_default();
        let mut lost_request = BTreeSet::new();
        compare(&call.method, &request, &our_request, &request_fields, &mut lost_request);
        assert!(lost_request.is_empty(), "{} loses {lost_request:?} in its request", call.method);
        let fields = response_fields(&call.method);
        compare(&call.method, &response, &our_response, &fields, lost);
        // Apart from undeclared fields, the encoding is identical to the server's.
        let undeclared = fields.undeclared.iter().map(|path| (*path).to_owned()).collect();
        let declared = MessageTree::parse(&response, fields.messages).without(&undeclared);
        assert_eq!(our_response, declared.encode(), "{}", call.method);
        seen.insert(call.method.clone());
    }
    assert_eq!(seen.len(), 8, "every served method must be recorded: {seen:?}");
    for (method, lost) in lost {
        let undeclared: BTreeSet<String> =
            response_fields(&method).undeclared.iter().map(|path| (*path).to_owned()).collect();
        assert_eq!(lost, undeclared, "{method}: the list of undeclared fields must be exact");
    }
}
